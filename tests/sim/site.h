// The site that packet tests and the simulator run on, with the lab's addresses (design section 10), as snapshot text.
//
// Services, v4 at 192.0.2.N and v6 at 2001:db8:1::N, TCP port 80 and UDP port 53 each, backends .21-.23 on the inside:
//   100 full_nat, 101 nat, 102 dsr, 103 ipip, 104 gue; tunnels across families: 105 ipip, 106 gue.
#pragma once

#include <string>
#include <string_view>

namespace headgate::sim {

struct Site {
  std::string outside = "mtu: 1500";  // more of the outside interface
  std::string inside = "mtu: 1500";   // more of the inside interface
  std::string pool = "";              // more of every pool
  std::string weights = "1,1,1";      // of the three backends
  std::string backend = "";           // more of every backend
  std::string service = "";           // more of every service
  std::string extra = "";             // more of the snapshot
  unsigned backends = 3;              // of each pool
  bool all_services = true;           // false: only 100
  std::string timeouts = "";
};

std::string text_of(const Site& site = {});

}  // namespace headgate::sim
