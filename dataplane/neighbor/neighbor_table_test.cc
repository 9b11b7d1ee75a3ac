#include "dataplane/neighbor/neighbor_table.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace headgate::neighbor {
namespace {

constexpr InterfaceId kLan{7};
constexpr MacAddress kMac{{2, 0, 0, 0, 0, 5}}, kOtherMac{{2, 0, 0, 0, 0, 6}};

IpAddress ip(std::string_view text) {
  return parse_ip(text).value();
}
IpAddress host(std::uint32_t n) {
  return IpAddress::from_v4(0x0a000000 + n);
}

struct Box {
  explicit Box(std::uint32_t capacity = 1024) : table(1, capacity) {}
  NeighborTable table;
  std::vector<std::uint32_t> sent, dropped;
  Nanos now = 0;

  auto release() {
    return [this](const Held& held, const Neighbor& neighbor) {
      (neighbor.usable() ? sent : dropped).push_back(held.word);
    };
  }
  std::vector<std::string> wanted() {
    std::vector<std::string> out;
    table.take_wanted([&](InterfaceId interface, const IpAddress& address) {
      EXPECT_EQ(interface, kLan);
      out.push_back(to_string(address));
    });
    return out;
  }
  void update(const IpAddress& address, NeighborState state, bool standing = false, const MacAddress& mac = kMac) {
    table.update({address, kLan, mac, state, standing}, now, release());
  }
  // Runs all timers up to `until`, as a worker does.
  void run(Nanos until) {
    while (table.next_deadline() <= until) {
      now = std::max(now, table.next_deadline());
      table.advance(now, release());
    }
    now = until;
  }
};
using Words = std::vector<std::uint32_t>;
using Names = std::vector<std::string>;

TEST(NeighborTable, PacketsWaitForTheAnswerAndComeBackInOrder) {
  Box box;
  const NeighborRef ref = box.table.get(kLan, host(5), 0);
  EXPECT_EQ(box.table.at(ref).state, NeighborState::incomplete);
  EXPECT_EQ(box.wanted(), Names{"10.0.0.5"});
  EXPECT_EQ(box.wanted(), Names{});
  EXPECT_TRUE(box.table.hold(ref, {nullptr, 1}));
  EXPECT_TRUE(box.table.hold(ref, {nullptr, 2}));
  box.update(host(5), NeighborState::reachable);
  EXPECT_EQ(box.sent, (Words{1, 2}));
  EXPECT_EQ(box.table.held(), 0u);
  EXPECT_EQ(box.table.at(ref).mac, kMac);
  EXPECT_EQ(box.table.get(kLan, host(5), 0), ref);
  EXPECT_EQ(box.table.find(kLan, host(5)), ref);
  EXPECT_EQ(box.table.find(InterfaceId{8}, host(5)), kNoNeighbor) << "another interface, another neighbor";
}

TEST(NeighborTable, OneNeighborHoldsEightAndAllTogetherTheirCap) {
  Box box;
  const NeighborRef first = box.table.get(kLan, host(1), 0);
  for (std::uint32_t i = 0; i < kHeldPerNeighborMax; ++i) EXPECT_TRUE(box.table.hold(first, {nullptr, i}));
  EXPECT_FALSE(box.table.hold(first, {nullptr, 99}));
  Box full(2048);
  for (std::uint32_t n = 0; n < kHeldMax; ++n)
    EXPECT_TRUE(full.table.hold(full.table.get(kLan, host(n), 0), {nullptr, n}));
  EXPECT_FALSE(full.table.hold(full.table.get(kLan, host(5000), 0), {nullptr, 1}));
  EXPECT_EQ(full.table.counters().hold_refused, 1u);
}

TEST(NeighborTable, FailureReturnsThePacketsAndMovesTheEpoch) {
  Box box;
  const NeighborRef ref = box.table.get(kLan, host(5), 0);
  EXPECT_TRUE(box.table.hold(ref, {nullptr, 1}));
  const std::uint32_t epoch = box.table.epoch();
  box.update(host(5), NeighborState::failed);
  EXPECT_EQ(box.dropped, Words{1});
  EXPECT_NE(box.table.epoch(), epoch);
  const std::uint32_t failed_epoch = box.table.epoch();
  box.update(host(5), NeighborState::reachable);
  EXPECT_NE(box.table.epoch(), failed_epoch);
  const std::uint32_t good_epoch = box.table.epoch();
  box.update(host(5), NeighborState::stale, false, kOtherMac);
  EXPECT_EQ(box.table.epoch(), good_epoch) << "refs stay good, the new address is read through them";
  EXPECT_EQ(box.table.at(ref).mac, kOtherMac);
}

TEST(NeighborTable, WithoutAnAnswerItAsksAgainAndThenGivesUp) {
  Box box;
  const NeighborRef ref = box.table.get(kLan, host(5), 0);
  EXPECT_TRUE(box.table.hold(ref, {nullptr, 1}));
  EXPECT_EQ(box.wanted(), Names{"10.0.0.5"});
  box.run(kRetransmit);
  EXPECT_EQ(box.wanted(), Names{"10.0.0.5"});
  box.run(kIncompleteMax - 1);
  EXPECT_TRUE(box.dropped.empty());
  box.run(kIncompleteMax);
  EXPECT_EQ(box.dropped, Words{1});
  EXPECT_EQ(box.table.at(ref).state, NeighborState::failed);
}

TEST(NeighborTable, AUsedNeighborIsWantedAgainWhenItsReachableTimePasses) {
  Box box;
  const NeighborRef ref = box.table.get(kLan, host(5), 0);
  box.wanted();
  box.update(host(5), NeighborState::reachable);
  box.run(kReachableTime / 2 - 1);
  box.table.mark_used(ref);
  EXPECT_EQ(box.wanted(), Names{});
  box.run(kReachableTime * 3 / 2);
  EXPECT_EQ(box.wanted(), Names{"10.0.0.5"});
  EXPECT_EQ(box.table.at(ref).state, NeighborState::stale);
  EXPECT_TRUE(box.table.at(ref).usable());
}

TEST(NeighborTable, AnUnusedNeighborVanishesAfterTenMinutesUnlessItIsKeptStanding) {
  Box box;
  box.table.get(kLan, host(5), 0);
  box.update(host(5), NeighborState::reachable);
  box.update(host(6), NeighborState::reachable, true);
  box.update(host(7), NeighborState::reachable);
  EXPECT_EQ(box.table.size(), 2u) << "only standing ones come unasked";
  const std::uint32_t epoch = box.table.epoch();
  for (Nanos t = 0; t <= 700 * kSecond; t += 30 * kSecond) {
    box.run(t);
    box.update(host(6), NeighborState::reachable, true);
  }
  EXPECT_EQ(box.table.find(kLan, host(5)), kNoNeighbor);
  EXPECT_NE(box.table.find(kLan, host(6)), kNoNeighbor);
  EXPECT_NE(box.table.epoch(), epoch);
  box.run(1500 * kSecond);
  EXPECT_EQ(box.table.size(), 0u);
  EXPECT_EQ(box.table.next_deadline(), kNever);
}

TEST(NeighborTable, AFullTableMakesRoomByForgettingWhatNobodyNeeds) {
  Box box(64);
  std::set<NeighborRef> standing;
  for (std::uint32_t n = 0; n < 60; ++n) box.update(host(n), NeighborState::reachable, true);
  for (std::uint32_t n = 1000; n < 3000; ++n) EXPECT_NE(box.table.get(kLan, host(n), 0), kNoNeighbor);
  for (std::uint32_t n = 0; n < 60; ++n) EXPECT_NE(box.table.find(kLan, host(n)), kNoNeighbor);
  EXPECT_EQ(box.table.size(), 64u);
  const NeighborRef ref = box.table.get(kLan, host(5000), 0);
  EXPECT_TRUE(box.table.hold(ref, {nullptr, 1}));
  for (std::uint32_t n = 6000; n < 6100; ++n) box.table.get(kLan, host(n), 0);
  EXPECT_EQ(box.table.find(kLan, host(5000)), ref) << "packets wait for it";
}

TEST(NeighborTable, WhenAllAreNeededThereIsNoRoom) {
  Box box(4);
  for (std::uint32_t n = 0; n < 4; ++n) box.update(host(n), NeighborState::reachable, true);
  EXPECT_EQ(box.table.get(kLan, host(9), 0), kNoNeighbor);
  EXPECT_EQ(box.table.counters().full, 1u);
}

TEST(NeighborTable, TheWantedListIsBoundedAndWhatWasLostIsAskedForLater) {
  Box box(4096);
  for (std::uint32_t n = 0; n < kWantedMax + 10; ++n) box.table.get(kLan, host(n), 0);
  EXPECT_EQ(box.wanted().size(), kWantedMax);
  EXPECT_EQ(box.table.counters().wanted_overflow, 10u);
  box.run(kRetransmit);
  EXPECT_EQ(box.wanted().size(), kWantedMax);
}

TEST(NeighborTable, BothFamiliesShareIt) {
  Box box;
  const NeighborRef v6 = box.table.get(kLan, ip("2001:db8::5"), 0);
  EXPECT_EQ(box.wanted(), Names{"2001:db8::5"});
  box.update(ip("2001:db8::5"), NeighborState::reachable);
  EXPECT_TRUE(box.table.at(v6).usable());
}

}  // namespace
}  // namespace headgate::neighbor
