#include "controlplane/health/passive.h"

#include <gtest/gtest.h>

namespace headgate::health {
namespace {

using namespace std::chrono_literals;

TEST(Passive, FailuresInARowTripAndOneSuccessEndsTheRow) {
  Passive passive;
  passive.set_rules({{.backend_id = 1, .failures = 5, .hold = 10s}});
  BackendTraffic traffic{.backend_id = 1, .connects = 100, .failures = 50, .resets = 3};
  const auto sample = [&](std::uint64_t connects, std::uint64_t failures, std::uint64_t resets) {
    traffic.connects += connects;
    traffic.failures += failures;
    traffic.resets += resets;
    return passive.observe({traffic}).size();
  };
  EXPECT_EQ(sample(0, 0, 0), 0u) << "what was before counts for nothing";
  EXPECT_EQ(sample(0, 4, 0), 0u);
  EXPECT_EQ(sample(1, 4, 0), 0u);
  EXPECT_EQ(sample(0, 3, 0), 0u);
  EXPECT_EQ(sample(0, 2, 0), 1u);
  EXPECT_EQ(sample(0, 4, 0), 0u) << "a new row";
  EXPECT_EQ(sample(1, 0, 1), 1u) << "a connect that was reset is none";
}

TEST(Passive, AnotherDataplaneAndAChangeOfRulesBeginAnew) {
  Passive passive;
  passive.set_rules({{.backend_id = 1, .failures = 5, .hold = 10s}});
  EXPECT_TRUE(passive.observe({{.backend_id = 1, .connects = 9, .failures = 0}}).empty());
  EXPECT_TRUE(
      passive.observe({{.backend_id = 1, .connects = 0, .failures = 9}, {.backend_id = 2, .failures = 9}}).empty());
  passive.set_rules({{.backend_id = 1, .failures = 2, .hold = 3s}});
  const auto trips = passive.observe({{.backend_id = 1, .connects = 0, .failures = 11}});
  ASSERT_EQ(trips.size(), 1u);
  EXPECT_EQ(trips[0].cause, "2 connects in a row were refused, unanswered or reset");
  EXPECT_EQ(trips[0].hold, 3s);
  passive.set_rules({});
  EXPECT_FALSE(passive.any_rules());
}

}  // namespace
}  // namespace headgate::health
