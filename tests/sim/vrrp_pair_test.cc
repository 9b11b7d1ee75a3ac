// Random schedules of faults for two boxes. HEADGATE_SCHEDULES=N runs N of each kind (default 200); HEADGATE_SEED=S
// runs the one of seed S, which a failure prints. Seeds are drawn anew each run otherwise.
#include "tests/sim/vrrp_pair.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <map>

#include "tests/seed.h"

namespace {
std::time_t wall_clock_ahead = 0;  // seconds, of everybody in this program who asks for the time of day
}

// In place of libc's, so that a library that asks for the time of day gets ours, too.
extern "C" int clock_gettime(clockid_t clock, timespec* out) noexcept {
  const auto result = static_cast<int>(syscall(SYS_clock_gettime, clock, out));
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) out->tv_sec += wall_clock_ahead;
  return result;
}

namespace headgate::sim {
namespace {

constexpr Nanos kMs = kMillisecond;
constexpr Nanos kMoment = 10 * kMs;  // what an order, or a fault that is not the active box's, may cost

std::uint64_t number(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : fallback;
}

// Calls run(seed), which returns what went wrong, for each schedule, or for one in `one_in`.
void each_schedule(const std::function<std::string(std::uint64_t)>& run, std::uint64_t one_in = 1) {
  if (const std::uint64_t seed = number("HEADGATE_SEED", 0); seed != 0) {
    EXPECT_EQ(run(seed), "");
    return;
  }
  const std::uint64_t base = base_seed() << 32;
  for (std::uint64_t i = 1; i <= (number("HEADGATE_SCHEDULES", 200) + one_in - 1) / one_in; ++i) {
    const std::string trouble = run(base + i);
    ASSERT_EQ(trouble, "") << "HEADGATE_SEED=" << base + i;
  }
}

std::string report(const Pair& pair, const std::string& what) {
  return what + "\n" + pair.log();
}

// From a tenth of an interval to 60, each magnitude as likely.
Nanos some_time(Pair& pair) {
  const Nanos unit = pair.plan().interval / 10;
  return unit * (1 + pair.rng().below(pair.rng().chance(0.5) ? 60 : 600));
}

// One active box that forwards, the other a backup, and so for a while.
bool settle(Pair& pair) {
  const Nanos end = pair.now() + pair.settle_time() + 3 * kSecond + 60 * pair.plan().interval;
  Nanos since = pair.now();
  unsigned changes = pair.transitions();
  while (pair.now() < end) {
    pair.run_until(pair.now() + pair.plan().interval / 2);
    const int active = pair.active();
    const bool good = active != -1 && pair.role(static_cast<unsigned>(1 - active)) == vrrp::Role::backup;
    if (!good || changes != pair.transitions()) since = pair.now();
    changes = pair.transitions();
    if (pair.now() - since > pair.settle_time()) return true;
  }
  return false;
}

struct Fault {
  const char* name;
  std::function<void(Pair&, unsigned active)> begin, end;
  // The longest time without service: down interval of the other box and 10 ms; or a moment only.
  bool costs_the_down_interval = true;
  bool by_witness = false;        // only a witness can tell; and it needs its time
  bool connected_or_not = false;  // what is cut leaves the other network: to forward is enough
};

const std::vector<Fault>& faults() {
  static const std::vector<Fault> list{
      {"kill -9 of the active dataplane", [](Pair& p, unsigned a) { p.kill_dataplane(a, some_time(p)); },
       [](Pair&, unsigned) {}},
      {"kill -9 of the other dataplane", [](Pair& p, unsigned a) { p.kill_dataplane(1 - a, some_time(p)); },
       [](Pair&, unsigned) {}, false},
      {"SIGSTOP of the active dataplane", [](Pair& p, unsigned a) { p.pause_dataplane(a, true); },
       [](Pair& p, unsigned a) { p.pause_dataplane(a, false); }},
      {"SIGSTOP of the other dataplane", [](Pair& p, unsigned a) { p.pause_dataplane(1 - a, true); },
       [](Pair& p, unsigned a) { p.pause_dataplane(1 - a, false); }, false},
      {"the active box stands still as a whole", [](Pair& p, unsigned a) { p.pause_box(a, true); },
       [](Pair& p, unsigned a) { p.pause_box(a, false); }},
      {"the other box stands still as a whole", [](Pair& p, unsigned a) { p.pause_box(1 - a, true); },
       [](Pair& p, unsigned a) { p.pause_box(1 - a, false); }, false},
      {"a stall of the active box's VRRP thread", [](Pair& p, unsigned a) { p.stall_thread(a, true); },
       [](Pair& p, unsigned a) { p.stall_thread(a, false); }},
      {"a stuck worker", [](Pair& p, unsigned a) { p.stick_worker(a, true); },
       [](Pair& p, unsigned a) { p.stick_worker(a, false); }},
      {"a cut of one direction of a network", [](Pair& p, unsigned a) { p.cut_send(a, 0, true); },
       [](Pair& p, unsigned a) { p.cut_send(a, 0, false); }, false, false, true},
      {"a cut of the other direction of a network", [](Pair& p, unsigned a) { p.cut_receive(1 - a, 1, true); },
       [](Pair& p, unsigned a) { p.cut_receive(1 - a, 1, false); }, false, false, true},
      {"a silent cut of all networks",
       [](Pair& p, unsigned a) {
         for (unsigned n = 0; n < kNetworks; ++n) p.cut_send(a, n, true), p.cut_receive(a, n, true);
       },
       [](Pair& p, unsigned a) {
         for (unsigned n = 0; n < kNetworks; ++n) p.cut_send(a, n, false), p.cut_receive(a, n, false);
       },
       true, true},
      {"a loss of both carriers",
       [](Pair& p, unsigned a) {
         for (unsigned n = 0; n < kNetworks; ++n) p.carrier(a, n, false);
       },
       [](Pair& p, unsigned a) {
         for (unsigned n = 0; n < kNetworks; ++n) p.carrier(a, n, true);
       }},
      {"a loss of one carrier", [](Pair& p, unsigned a) { p.carrier(a, 0, false); },
       [](Pair& p, unsigned a) { p.carrier(a, 0, true); }, false, false, true},
      {"a cut of the HA link", [](Pair& p, unsigned) { p.cut_ha(true); }, [](Pair& p, unsigned) { p.cut_ha(false); },
       false},
      {"kill -9 of the active box's control plane", [](Pair& p, unsigned a) { p.kill_control(a); },
       [](Pair& p, unsigned a) { p.start_control(a); }, false},
      {"SIGSTOP of the other control plane", [](Pair& p, unsigned a) { p.pause_control(1 - a, true); },
       [](Pair& p, unsigned a) { p.pause_control(1 - a, false); }, false},
      {"loss of 30 % of adverts",
       [](Pair& p, unsigned) { p.weather({.loss = 0.3, .duplicate = 0.1, .jitter = 2 * kMs}); },
       [](Pair& p, unsigned) { p.weather({}); }, false},
      {"the active box is switched off in order", [](Pair& p, unsigned a) { p.withdraw(a, some_time(p)); },
       [](Pair&, unsigned) {}, false},
      {"the other box is switched off in order", [](Pair& p, unsigned a) { p.withdraw(1 - a, some_time(p)); },
       [](Pair&, unsigned) {}, false},
      {"a planned switch", [](Pair& p, unsigned a) { p.switch_over(1 - a); }, [](Pair&, unsigned) {}, false},
  };
  return list;
}

TEST(SingleFault, SomeBoxServesWithinTheDownIntervalAndTenMilliseconds) {
  std::map<std::string, Nanos> worst;  // in hundredths of an interval
  each_schedule([&](std::uint64_t seed) -> std::string {
    Rng rng(seed);
    Pair pair(random_plan(rng), seed);
    for (int i = 0; i < 3; ++i) {
      if (!settle(pair)) return report(pair, "the pair does not settle");
      const auto active = static_cast<unsigned>(pair.active());
      const Fault& fault = faults()[rng.below(static_cast<std::uint32_t>(faults().size()))];
      if (fault.by_witness && !pair.plan().witness) continue;
      pair.forwarding_alone_counts(fault.connected_or_not);
      const Nanos down = pair.down_interval(1 - active);
      pair.take_longest_gap();
      fault.begin(pair, active);
      pair.run_until(pair.now() + some_time(pair));
      fault.end(pair, active);
      pair.run_until(pair.now() + 100 * pair.plan().interval + 100 * kMs);
      const Nanos gap = pair.take_longest_gap();
      const Nanos budget =
          (fault.costs_the_down_interval ? down : 0) + kMoment + (fault.by_witness ? pair.witness_time() : 0);
      if (gap > budget) {
        return report(pair, std::string(fault.name) + ": no service for " + std::to_string(gap / kMicrosecond) + " us");
      }
      if (!pair.trouble().empty()) return report(pair, pair.trouble());
      Nanos& most = worst[fault.name];
      most = std::max(most, 100 * gap / pair.plan().interval);
    }
    return "";
  });
  for (const auto& [name, gap] : worst) {
    std::printf("%-45s at most %.2f intervals without service\n", name.c_str(), static_cast<double>(gap) / 100);
  }
}

// Any number at once.
using Change = std::function<void(Pair&)>;
std::pair<Change, Change> random_fault(Rng& rng, Nanos time_left) {
  const unsigned box = rng.below(2), network = rng.below(kNetworks);
  const auto nothing = [](Pair&) {};
  switch (rng.below(16)) {
    case 0:
      return {[=](Pair& p) { p.kill_dataplane(box, std::min(some_time(p), time_left)); }, nothing};
    case 1:
      return {[=](Pair& p) { p.pause_dataplane(box, true); }, [=](Pair& p) { p.pause_dataplane(box, false); }};
    case 2:
      return {[=](Pair& p) { p.stall_thread(box, true); }, [=](Pair& p) { p.stall_thread(box, false); }};
    case 3:
      return {[=](Pair& p) { p.stick_worker(box, true); }, [=](Pair& p) { p.stick_worker(box, false); }};
    case 4:
      return {[=](Pair& p) { p.kill_control(box); }, [=](Pair& p) { p.start_control(box); }};
    case 5:
      return {[=](Pair& p) { p.pause_control(box, true); }, [=](Pair& p) { p.pause_control(box, false); }};
    case 6:
      return {[=](Pair& p) { p.cut_send(box, network, true); }, [=](Pair& p) { p.cut_send(box, network, false); }};
    case 7:
      return {[=](Pair& p) { p.cut_receive(box, network, true); },
              [=](Pair& p) { p.cut_receive(box, network, false); }};
    case 8:
      return {[=](Pair& p) { p.carrier(box, network, false); }, [=](Pair& p) { p.carrier(box, network, true); }};
    case 9:
      return {[=](Pair& p) { p.cut_ha(true); }, [=](Pair& p) { p.cut_ha(false); }};
    case 10: {
      const Weather weather{
          .loss = rng.below(31) / 100.0, .duplicate = rng.below(20) / 100.0, .jitter = rng.below(5000) * kMicrosecond};
      return {[=](Pair& p) { p.weather(weather); }, [](Pair& p) { p.weather({}); }};
    }
    case 11:
      return {[=](Pair& p) { p.switch_over(box); }, nothing};
    case 12:
      return {[=](Pair& p) { p.withdraw(box, std::min(some_time(p), time_left)); }, nothing};
    case 13:
      return {[=](Pair& p) { p.pause_box(box, true); }, [=](Pair& p) { p.pause_box(box, false); }};
    default: {  // both networks at once, one direction or both
      const bool send = rng.chance(0.7), receive = !send || rng.chance(0.5);
      const auto cut = [=](Pair& p, bool yes) {
        for (unsigned n = 0; n < kNetworks; ++n) {
          if (send) p.cut_send(box, n, yes);
          if (receive) p.cut_receive(box, n, yes);
        }
      };
      return {[=](Pair& p) { cut(p, true); }, [=](Pair& p) { cut(p, false); }};
    }
  }
}

std::string chaos(std::uint64_t seed) {
  Rng rng(seed);
  Pair pair(random_plan(rng), seed);
  const Nanos interval = pair.plan().interval;
  const Nanos begin = pair.now() + (rng.chance(0.2) ? 0 : 40 * interval + kSecond);
  const Nanos end = begin + 150 * interval + kSecond;
  std::multimap<Nanos, Change> changes;
  for (unsigned count = 3 + rng.below(10); count > 0; --count) {
    const Nanos at = begin + rng.below(1000) * (end - begin) / 1000;
    const auto [start, stop] = random_fault(rng, end - at);
    changes.emplace(at, start);
    changes.emplace(std::min(end, at + (1 + rng.below(600)) * interval / 10), stop);
  }
  for (const auto& [at, change] : changes) {
    pair.run_until(at);
    change(pair);
  }
  pair.run_until(end);
  pair.heal();
  const auto up = [&](unsigned box) {
    return pair.role(box) == vrrp::Role::backup || pair.role(box) == vrrp::Role::active;
  };
  const bool one_is_up = up(0) || up(1);
  // A box whose worker stood still a moment ago waits for its turn behind every box that is well (Group::turn()), and
  // the other one may be starting.
  const bool impaired = pair.degraded(0) || pair.degraded(1);
  pair.run_until(end + kSecond + 4 * interval + (one_is_up ? 0 : kSecond + 24 * interval) +
                 (impaired ? 256 * vrrp::kClaimDelay : 0));
  if (!pair.trouble().empty()) return report(pair, pair.trouble());
  // A box that preempts by policy may be waiting, in this very moment, for the HA link to confirm that the other
  // yields.
  if (pair.active() == -1) pair.run_until(pair.now() + kMoment);
  if (pair.active() == -1) return report(pair, "not one active box after all was healed");
  if (!pair.one_epoch()) pair.run_until(pair.now() + kMoment);
  if (!pair.one_epoch()) return report(pair, "not one epoch after all was healed");
  // A box that starts, or preempts: as late as it takes to forget that a worker stood still (director.h).
  pair.run_until(pair.now() + 60 * interval + 6 * kSecond);
  const unsigned before = pair.transitions();
  pair.run_until(pair.now() + 40 * interval);
  if (pair.active() == -1 || before != pair.transitions()) return report(pair, "the pair does not come to rest");
  return pair.trouble().empty() ? "" : report(pair, pair.trouble());
}

TEST(Chaos, NeverTwoActiveBoxesAndOneAfterHealing) {
  each_schedule(chaos);
}

TEST(Chaos, TheSameSeedIsTheSameRun) {
  const auto run = [] {
    Rng rng(7);
    Pair pair(random_plan(rng), 7);
    pair.weather({.loss = 0.2, .duplicate = 0.2, .jitter = 3 * kMs});
    pair.run_until(pair.now() + 2 * kSecond);
    pair.kill_dataplane(0, kSecond);
    pair.run_until(pair.now() + 5 * kSecond);
    return pair.log() + std::to_string(pair.adverts());
  };
  EXPECT_EQ(run(), run());
}

// Nothing decides by the wall clock: a run is the same to the microsecond, whatever that does meanwhile.
TEST(WallClock, JumpsHaveNoEffect) {
  const auto run = [](std::uint64_t seed, bool jumps) {
    Rng rng(seed);
    Rng jump(seed);
    Pair pair(random_plan(rng), seed);
    for (int i = 0; i < 40; ++i) {
      if (jumps) wall_clock_ahead = static_cast<std::time_t>(jump.below(7200 * 24)) - 3600 * 24;
      const auto [begin, end] = random_fault(rng, kSecond);
      begin(pair);
      pair.run_until(pair.now() + some_time(pair));
      end(pair);
      pair.run_until(pair.now() + some_time(pair));
    }
    return pair.log() + std::to_string(pair.adverts());
  };
  const std::time_t today = std::time(nullptr);
  wall_clock_ahead = 86400;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  ASSERT_GT(now.tv_sec, today + 80000) << "or this proves nothing";
  ASSERT_GT(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()), today + 80000);
  each_schedule(
      [&](std::uint64_t seed) -> std::string {
        wall_clock_ahead = 0;
        const std::string steady = run(seed, false);
        return run(seed, true) == steady ? "" : "another run with a wall clock that jumps, than\n" + steady;
      },
      10);
  wall_clock_ahead = 0;
}

// A virtual machine that was paused for longer than its lease, and goes on: not a frame before it knows who took over,
// and no advert of before.
TEST(StandStill, ABoxThatGoesOnIsFencedFromTheFirstMoment) {
  each_schedule(
      [](std::uint64_t seed) -> std::string {
        Rng rng(seed);
        PairPlan plan = random_plan(rng);
        plan.preemption = vrrp::Preemption::stay;
        Pair pair(plan, seed);
        for (int i = 0; i < 5; ++i) {
          if (!settle(pair)) return report(pair, "the pair does not settle");
          const auto active = static_cast<unsigned>(pair.active());
          pair.pause_box(active, true);
          pair.run_until(pair.now() + pair.down_interval(1 - active) + 10 * kMs + some_time(pair));
          if (!pair.forwards(1 - active)) return report(pair, "nobody took over");
          const unsigned before = pair.transitions();
          pair.pause_box(active, false);
          for (const Nanos end = pair.now() + 20 * plan.interval + kSecond; pair.now() < end;) {
            if (pair.forwards(active)) return report(pair, "it forwards although another box took over");
            pair.run_until(pair.now() + 100 * kMicrosecond);
          }
          if (pair.transitions() != before + 1) return report(pair, "more than that box stepped down");
          if (!pair.trouble().empty()) return report(pair, pair.trouble());
        }
        return "";
      },
      4);
}

// Within the grace that is the runner's to keep; here nothing at all may happen.
TEST(ControlPlane, AThousandKillsAndStopsMoveNothing) {
  for (const Nanos interval : {10 * kMs, 100 * kMs}) {
    Pair pair({.interval = interval}, 1);
    ASSERT_TRUE(settle(pair));
    pair.forwarding_alone_counts(true);
    pair.take_longest_gap();
    const unsigned before = pair.transitions();
    for (int i = 0; i < 500; ++i) {
      const unsigned box = pair.rng().below(2);
      const bool kill = pair.rng().chance(0.5);
      kill ? pair.kill_control(box) : pair.pause_control(box, true);
      pair.run_until(pair.now() + pair.rng().below(3000) * kMs);
      kill ? pair.start_control(box) : pair.pause_control(box, false);
      pair.run_until(pair.now() + pair.rng().below(500) * kMs);
    }
    EXPECT_EQ(pair.transitions(), before) << pair.log();
    EXPECT_EQ(pair.take_longest_gap(), 0u);
    EXPECT_EQ(pair.trouble(), "");
  }
}

}  // namespace
}  // namespace headgate::sim
