#include "dataplane/flow/fragment_table.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "dataplane/base/rng.h"

namespace headgate::flow {
namespace {

FragmentKey key(std::uint32_t id) {
  return {parse_ip("192.0.2.10").value(), parse_ip("192.0.2.100").value(), id, kProtocolUdp};
}
Tuple tuple(std::uint32_t id, std::uint16_t src_port = 40000) {
  return {key(id).src, key(id).dst, src_port, 53, kProtocolUdp};
}
void* packet(std::uintptr_t n) {
  return reinterpret_cast<void*>(n);  // NOLINT(performance-no-int-to-ptr): never followed
}

struct Box {
  FragmentTable table{1};
  std::vector<std::uintptr_t> sent, dropped;

  auto release() {
    return [this](const HeldFragment& fragment, const Tuple* t) {
      (t == nullptr ? dropped : sent).push_back(reinterpret_cast<std::uintptr_t>(fragment.packet));
    };
  }
  bool first(std::uint32_t id, Nanos now, std::uint16_t src_port = 40000) {
    return table.first(key(id), tuple(id, src_port), now, release());
  }
  FragmentTable::Later later(std::uint32_t id, std::uintptr_t n, Nanos now) {
    Tuple out;
    const auto verdict = table.later(key(id), {packet(n), 0}, now, out, release());
    if (verdict == FragmentTable::Later::matched) {
      EXPECT_EQ(out.dst_port, 53);
      EXPECT_EQ(out.src, key(id).src);
    }
    return verdict;
  }
};
using Later = FragmentTable::Later;
using Packets = std::vector<std::uintptr_t>;

TEST(FragmentTable, LaterFragmentsFollowTheirFirst) {
  Box box;
  EXPECT_TRUE(box.first(7, 0));
  EXPECT_EQ(box.later(7, 1, kSecond), Later::matched);
  EXPECT_EQ(box.later(8, 2, kSecond), Later::held);
  EXPECT_EQ(box.table.entries(), 2u);
}

TEST(FragmentTable, FragmentsThatOvertakeTheirFirstAreReleasedInOrderWhenItComes) {
  Box box;
  EXPECT_EQ(box.later(7, 1, 0), Later::held);
  EXPECT_EQ(box.later(7, 2, 0), Later::held);
  EXPECT_EQ(box.table.next_deadline(), kFragmentLife);
  EXPECT_TRUE(box.first(7, kSecond));
  EXPECT_EQ(box.sent, (Packets{1, 2}));
  EXPECT_EQ(box.table.held(), 0u);
  EXPECT_EQ(box.table.next_deadline(), kSecond + kFragmentLife);
  EXPECT_EQ(box.later(7, 3, 2 * kSecond), Later::matched);
}

TEST(FragmentTable, HeldFragmentsComeBackForDroppingWhenTheirTimeIsOver) {
  Box box;
  EXPECT_EQ(box.later(7, 1, 0), Later::held);
  box.table.advance(kFragmentLife - 1, box.release());
  EXPECT_TRUE(box.dropped.empty());
  box.table.advance(kFragmentLife, box.release());
  EXPECT_EQ(box.dropped, (Packets{1}));
  EXPECT_EQ(box.table.counters().expired, 1u);
  EXPECT_EQ(box.table.next_deadline(), kNever);
  EXPECT_EQ(box.later(7, 2, kFragmentLife), Later::held) << "the entry is gone";
}

TEST(FragmentTable, ASecondFirstFragmentWithOtherPortsIsRefusedWhileTheFirstLives) {
  Box box;
  EXPECT_TRUE(box.first(7, 0));
  EXPECT_TRUE(box.first(7, 1)) << "a duplicate is harmless";
  EXPECT_FALSE(box.first(7, kSecond, 41000));
  EXPECT_EQ(box.table.counters().conflicts, 1u);
  EXPECT_TRUE(box.first(7, kFragmentLife, 41000)) << "a new datagram";
}

TEST(FragmentTable, OneDatagramHoldsAtMostEight) {
  Box box;
  for (std::uintptr_t i = 1; i <= 8; ++i) EXPECT_EQ(box.later(7, i, 0), Later::held);
  EXPECT_EQ(box.later(7, 9, 0), Later::refused);
  EXPECT_EQ(box.later(8, 10, 0), Later::held);
  EXPECT_EQ(box.table.counters().refused, 1u);
}

TEST(FragmentTable, AllDatagramsTogetherHoldAtMostTheirCap) {
  Box box;
  for (std::uint32_t i = 0; i < kFragmentsHeldMax; ++i) EXPECT_EQ(box.later(i, i, 0), Later::held);
  EXPECT_EQ(box.later(5000, 1, 0), Later::refused);
  EXPECT_EQ(box.table.entries(), kFragmentsHeldMax) << "a refused fragment leaves no entry";
  EXPECT_TRUE(box.first(0, 0));
  EXPECT_EQ(box.later(5000, 1, 0), Later::held);
}

TEST(FragmentTable, WhenEntriesRunOutTheOldestGoes) {
  Box box;
  EXPECT_EQ(box.later(0, 77, 0), Later::held);
  for (std::uint32_t i = 1; i < kFragmentEntriesMax; ++i) EXPECT_TRUE(box.first(i, i));
  EXPECT_TRUE(box.dropped.empty());
  EXPECT_TRUE(box.first(100'000, kFragmentEntriesMax));
  EXPECT_EQ(box.dropped, (Packets{77}));
  EXPECT_EQ(box.table.counters().evicted, 1u);
  EXPECT_EQ(box.table.entries(), kFragmentEntriesMax);
  EXPECT_EQ(box.later(1, 1, kFragmentEntriesMax), Later::matched);
}

TEST(FragmentTable, EveryHeldPacketComesBackExactlyOnce) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    FragmentTable table(seed);
    std::set<std::uintptr_t> held;
    std::map<std::uint32_t, Nanos> firsts;  // model: id -> end of life
    Nanos now = 0;
    std::uintptr_t next = 1;
    const auto release = [&](const HeldFragment& fragment, const Tuple*) {
      ASSERT_EQ(held.erase(reinterpret_cast<std::uintptr_t>(fragment.packet)), 1u);
    };
    const std::uint32_t ids = seed % 2 == 0 ? 300 : 3000;
    for (int step = 0; step < 20'000; ++step) {
      now += rng.below(2'000'000);
      const std::uint32_t id = rng.below(ids);
      const bool known = firsts.contains(id) && firsts[id] > now;
      if (rng.below(3) == 0) {
        ASSERT_TRUE(table.first(key(id), tuple(id), now, release));
        if (!known) firsts[id] = now + kFragmentLife;
      } else {
        Tuple out;
        const auto verdict = table.later(key(id), {packet(next), 0}, now, out, release);
        if (verdict == Later::held) held.insert(next++);
        if (ids == 300) {
          ASSERT_EQ(verdict == Later::matched, known);
        } else if (verdict == Later::matched) {
          ASSERT_TRUE(known);
        }
      }
      ASSERT_EQ(table.held(), held.size());
      ASSERT_LE(table.entries(), kFragmentEntriesMax);
      ASSERT_LE(table.held(), kFragmentsHeldMax);
    }
    table.advance(now + kFragmentLife, release);
    EXPECT_TRUE(held.empty());
    EXPECT_EQ(table.entries(), 0u);
  }
}

}  // namespace
}  // namespace headgate::flow
