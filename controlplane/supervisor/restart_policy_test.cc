#include "controlplane/supervisor/restart_policy.h"

#include <gtest/gtest.h>

namespace headgate::supervisor {
namespace {

using namespace std::chrono_literals;

TEST(RestartPolicy, DoublesUpToFiveSecondsAndForgivesAGoodLife) {
  RestartPolicy policy;
  Time now = 1000s;
  for (const auto delay : {100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 5000ms, 5000ms}) {
    const auto decision = policy.ended(now, now);
    EXPECT_EQ(decision.start_at - now, Time(delay));
    now = decision.start_at;
  }
  EXPECT_EQ(policy.ended(now, now + 9s).start_at, now + 9s + 5s);
  EXPECT_EQ(policy.ended(now, now + 10s).start_at, now + 10s + 100ms);
}

TEST(RestartPolicy, AlarmsOnceForFiveExitsWithinAMinute) {
  RestartPolicy policy;
  int alarms = 0;
  for (int i = 0; i < 10; ++i) alarms += policy.ended(Time(i * 11s), Time(i * 11s + 11s)).crash_loop ? 1 : 0;
  EXPECT_EQ(alarms, 2);
  RestartPolicy slow;
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(slow.ended(Time(i * 16s), Time(i * 16s + 16s)).crash_loop);
}

}  // namespace
}  // namespace headgate::supervisor
