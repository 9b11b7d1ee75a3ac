#include "drivers/port/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <unistd.h>

#include <fstream>
#include <mutex>
#include <string_view>

namespace headgate::port {
namespace {

// MB free in hugepages of the default size, as /proc/meminfo says.
unsigned long free_hugepage_mb() {
  std::ifstream meminfo("/proc/meminfo");
  std::string word;
  unsigned long free_pages = 0, page_kb = 0;
  while (meminfo >> word) {
    if (word == "HugePages_Free:") meminfo >> free_pages;
    if (word == "Hugepagesize:") meminfo >> page_kb;
  }
  return free_pages * page_kb / 1024;
}

Result<void> check_hugepages(unsigned wanted_mb) {
  const unsigned long free_mb = free_hugepage_mb();
  if (free_mb >= wanted_mb) return {};
  return fail(ErrorCode::exhausted, "the dataplane needs " + std::to_string(wanted_mb) +
                                        " MB of free hugepages and there are " + std::to_string(free_mb) +
                                        " MB; reserve them with `sysctl vm.nr_hugepages=" +
                                        std::to_string((wanted_mb + 1) / 2) + "` or start without hugepages");
}

// net_tap calls everyday matters errors: no multiq qdisc in the kernel, no secondary process.
std::vector<std::string> arguments_of(const EalOptions& options) {
  std::vector<std::string> arguments{
      options.program, "--lcores", options.lcores, "-m", std::to_string(options.memory_mb), "--no-telemetry"};
  for (const char* level : {"lib.*:error", "pmd.*:error", "pmd.net.tap:critical"}) {  // the last match wins
    arguments.insert(arguments.end(), {"--log-level", level});
  }
  if (!options.hugepages) arguments.emplace_back("--no-huge");
  // --in-memory means hugepages without files. With --no-huge DPDK refuses it beside -m, and --no-shconf has the same
  // effect.
  if (!options.file_prefix.empty()) {
    arguments.insert(arguments.end(), {"--file-prefix", options.file_prefix});
  } else {
    arguments.emplace_back(options.hugepages ? "--in-memory" : "--no-shconf");
  }
  // By virtual address a pool is one piece of memory even over scattered hugepages, as AF_XDP needs it. With PCI
  // devices EAL must find out what they can do.
  if (options.pci_devices.empty()) arguments.insert(arguments.end(), {"--no-pci", "--iova-mode=va"});
  for (const std::string& device : options.pci_devices) arguments.insert(arguments.end(), {"--allow", device});
  arguments.insert(arguments.end(), options.extra.begin(), options.extra.end());
  return arguments;
}

}  // namespace

Result<void> init_eal(const EalOptions& options) {
  if (::geteuid() != 0) {
    return fail(ErrorCode::permission_denied, options.program + " must be started by root: it opens network devices");
  }
  if (options.hugepages) {
    if (auto checked = check_hugepages(options.memory_mb); !checked) return checked;
  }
  rte_log_set_global_level(RTE_LOG_WARNING);
  std::vector<std::string> arguments = arguments_of(options);
  std::vector<char*> argv;
  std::string line;
  for (std::string& argument : arguments) {
    argv.push_back(argument.data());
    line += (line.empty() ? "" : " ") + argument;
  }
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
    const std::string reason =
        rte_errno == EALREADY ? "it was started before in this process" : rte_strerror(rte_errno);
    return fail(ErrorCode::unavailable, "DPDK cannot start (" + reason + "); it was called as: " + line);
  }
  return {};
}

}  // namespace headgate::port
