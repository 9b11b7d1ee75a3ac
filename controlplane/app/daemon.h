// The control plane put together: file -> configuration -> snapshot -> dataplane, and verdicts of health back into it.
//
// Order of a start: load the file; wait for the dataplane and take over the verdicts it runs with; then compile, push
// what differs, and only then probe along the path. Nothing is probed through a dataplane that does not run our
// snapshot.
#pragma once

#include <memory>
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
  void on_connected(const health::HealthView& running);
  void probe(const health::HealthView& known);
  void push();

  Options options_;
  compile::IdTable ids_;
  config::v1::Config config_;
  bool met_dataplane_ = false;  // before that the verdicts to start from are unknown
  health::Checker checker_;
  push::Pusher pusher_;
};

// For --check: every diagnostic to `text`, then what would be done. False when the file has errors.
bool check(const std::string& config_file, const std::string& state_dir, std::string& text);

}  // namespace headgate::app
