#include "dataplane/balance/balancer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "dataplane/balance/testing.h"
#include "dataplane/base/rng.h"

namespace headgate::balance {
namespace {

using snapshot::kNone;
using testing::client;
using ::testing::ElementsAre;
using testing::kNobody;
using testing::Member;
using testing::members;
using testing::pool_text;
using SnapshotPointer = std::shared_ptr<const snapshot::Snapshot>;

// One flow: the id of its backend, 0 for none.
std::uint32_t choose(Balancer& balancer, const snapshot::Snapshot& s, const ClientKey& key = {}, LoadView load = {},
                     const Exclusions& excluded = kNobody) {
  const Choice choice = balancer.peek(s, s.pools[0], key, load, excluded);
  balancer.take(s, s.pools[0], choice, excluded);
  return choice ? s.backends[choice.backend].id.value : 0;
}

std::vector<std::uint32_t> order(Balancer& balancer, const snapshot::Snapshot& s, int n) {
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < n; ++i) ids.push_back(choose(balancer, s));
  return ids;
}

TEST(RoundRobin, WeightsOfThreeTwoOneGiveASmoothOrder) {
  snapshot::testing::Source source;
  const auto s = source.accept(pool_text("ROUND_ROBIN", {{1, 3}, {2, 2}, {3, 1}}));
  Balancer balancer(0, 1);
  EXPECT_THAT(order(balancer, *s, 12), ElementsAre(1, 2, 1, 3, 2, 1, 1, 2, 1, 3, 2, 1));
}

TEST(RoundRobin, FiveOneOneNeverSendsFiveInARow) {
  snapshot::testing::Source source;
  const auto s = source.accept(pool_text("ROUND_ROBIN", {{1, 5}, {2, 1}, {3, 1}}));
  Balancer balancer(0, 1);
  EXPECT_THAT(order(balancer, *s, 14), ElementsAre(1, 1, 1, 2, 1, 3, 1, 1, 1, 1, 2, 1, 3, 1)) << "nginx too has four";
}

TEST(RoundRobin, WorkersStartAtNeighbouringBackends) {
  snapshot::testing::Source source;
  const auto s = source.accept(pool_text("ROUND_ROBIN", members(3)));
  for (unsigned worker = 0; worker < 6; ++worker) {
    Balancer balancer(worker, 1);
    EXPECT_EQ(choose(balancer, *s), 1 + worker % 3);
  }
}

// Design section 3. The flows come to the workers in any distribution, one worker may get nearly all.
TEST(RoundRobin, WorkersTogetherDeviateByAtMostTheirNumber) {
  Rng rng(testing::printed_seed());
  for (int round = 0; round < 120; ++round) {
    const bool equal = round % 3 == 0;
    const std::uint32_t n = 2 + rng.below(60);
    const std::uint32_t highest = round % 3 == 1 ? 10 : 1000;
    std::vector<Member> all = members(n);
    double total = 0;
    for (Member& m : all) {
      m.weight = equal ? 7 : rng.chance(0.3) ? 1 : 1 + rng.below(highest);
      total += m.weight;
    }
    snapshot::testing::Source source;
    const auto s = source.accept(pool_text("ROUND_ROBIN", all));
    ASSERT_EQ(s->pools[0].equal_weights,
              equal || std::ranges::all_of(all, [&](const Member& m) { return m.weight == all[0].weight; }));
    const unsigned workers = 1 + rng.below(16);
    std::vector<Balancer> balancers;
    for (unsigned w = 0; w < workers; ++w) balancers.emplace_back(w, 1);
    std::vector<double> counts(n + 1);
    for (int flow = 1; flow <= 3000; ++flow) {
      const unsigned worker = rng.chance(0.5) ? 0 : rng.below(workers);
      ++counts[choose(balancers[worker], *s)];
      for (const Member& m : all) ASSERT_LE(std::abs(counts[m.id] - m.weight / total * flow), workers) << m.id;
    }
  }
}

TEST(RoundRobin, ASnapshotKeepsThePositionsWhateverMoves) {
  snapshot::testing::Source source;
  Balancer equal(0, 1);
  EXPECT_THAT(order(equal, *source.accept(pool_text("ROUND_ROBIN", members(4))), 2), ElementsAre(1, 2));
  EXPECT_THAT(order(equal, *source.accept(pool_text("ROUND_ROBIN", {{9}, {4}, {2}, {3}, {1}})), 2), ElementsAre(3, 1));
  EXPECT_EQ(choose(equal, *source.accept(pool_text("ROUND_ROBIN", {{9}, {4}, {2}, {3}, {1, 1, "health: DOWN"}}))), 9u);
  EXPECT_EQ(choose(equal, *source.accept(pool_text("ROUND_ROBIN", {{4}, {2}, {3}}))), 4u) << "the last one is gone";

  snapshot::testing::Source other;
  Balancer weighted(0, 1);
  EXPECT_THAT(order(weighted, *other.accept(pool_text("ROUND_ROBIN", {{1, 3}, {2, 2}, {3, 1}})), 3),
              ElementsAre(1, 2, 1));
  EXPECT_THAT(order(weighted, *other.accept(pool_text("ROUND_ROBIN", {{3, 1}, {1, 3}, {2, 2}})), 3),
              ElementsAre(3, 2, 1));
}

TEST(RoundRobin, AfterAnyChangesOfWeightsSharesFollowTheNewOnesAtOnce) {
  Rng rng(testing::printed_seed());
  snapshot::testing::Source source;
  Balancer balancer(3, 1);
  for (int change = 0; change < 200; ++change) {
    std::vector<Member> all;
    double total = 0;
    const std::uint32_t scale = rng.chance(0.5) ? 1000 : 4;
    for (std::uint32_t id = 1; id <= 20; ++id) {
      if (rng.chance(0.2)) continue;
      all.push_back({id, 1 + rng.below(scale),
                     rng.chance(0.1)   ? "health: DOWN"
                     : rng.chance(0.1) ? "drain: true"
                                       : ""});
      if (all.back().more.empty()) total += all.back().weight;
    }
    if (total == 0) continue;
    const auto s = source.accept(pool_text("ROUND_ROBIN", all));
    const int flows = 1 + static_cast<int>(rng.below(400));
    std::map<std::uint32_t, double> counts;
    for (int i = 0; i < flows; ++i) ++counts[choose(balancer, *s)];
    for (const Member& m : all) {
      const double wanted = m.more.empty() ? m.weight / total * flows : 0;
      ASSERT_NEAR(counts[m.id], wanted, wanted == 0 ? 0 : 4) << "change " << change << " id " << m.id;
    }
  }
}

TEST(RoundRobin, FullBackendsAreSkippedAndTheOthersKeepTheirRatio) {
  snapshot::testing::Source source;
  for (const bool equal : {true, false}) {
    const auto s = source.accept(
        pool_text("ROUND_ROBIN", equal ? members(4) : std::vector<Member>{{1, 10}, {2, 3}, {3, 2}, {4, 1}}));
    Exclusions full;
    full.add(0);
    Balancer balancer(0, 1);
    std::map<std::uint32_t, int> counts;
    for (int i = 0; i < 600; ++i) ++counts[choose(balancer, *s, {}, {}, full)];
    EXPECT_EQ(counts[1], 0);
    EXPECT_NEAR(counts[2], equal ? 200 : 300, 1);
    EXPECT_NEAR(counts[4], equal ? 200 : 100, 1);
    full.clear();
    EXPECT_FALSE(full.contains(0));
  }
}

TEST(AnyAlgorithm, NoBackendAndAllExcludedAreToldApart) {
  for (const char* algorithm : {"ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_HASH", "MAGLEV"}) {
    SCOPED_TRACE(algorithm);
    snapshot::testing::Source source;
    Balancer balancer(0, 1);
    const auto empty = source.accept(pool_text(algorithm, {}));
    EXPECT_EQ(balancer.peek(*empty, empty->pools[0], client(1), {}, kNobody).reason, Reason::no_backend);
    const auto down = source.accept(pool_text(algorithm, {{1, 1, "health: DOWN"}, {2, 0}, {3, 1, "drain: true"}}));
    EXPECT_EQ(balancer.peek(*down, down->pools[0], client(1), {}, kNobody).reason, Reason::no_backend);
    const auto one = source.accept(pool_text(algorithm, {{1, 1, "health: DOWN"}, {2, 5}, {3, 7}}));
    Exclusions full;
    full.add(1);
    for (std::uint32_t i = 0; i < 100; ++i) {
      ASSERT_EQ(one->backends[balancer.peek(*one, one->pools[0], client(i), {}, full).backend].id.value, 3u);
    }
    full.add(2);
    const Choice none = balancer.peek(*one, one->pools[0], client(1), {}, full);
    EXPECT_EQ(none.reason, Reason::all_excluded);
    EXPECT_EQ(none.backend, kNone);
    balancer.take(*one, one->pools[0], none, full);
  }
}

TEST(AnyAlgorithm, PeekForetellsTakeAndChangesNothing) {
  Rng rng(testing::printed_seed());
  for (const char* algorithm : {"ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_HASH", "MAGLEV"}) {
    snapshot::testing::Source source;
    const auto s = source.accept(pool_text(algorithm, {{1, 3}, {2, 3}, {3, 1}, {4, 9}, {5, 2, "drain: true"}}));
    std::vector<std::uint32_t> load(s->backend_by_slot.size());
    Balancer a(1, 7), b(1, 7);
    for (std::uint32_t i = 0; i < 2000; ++i) {
      Exclusions full;
      if (rng.chance(0.1)) full.add(static_cast<std::uint16_t>(rng.below(4)));
      for (unsigned peeks = rng.below(4); peeks > 0; --peeks) a.peek(*s, s->pools[0], client(i), load, full);
      const std::uint32_t id = choose(a, *s, client(i), load, full);
      ASSERT_EQ(choose(b, *s, client(i), load, full), id) << algorithm;
      ++load[s->backends[id - 1].slot];
    }
  }
}

TEST(LeastConnections, LoadFollowsWeights) {
  Rng rng(testing::printed_seed());
  snapshot::testing::Source source;
  std::vector<Member> all = members(10);
  for (Member& m : all) m.weight = 1 + m.id % 3;
  const auto s = source.accept(pool_text("LEAST_CONNECTIONS", all));
  Balancer balancer(0, rng.next());
  std::vector<std::uint32_t> load(s->backend_by_slot.size());
  std::vector<Slot> flows;
  for (int i = 0; i < 30'000; ++i) {
    if (flows.size() > 2000) {
      std::swap(flows[rng.below(static_cast<std::uint32_t>(flows.size()))], flows.back());
      --load[flows.back()];
      flows.pop_back();
    }
    flows.push_back(s->backends[choose(balancer, *s, {}, load) - 1].slot);
    ++load[flows.back()];
  }
  double total = 0;
  for (const Member& m : all) total += m.weight;
  for (const auto& backend : s->backends)
    EXPECT_NEAR(load[backend.slot], 2000.0 * backend.weight / total, 12) << backend.id.value;
}

TEST(LeastConnections, ABusyBackendIsAvoided) {
  snapshot::testing::Source source;
  const auto s = source.accept(pool_text("LEAST_CONNECTIONS", members(4)));
  std::vector<std::uint32_t> load(s->backend_by_slot.size());
  load[s->backends[2].slot] = 1000;
  Balancer balancer(0, testing::printed_seed());
  std::map<std::uint32_t, int> counts;
  for (int i = 0; i < 3000; ++i) ++counts[choose(balancer, *s, {}, load)];
  EXPECT_EQ(counts[3], 0) << "the two that are drawn always differ";
  EXPECT_GT(counts[1], 600);
}

TEST(SourceHash, SharesFollowWeightsAndAnyBoxAgrees) {
  snapshot::testing::Source source, peer({"eth0", "p0"}, 4711);
  const std::vector<Member> all = {{1, 5}, {2, 3}, {3, 2}};
  const auto s = source.accept(pool_text("SOURCE_HASH", all));
  peer.accept(pool_text("ROUND_ROBIN", {{8}, {9}}));
  const auto t = peer.accept(pool_text("SOURCE_HASH", all));
  Balancer here(0, 1), there(5, 2);
  std::map<std::uint32_t, int> counts;
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    const std::uint32_t id = choose(here, *s, client(i));
    ++counts[id];
    if (i % 100 != 0) continue;
    ASSERT_EQ(choose(there, *t, client(i)), id);
    ASSERT_EQ(choose(here, *s, client(i, 4000)), id) << "the port does not matter";
  }
  EXPECT_NEAR(counts[1], 50'000, 1000);
  EXPECT_NEAR(counts[2], 30'000, 1000);
  EXPECT_NEAR(counts[3], 20'000, 1000);
}

// A backend that goes down or drains moves its own clients only, spread over all the others.
TEST(HashAlgorithms, ABackendThatGoesDownMovesOnlyItsOwnClients) {
  for (const char* algorithm : {"SOURCE_HASH", "MAGLEV"}) {
    snapshot::testing::Source source;
    std::vector<Member> all = members(10);
    const auto before = source.accept(pool_text(algorithm, all));
    all[3].more = "health: DOWN";
    all[7].more = "drain: true";
    const auto after = source.accept(pool_text(algorithm, all));
    Balancer balancer(0, 1);
    std::map<std::uint32_t, int> moved_to;
    for (std::uint32_t i = 0; i < 50'000; ++i) {
      const std::uint32_t was = choose(balancer, *before, client(i)), is = choose(balancer, *after, client(i));
      if (was == 4 || was == 8) {
        ++moved_to[is];
      } else {
        ASSERT_EQ(was, is);
      }
    }
    ASSERT_EQ(moved_to.size(), 8u);
    for (const auto& [id, count] : moved_to) EXPECT_NEAR(count, 1250, 250) << algorithm << " " << id;
  }
}

TEST(Maglev, ARemovedBackendMovesItsOwnFlowsAndASmallRemainder) {
  snapshot::testing::Source source;
  std::vector<Member> all = members(20);
  const auto before = source.accept(pool_text("MAGLEV", all));
  all.erase(all.begin() + 6);
  const auto after = source.accept(pool_text("MAGLEV", all));
  Balancer balancer(0, 1);
  constexpr std::uint32_t kFlows = 50'000;
  unsigned others = 0;
  for (std::uint32_t i = 0; i < kFlows; ++i) {
    const ClientKey key = client(i, static_cast<std::uint16_t>(i));
    const std::uint32_t was = choose(balancer, *before, key), is = choose(balancer, *after, key);
    ASSERT_NE(is, 7u);
    others += was != 7 && was != is ? 1 : 0;
  }
  EXPECT_LT(others, kFlows * 3 / 100);
}

TEST(Maglev, PortsOfOneClientAreSpreadByWeight) {
  snapshot::testing::Source source;
  const auto s = source.accept(pool_text("MAGLEV", {{1, 1}, {2, 2}, {3, 1}}));
  Balancer balancer(0, 1);
  std::map<std::uint32_t, int> counts;
  for (unsigned port = 0; port < 60'000; ++port)
    ++counts[choose(balancer, *s, client(1, static_cast<std::uint16_t>(port)))];
  EXPECT_NEAR(counts[1], 15'000, 800);
  EXPECT_NEAR(counts[2], 30'000, 800);
}

}  // namespace
}  // namespace headgate::balance
