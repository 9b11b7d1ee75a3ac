// The control plane put together: configuration -> snapshot -> dataplane, and verdicts of health back into it.
//
// Order of a start: the newest good revision; wait for the dataplane and take over the verdicts it runs with; then
// compile, push what differs, and only then probe along the path. Nothing is probed through a dataplane that does not
// run our snapshot.
//
// A revision is on trial until the dataplane runs it. When it is refused, the one before comes back as a new revision,
// and health checks go on with it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "controlplane/api/management.pb.h"
#include "controlplane/app/configuration.h"
#include "controlplane/app/events.h"
#include "controlplane/compile/compile.h"
#include "controlplane/health/checker.h"
#include "controlplane/push/pusher.h"

namespace headgate::app {

struct Options {
  std::string config;
  std::string dataplane = "unix:/run/headgate/dataplane.sock";
  std::string state_dir = "/var/lib/headgate";
};

// Thread: that of the io_context, except events().
class Daemon {
 public:
  Daemon(asio::io_context& io, Options options);

  // After an error there is nothing to run.
  config::Result<void> start();
  // Commits the file. After an error everything goes on as before, and the log says why.
  void reload();

  Verdict commit(const Proposal& proposal);
  config::Result<void> confirm(const std::string& user);
  // What became of a revision: on its way, run by the workers, or refused and why.
  struct Trial {
    enum class State { waiting, runs, refused, away } state = State::waiting;  // away: there is no dataplane to ask
    std::vector<config::Diagnostic> errors{};
  };
  Trial trial(std::uint64_t revision) const;

  // The backend's full name ("pool/backend"), or why there is none. Survives restarts.
  config::Result<std::string> set_backend(const std::string& pool, const std::string& backend,
                                          management::v1::SetBackendRequest::State state);

  void describe(management::v1::SystemReply& reply) const;
  void describe(management::v1::BackendsReply& reply) const;

  // Told of each configuration that comes into force after this call.
  void set_listener(std::function<void(const config::v1::Config&)> listener) { listener_ = std::move(listener); }

  health::HealthView health() const { return checker_.view(); }
  Configuration& configuration() { return configuration_; }
  Events& events() { return events_; }

 private:
  using AdminState = management::v1::SetBackendRequest::State;
  void adopt();
  void watch_confirmation();
  void on_connected(const health::HealthView& running);
  void on_in_sync();
  void on_refused(const dataplane::v1::Snapshot& sent, const dataplane::v1::ApplyReply& reply);
  dataplane::v1::Snapshot compiled() const;  // costly: once per change, by push()
  void probe();
  void push();
  void load_admin();
  config::Result<void> save_admin() const;

  Options options_;
  config::KernelDisk disk_;
  Configuration configuration_;
  Events events_;
  std::map<std::uint32_t, AdminState> admin_;  // by backend id; enabled ones are not in it
  std::function<void(const config::v1::Config&)> listener_;
  bool settled_ = false;  // what is in force runs, and its targets are probed
  bool connected_ = false;
  bool held_ = false;                   // refused, and there is nothing to step back to
  bool met_dataplane_ = false;          // before that the verdicts to start from are unknown
  std::uint64_t refused_revision_ = 0;  // the last that was refused, and why
  std::vector<config::Diagnostic> refusal_;
  dataplane::v1::Snapshot wanted_;  // of the last push(): what is in force, with verdicts and drained backends
  health::HealthView known_;        // those verdicts, until the first configuration is settled
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  asio::steady_timer confirmation_;
  health::Checker checker_;
  push::Pusher pusher_;
};

// For --check: every diagnostic to `text`, then what would be done. False when the file has errors.
bool check(const std::string& config_file, const std::string& state_dir, std::string& text);

}  // namespace headgate::app
