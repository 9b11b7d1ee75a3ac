// Limits, loads, persistence.
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "dataplane/balance/connection_limit.h"
#include "dataplane/balance/persistence.h"
#include "dataplane/balance/testing.h"
#include "dataplane/base/rng.h"
#include "dataplane/base/spsc_ring.h"

namespace headgate::balance {
namespace {

using snapshot::kNone;
using testing::members;
using testing::pool_text;

// Four workers ask homes through rings and end flows; the number of flows in being, counted apart, never passes the
// limit and every place is used.
void run_limited(std::uint32_t limit) {
  constexpr unsigned kWorkers = 4;
  constexpr Slot kBackends = 5;
  constexpr unsigned kRounds = 50'000;
  struct Message {
    Slot backend = 0;
    bool answer = false, granted = false;
  };
  LimitBoard board(kWorkers, kBackends);
  std::atomic<std::uint32_t> in_being[kBackends]{};
  std::atomic<std::uint32_t> highest[kBackends]{};
  std::atomic<unsigned> done{0};
  std::vector<std::unique_ptr<SpscRing<Message>>> rings;  // [from][to]
  for (unsigned i = 0; i < kWorkers * kWorkers; ++i) rings.push_back(std::make_unique<SpscRing<Message>>(64));
  const auto ring = [&](unsigned from, unsigned to) -> SpscRing<Message>& { return *rings[from * kWorkers + to]; };

  const auto work = [&](unsigned self) {
    Rng rng(self + 1);
    std::vector<Slot> flows;
    unsigned asked = 0, outstanding = 0;
    bool counted = false;
    const auto begin = [&](Slot backend) {
      const std::uint32_t now = in_being[backend].fetch_add(1) + 1;
      ASSERT_LE(now, limit);
      std::uint32_t most = highest[backend].load();
      while (now > most && !highest[backend].compare_exchange_weak(most, now)) {
      }
      flows.push_back(backend);
    };
    while (done < kWorkers) {
      for (unsigned other = 0; other < kWorkers; ++other) {
        Message m;
        while (ring(other, self).pop(m)) {
          if (!m.answer) {
            const bool granted = board.try_grant(self, m.backend, limit);
            while (!ring(self, other).push({m.backend, true, granted})) std::this_thread::yield();
          } else {
            --outstanding;
            if (m.granted) begin(m.backend);
          }
        }
      }
      if (asked < kRounds && outstanding < 8) {
        const auto backend = static_cast<Slot>(rng.below(kBackends));
        ++asked;
        if (board.home_of(backend) == self) {
          if (board.try_grant(self, backend, limit)) begin(backend);
        } else if (ring(self, board.home_of(backend)).push({backend, false, false})) {
          ++outstanding;
        }
      }
      if (!flows.empty() && (rng.chance(0.02) || asked == kRounds)) {  // slower than asked for: limits are reached
        std::swap(flows[rng.below(static_cast<std::uint32_t>(flows.size()))], flows.back());
        in_being[flows.back()].fetch_sub(1);
        board.release(self, flows.back());
        flows.pop_back();
      }
      if (outstanding == 8 || asked == kRounds) std::this_thread::yield();  // more threads than cores
      if (!counted && asked == kRounds && outstanding == 0 && flows.empty()) {
        counted = true;
        ++done;
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned w = 0; w < kWorkers; ++w) threads.emplace_back(work, w);
  for (auto& thread : threads) thread.join();
  for (Slot backend = 0; backend < kBackends; ++backend) {
    EXPECT_EQ(board.in_use(backend), 0u);
    EXPECT_EQ(highest[backend].load(), limit) << "a place was never used";
  }
}

TEST(LimitBoard, IsExactWithFourWorkersAndALimitOfOne) {
  run_limited(1);
}
TEST(LimitBoard, IsExactWithFourWorkersAndALimitOfTwo) {
  run_limited(2);
}
TEST(LimitBoard, IsExactWithFourWorkersAndALimitOfTen) {
  run_limited(10);
}

TEST(LimitBoard, ALoweredLimitGrantsNothingUntilEnoughHaveEnded) {
  LimitBoard board(2, 4);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(board.try_grant(1, 3, 5));
  EXPECT_FALSE(board.try_grant(1, 3, 2));
  for (int i = 0; i < 3; ++i) board.release(0, 3);
  EXPECT_FALSE(board.try_grant(1, 3, 2));
  board.release(1, 3);
  EXPECT_TRUE(board.try_grant(1, 3, 2));
  EXPECT_EQ(board.in_use(3), 2u);
}

TEST(WorkerLoad, SeesItsOwnFlowsAtOnceAndTheOthersWhenGathered) {
  snapshot::testing::Source source;
  const auto s = source.accept(pool_text("LEAST_CONNECTIONS", members(3)));
  const Slot slot = s->backends[1].slot;
  LoadBoard board(2);
  WorkerLoad a(board, 0), b(board, 1);
  a.use(*s);
  b.use(*s);
  a.started(slot);
  b.started(slot);
  b.started(slot);
  EXPECT_EQ(a.view()[slot], 1u);
  EXPECT_EQ(b.view()[slot], 2u);
  a.gather();
  EXPECT_EQ(a.view()[slot], 3u);
  b.ended(slot);
  a.started(slot);
  EXPECT_EQ(a.view()[slot], 4u);
  a.gather();
  EXPECT_EQ(a.view()[slot], 3u);
  EXPECT_EQ(board.active(slot), 3u);
}

std::string sticky(const std::vector<testing::Member>& all, std::string_view persistence = "timeout_s: 60") {
  return pool_text("ROUND_ROBIN", all, "persistence { " + std::string(persistence) + " }");
}

TEST(Persistence, AThousandConnectionsOfAClientGoToOneBackend) {
  snapshot::testing::Source source;
  const auto s = source.accept(sticky(members(10), "timeout_s: 60 prefix_length_v4: 24 prefix_length_v6: 56"));
  const snapshot::Pool& pool = s->pools[0];
  PersistenceTable table(1024, 1);
  Balancer balancer(0, 1);
  std::map<std::uint16_t, int> counts;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const ClientKey key = testing::client(i % 256, static_cast<std::uint16_t>(i));  // one /24
    const Nanos now = i * 59 * kSecond;
    std::uint16_t backend = table.find(*s, pool, key.address, now);
    if (backend == kNone) {
      const Choice choice = balancer.peek(*s, pool, key, {}, testing::kNobody);
      balancer.take(*s, pool, choice, testing::kNobody);
      backend = choice.backend;
    }
    table.remember(*s, pool, key.address, backend, now);
    ++counts[backend];
  }
  EXPECT_EQ(counts.size(), 1u);
  EXPECT_EQ(table.used(), 1u);
  EXPECT_EQ(table.find(*s, pool, testing::client(256).address, 0), kNone) << "the next /24";
}

TEST(Persistence, TheTimeoutSlidesAndThenEnds) {
  snapshot::testing::Source source;
  const auto s = source.accept(sticky(members(2)));
  const snapshot::Pool& pool = s->pools[0];
  const IpAddress a = testing::client(1).address;
  PersistenceTable table(64, 1);
  table.remember(*s, pool, a, 1, 100 * kSecond);
  EXPECT_EQ(table.find(*s, pool, a, 159 * kSecond), 1);
  EXPECT_EQ(table.find(*s, pool, a, 160 * kSecond), kNone);
  table.remember(*s, pool, a, 1, 159 * kSecond);
  EXPECT_EQ(table.find(*s, pool, a, 218 * kSecond), 1);
  EXPECT_EQ(table.find(*s, pool, a, 219 * kSecond), kNone);
  EXPECT_EQ(table.used(), 1u);
}

TEST(Persistence, ABackendThatTakesNoNewFlowsIsIgnored) {
  const IpAddress a = testing::client(1).address;
  for (const char* what : {"drain: true", "health: DOWN"}) {
    snapshot::testing::Source source;
    PersistenceTable table(64, 1);
    const auto before = source.accept(sticky(members(3)));
    table.remember(*before, before->pools[0], a, 1, 0);
    const auto out = source.accept(sticky({{1}, {2, 1, what}, {3}}));
    EXPECT_EQ(table.find(*out, out->pools[0], a, kSecond), kNone) << what;
    const auto back = source.accept(sticky({{3}, {2}, {1}}));
    EXPECT_EQ(table.find(*back, back->pools[0], a, kSecond), 1) << "it is found where it stands now";
    const auto zero = source.accept(sticky({{3}, {2, 0}, {1}}));
    EXPECT_EQ(table.find(*zero, zero->pools[0], a, kSecond), kNone);
    table.remember(*zero, zero->pools[0], a, 0, kSecond);
    EXPECT_EQ(table.find(*zero, zero->pools[0], a, kSecond), 0);
  }
}

TEST(Persistence, AReusedSlotIsNotTheOldBackend) {
  snapshot::testing::Source source;
  PersistenceTable table(64, 1);
  const IpAddress a = testing::client(1).address;
  const auto before = source.accept(sticky(members(2)));
  const Slot slot = before->backends[1].slot;
  table.remember(*before, before->pools[0], a, 1, 0);
  const auto removed = source.accept(sticky({{1}}));
  EXPECT_EQ(table.find(*removed, removed->pools[0], a, 1), kNone);
  ASSERT_TRUE(source.slots().release(snapshot::SlotKind::backend, slot));
  const auto reused = source.accept(sticky({{1}, {7}}));
  ASSERT_EQ(reused->backends[1].slot, slot);
  EXPECT_EQ(table.find(*reused, reused->pools[0], a, 1), kNone);
}

TEST(Persistence, AFullTableShedsTheOldest) {
  snapshot::testing::Source source;
  const auto s = source.accept(sticky(members(4), "timeout_s: 1000"));
  const snapshot::Pool& pool = s->pools[0];
  PersistenceTable table(4096, testing::printed_seed());
  ASSERT_EQ(table.capacity(), 4096u);
  std::uint32_t first_shed = 0;
  for (std::uint32_t i = 0; i < 12'288; ++i) {
    table.remember(*s, pool, testing::client(i).address, static_cast<std::uint16_t>(i % 4), i * kMillisecond);
    if (first_shed == 0 && table.shed() > 0) first_shed = i;
    ASSERT_EQ(table.find(*s, pool, testing::client(i).address, i * kMillisecond), i % 4);
  }
  std::printf("first shed at %u of 4096\n", first_shed);
  EXPECT_GT(first_shed, 4096u * 6 / 10);
  unsigned young = 0, old = 0;
  for (std::uint32_t i = 0; i < 12'288; ++i) {
    if (table.find(*s, pool, testing::client(i).address, 12'288 * kMillisecond) == kNone) continue;
    if (i >= 12'288 - 2048) ++young;
    if (i < 4096) ++old;
  }
  EXPECT_GT(young, 2000u) << "the youngest half of a table is kept";
  EXPECT_LT(old, 40u);
  EXPECT_LE(table.used(), table.capacity());
}

TEST(Persistence, OneWorkerDecidesForAllClientsOfAPrefix) {
  snapshot::testing::Source source;
  const auto s = source.accept(sticky(members(2), "timeout_s: 60 prefix_length_v4: 24"));
  std::map<unsigned, int> homes;
  for (std::uint32_t net = 0; net < 1000; ++net) {
    const unsigned home = PersistenceTable::home_of(s->pools[0], testing::client(net * 256).address, 7);
    EXPECT_EQ(PersistenceTable::home_of(s->pools[0], testing::client(net * 256 + 200).address, 7), home);
    ++homes[home];
  }
  EXPECT_EQ(homes.size(), 7u);
  for (const auto& [home, count] : homes) EXPECT_NEAR(count, 143, 60) << home;
}

}  // namespace
}  // namespace headgate::balance
