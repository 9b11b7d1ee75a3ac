#include "controlplane/health/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headgate::health {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

Target target(std::uint32_t id) {
  return {.backend_id = id,
          .name = "web" + std::to_string(id),
          .endpoint = {},
          .via_path = true,
          .interval = 2s,
          .timeout = 1s,
          .fast_interval = 500ms,
          .rise = 2,
          .fall = 3};
}

// Known from before, so that the first probe is nothing special.
KnownHealth known_up(std::uint32_t count) {
  KnownHealth known;
  for (std::uint32_t id = 1; id <= count; ++id) known[id].health = Health::up;
  return known;
}

// Probes that answer 1 ms after they start, in virtual time.
class Site : public Prober {
 public:
  explicit Site(std::uint64_t seed = 1, std::size_t in_flight_max = kProbesInFlightMax)
      : scheduler(
            *this, seed, [this](const Change& change) { changes.push_back(change.text); },
            [this](std::uint64_t probes, const Target&, const std::string&) {
              ++reports;
              probes_reported += probes;
            },
            in_flight_max) {
    scheduler.pause_path(false, now);
  }
  void start(std::uint64_t probe, const Target& t) override {
    started.push_back(t.backend_id);
    under_way.emplace_back(now + answer_after, probe, t.backend_id);
  }
  void run_until(Time end) {
    for (;;) {
      Time next = scheduler.next_deadline();
      for (const auto& [at, probe, id] : under_way) next = std::min(next, at);
      if (next > end) break;
      now = std::max(now, next);
      const std::size_t before = started.size();
      scheduler.advance(now);
      now += start_takes * static_cast<Time::rep>(started.size() - before);
      auto pending = std::exchange(under_way, {});
      for (const auto& [at, probe, id] : pending) {
        if (at > now) {
          under_way.emplace_back(at, probe, id);
        } else {
          scheduler.completed(probe,
                              unprobed                           ? Outcome{Result::unknown, "too many open files"}
                              : !alive.contains(id) || alive[id] ? Outcome{Result::success, {}}
                                                                 : Outcome{Result::failure, "connection timed out"},
                              now);
        }
      }
    }
    now = end;
  }

  Time now{1000s};
  Time answer_after = 1ms;
  Time start_takes{};
  std::map<std::uint32_t, bool> alive;  // those missing are
  std::vector<std::uint32_t> started;
  std::vector<std::tuple<Time, std::uint64_t, std::uint32_t>> under_way;
  std::vector<std::string> changes;
  bool unprobed = false;  // probes can not be made
  std::uint64_t reports = 0, probes_reported = 0;
  Scheduler scheduler;
};

TEST(Verdict, ChangesOnlyAfterAFullRow) {
  Verdict verdict(Health::up);
  for (const bool ok : {false, false, true, false, false}) EXPECT_FALSE(verdict.observe(ok, 2, 3));
  EXPECT_TRUE(verdict.observe(false, 2, 3));
  EXPECT_EQ(verdict.health(), Health::down);
  for (const bool ok : {true, false, true}) EXPECT_FALSE(verdict.observe(ok, 2, 3));
  EXPECT_TRUE(verdict.observe(true, 2, 3));
}

TEST(Scheduler, ReportsChangesOnlyAndSaysWhy) {
  Site site;
  site.scheduler.set_targets({target(1)}, known_up(1), site.now);
  site.run_until(1060s);
  EXPECT_TRUE(site.changes.empty());
  site.alive[1] = false;
  site.run_until(1120s);
  EXPECT_THAT(site.changes, ElementsAre("web1 down: 3 of 3 probes failed, last: connection timed out"));
  site.alive[1] = true;
  site.run_until(1180s);
  EXPECT_EQ(site.changes.back(), "web1 up: 2 of 2 probes succeeded");
  EXPECT_EQ(site.changes.size(), 2u);
}

TEST(Scheduler, ProbesThatCouldNotBeMadeChangeNothing) {
  Site site;
  site.scheduler.set_targets({target(1), target(2)}, {{1, {.health = Health::up}}, {2, {.health = Health::down}}},
                             site.now);
  site.unprobed = true;
  site.run_until(1060s);
  EXPECT_TRUE(site.changes.empty());
  EXPECT_GE(site.reports, 5u);
  EXPECT_LE(site.reports, 7u) << "said every 10 s, not with every probe";
  EXPECT_GE(site.probes_reported, 50u);
  site.unprobed = false;
  site.alive[1] = false;
  site.run_until(1120s);
  EXPECT_EQ(site.changes.size(), 2u);
}

TEST(Scheduler, FindsADeadBackendWithinOneIntervalAndFallFastOnes) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Site site(seed);
    site.scheduler.set_targets({target(1)}, known_up(1), site.now);
    site.run_until(1010s);
    site.alive[1] = false;
    site.run_until(1010s + 2040ms + 2 * 510ms + 3ms);  // the next probe, then two fast ones
    EXPECT_EQ(site.changes.size(), 1u) << "seed " << seed;
  }
}

TEST(Scheduler, SpreadsTheFirstProbesOverTheInterval) {
  Site site;
  std::vector<Target> targets;
  for (std::uint32_t id = 1; id <= 1000; ++id) targets.push_back(target(id));
  site.scheduler.set_targets(targets, known_up(1000), site.now);
  for (int slice = 1; slice <= 10; ++slice) {
    site.started.clear();
    site.run_until(1000s + slice * 200ms);
    EXPECT_GT(site.started.size(), 60u) << slice;
    EXPECT_LT(site.started.size(), 140u) << slice;
  }
}

TEST(Scheduler, SpreadsTheLaterProbesOfUnknownTargetsOverTheWholeInterval) {
  Site site;
  std::vector<Target> targets;
  for (std::uint32_t id = 1; id <= 1000; ++id) targets.push_back(target(id));
  const Time start = site.now;
  site.scheduler.set_targets(targets, {}, start);
  site.run_until(start + 500ms);
  EXPECT_EQ(site.started.size(), 1000u) << "the first probes come within the fast interval";
  site.run_until(start + 4s);
  for (int slice = 1; slice <= 10; ++slice) {
    site.started.clear();
    site.run_until(start + 4s + slice * 200ms);
    EXPECT_GT(site.started.size(), 60u) << slice;
    EXPECT_LT(site.started.size(), 140u) << slice;
  }
}

TEST(Scheduler, KeepsABoundOnProbesInFlightAndStillReachesAll) {
  Site site(1, 256);
  site.answer_after = 1s;
  std::vector<Target> targets;
  for (std::uint32_t id = 1; id <= 1000; ++id) targets.push_back(target(id));
  site.scheduler.set_targets(targets, known_up(1000), site.now);
  for (int i = 0; i < 100; ++i) {
    site.run_until(site.now + 100ms);
    EXPECT_LE(site.under_way.size(), 256u);
  }
  EXPECT_EQ(std::set<std::uint32_t>(site.started.begin(), site.started.end()).size(), 1000u);
}

TEST(Scheduler, BeginsWithTheVerdictsItIsGiven) {
  Site site;
  site.alive[1] = false;
  site.scheduler.set_targets({target(1), target(2)}, {{1, {.health = Health::down}}, {2, {.health = Health::up}}},
                             site.now);
  EXPECT_EQ(site.scheduler.health(1), Health::down);
  EXPECT_EQ(site.scheduler.health(2), Health::up);
  site.run_until(1060s);
  EXPECT_TRUE(site.changes.empty());
}

TEST(Scheduler, AVerdictSurvivesAChangeOfItsTarget) {
  Site site;
  site.alive[1] = false;
  site.scheduler.set_targets({target(1)}, known_up(1), site.now);
  site.run_until(1010s);
  Target changed = target(1);
  changed.interval = 5s;
  site.scheduler.set_targets({changed}, {}, site.now);
  EXPECT_EQ(site.scheduler.health(1), Health::down);
  site.scheduler.set_targets({}, {}, site.now);
  EXPECT_TRUE(site.scheduler.details().empty());
  site.run_until(1060s);
  EXPECT_EQ(site.changes.size(), 1u);
}

TEST(Scheduler, OneSuccessIsEnoughForWhoWasNeverAsked) {
  Site site;
  site.scheduler.set_targets({target(1)}, {}, site.now);
  EXPECT_EQ(site.scheduler.health(1), Health::unknown);
  site.run_until(1000s + 501ms);
  EXPECT_THAT(site.changes, ElementsAre("web1 up: its first probe succeeded"));
}

TEST(Scheduler, ProbesKeepTheirIntervalWithinATwentieth) {
  Site site;
  site.scheduler.set_targets({target(1)}, known_up(1), site.now);
  site.run_until(1002s);
  std::size_t before = site.started.size();
  for (int minute = 1; minute <= 60; ++minute) {
    site.run_until(1002s + minute * 60s);
    EXPECT_NEAR(static_cast<double>(site.started.size() - before), 30, 1.5);
    before = site.started.size();
  }
}

TEST(Scheduler, ABusyMomentLeavesNoCrowdBehind) {
  Site site;
  std::vector<Target> targets;
  for (std::uint32_t id = 1; id <= 2000; ++id) targets.push_back(target(id));
  site.scheduler.set_targets(targets, known_up(2000), site.now);
  site.run_until(1010s);
  site.now += 600ms;  // nothing was started meanwhile: the probes of 600 ms begin together
  site.scheduler.advance(site.now);
  site.run_until(1016s);
  std::size_t most = 0;
  for (Time end = 1016s; end < 1020s; end += 50ms) {
    site.started.clear();
    site.run_until(end + 50ms);
    most = std::max(most, site.started.size());
  }
  EXPECT_LT(most, 100u) << "of 50 on average";
}

TEST(Scheduler, ADelayedProbeKeepsItsPlaceAndAVeryLateOneLeavesOneOut) {
  for (const auto& [late, next] : {std::pair{900ms, 1100ms}, {1100ms, 2900ms}}) {
    Site site;
    site.scheduler.set_targets({target(1)}, known_up(1), site.now);
    site.run_until(1010s);
    site.now = site.scheduler.next_deadline() + late;
    site.scheduler.advance(site.now);
    const std::size_t before = site.started.size();
    const Time began = site.now;
    site.run_until(began + next - 100ms);
    EXPECT_EQ(site.started.size(), before) << late.count();
    site.run_until(began + next + 100ms);
    EXPECT_EQ(site.started.size(), before + 1) << late.count();
  }
}

TEST(Scheduler, WhoIsBusyCatchesUpAfterAStall) {
  Site site;
  std::vector<Target> targets;
  for (std::uint32_t id = 1; id <= 1000; ++id) targets.push_back(target(id));
  site.scheduler.set_targets(targets, known_up(1000), site.now);
  site.start_takes = 1600us;  // four fifths of the time
  site.run_until(1010s);
  site.now += 1900ms;
  site.run_until(1030s);
  const std::uint64_t late = site.scheduler.counters().late;
  site.run_until(1060s);
  EXPECT_EQ(site.scheduler.counters().late, late);
}

TEST(Scheduler, WhoWaitsForASlowServerIsNotLate) {
  Site site;
  site.alive[1] = false;
  site.answer_after = 5s;  // longer than an interval of 2 s
  Target slow = target(1);
  slow.timeout = 5s;
  site.scheduler.set_targets({slow}, known_up(1), site.now);
  site.run_until(1101s);
  EXPECT_GE(site.started.size(), 19u);  // one after the other
  EXPECT_EQ(site.scheduler.counters().late, 0u);
}

TEST(Scheduler, TrafficTakesABackendDownAndHoldsItThere) {
  Site site;
  site.scheduler.set_targets({target(1)}, known_up(1), site.now);
  site.run_until(1010s);
  site.scheduler.take_down(1, "10 connects in a row failed", 20s, site.now);
  EXPECT_THAT(site.changes, ElementsAre("web1 down: 10 connects in a row failed"));
  site.run_until(1030s);
  EXPECT_EQ(site.changes.size(), 1u) << "probes succeed, but it is held";
  site.run_until(1035s);
  EXPECT_EQ(site.changes.size(), 2u);
}

// SIGSTOP, a suspended machine: no storm afterwards, and what was under way says nothing.
TEST(Scheduler, StandingStillCausesNeitherAStormNorAVerdict) {
  Site site;
  std::vector<Target> targets;
  for (std::uint32_t id = 1; id <= 1000; ++id) {
    targets.push_back(target(id));
    targets.back().fall = 1;
  }
  site.answer_after = 999ms;  // half of them are under way at any moment
  site.scheduler.set_targets(targets, known_up(1000), site.now);
  site.run_until(1010s);
  site.now += 60s;
  const auto pending = std::exchange(site.under_way, {});
  EXPECT_GT(pending.size(), 100u);
  for (const auto& [at, probe, id] : pending)
    site.scheduler.completed(probe, {Result::failure, "connection timed out"}, site.now);
  EXPECT_TRUE(site.changes.empty());
  site.started.clear();
  site.scheduler.advance(site.now);
  EXPECT_LT(site.started.size(), 50u);
}

TEST(Scheduler, NothingFlapsWhileTheDataplaneIsAway) {
  Site site;
  Target direct = target(2);
  direct.via_path = false;
  site.answer_after = 100ms;
  site.scheduler.set_targets({target(1), direct}, known_up(2), site.now);
  site.run_until(1010s);
  site.alive[1] = false;  // as every probe along the path sees it
  site.scheduler.pause_path(true, site.now);
  site.started.clear();
  site.run_until(1060s);
  EXPECT_TRUE(site.changes.empty());
  EXPECT_EQ(std::set<std::uint32_t>(site.started.begin(), site.started.end()), std::set<std::uint32_t>{2});
  site.alive[1] = true;
  site.scheduler.pause_path(false, site.now);
  site.run_until(1120s);
  EXPECT_TRUE(site.changes.empty());
}

}  // namespace
}  // namespace headgate::health
