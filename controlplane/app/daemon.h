// The control plane put together: configuration -> snapshot -> dataplane, and the states of backends into it.
//
// Order of a start: the newest good revision and what was known of its backends; wait for the dataplane and take over
// what it runs with where nothing is known; then compile, push what differs, and only then probe along the path.
// Nothing is probed through a dataplane that does not run our snapshot.
//
// A revision is on trial until the dataplane runs it. When it is refused, the one before comes back as a new revision,
// and health checks go on with it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "controlplane/api/management.pb.h"
#include "controlplane/app/backend_watch.h"
#include "controlplane/app/configuration.h"
#include "controlplane/app/events.h"
#include "controlplane/app/failover_watch.h"
#include "controlplane/app/pair.h"
#include "controlplane/push/pusher.h"
#include "controlplane/push/traffic_watch.h"

namespace headgate::app {

struct Options {
  std::string config;
  std::string dataplane = "unix:/run/headgate/dataplane.sock";
  std::string state_dir = "/var/lib/headgate";
  std::string supervisor{};  // its socket, for death notices; empty: there is none
};

// Thread: that of the io_context, except events().
class Daemon {
 public:
  Daemon(asio::io_context& io, Options options, config::Disk& disk);

  // After an error there is nothing to run.
  config::Result<void> start();
  // Commits the file. After an error everything goes on as before, and the log says why.
  void reload();

  // On this box, and at once; what an operator wants goes by pair(), which knows whether it takes both boxes.
  Verdict commit(const Proposal& proposal);
  config::Result<void> confirm(const std::string& user);
  Pair& pair() { return pair_; }
  // What became of a revision: on its way, run by the workers, or refused and why.
  struct Trial {
    enum class State { waiting, runs, refused, away } state = State::waiting;  // away: there is no dataplane to ask
    std::vector<config::Diagnostic> errors{};
  };
  Trial trial(std::uint64_t revision) const;

  // The backend's full name ("pool/backend"), or why there is none. Survives restarts.
  config::Result<std::string> set_backend(const std::string& pool, const std::string& backend, health::Admin state);

  void describe(management::v1::SystemReply& reply) const;
  void describe(management::v1::BackendsReply& reply) const;
  const dataplane::v1::Snapshot& wanted() const { return wanted_; }

  const BackendWatch& backends() const { return backends_; }
  FailoverWatch& failover() { return failover_; }
  const FailoverWatch& failover() const { return failover_; }
  // Told of each configuration that comes into force after this call.
  void set_listener(std::function<void(const config::v1::Config&)> listener) { listener_ = std::move(listener); }

  Configuration& configuration() { return configuration_; }
  Events& events() { return events_; }
  asio::io_context& probing() { return backends_.probing(); }  // the loop of the probes, in a thread of its own

 private:
  void tell_reload(const Verdict& verdict) const;
  void adopt();
  void watch_revision();
  void on_connected(const push::States& running);
  void on_in_sync();
  void on_refused(const dataplane::v1::Snapshot& sent, const dataplane::v1::ApplyReply& reply);
  void on_states(const BackendWatch::Changes& changes, std::chrono::steady_clock::time_point since);
  void on_stats(const dataplane::v1::StatsReply& stats);
  void want_stats();
  void probe();
  void push();

  Options options_;
  Configuration configuration_;
  Events events_;
  std::function<void(const config::v1::Config&)> listener_;
  bool settled_ = false;  // what is in force runs, and its targets are probed
  bool connected_ = false;
  bool held_ = false;                   // refused, and there is nothing to step back to
  bool met_dataplane_ = false;          // before that the verdicts to start from are unknown
  std::uint64_t refused_revision_ = 0;  // the last that was refused, and why
  std::vector<config::Diagnostic> refusal_;
  dataplane::v1::Snapshot wanted_;  // what is in force, with the states of backends
  std::unordered_map<std::uint32_t, dataplane::v1::Backend*> wanted_backends_;  // into it, by id
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  asio::steady_timer revision_timer_;
  Pair pair_;
  BackendWatch backends_;
  push::Pusher pusher_;
  push::TrafficWatch traffic_;
  FailoverWatch failover_;
};

// For --check: every diagnostic to `text`, then what would be done. False when the file has errors.
bool check(const std::string& config_file, const std::string& state_dir, std::string& text);

}  // namespace headgate::app
