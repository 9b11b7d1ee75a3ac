// The real-time thread allocates nothing: a pair of groups lives through an hour of faults between two readings of a
// counter.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "dataplane/base/rng.h"
#include "dataplane/vrrp/group_testing.h"

namespace {
std::uint64_t allocations = 0;  // of this program; it has one thread
}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace headgate::vrrp {
namespace {

TEST(Group, AllocatesNothingAfterItsConfiguration) {
  const GroupConfig config = testing::config_of({.preemption = Preemption::after, .routers = kRoutersMax});
  const testing::Bytes v4 = testing::wire(config.routers[0].addresses), v6 = testing::wire(config.routers[1].addresses);
  const IpAddress from_v4 = testing::ip("192.0.2.12"), from_v6 = testing::ip("fe80::12");
  Group group(config, testing::kStart);
  Rng rng(1);
  Nanos now = testing::kStart;
  std::array<Action, 256> pending{};
  std::size_t waiting = 0;
  const auto collect = [&] {
    for (const Action& action : group.actions()) {
      if (action.kind == Action::Kind::send && waiting < pending.size()) pending[waiting++] = action;
    }
  };
  const std::uint64_t before = allocations;
  for (int i = 0; i < 200'000; ++i) {
    now += rng.below(40) * kMillisecond;
    const auto router = static_cast<std::uint8_t>(rng.below(kRoutersMax));
    switch (rng.below(600)) {
      case 0:
        group.link(router, rng.chance(0.9), now);
        break;
      case 1:
        group.input({.health = static_cast<Health>(rng.below(3)), .peer = static_cast<PeerState>(rng.below(6))}, now);
        break;
      case 2:
        group.input({.yield = rng.chance(0.5)}, now);
        break;
      default:
        if (rng.chance(0.3)) {
          const bool is_v6 = config.routers[router].v6;
          Advert advert{
              .vrid = 51, .priority = static_cast<std::uint8_t>(rng.below(256)), .interval = 100 * kMillisecond};
          advert.addresses = is_v6 ? v6 : v4;
          group.received(router, advert, is_v6 ? from_v6 : from_v4, now);
        }
    }
    collect();
    group.advance(rng.chance(0.98), now);
    collect();
    for (std::size_t k = 0; k < waiting; ++k) group.accepted(pending[k].router, pending[k].interval, now);
    waiting = 0;
  }
  EXPECT_EQ(allocations, before);
  EXPECT_GT(group.status().transitions, 500u);  // it did live
  EXPECT_GT(group.status().promotions, 100u);
}

}  // namespace
}  // namespace headgate::vrrp
