// headgate-supervisor: starts, restarts and watches the other processes of a box. No gRPC, no DPDK: what must outlive
// everything else depends on nothing else, but for libcrypto's HMAC, which signs death notices.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

#include "controlplane/supervisor/supervisor.h"

namespace {

constexpr const char* kUsage =
    "usage: headgate-supervisor --config FILE [--run-dir DIR] [--reboot-command WORDS] [--check]\n"
    "  --config FILE   processes: [NAME] sections with command, user, log, stop_timeout_ms,\n"
    "                  watchdog_ms\n"
    "  --run-dir DIR   for supervisor.pid, .status and .sock; default /run/headgate\n"
    "  --reboot-command WORDS   what reboots the machine; default \"/usr/sbin/reboot\"\n"
    "  --check         judge FILE and leave\n"
    "SIGHUP is passed on to the processes; SIGTERM and SIGINT stop them, the last one first.\n";

int fail(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::string config, run_dir = "/run/headgate", reboot = "/usr/sbin/reboot";
  bool check = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--check") {
      check = true;
    } else if (argument == "--config" && i + 1 < argc) {
      config = argv[++i];
    } else if (argument == "--run-dir" && i + 1 < argc) {
      run_dir = argv[++i];
    } else if (argument == "--reboot-command" && i + 1 < argc) {
      reboot = argv[++i];
    } else if (argument == "--help" || argument == "-h") {
      std::fputs(kUsage, stdout);
      return 0;
    } else if (argument == "--config" || argument == "--run-dir" || argument == "--reboot-command") {
      return fail("headgate-supervisor: " + argument + " needs a value; see --help");
    } else {
      return fail("headgate-supervisor: there is no option " + argument + "; see --help");
    }
  }
  if (config.empty()) return fail("headgate-supervisor: --config FILE is missing; see --help");
  std::ifstream file(config);
  if (!file) return fail(config + ": cannot be opened: " + std::strerror(errno) + "; check the path");
  std::ostringstream text;
  text << file.rdbuf();
  const auto parsed = headgate::supervisor::parse_process_file(config, text.str());
  if (!parsed.error.empty()) return fail(parsed.error);
  if (check) return 0;
  std::istringstream words(reboot);
  std::vector<std::string> command{std::istream_iterator<std::string>(words), {}};
  return headgate::supervisor::Supervisor(parsed.processes, run_dir, std::move(command)).run();
}
