#include "controlplane/app/daemon.h"

#include <spdlog/spdlog.h>

#include <random>

#include "controlplane/config/durable_file.h"

namespace headgate::app {
namespace {

std::string ids_path(const Options& options) {
  return options.state_dir + "/ids.txtpb";
}

void log_diagnostics(const std::vector<config::Diagnostic>& diagnostics) {
  for (const config::Diagnostic& diagnostic : diagnostics) {
    const bool error = diagnostic.severity == config::Severity::error;
    spdlog::log(error ? spdlog::level::err : spdlog::level::warn, "config: {}", diagnostic.to_string());
  }
}

}  // namespace

Daemon::Daemon(asio::io_context& io, Options options)
    : options_(std::move(options)),
      checker_(io, std::random_device{}(), [this] { push(); }),
      pusher_(io, options_.dataplane,
              push::Events{.connected = [this](const health::HealthView& running) { on_connected(running); },
                           .in_sync = [this] { checker_.pause_path(false); },
                           .lost = [this] { checker_.pause_path(true); }}) {}

config::Result<void> Daemon::start() {
  auto ids = compile::load_ids(ids_path(options_));
  if (!ids) return config::fail(ids.error().message);
  ids_ = std::move(*ids);
  if (auto loaded = load(); !loaded) return loaded;
  pusher_.start();
  return {};
}

void Daemon::reload() {
  spdlog::info("config: reading {} again", options_.config);
  if (const auto loaded = load(); !loaded) {
    spdlog::error("config: {}; everything goes on with the previous configuration", loaded.error().message);
    return;
  }
  if (!met_dataplane_) return;  // on_connected() does the rest
  probe({});
  push();
}

config::Result<void> Daemon::load() {
  config::Document document = config::load_file(options_.config);
  log_diagnostics(document.diagnostics);
  if (!document.ok()) return config::fail(options_.config + " has errors");
  compile::IdTable ids = ids_;
  const bool grown = compile::assign_ids(document.config, ids);
  if (const std::string problem = compile::probe_prefix_problem(document.config, ids); !problem.empty()) {
    return config::fail(options_.config + ": " + problem);
  }
  if (grown) {
    // On disk first: an id that was used and forgotten would be given to something else after a restart.
    if (auto saved = compile::save_ids(ids_path(options_), ids); !saved) return saved;
  }
  ids_ = std::move(ids);
  config_ = std::move(document.config);
  spdlog::info("config: {} loaded: {} services, {} pools", options_.config, config_.service_size(),
               config_.pool_size());
  return {};
}

void Daemon::on_connected(const health::HealthView& running) {
  if (!met_dataplane_) probe(running);
  met_dataplane_ = true;  // from now on our own verdicts count, whatever a restarted dataplane remembers
  push();
}

void Daemon::probe(const health::HealthView& known) {
  checker_.set_targets(compile::probe_targets(config_, ids_), known);
}

void Daemon::push() {
  if (met_dataplane_) pusher_.set_wanted(compile::compile(config_, checker_.view(), ids_));
}

}  // namespace headgate::app
