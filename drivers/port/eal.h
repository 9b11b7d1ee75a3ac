// Starting DPDK's environment, once per process, with the few choices that matter here and with errors in sentences.
#pragma once

#include <string>
#include <vector>

#include "dataplane/base/result.h"

namespace headgate::port {

struct EalOptions {
  std::string program = "headgate-dataplane";
  std::string lcores = "0";                // EAL's mapping of worker numbers to processors: "0@2,1@3" or "(0-1)@0"
  unsigned memory_mb = 512;                // for pools and tables
  bool hugepages = true;                   // false: ordinary memory; enough for the lab and for tests
  std::string file_prefix{};               // empty: nothing on disk, invisible to other DPDK processes
  std::vector<std::string> pci_devices{};  // addresses that may be used; empty: the PCI bus is not touched
  std::vector<std::string> extra{};        // further EAL arguments, last
};

// Requires: not called before in this process (DPDK keeps global state and cannot start twice).
Result<void> init_eal(const EalOptions& options);

}  // namespace headgate::port
