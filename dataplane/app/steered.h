// Which frames of an interface shared with the kernel come to the dataplane: design section 3, AF_XDP steering. Pure.
#pragma once

#include <vector>

#include "dataplane/snapshot/model.h"

namespace headgate::app {

struct Steered {
  std::vector<IpAddress> addresses;  // sorted, unique: frames to these, by destination, ARP or ND target, quoted source
  // Frames to our MAC from these, whatever their destination, unless that is the kernel's: xdp::Steering::set_gateway.
  std::vector<IpPrefix> gateway;
  std::vector<std::uint8_t> vrids;  // adverts of these virtual routers, and frames to their virtual MACs
};

Steered steered_to(const snapshot::Snapshot& snapshot, std::uint16_t port);

}  // namespace headgate::app
