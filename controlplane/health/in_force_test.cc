#include "controlplane/health/in_force.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headgate::health {
namespace {

using testing::ElementsAre;

PoolRules pool(std::size_t count) {
  PoolRules rules{.name = "web"};
  for (std::uint32_t id = 1; id <= count; ++id) rules.backends.push_back({.id = id, .weight = 1});
  return rules;
}

std::vector<bool> serving(const PoolState& state) {
  std::vector<bool> out;
  for (const InForce& backend : state.in_force) out.push_back(backend.up && !backend.drain && backend.weight != 0);
  return out;
}

std::vector<Standing> all_up(std::size_t count) {
  return std::vector<Standing>(count);
}

TEST(InForce, HealthCommandsAndAgentsEachHoldABackendBack) {
  std::vector<Standing> standings = all_up(7);
  standings[1].health = Health::down;
  standings[2].health = Health::unknown;
  standings[3].admin = Admin::disabled;
  standings[4].admin = Admin::drain;
  standings[5].agent_down = true;
  standings[6].agent_admin = Admin::drain;
  const PoolState state = in_force(pool(7), standings);
  EXPECT_THAT(serving(state), ElementsAre(true, false, false, false, false, false, false));
  EXPECT_THAT(state.why, ElementsAre(Why::nothing, Why::health, Why::not_asked, Why::disabled, Why::drain, Why::agent,
                                     Why::agent));
  EXPECT_TRUE(state.in_force[4].up) << "a drained one keeps its flows and its clients";
  EXPECT_FALSE(state.in_force[3].up);
  EXPECT_EQ(state.healthy, 1u);
}

TEST(InForce, NobodyWaitsForAFirstProbeWhereNobodyElseCanServe) {
  PoolRules rules = pool(3);
  std::vector<Standing> standings = all_up(3);
  standings[1].health = standings[2].health = Health::unknown;
  rules.backends[0].drain = true;
  EXPECT_THAT(serving(in_force(rules, standings)), ElementsAre(false, true, true)) << "drained by the configuration";
  rules.backends[0].drain = false;
  rules.backends[0].weight = 0;
  EXPECT_THAT(serving(in_force(rules, standings)), ElementsAre(false, true, true)) << "without weight";
  rules.backends[0].weight = 1;
  EXPECT_THAT(serving(in_force(rules, standings)), ElementsAre(true, false, false));
  standings[0].admin = Admin::drain;
  standings[1].admin = Admin::disabled;
  EXPECT_THAT(serving(in_force(rules, standings)), ElementsAre(false, false, true)) << "drained by a command";
  standings[0] = {.health = Health::down};
  rules.backends[2].backup = 1;
  EXPECT_THAT(serving(in_force(rules, standings)), ElementsAre(false, false, true)) << "dead, and a backup is new";
}

TEST(InForce, BackupsServeWhenTooFewOthersCan) {
  PoolRules rules = pool(4);
  rules.backends[2].backup = 1;
  rules.backends[3].backup = 2;
  std::vector<Standing> standings = all_up(4);
  EXPECT_THAT(serving(in_force(rules, standings)), ElementsAre(true, true, false, false));
  standings[0].health = Health::down;
  EXPECT_THAT(serving(in_force(rules, standings)), ElementsAre(false, true, false, false));
  rules.minimum_healthy = 2;
  EXPECT_THAT(serving(in_force(rules, standings)), ElementsAre(false, true, true, false));
  EXPECT_TRUE(in_force(rules, standings).backups_serve);
  EXPECT_FALSE(in_force(rules, standings).below_minimum);
  standings[1].health = standings[2].health = Health::down;
  EXPECT_THAT(serving(in_force(rules, standings)), ElementsAre(false, false, false, true));
  EXPECT_TRUE(in_force(rules, standings).below_minimum);
}

TEST(InForce, BelowItsMinimumAPoolDoesWhatItSays) {
  PoolRules rules = pool(4);
  rules.minimum_healthy = 3;
  std::vector<Standing> standings = all_up(4);
  standings[0].health = standings[1].health = Health::down;
  standings[2].admin = Admin::disabled;
  EXPECT_THAT(serving(in_force(rules, standings)), ElementsAre(false, false, false, true));
  rules.below_minimum = BelowMinimum::fail;
  EXPECT_THAT(serving(in_force(rules, standings)), ElementsAre(false, false, false, false));
  rules.below_minimum = BelowMinimum::use_all;
  EXPECT_THAT(serving(in_force(rules, standings)), ElementsAre(true, true, false, true))
      << "what was disabled by command stays so";
}

TEST(InForce, SharesOfSmallWeightsCanBeToldApart) {
  PoolRules rules = pool(3);
  rules.backends[2].weight = 3;
  std::vector<Standing> standings = all_up(3);
  standings[0].share = 50;
  standings[1].agent_percent = 25;
  PoolState state = in_force(rules, standings);
  EXPECT_EQ(state.in_force[0].weight, 5u);
  EXPECT_EQ(state.in_force[1].weight, 25u);
  EXPECT_EQ(state.in_force[2].weight, 300u);
  EXPECT_THAT(state.why, ElementsAre(Why::slow_start, Why::agent, Why::nothing));
  standings[1].agent_percent = 0;
  EXPECT_EQ(in_force(rules, standings).in_force[1].weight, 0u);
  rules.backends[2].weight = 1000;
  state = in_force(rules, standings);
  EXPECT_EQ(state.in_force[0].weight, 1u) << "never none while it starts";
  EXPECT_EQ(state.in_force[2].weight, 1000u);
}

// Whatever is known: nobody serves who was told not to, and with no minimum somebody serves whenever somebody can.
TEST(InForce, HoldsForEveryPoolOfThree) {
  constexpr Health kHealth[] = {Health::unknown, Health::up, Health::down};
  constexpr Admin kAdmin[] = {Admin::enabled, Admin::drain, Admin::disabled};
  for (unsigned code = 0; code < 9 * 9 * 9 * 3 * 8; ++code) {
    unsigned rest = code;
    const auto next = [&](unsigned count) { return std::exchange(rest, rest / count) % count; };
    PoolRules rules = pool(3);
    std::vector<Standing> standings = all_up(3);
    bool anybody = false;
    for (Standing& standing : standings) {
      standing.health = kHealth[next(3)];
      standing.admin = kAdmin[next(3)];
      anybody |= standing.health == Health::up && standing.admin == Admin::enabled;
    }
    rules.below_minimum = static_cast<BelowMinimum>(next(3));
    for (auto& backend : rules.backends) backend.backup = next(2);
    for (rules.minimum_healthy = 0; rules.minimum_healthy <= 3; ++rules.minimum_healthy) {
      const PoolState state = in_force(rules, standings);
      const std::vector<bool> serves = serving(state);
      for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_FALSE(serves[i] && standings[i].admin != Admin::enabled) << code;
      }
      if (rules.minimum_healthy != 0 && rules.below_minimum == BelowMinimum::fail) continue;
      if (anybody) {
        EXPECT_THAT(serves, testing::Contains(true)) << code;
      }
    }
  }
}

}  // namespace
}  // namespace headgate::health
