// The lookup table of Maglev (Eisenbud et al., NSDI 2016, section 3.4) with weights: kMaglevSlots entries, each a
// backend. Equal on every box for equal ids and weights, whatever the order: the hash has a fixed key and turns go by
// id.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/base/ids.h"

namespace headgate::snapshot {

struct MaglevMember {
  BackendId id;
  std::uint32_t weight = 1;  // > 0
  std::uint16_t offset = 0;  // what the table's entries say
};

// Shares are proportional to weights: as in Katran's V2 hash ring each member earns its weight per round and takes a
// turn for every largest weight earned. Equal weights differ by at most one slot. About 1 ms. Empty for no members.
std::vector<std::uint16_t> build_maglev(std::span<const MaglevMember> members);

}  // namespace headgate::snapshot
