// The control plane put together: file -> configuration -> snapshot -> dataplane, and verdicts of health back into it.
//
// Order of a start: load the file; wait for the dataplane and take over the verdicts it runs with; then compile, push
// what differs, and only then probe along the path. Nothing is probed through a dataplane that does not run our
// snapshot.
//
// A configuration is on trial until the dataplane runs it. When it is refused, the last one that ran stays in force,
// with health: it goes on being compiled and pushed until the file is read again or another dataplane appears.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "controlplane/compile/compile.h"
#include "controlplane/config/validate.h"
#include "controlplane/health/checker.h"
#include "controlplane/push/pusher.h"

namespace headgate::app {

struct Options {
  std::string config;
  std::string dataplane = "unix:/run/headgate/dataplane.sock";
  std::string state_dir = "/var/lib/headgate";
};

// Thread: that of the io_context.
class Daemon {
 public:
  Daemon(asio::io_context& io, Options options);

  // The first load; after an error there is nothing to run.
  config::Result<void> start();
  // Loads the file again. After an error everything goes on as before, and the log says why.
  void reload();

  health::HealthView health() const { return checker_.view(); }

 private:
  config::Result<void> load();
  void load_accepted();
  void on_connected(const health::HealthView& running);
  void on_in_sync();
  void on_refused(const dataplane::v1::Snapshot& sent, const dataplane::v1::ApplyReply& reply);
  const config::v1::Config& in_force() const { return refused_ ? *accepted_ : newest_.config; }
  void probe();
  void push();

  Options options_;
  compile::IdTable ids_;
  config::Document newest_;                     // the file, as last read without errors
  std::optional<config::v1::Config> accepted_;  // the last that a dataplane ran; on disk too, for a restart of ours
  bool refused_ = false;                        // the dataplane did not take newest_. Then there is an accepted_
  bool settled_ = false;                        // what is in force runs, and its targets are probed
  bool met_dataplane_ = false;                  // before that the verdicts to start from are unknown
  health::HealthView known_;                    // those verdicts, until the first configuration is settled
  health::Checker checker_;
  push::Pusher pusher_;
};

// For --check: every diagnostic to `text`, then what would be done. False when the file has errors.
bool check(const std::string& config_file, const std::string& state_dir, std::string& text);

}  // namespace headgate::app
