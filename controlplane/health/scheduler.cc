#include "controlplane/health/scheduler.h"

#include <unordered_set>

namespace headgate::health {

std::uint64_t Scheduler::random() {  // splitmix64
  std::uint64_t z = (random_ += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

void Scheduler::schedule(State& state, Time due) {
  state.due = due;
  state.queued = true;
  due_.emplace(due, state.target.backend_id);
}

// Takes the target out of the queue and disowns its probe, whose result no longer counts.
void Scheduler::unschedule(State& state) {
  due_.erase({state.due, state.target.backend_id});
  state.queued = false;
  if (state.probe != 0) in_flight_[state.probe] = 0;
  state.probe = 0;
  state.verdict.forget_row();
}

Time Scheduler::until_next(const State& state) {
  const Target& target = state.target;
  const Time interval = state.verdict.in_question() ? std::min(target.fast_interval, target.interval) : target.interval;
  const auto part = static_cast<std::uint64_t>(interval.count()) / kJitter;
  return interval + Time(static_cast<Time::rep>(random() % (2 * part + 1)) - static_cast<Time::rep>(part));
}

void Scheduler::spread(State& state, Time now) {
  if (!active(state)) return;
  const Time interval = state.target.interval;
  const Time place(static_cast<Time::rep>(random() % static_cast<std::uint64_t>(interval.count())));
  state.home = Time{};
  if (state.verdict.health() != Health::unknown) return schedule(state, now + place);
  // Nothing is known: first probes come as close together as fast ones, where this machine can make so many. The second
  // is where it would be without that, or the whole load would stay in this part of each interval.
  const Time fast =
      std::min(interval, std::max(state.target.fast_interval, kFirstProbe * static_cast<Time::rep>(states_.size())));
  const double share = static_cast<double>(fast.count()) / static_cast<double>(interval.count());
  state.home = now + fast + place;
  schedule(state, now + Time(static_cast<Time::rep>(static_cast<double>(place.count()) * share)));
}

void Scheduler::set_targets(const std::vector<Target>& targets, const KnownHealth& known, Time now) {
  std::unordered_set<std::uint32_t> wanted;
  std::vector<State*> placed_anew;  // once it is known how many there are
  for (const Target& target : targets) {
    wanted.insert(target.backend_id);
    const auto before = known.find(target.backend_id);
    const Known start = before == known.end() ? Known{} : before->second;
    const auto [found, fresh] = states_.try_emplace(target.backend_id, State{target, Verdict(start.health)});
    State& state = found->second;
    if (fresh) {
      state.detail.changed = start.changed;
      state.detail.cause = start.cause;
    }
    if (!fresh && state.target == target) continue;
    if (!fresh) unschedule(state);
    state.target = target;
    placed_anew.push_back(&state);
  }
  for (auto it = states_.begin(); it != states_.end();) {
    if (wanted.contains(it->first)) {
      ++it;
    } else {
      unschedule(it->second);
      it = states_.erase(it);
    }
  }
  for (State* state : placed_anew) spread(*state, now);
}

void Scheduler::pause_path(bool paused, Time now) {
  if (paused == path_paused_) return;
  path_paused_ = paused;
  for (auto& [id, state] : states_) {
    if (!state.target.via_path) continue;
    if (paused) {
      unschedule(state);
    } else {
      spread(state, now);
    }
  }
}

void Scheduler::advance(Time now) {
  while (!due_.empty() && due_.begin()->first <= now && in_flight_.size() < in_flight_max_) {
    State& state = states_.at(due_.begin()->second);
    due_.erase(due_.begin());
    state.queued = false;
    const Time lag = now - std::max(state.due, state.ended);
    if (lag > state.target.interval) {  // we stood still, or are far too slow: no burst of all that was missed
      spread(state, now);
      continue;
    }
    counters_.lag_max = std::max(counters_.lag_max, lag);
    if (lag > state.target.interval / 20) ++counters_.late;
    ++counters_.started;
    state.probe = ++last_probe_;
    state.started = now;
    in_flight_[state.probe] = state.target.backend_id;
    prober_.start(state.probe, state.target);
  }
}

void Scheduler::completed(std::uint64_t probe, const Outcome& outcome, Time now) {
  const auto found = in_flight_.find(probe);
  if (found == in_flight_.end()) return;
  const std::uint32_t backend_id = found->second;
  in_flight_.erase(found);
  if (backend_id == 0) return;
  State& state = states_.at(backend_id);
  state.probe = 0;
  state.ended = now;
  const bool stalled = outcome.result == Result::failure && now - state.started > state.target.timeout + kStalled;
  if (stalled) {
    judge(state, {Result::unknown, "this process stood still meanwhile"}, now);
    spread(state, now);
  } else {
    judge(state, outcome, now);
    schedule_next(backend_id, now);
  }
}

// Looked up again: whoever was told of a verdict may have given us other targets meanwhile.
void Scheduler::schedule_next(std::uint32_t backend_id, Time now) {
  const auto found = states_.find(backend_id);
  if (found == states_.end() || found->second.queued || !active(found->second)) return;
  State& state = found->second;
  // From when it was due, not from when it began: probes that a busy moment delayed would stay together, and a process
  // that is busy anyhow would be late with them in each interval from then on. One that was very late leaves its next
  // place out: making up for it would be the most work where there is too much already.
  const Time apart = until_next(state);
  Time next = state.due + apart;
  if (next < state.started + apart / 2) next += apart;
  if (state.home != Time{} && !state.verdict.in_question()) {
    next = std::exchange(state.home, Time{});
    while (next <= now) next += state.target.interval;
  }
  schedule(state, next);
}

void Scheduler::judge(State& state, const Outcome& outcome, Time now) {
  state.detail.last = now;
  state.detail.last_result = outcome.result;
  state.detail.last_error = outcome.cause;
  if (outcome.result == Result::unknown) {
    ++counters_.unknown;
    report_unknown(state.target, outcome.cause, now);
    return;
  }
  const bool success = outcome.result == Result::success;
  ++(success ? counters_.succeeded : counters_.failed);
  if (success) state.detail.latency = now - state.started;
  if (success && on_answer_ && !outcome.answer.empty()) on_answer_(state.target, outcome.answer);
  if (success && now < state.held_until) return;
  const bool first = state.verdict.health() == Health::unknown;
  if (!state.verdict.observe(success, state.target.rise, state.target.fall)) return;
  const std::string count = std::to_string(success ? state.target.rise : state.target.fall);
  state.detail.changed = now;
  state.detail.cause = !success ? count + " of " + count + " probes failed, last: " + outcome.cause
                       : first  ? "its first probe succeeded"
                                : count + " of " + count + " probes succeeded";
  on_change_({state.target.backend_id, success, first,
              state.target.name + (success ? " up: " : " down: ") + state.detail.cause, now});
}

void Scheduler::take_down(std::uint32_t backend_id, const std::string& cause, Time hold, Time now) {
  const auto found = states_.find(backend_id);
  if (found == states_.end()) return;
  State& state = found->second;
  state.held_until = now + hold;
  if (state.verdict.health() == Health::down) return;
  state.verdict.set(Health::down);
  state.detail.changed = now;
  state.detail.cause = cause;
  on_change_({backend_id, false, false, state.target.name + " down: " + cause, now});
}

void Scheduler::report_unknown(const Target& target, const std::string& cause, Time now) {
  ++unknown_;
  if (now < next_unknown_report_) return;
  on_unknown_(unknown_, target, cause);
  unknown_ = 0;
  next_unknown_report_ = now + kUnknownEvery;
}

Time Scheduler::next_deadline() const {
  if (due_.empty() || in_flight_.size() >= in_flight_max_) return kNever;
  return due_.begin()->first;
}

Health Scheduler::health(std::uint32_t backend_id) const {
  const auto found = states_.find(backend_id);
  return found == states_.end() ? Health::up : found->second.verdict.health();
}

std::map<std::uint32_t, Detail> Scheduler::details() const {
  std::map<std::uint32_t, Detail> all;
  for (const auto& [id, state] : states_) {
    Detail detail = state.detail;
    detail.name = state.target.name;
    detail.health = state.verdict.health();
    detail.via_path = state.target.via_path;
    all.emplace(id, std::move(detail));
  }
  return all;
}

}  // namespace headgate::health
