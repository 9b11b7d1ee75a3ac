// headgate-controlplane: one daemon, one event loop. Wiring only.
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "controlplane/app/daemon.h"
#include "controlplane/app/door.h"
#include "controlplane/app/event_forwarder.h"
#include "controlplane/app/logging.h"
#include "controlplane/app/management.h"
#include "controlplane/system/service_manager.h"
#include "controlplane/system/supervisor_client.h"

namespace {

void listen_for_signals(asio::io_context& io, asio::signal_set& signals, headgate::app::Daemon& daemon) {
  signals.async_wait([&](const asio::error_code& error, int signal) {
    if (error) return;
    if (signal == SIGHUP) {
      daemon.reload();
      listen_for_signals(io, signals, daemon);
    } else {
      spdlog::info("{}: stopping; the dataplane goes on forwarding", signal == SIGTERM ? "SIGTERM" : "SIGINT");
      io.stop();
    }
  });
}

// Warnings and errors are events while both live.
class Feeding {
 public:
  Feeding(headgate::app::Logging& logging, headgate::app::Events& events) : logging_(logging) { logging.feed(&events); }
  ~Feeding() { logging_.feed(nullptr); }
  Feeding(const Feeding&) = delete;
  Feeding& operator=(const Feeding&) = delete;

 private:
  headgate::app::Logging& logging_;
};

int run(const headgate::app::Options& options, headgate::app::Management::Options management) {
  headgate::app::Logging logging;
  std::error_code error;
  std::filesystem::create_directories(options.state_dir, error);
  if (error) {
    spdlog::error("cannot create {}: {}; use --state-dir", options.state_dir, error.message());
    return 1;
  }
  headgate::app::raise_descriptor_limit();
  asio::io_context io;
  asio::signal_set signals(io, SIGHUP, SIGTERM, SIGINT);  // before anything else: a reload must never kill
  headgate::system::ServiceManager manager(io);
  headgate::config::KernelDisk disk;
  headgate::app::Daemon daemon(io, options, disk);
  const Feeding feeding(logging, daemon.events());
  if (const auto started = daemon.start(); !started) {
    spdlog::error("{}; not started", started.error().message);
    return 1;
  }
  management.dataplane = options.dataplane;
  management.recent_log = [&logging] { return logging.recent(); };
  auto api = headgate::app::Management::start(io, daemon, management);
  if (!api) {
    spdlog::error("{}; not started", api.error().message);
    return 1;
  }
  headgate::app::EventForwarder forwarder(io, daemon.events());
  forwarder.adopt(daemon.configuration().config());
  daemon.set_listener([&](const headgate::config::v1::Config& config) {
    (*api)->adopt(config);
    forwarder.adopt(config);
  });
  listen_for_signals(io, signals, daemon);
  daemon.events().add("operation", "the control plane started with revision " +
                                       std::to_string(daemon.configuration().revision().number));
  manager.watch(daemon.probing());
  manager.ready();
  io.run();
  daemon.set_listener({});
  manager.stopping();
  return 0;
}

int check(const headgate::app::Options& options) {
  std::string text;
  const bool good = headgate::app::check(options.config, options.state_dir, text);
  std::fputs(text.c_str(), good ? stdout : stderr);
  return good ? 0 : 1;
}

// One sentence; the word that is wrong before the option that is missing.
int refuse(const CLI::App& cli, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = cli.remaining();
  const std::string what = unknown.empty() ? error.what() : "there is no option " + unknown.front();
  std::fprintf(stderr, "headgate-controlplane: %s; see --help\n", what.substr(0, what.find('\n')).c_str());
  return 1;
}

int program(int argc, char** argv) {
  CLI::App cli("Headgate's control plane: configuration, health, and the snapshot the dataplane runs.");
  headgate::app::Options options;
  bool only_check = false;
  cli.add_option("--config", options.config, "configuration, protobuf text format (controlplane/api/config.proto)")
      ->required();
  cli.add_option("--dataplane", options.dataplane, "socket of the dataplane: a path or unix:PATH")
      ->capture_default_str();
  cli.add_option("--state-dir", options.state_dir, "where ids and the history of commits are kept")
      ->capture_default_str();
  headgate::app::Management::Options management;
  cli.add_option("--management", management.socket, "Unix socket of the management API")->capture_default_str();
  cli.add_option("--admin-group", management.groups.admin, "its members may do everything")->capture_default_str();
  cli.add_option("--operator-group", management.groups.operators, "its members may look, capture and drain")
      ->capture_default_str();
  cli.add_option("--metrics", management.metrics,
                 "ADDRESS:PORT for Prometheus (/metrics, /healthz, /readyz); default: none");
  management.supervisor = headgate::system::supervisor_socket();
  cli.add_option("--supervisor", management.supervisor,
                 "socket of headgate-supervisor, for restarts; default: what HEADGATE_SUPERVISOR says");
  cli.add_flag("--check", only_check, "judge the configuration, say what would be done, and leave; 1 with errors");
  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return error.get_exit_code() == 0 ? cli.exit(error) : refuse(cli, error);  // 0: --help
  }
  if (options.dataplane.starts_with('/')) options.dataplane = "unix:" + options.dataplane;
  if (only_check) return check(options);
  options.supervisor = management.supervisor;
  return run(options, management);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return program(argc, argv);
  } catch (const std::exception& error) {  // third-party code; our own does not throw
    std::fprintf(stderr, "headgate-controlplane: %s\n", error.what());
    return 1;
  }
}
