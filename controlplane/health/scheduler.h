// Decides when which backend is probed and what the results mean. Pure: time comes in, probes go out through Prober,
// and next_deadline() says when to come back. One thread.
//
// Invariants: at most one probe of a target is under way; at most `in_flight_max` in all; targets start spread over
// their interval, so that thousands of them do not probe in one burst, and drift apart by a little chance (kJitter). A
// verdict outlives every change of its target but removal. Results of probes that began before a target changed, went
// away or was paused are thrown away, and so are failures that only say that this process stood still.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "controlplane/health/target.h"
#include "controlplane/health/verdict.h"

namespace headgate::health {

inline constexpr std::size_t kProbesInFlightMax = 16384;
inline constexpr unsigned kJitter = 200;  // one part of this many of the interval, either way: 0.5 %
inline constexpr Time kStalled = std::chrono::milliseconds(500);     // beyond its timeout: we were not running
inline constexpr Time kFirstProbe = std::chrono::microseconds(100);  // room for each of many first probes
inline constexpr Time kNever = Time::max();
inline constexpr Time kUnknownEvery = std::chrono::seconds(10);  // at most one report in this time

enum class Result : std::uint8_t {
  success,
  failure,
  unknown,  // the probe could not be made: says nothing about the backend, changes nothing in its verdict
};

struct Outcome {
  Result result = Result::failure;
  std::string cause{};   // unless a success: "connection timed out"
  std::string answer{};  // of an agent, at most 1 KiB
};

class Prober {
 public:
  virtual ~Prober() = default;
  // Begins a probe; its outcome is handed to Scheduler::completed(probe, ...) later, never from inside this call, and
  // always: after target.timeout at the latest.
  virtual void start(std::uint64_t probe, const Target& target) = 0;
};

// What is known of a target, for people.
struct Detail {
  std::string name;
  Health health = Health::unknown;
  bool via_path = true;
  Time changed = Time::min();  // of the verdict; Time::min(): never
  std::string cause;           // of that change
  Time last = Time::min();     // probe; Time::min(): none yet
  Result last_result = Result::unknown;
  std::string last_error;  // of the last probe, unless a success
  Time latency{};          // of the last success
};

struct Change {
  std::uint32_t backend_id = 0;
  bool up = false;
  bool first = false;  // nothing was known before
  std::string text;    // "web1 down: 3 of 3 probes failed, last: connection timed out"
  Time at{};           // when it was found out
};

struct Counters {
  std::uint64_t started = 0, succeeded = 0, failed = 0, unknown = 0;
  std::uint64_t late = 0;  // started more than a twentieth of the interval after they were due
  Time lag_max{};          // of a start behind its due time
};

class Scheduler {
 public:
  using OnChange = std::function<void(const Change&)>;
  // One for all targets, since the cause is this box's: how many probes since the last one, which target, and why.
  using OnUnknown = std::function<void(std::uint64_t probes, const Target&, const std::string& cause)>;
  Scheduler(Prober& prober, std::uint64_t seed, OnChange on_change, OnUnknown on_unknown,
            std::size_t in_flight_max = kProbesInFlightMax)
      : prober_(prober),
        random_(seed),
        in_flight_max_(in_flight_max),
        on_change_(std::move(on_change)),
        on_unknown_(std::move(on_unknown)) {}

  // What an agent said, before the verdict that follows from its having answered.
  using OnAnswer = std::function<void(const Target&, const std::string& answer)>;
  void set_on_answer(OnAnswer on_answer) { on_answer_ = std::move(on_answer); }

  // Replaces all targets. `known`: verdicts for targets that are new here, e.g. from before a restart.
  void set_targets(const std::vector<Target>& targets, const KnownHealth& known, Time now);
  // While paused, targets that go through the dataplane are not probed and keep their verdicts: with the dataplane away
  // every probe would fail, and a failure would say nothing about the backend. Starts paused.
  void pause_path(bool paused, Time now);
  void advance(Time now);  // starts what is due
  void completed(std::uint64_t probe, const Outcome& outcome, Time now);
  // Traffic showed that the backend does not serve: down, and for `hold` successful probes do not bring it back.
  void take_down(std::uint32_t backend_id, const std::string& cause, Time hold, Time now);

  Time next_deadline() const;                       // kNever when nothing can start before a probe completes
  Health health(std::uint32_t backend_id) const;    // up for what is no target: nothing is known against it
  std::map<std::uint32_t, Detail> details() const;  // by backend id
  // `see(target, health, detail)` for each target, in no order; what `detail` would repeat is not filled in.
  template <class See>
  void each_detail(See see) const {
    for (const auto& [id, state] : states_) see(state.target, state.verdict.health(), state.detail);
  }
  const Counters& counters() const { return counters_; }
  std::size_t in_flight() const { return in_flight_.size(); }

 private:
  struct State {
    Target target;
    Verdict verdict;
    Time due{};
    Time started{};
    Time ended = Time::min();       // of its last probe: until then the next one waited for that, not for us
    Time held_until = Time::min();  // by take_down()
    Time home{};                    // where its second probe belongs, when the first came early; 0: it is in its place
    std::uint64_t probe = 0;        // under way; 0 = none
    bool queued = false;            // it is in due_
    Detail detail{};                // health, name and via_path are filled in by details()
  };
  bool active(const State& state) const { return !(path_paused_ && state.target.via_path); }
  void schedule(State& state, Time due);
  void unschedule(State& state);
  void spread(State& state, Time now);  // a place in the interval; a first probe is asked for earlier
  Time until_next(const State& state);
  void schedule_next(std::uint32_t backend_id, Time now);
  void judge(State& state, const Outcome& outcome, Time now);
  void report_unknown(const Target& target, const std::string& cause, Time now);
  std::uint64_t random();

  Prober& prober_;
  std::uint64_t random_;
  std::size_t in_flight_max_;
  OnChange on_change_;
  OnUnknown on_unknown_;
  OnAnswer on_answer_;
  std::uint64_t unknown_ = 0;  // probes since the last report
  Time next_unknown_report_ = Time::min();
  bool path_paused_ = true;
  std::unordered_map<std::uint32_t, State> states_;             // by backend id
  std::set<std::pair<Time, std::uint32_t>> due_;                // states with no probe under way
  std::unordered_map<std::uint64_t, std::uint32_t> in_flight_;  // probe -> backend id; 0 once its result is unwanted
  std::uint64_t last_probe_ = 0;
  Counters counters_;
};

}  // namespace headgate::health
