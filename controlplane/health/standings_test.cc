#include "controlplane/health/standings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controlplane/health/memory.h"

namespace headgate::health {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

PoolRules web(std::uint32_t count, Time slow_start = {}) {
  PoolRules rules{.name = "web", .slow_start = slow_start};
  for (std::uint32_t id = 1; id <= count; ++id) rules.backends.push_back({.id = id, .weight = 1});
  return rules;
}

class StandingsTest : public testing::Test {
 protected:
  std::vector<std::uint32_t> refresh() {
    std::vector<std::uint32_t> ids;
    Standings::Refreshed result = standings.refresh(now);
    for (const auto& change : result.changes) ids.push_back(change.backend_id);
    notes.clear();
    for (const auto& note : result.notes) notes.push_back(note.text);
    return ids;
  }
  bool serves(std::uint32_t id) const {
    const InForce& state = standings.in_force(id);
    return state.up && !state.drain && state.weight != 0;
  }
  // Weights of a slow start, step by step, until it is over.
  std::vector<std::uint32_t> run(std::uint32_t id) {
    std::vector<std::uint32_t> weights{standings.in_force(id).weight};
    for (Time next = standings.next_deadline(now); next != Time::max(); next = standings.next_deadline(now)) {
      EXPECT_GT(next, now);
      now = next;
      refresh();
      weights.push_back(standings.in_force(id).weight);
    }
    return weights;
  }

  Time now = 1000s;
  Standings standings;
  std::vector<std::string> notes;
};

TEST_F(StandingsTest, ABoxThatKnowsNothingServesUntilItKnows) {
  standings.set_pools({web(3)}, {}, now);
  EXPECT_THAT(refresh(), IsEmpty());
  EXPECT_TRUE(serves(1) && serves(2) && serves(3));
  standings.set_health(1, Health::up, now);
  EXPECT_THAT(refresh(), IsEmpty()) << "the others stay until they are known to be down";
  standings.set_health(2, Health::down, now);
  EXPECT_THAT(refresh(), ElementsAre(2));
}

TEST_F(StandingsTest, ANewBackendWaitsForItsFirstProbeWhereOthersServe) {
  standings.set_pools({web(2)}, {}, now);
  standings.set_health(1, Health::up, now);
  refresh();
  standings.set_pools({web(3)}, {}, now);
  EXPECT_THAT(refresh(), ElementsAre(3));
  EXPECT_FALSE(serves(3));
  EXPECT_EQ(standings.why(3), "waits for its first probe");
  standings.set_health(3, Health::up, now);
  EXPECT_THAT(refresh(), ElementsAre(3));
  EXPECT_TRUE(serves(3));
}

TEST_F(StandingsTest, ARecoveredBackendComesBackInSteps) {
  standings.set_pools({web(2, 10s)}, {}, now);
  standings.set_health(1, Health::up, now);
  standings.set_health(2, Health::down, now);
  refresh();
  standings.set_health(2, Health::up, now);
  EXPECT_THAT(refresh(), ElementsAre(1, 2)) << "weights of the pool are scaled together";
  const Time begin = now;
  const std::vector<std::uint32_t> weights = run(2);
  EXPECT_EQ(weights.size(), 21u);
  EXPECT_EQ(weights.front(), 5u);
  EXPECT_EQ(weights[10], 55u);
  EXPECT_EQ(weights[18], 95u);
  EXPECT_EQ(weights.back(), 1u) << "its own weight again, when all are whole";
  EXPECT_EQ(now, begin + 10s);
}

TEST_F(StandingsTest, ASlowStartEndsWhenTheBackendFailsAndBeginsAnew) {
  standings.set_pools({web(2, 10s)}, {{1, {.known = {.health = Health::up}}}, {2, {.known = {.health = Health::down}}}},
                      now);
  refresh();
  standings.set_health(2, Health::up, now);
  refresh();
  now += 5s;
  refresh();
  standings.set_health(2, Health::down, now);
  refresh();
  EXPECT_EQ(standings.next_deadline(now), Time::max());
  standings.set_health(2, Health::up, now);
  refresh();
  EXPECT_EQ(standings.in_force(2).weight, 5u);
}

TEST_F(StandingsTest, ARestartForgetsNothing) {
  standings.set_pools({web(3, 10s)}, {{1, {.known = {.health = Health::up}}}, {2, {.known = {.health = Health::down}}}},
                      now);
  standings.set_health(2, Health::up, now);
  standings.set_health(3, Health::down, now);
  standings.heard(1, {.percent = 50, .down = {}, .admin = Admin::drain});
  now += 4s;
  refresh();
  Memory memory;
  for (const std::uint32_t id : {1u, 2u, 3u}) standings.remember(id, memory[id]);
  memory[3].known.cause = "3 of 3 probes failed,\nlast: refused";
  memory = read_memory(write_memory(memory, "boot-1"), "boot-1");
  EXPECT_EQ(memory.at(3).known.cause, "3 of 3 probes failed, last: refused");
  Standings again;
  again.set_pools({web(3, 10s)}, memory, now);
  again.refresh(now);
  for (const std::uint32_t id : {1u, 2u, 3u}) EXPECT_EQ(again.in_force(id), standings.in_force(id)) << id;
  EXPECT_EQ(again.next_deadline(now), standings.next_deadline(now));
  EXPECT_TRUE(read_memory(write_memory(memory, "boot-1"), "boot-2").empty()) << "another start of the machine";
}

TEST(Memory, DamagedLinesAreLeftOut) {
  const std::string text =
      "boot b\n1 up 5 7 100 0 enabled fine\n2 up\nx\n3 sideways 1 1 1 1 drain\n4 down 9 -4 100 0 "
      "enabled a\n5 down 9 9 100 1 disabled b c\n6 down 9 9 1";
  const Memory memory = read_memory(text, "b");
  EXPECT_EQ(memory.size(), 2u);
  EXPECT_EQ(memory.at(1).known.cause, "fine");
  EXPECT_EQ(memory.at(5).known.cause, "b c");
  EXPECT_TRUE(read_memory("", "b").empty());
}

TEST_F(StandingsTest, AChangeOfTheConfigurationForgetsNothing) {
  standings.set_pools({web(3)}, {}, now);
  standings.set_health(1, Health::up, now);
  standings.set_health(2, Health::down, now);
  standings.set_admin(3, Admin::drain, now);
  refresh();
  PoolRules reordered = web(3);
  std::swap(reordered.backends[0], reordered.backends[2]);
  PoolRules other{.name = "api"};
  other.backends.push_back({.id = 9, .weight = 1});
  standings.set_pools({other, reordered}, {}, now);
  EXPECT_THAT(refresh(), IsEmpty());
  EXPECT_TRUE(serves(1) && !serves(2) && !serves(3) && serves(9));
}

TEST_F(StandingsTest, SaysWhenAPoolFallsBelowItsMinimumAndWhenBackupsServe) {
  PoolRules rules = web(3);
  rules.minimum_healthy = 2;
  rules.backends[2].backup = 1;
  standings.set_pools({rules}, {}, now);
  for (const std::uint32_t id : {1u, 2u, 3u}) standings.set_health(id, Health::up, now);
  refresh();
  EXPECT_THAT(notes, IsEmpty());
  standings.set_health(1, Health::down, now);
  refresh();
  EXPECT_THAT(notes, ElementsAre("pool web: backups serve"));
  standings.set_health(2, Health::down, now);
  refresh();
  EXPECT_THAT(notes, ElementsAre("pool web: 1 healthy, the minimum is 2; those that are up go on"));
  EXPECT_EQ(standings.problems().size(), 1u);
  standings.set_health(1, Health::up, now);
  standings.set_health(2, Health::up, now);
  refresh();
  EXPECT_THAT(notes,
              ElementsAre("pool web: 3 healthy, the minimum is 2; enough again", "pool web: backups rest again"));
}

}  // namespace
}  // namespace headgate::health
