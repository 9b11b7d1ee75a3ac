// The kernel's side of the probe device: an address and a connected route for the probe prefixes, no ARP.
#pragma once

#include <string>

#include "dataplane/base/result.h"

namespace headgate::app {

// Gives `interface` the last host address of each prefix (empty: none) and brings it up without ARP: its peer is the
// dataplane, which takes whatever is sent there.
Result<void> set_up_probe_device(const std::string& interface, const std::string& prefix_v4,
                                 const std::string& prefix_v6);

}  // namespace headgate::app
