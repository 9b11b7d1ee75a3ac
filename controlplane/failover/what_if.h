// "What would happen if X failed": each group's fate, from the health class it would have and what is known of the
// peer. Pure, and nothing is tried. It speaks of this box's tracks; the peer may see the same failure, and then says
// so itself when it is asked.
#pragma once

#include <string>
#include <vector>

#include "controlplane/config/result.h"
#include "controlplane/failover/director.h"

namespace headgate::failover {

struct Failure {
  enum class What : std::uint8_t { interface, pool, gateway, backend, box } what = What::interface;
  std::string name;  // of a box: a, b
  // Of a backend: pools of the configuration that it is in, and whether it serves there now.
  std::vector<std::pair<std::string, bool>> pools{};
};

// One or more lines for each group.
config::Result<std::vector<std::string>> what_if(const Failure& failure, const Director& director,
                                                 const PeerView& peer);

}  // namespace headgate::failover
