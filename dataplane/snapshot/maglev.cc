#include "dataplane/snapshot/maglev.h"

#include <algorithm>

#include "dataplane/base/check.h"
#include "dataplane/base/keyed_hash.h"
#include "dataplane/snapshot/model.h"

namespace headgate::snapshot {
namespace {

constexpr std::uint16_t kFree = kNone;

// A member's permutation of the slots, position = (offset + i * skip) mod kMaglevSlots; that is prime, so every skip
// works.
struct Walk {
  std::uint32_t position, skip;
  std::uint32_t weight, earned;
  std::uint16_t offset;
};

std::vector<Walk> walks_of(std::span<const MaglevMember> members) {
  std::vector<MaglevMember> sorted(members.begin(), members.end());
  std::ranges::sort(sorted, {}, [](const MaglevMember& m) { return m.id.value; });
  const KeyedHash hash(0x6865616467617465ull);  // fixed: equal on both boxes
  std::vector<Walk> walks;
  walks.reserve(sorted.size());
  for (const MaglevMember& member : sorted) {
    walks.push_back({.position = static_cast<std::uint32_t>(hash(member.id.value, 1) % kMaglevSlots),
                     .skip = static_cast<std::uint32_t>(hash(member.id.value, 2) % (kMaglevSlots - 1)) + 1,
                     .weight = member.weight,
                     .earned = 0,
                     .offset = member.offset});
  }
  return walks;
}

}  // namespace

std::vector<std::uint16_t> build_maglev(std::span<const MaglevMember> members) {
  if (members.empty()) return {};
  std::vector<std::uint16_t> table(kMaglevSlots, kFree);
  std::vector<Walk> walks = walks_of(members);
  const std::uint32_t heaviest = std::ranges::max(walks, {}, &Walk::weight).weight;
  HEADGATE_CHECK(heaviest > 0 && heaviest <= kWeightMax);
  for (unsigned filled = 0; filled < kMaglevSlots;) {
    for (Walk& walk : walks) {
      walk.earned += walk.weight;
      if (walk.earned < heaviest) continue;
      walk.earned -= heaviest;
      while (table[walk.position] != kFree) {
        walk.position += walk.skip;
        if (walk.position >= kMaglevSlots) walk.position -= kMaglevSlots;
      }
      table[walk.position] = walk.offset;
      if (++filled == kMaglevSlots) break;
    }
  }
  return table;
}

}  // namespace headgate::snapshot
