// HEADGATE_SIM_SEEDS=N runs N random sites instead of a handful; HEADGATE_SEED=S starts at S.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/sim/simulation.h"

namespace headgate::sim {
namespace {

std::uint64_t number(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : fallback;
}

TEST(Simulation, WithoutFaultsEverythingCompletesAndNothingIsDropped) {
  const Plan plan{.seed = 7, .connections = 60, .udp_flows = 30, .snapshot_every = 50 * kMillisecond};
  Simulation simulation(plan);
  EXPECT_EQ(simulation.run(), "") << describe(plan);
  EXPECT_EQ(simulation.finished(), 90u);
  EXPECT_EQ(simulation.box().exits(telemetry::Exit::dropped), 0u);
}

TEST(Simulation, FaultsEndAndThenEveryExchangeDoes) {
  const std::uint64_t first = number("HEADGATE_SEED", 1), seeds = number("HEADGATE_SIM_SEEDS", 12);
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    const Plan plan = random_plan(seed);
    Simulation simulation(plan);
    EXPECT_EQ(simulation.run(), "") << describe(plan);
    // A corrupted segment may end a flow that was closing; nothing else may.
    if (plan.faults.corrupt == 0) {
      EXPECT_EQ(simulation.aborted(), 0u) << describe(plan);
    }
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(Simulation, TheSameSeedIsTheSameRun) {
  for (const std::uint64_t seed : {3u, 4u}) {
    Simulation once(random_plan(seed)), again(random_plan(seed));
    once.run();
    again.run();
    EXPECT_EQ(once.trace(), again.trace()) << describe(random_plan(seed));
    EXPECT_EQ(once.network().sent, again.network().sent);
  }
}

}  // namespace
}  // namespace headgate::sim
