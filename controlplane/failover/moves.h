// Addresses that a commit moves from one group to another. Where the two groups are active on different boxes both
// boxes would answer for such an address for a moment: each box takes the commit by itself, its dataplane some
// milliseconds after its control plane, and no order of the two keeps them apart. In two commits, out of the one group
// and then into the other, nobody has it in between. Pure.
#pragma once

#include <string>
#include <vector>

#include "controlplane/api/config.pb.h"
#include "controlplane/failover/peer_view.h"

namespace headgate::failover {

struct Move {
  std::string what;      // an address, or a block of them
  std::string from, to;  // groups
};
// Requires: both passed validate().
std::vector<Move> moves(const config::v1::Config& before, const config::v1::Config& after);

// The first that both boxes would have at once, in words; empty: none. own: what this box says of its groups.
std::string dual_active_move(const std::vector<Move>& moves, const Word& own, const PeerView& peer);

}  // namespace headgate::failover
