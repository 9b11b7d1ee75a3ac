// Random commits while traffic flows; nobody may notice. HEADGATE_COMMITS=N makes N commits (default 100);
// HEADGATE_SEED=S replays seed S, which is drawn anew each run otherwise.
#include "tests/sim/commits.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/seed.h"

namespace headgate::sim {
namespace {

std::uint64_t number(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : fallback;
}

constexpr Nanos kPauseMax = 40 * kMillisecond;
constexpr Nanos kAverage = 30 * kMillisecond;  // from commit to commit, with the changes of states between them

// 30 exchanges that live through nearly all commits (a round trip takes 22 ms), and new ones all along.
Plan plan_of(std::uint64_t seed, unsigned commits) {
  Plan plan{.seed = seed};
  plan.workers = 1 + static_cast<unsigned>(seed % 4);
  plan.connections = 60 + commits;
  plan.udp_flows = 30 + commits / 2;
  plan.bytes_max = 30 * kSegment;
  plan.lasting = 15;
  plan.lasting_turns = commits * 3 / 2;
  plan.faults.delay_min = kMillisecond;
  plan.faults.delay_max = 10 * kMillisecond;
  plan.fault_time = commits * kAverage;
  return plan;
}

void add_servers(Box& box) {
  for (unsigned i = 0; i < kServers; ++i) {
    for (const char* prefix : {"10.10.0.", "2001:db8:2::"}) {
      box.lan().add(prefix + std::to_string(kFirstServer + i), kInside);
    }
  }
}

TEST(Commits, NoPacketAndNoConnectionIsLost) {
  const std::uint64_t seed = test_seed();
  const auto count = static_cast<unsigned>(number("HEADGATE_COMMITS", 100));
  const Plan plan = plan_of(seed, count);
  auto owned = std::make_unique<Commits>(seed, count, kPauseMax);
  const Commits& commits = *owned;
  Simulation simulation(plan, std::move(owned));
  add_servers(simulation.box());
  const auto say = [&] { return "HEADGATE_SEED=" + std::to_string(seed) + "\n" + commits.log(); };
  EXPECT_EQ(simulation.run(), "") << say();
  EXPECT_EQ(commits.trouble(), "") << say();
  EXPECT_EQ(commits.commits(), count) << say();
  EXPECT_EQ(simulation.finished(), plan.connections + plan.udp_flows) << say();
  EXPECT_EQ(simulation.aborted(), 0u) << say();
  EXPECT_EQ(simulation.retransmissions(), 0u) << "a segment or its answer was lost\n" << say();
  EXPECT_EQ(simulation.box().dropped(), 0u) << say();
  std::printf("%u commits and %u updates of states, %u exchanges, %llu frames\n", commits.commits(),
              commits.state_updates(), simulation.finished(),
              static_cast<unsigned long long>(simulation.network().sent));
}

TEST(Commits, TheSameSeedIsTheSameRun) {
  const Plan plan = plan_of(3, 20);
  Simulation once(plan, std::make_unique<Commits>(3, 20, kPauseMax));
  Simulation again(plan, std::make_unique<Commits>(3, 20, kPauseMax));
  for (Simulation* simulation : {&once, &again}) {
    add_servers(simulation->box());
    EXPECT_EQ(simulation->run(), "");
  }
  EXPECT_EQ(once.trace(), again.trace());
}

}  // namespace
}  // namespace headgate::sim
