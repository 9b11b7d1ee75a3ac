// Says in a sentence why a PCI device cannot be opened, before DPDK fails with a number.
#pragma once

#include <string>

#include "dataplane/base/result.h"

namespace headgate::port {

// `address` like 0000:01:00.0. Looks at sysfs and at the VFIO group; changes nothing.
Result<void> check_pci_device(const std::string& address);

}  // namespace headgate::port
