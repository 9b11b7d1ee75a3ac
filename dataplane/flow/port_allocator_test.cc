#include "dataplane/flow/port_allocator.h"

#include <gtest/gtest.h>

#include <deque>
#include <iostream>
#include <map>
#include <set>
#include <unordered_set>
#include <vector>

#include "dataplane/base/rng.h"

namespace headgate::flow {
namespace {

struct Classes {
  Toeplitz toeplitz{kDefaultRssKey};
  PortClasses v4{toeplitz, true};
  PortClasses v6{toeplitz, false};
};
const Classes& classes() {
  static const Classes instance;
  return instance;
}

PortAllocator allocator(PortAllocator::Limits limits, std::uint64_t seed = 1) {
  return PortAllocator(classes().v4, classes().v6, limits, seed);
}
const PortClasses& classes_of(const PortPair& pair) {
  return pair.v4 ? classes().v4 : classes().v6;
}

unsigned capacity(const PortPair& pair, unsigned port_class) {
  unsigned n = 0;
  for (unsigned i = 0; i < PortClasses::kPortsPerClass; ++i) n += classes_of(pair).port(port_class, i) >= kLocalPortMin;
  return n;
}

constexpr PortPair kTcp4{1, 2, kProtocolTcp, true};
constexpr PortPair kTcp6{3, 2, kProtocolTcp, false};

TEST(PortAllocator, AClassHasAllItsPortsButTheReservedOnes) {
  PortAllocator ports = allocator({.pools = 8, .blocks = 8, .records = 4096});
  for (const PortPair& pair : {kTcp4, kTcp6}) {
    for (const unsigned port_class : {0u, 77u, 127u}) {
      std::set<std::uint16_t> seen;
      while (const auto port = ports.allocate(pair, port_class, 0)) {
        EXPECT_GE(*port, kLocalPortMin);
        EXPECT_EQ(classes_of(pair).class_of(*port), port_class);
        EXPECT_TRUE(seen.insert(*port).second) << *port << " twice";
      }
      EXPECT_EQ(seen.size(), capacity(pair, port_class));
      EXPECT_GT(seen.size(), 490u);
    }
  }
  EXPECT_EQ(ports.counters().exhausted, 6u);
}

TEST(PortAllocator, PairsAndProtocolsAreSeparateSpaces) {
  PortAllocator ports = allocator({.pools = 16, .blocks = 16, .records = 64});
  const PortPair other_backend{1, 3, kProtocolTcp, true}, other_local{9, 2, kProtocolTcp, true},
      udp{1, 2, kProtocolUdp, true};
  while (ports.allocate(kTcp4, 5, 0)) continue;
  for (const PortPair& pair : {other_backend, other_local, udp}) EXPECT_TRUE(ports.allocate(pair, 5, 0).has_value());
}

TEST(PortAllocator, CountsThePortsInUseOfEachLocalAddress) {
  PortAllocator ports = allocator({.pools = 16, .blocks = 16, .records = 64});
  const PortPair other_backend{1, 3, kProtocolTcp, true}, other_local{9, 2, kProtocolTcp, true};
  const std::uint16_t first = ports.allocate(kTcp4, 5, 0).value();
  const std::uint16_t second = ports.allocate(other_backend, 5, 0).value();
  ports.allocate(other_local, 5, 0);
  EXPECT_EQ(ports.live_of(1), 2u);
  EXPECT_EQ(ports.live_of(9), 1u);
  ports.free(kTcp4, first, 0);
  ports.free(other_backend, second, 0);
  EXPECT_EQ(ports.live_of(1), 0u);
  EXPECT_EQ(ports.live_of(9), 1u);
}
TEST(PortAllocator, AFreedPortRestsWhileOthersWereNeverUsed) {
  PortAllocator ports = allocator({.pools = 4, .blocks = 4, .records = 1024});
  const std::uint16_t first = ports.allocate(kTcp4, 9, 0).value();
  const std::uint16_t second = ports.allocate(kTcp4, 9, 0).value();
  ports.free(kTcp4, second, kSecond);
  ports.free(kTcp4, first, 2 * kSecond);
  for (int i = 0; i < 10; ++i) {
    const std::uint16_t port = ports.allocate(kTcp4, 9, kPortHold).value();
    EXPECT_NE(port, first);
    EXPECT_NE(port, second);
  }
  EXPECT_EQ(ports.allocate(kTcp4, 9, kSecond + kPortHold), second);
  EXPECT_EQ(ports.allocate(kTcp4, 9, 2 * kSecond + kPortHold), first);
  EXPECT_EQ(ports.counters().reused_young, 0u);
}

TEST(PortAllocator, WhenAllWereUsedTheOldestFreedComesFirstHoweverYoung) {
  PortAllocator ports = allocator({.pools = 4, .blocks = 4, .records = 1024});
  std::vector<std::uint16_t> all;
  while (const auto port = ports.allocate(kTcp4, 9, 0)) all.push_back(*port);
  for (std::size_t i = 0; i < all.size(); i += 3) ports.free(kTcp4, all[i], i * kMillisecond);
  for (std::size_t i = 0; i < all.size(); i += 3) EXPECT_EQ(ports.allocate(kTcp4, 9, kSecond), all[i]);
  EXPECT_FALSE(ports.allocate(kTcp4, 9, kSecond).has_value());
  EXPECT_EQ(ports.counters().reused_young, (all.size() + 2) / 3);
}

TEST(PortAllocator, TheOrderDependsOnTheSeedAndThePool) {
  const auto first_ports = [](std::uint64_t seed, const PortPair& pair) {
    PortAllocator ports = allocator({.pools = 4, .blocks = 4, .records = 16}, seed);
    std::vector<std::uint16_t> out;
    for (int i = 0; i < 8; ++i) out.push_back(ports.allocate(pair, 3, 0).value());
    return out;
  };
  EXPECT_EQ(first_ports(1, kTcp4), first_ports(1, kTcp4));
  EXPECT_NE(first_ports(1, kTcp4), first_ports(2, kTcp4));
  EXPECT_NE(first_ports(1, kTcp4), first_ports(1, {1, 7, kProtocolTcp, true}));
}

TEST(PortAllocator, WithoutRecordsNoPortIsLostOrHandedOutTwice) {
  PortAllocator ports = allocator({.pools = 1, .blocks = 1, .records = 0});
  for (int round = 0; round < 3; ++round) {
    std::set<std::uint16_t> live;
    while (const auto port = ports.allocate(kTcp4, 0, 0)) EXPECT_TRUE(live.insert(*port).second);
    EXPECT_EQ(live.size(), capacity(kTcp4, 0));
    for (const std::uint16_t port : live) ports.free(kTcp4, port, 0);
  }
  EXPECT_EQ(ports.counters().unrecorded, 3u * capacity(kTcp4, 0));
}

TEST(PortAllocator, WithoutBlocksAPoolHasItsFirstCandidates) {
  PortAllocator ports = allocator({.pools = 1, .blocks = 0, .records = 100});
  std::set<std::uint16_t> live;
  while (const auto port = ports.allocate(kTcp4, 0, 0)) live.insert(*port);
  EXPECT_LE(live.size(), 64u);
  EXPECT_GE(live.size(), 50u);
  const std::uint16_t one = *live.begin();
  ports.free(kTcp4, one, 0);
  EXPECT_EQ(ports.allocate(kTcp4, 0, 0), one);
}

TEST(PortAllocator, WhenPoolsRunOutTheLongestIdleOneIsRecycled) {
  PortAllocator ports = allocator({.pools = 2, .blocks = 2, .records = 4});
  const std::uint16_t a = ports.allocate(kTcp4, 0, 0).value();
  const std::uint16_t b = ports.allocate(kTcp4, 1, 0).value();
  EXPECT_FALSE(ports.allocate(kTcp4, 2, 0).has_value());
  EXPECT_EQ(ports.counters().pools_exhausted, 1u);
  ports.free(kTcp4, b, 0);
  ports.free(kTcp4, a, 0);
  EXPECT_TRUE(ports.allocate(kTcp4, 2, 0).has_value());  // b's pool was idle first
  EXPECT_EQ(ports.pools(), 2u);
  EXPECT_EQ(ports.counters().pools_recycled, 1u);
  EXPECT_FALSE(ports.in_use(kTcp4, b));
  EXPECT_NE(ports.allocate(kTcp4, 0, 0), a);  // a's pool kept its history
}

// The documented order, stated again with the simplest containers.
class Model {
 public:
  Model(const PortPair& pair, unsigned port_class) {
    for (unsigned i = 0; i < PortClasses::kPortsPerClass; ++i) {
      const std::uint16_t port = classes_of(pair).port(port_class, i);
      if (port >= kLocalPortMin) fresh_.insert(port);
    }
  }
  void expect_allocated(std::optional<std::uint16_t> port, Nanos now) {
    const bool old = !freed_.empty() && now - freed_.front().second >= kPortHold;
    if (!old && !fresh_.empty()) {
      ASSERT_TRUE(port && fresh_.erase(*port) == 1);
    } else if (!freed_.empty()) {
      ASSERT_EQ(port, freed_.front().first);
      freed_.pop_front();
    } else {
      ASSERT_EQ(port, std::nullopt);
      return;
    }
    live.push_back(*port);
  }
  void release(std::size_t i, Nanos now) {
    freed_.emplace_back(live[i], now);
    live[i] = live.back();
    live.pop_back();
  }
  std::vector<std::uint16_t> live;

 private:
  std::set<std::uint16_t> fresh_;
  std::deque<std::pair<std::uint16_t, Nanos>> freed_;
};

TEST(PortAllocator, AgreesWithTheModelOnRandomWork) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    PortAllocator ports = allocator({.pools = 16, .blocks = 16, .records = 16384}, seed);
    struct Space {
      PortPair pair;
      unsigned port_class;
      Model model;
    };
    std::vector<Space> spaces;
    for (const PortPair& pair : {kTcp4, kTcp6, PortPair{1, 2, kProtocolUdp, true}}) {
      const unsigned port_class = rng.below(kBuckets);
      spaces.push_back({pair, port_class, Model(pair, port_class)});
    }
    Nanos now = rng.next() % (10'000 * kSecond) / (250 * kMillisecond) * (250 * kMillisecond);
    unsigned bias = 50;
    for (int step = 0; step < 20'000; ++step) {
      if (step % 500 == 0) bias = 20 + rng.below(65);
      if (rng.below(4) == 0) now += 250 * kMillisecond * rng.below(20);
      Space& space = spaces[rng.below(static_cast<std::uint32_t>(spaces.size()))];
      if (rng.below(100) < bias || space.model.live.empty()) {
        space.model.expect_allocated(ports.allocate(space.pair, space.port_class, now), now);
        if (HasFatalFailure()) return;
      } else {
        const std::size_t i = rng.below(static_cast<std::uint32_t>(space.model.live.size()));
        ports.free(space.pair, space.model.live[i], now);
        space.model.release(i, now);
      }
    }
    std::size_t live = 0;
    for (const Space& space : spaces) live += space.model.live.size();
    EXPECT_EQ(ports.live(), live);
  }
}

// Everything scarce: the order degrades, but no port is handed out twice and none of a pool's ports is lost.
TEST(PortAllocator, NeverHandsOutTwiceOrLosesAPortUnderScarcity) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    const std::uint32_t spaces = 1 + rng.below(12);
    PortAllocator ports =
        allocator({.pools = spaces + 1 - rng.below(2), .blocks = spaces, .records = rng.below(600)}, seed);
    std::map<std::uint32_t, std::vector<std::uint16_t>> live;
    std::set<std::pair<std::uint32_t, std::uint16_t>> taken;
    unsigned bias = 50;
    Nanos now = 0;
    for (int step = 0; step < 20'000; ++step) {
      if (step % 1000 == 0) bias = 10 + rng.below(85);
      now += kMillisecond * rng.below(500);
      const std::uint32_t space = rng.below(spaces);
      const PortPair pair{static_cast<Slot>(space), 1, kProtocolTcp, space % 2 == 0};
      auto& mine = live[space];
      if (rng.below(100) < bias || mine.empty()) {
        const auto port = ports.allocate(pair, space % kBuckets, now);
        if (!port) {
          EXPECT_EQ(mine.size(), capacity(pair, space % kBuckets));
          continue;
        }
        ASSERT_TRUE(taken.insert({space, *port}).second);
        ASSERT_TRUE(ports.in_use(pair, *port));
        mine.push_back(*port);
      } else {
        const std::size_t i = rng.below(static_cast<std::uint32_t>(mine.size()));
        ports.free(pair, mine[i], now);
        ASSERT_FALSE(ports.in_use(pair, mine[i]));
        taken.erase({space, mine[i]});
        mine[i] = mine.back();
        mine.pop_back();
      }
    }
    EXPECT_EQ(ports.live(), taken.size());
  }
}

// Fills `flows` flows over locals x backends with random classes, then turns all of them over once.
std::size_t bytes_for(std::uint32_t flows, std::uint32_t locals, std::uint32_t backends, PortAllocator::Limits limits) {
  PortAllocator ports = allocator(limits);
  Rng rng(7);
  std::vector<std::pair<PortPair, std::uint16_t>> live;
  live.reserve(flows);
  const auto add = [&](Nanos now) {
    const auto backend = static_cast<Slot>(rng.below(backends));
    const unsigned port_class = rng.below(kBuckets);
    const std::uint32_t preferred = (backend * 31 + port_class) % locals;
    for (std::uint32_t i = 0; i < locals; ++i) {
      const PortPair pair{static_cast<Slot>((preferred + i) % locals), backend, kProtocolTcp, true};
      if (const auto port = ports.allocate(pair, port_class, now)) {
        live.emplace_back(pair, *port);
        return;
      }
    }
  };
  for (std::uint32_t i = 0; i < flows; ++i) add(0);
  EXPECT_EQ(live.size(), flows);
  for (std::uint32_t i = 0; i < flows; ++i) {
    const std::size_t victim = rng.below(flows);
    ports.free(live[victim].first, live[victim].second, i * 100 * kMicrosecond);
    live[victim] = live.back();
    live.pop_back();
    add(i * 100 * kMicrosecond);
  }
  EXPECT_EQ(ports.live(), flows);
  std::cout << flows << " flows, " << locals << " x " << backends << ": " << ports.pools() << " pools, "
            << ports.bytes_touched() / 1024 << " KiB touched, " << ports.bytes_reserved() / 1024 << " KiB reserved\n";
  return ports.bytes_touched();
}

TEST(PortAllocator, MemoryStaysSmallForManyFlowsAndForManyBackends) {
  EXPECT_LT(bytes_for(500'000, 16, 10, {}), 20u << 20);
  EXPECT_LT(bytes_for(1'000'000, 32, 10, {}), 25u << 20);
  EXPECT_LT(bytes_for(1'000'000, 16, 10'000, PortAllocator::Limits::for_flows(1'000'000)), 90u << 20);
}

}  // namespace
}  // namespace headgate::flow
