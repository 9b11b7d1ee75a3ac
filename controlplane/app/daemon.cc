#include "controlplane/app/daemon.h"

#include <google/protobuf/text_format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <random>

#include "controlplane/app/refusal.h"
#include "controlplane/config/durable_file.h"

namespace headgate::app {
namespace {

std::string ids_path(const Options& options) {
  return options.state_dir + "/ids.txtpb";
}

std::string accepted_path(const Options& options) {
  return options.state_dir + "/accepted.txtpb";
}

config::Result<void> save_accepted(const std::string& path, const config::v1::Config& config) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(config, &text);
  return config::write_file_durably(path, "# The last configuration that the dataplane took. Written by us.\n" + text);
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
                           .in_sync = [this] { on_in_sync(); },
                           .refused = [this](const auto& sent, const auto& reply) { on_refused(sent, reply); },
                           .lost = [this] { checker_.pause_path(true); }}) {}

config::Result<void> Daemon::start() {
  auto ids = compile::load_ids(ids_path(options_));
  if (!ids) return config::fail(ids.error().message);
  ids_ = std::move(*ids);
  load_accepted();
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
  push();  // new backends are probed once the dataplane knows the way to them
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
  newest_ = std::move(document);
  refused_ = settled_ = false;
  spdlog::info("config: {} loaded: {} services, {} pools", options_.config, newest_.config.service_size(),
               newest_.config.pool_size());
  return {};
}

// Only a convenience for the day when the file is refused right after a start: without it everything else works.
void Daemon::load_accepted() {
  const std::string path = accepted_path(options_);
  if (::access(path.c_str(), F_OK) != 0) return;
  config::Document document = config::load_file(path);
  compile::IdTable ids = ids_;
  if (!document.ok() || compile::assign_ids(document.config, ids) ||
      !compile::probe_prefix_problem(document.config, ids).empty()) {
    spdlog::warn("config: {} does not fit this version or its ids, ignored", path);
    return;
  }
  accepted_ = std::move(document.config);
}

void Daemon::on_connected(const health::HealthView& running) {
  refused_ = settled_ = false;  // another dataplane, perhaps with other ports
  if (!met_dataplane_) {
    known_ = running;
    probe();
  }
  met_dataplane_ = true;  // from now on our own verdicts count, whatever a restarted dataplane remembers
  push();
}

void Daemon::on_in_sync() {
  if (!settled_) {
    probe();
    known_.clear();
    settled_ = true;
    if (!refused_) {
      accepted_ = newest_.config;
      if (const auto saved = save_accepted(accepted_path(options_), *accepted_); !saved)
        spdlog::error("config: {}; a restart could not go back to this configuration", saved.error().message);
    }
  }
  checker_.pause_path(false);
}

void Daemon::on_refused(const dataplane::v1::Snapshot& sent, const dataplane::v1::ApplyReply& reply) {
  for (const auto& error : reply.error()) {
    if (refused_) {
      spdlog::error("config: the previous configuration, {}: {}", error.path(), error.message());
    } else {
      spdlog::error("config: {}", describe_refusal(newest_, sent, error));
    }
  }
  if (refused_ || !accepted_) {
    spdlog::error(
        "config: nothing that the dataplane takes is known here; it goes on with what it runs, and its "
        "backends are not probed. Correct {} and send SIGHUP",
        options_.config);
    return;
  }
  spdlog::error("config: the previous configuration stays in force, health checks go on. Correct {} and send SIGHUP",
                options_.config);
  refused_ = true;
  settled_ = false;
  probe();  // before the push: it carries the verdicts
  push();
}

void Daemon::probe() {
  checker_.set_targets(compile::probe_targets(in_force(), ids_), known_);
}

void Daemon::push() {
  if (met_dataplane_) pusher_.set_wanted(compile::compile(in_force(), checker_.view(), ids_));
}

}  // namespace headgate::app
