#include "tests/sim/pair_control.h"

#include <utility>

#include "controlplane/failover/link_words.h"

namespace headgate::sim {

namespace dp = dataplane::v1;
using failover::Clock;
using failover::Reach;

namespace {

// As in link_session.cc and app/failover_watch.h.
constexpr Nanos kSecondLook = 2 * kMillisecond, kReadEvery = 240 * kMillisecond;

Nanos nanos(std::chrono::nanoseconds span) {
  return static_cast<Nanos>(span.count());
}

std::chrono::nanoseconds chrono(Nanos span) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(span));
}

}  // namespace

PairControl::PairControl(World& world, failover::Rules rules, std::uint64_t seed, std::uint64_t saved_epoch)
    : world_(world),
      instance_(seed),
      director_(seed),
      pings_(
          *this, seed,
          [this](const health::Change&) {
            read_reach();
            decide();
          },
          [](std::uint64_t, const health::Target&, const std::string&) {}),
      saved_epoch_(saved_epoch) {
  director_.set_epoch(saved_epoch);
  director_.set_rules(std::move(rules));
  view_.configured = director_.rules().pair;
  pings_.set_targets(targets_.of(director_.rules()), {}, chrono(world_.now()));
  read_reach();
  ping();
  tick();
}

failover::Time PairControl::now() const {
  return failover::Time(chrono(world_.now()));
}

void PairControl::run(Event event) {
  if (!paused_) return event();
  if (waiting_.size() < kWaitingMax) waiting_.push_back(std::move(event));
}

void PairControl::later(Nanos span, Event event) {
  world_.after(span, [this, alive = std::weak_ptr<int>(alive_), event = std::move(event)] {
    if (!alive.expired()) run(event);
  });
}

void PairControl::pause(bool paused) {
  paused_ = paused;
  while (!paused_ && !waiting_.empty()) {
    const Event event = std::move(waiting_.front());
    waiting_.pop_front();
    event();
  }
}

void PairControl::decide() {
  if (std::exchange(deciding_, true)) return;
  const failover::Decision decision = director_.decide(view_, now());
  for (const failover::Note& note : decision.notes) world_.tell(note.text);
  if (decision.to_dataplane) {
    next_.emplace(decision.input, decision.version);
    send_next();
  }
  if (decision.word != said_) {
    said_ = decision.word;
    speak();
  }
  if (director_.epoch() > saved_epoch_) world_.save_epoch(saved_epoch_ = director_.epoch());
  arm();
  deciding_ = false;
}

void PairControl::tick() {
  notice_pace_.kept(now(), kHeartbeat);
  read_reach();
  decide();
  later(kReadEvery, [this] { tick(); });
}

void PairControl::arm() {
  const failover::Time deadline = director_.next_deadline();
  const std::uint64_t round = ++deadline_round_;
  if (deadline == failover::Time::max()) return;
  const Nanos at = nanos(deadline.time_since_epoch());
  later(at > world_.now() ? at - world_.now() : 0, [this, round] {
    if (round == deadline_round_) decide();
  });
}

// --- the dataplane ---

void PairControl::send_next() {
  if (calling_ || !next_) return;
  calling_ = true;
  call_version_ = next_->second;
  const dp::FailoverInput input = std::move(next_->first);
  next_.reset();
  world_.set_failover(input);
}

void PairControl::state(const dp::FailoverState& state) {
  run([this, state] { on_state(state); });
}

void PairControl::on_state(const dp::FailoverState& state) {
  known_ = true;
  if (!std::exchange(runs_, true)) {
    ++incarnation_;
    speak();
  }
  director_.set_state(state, now());
  decide();
}

void PairControl::answered(const dp::FailoverState& state) {
  run([this, state] {
    calling_ = false;
    on_state(state);
    director_.delivered(call_version_);
    decide();
    send_next();
  });
}

void PairControl::failed() {
  run([this] {
    calling_ = false;
    lose();
    send_next();
  });
}

void PairControl::watch_ended() {
  run([this] {
    if (std::exchange(runs_, false)) speak();
    lose();
  });
}

void PairControl::lose() {
  if (!std::exchange(known_, false)) return;
  director_.set_state(std::nullopt, now());
  decide();
}

void PairControl::links(bool up, unsigned network) {
  run([this, up, network] {
    const std::string interface = "net" + std::to_string(network);
    if (!director_.rules().links.contains(interface)) return;
    const Reach seen = up ? Reach::yes : Reach::no;
    if (std::exchange(observed_.links[interface], seen) == seen) return;
    director_.set_observed(observed_);
    decide();
  });
}

// --- the HA link ---

void PairControl::session_began(std::uint64_t instance) {
  run([this, instance] {
    session_ = true;
    ++sessions_;
    hearing_.begin(now());
    pace_.kept(now(), kHeartbeat);
    peer_life_.meet(instance);
    speak_regularly();
    watch_silence();
  });
}

void PairControl::session_ended() {
  run([this] { session_ = false; });
}

void PairControl::speak() {
  if (!session_) return;
  ha::v1::Heartbeat heartbeat;
  failover::fill(said_, heartbeat);
  heartbeat.set_dataplane_runs(runs_);
  heartbeat.set_dataplane_incarnation(incarnation_);
  heartbeat.set_interval_ms(static_cast<std::uint32_t>(kHeartbeat.count()));
  world_.say(heartbeat);
}

bool PairControl::stood_still() {
  if (!session_ || !pace_.stood_still(now(), kHeartbeat)) return false;
  session_ = false;
  world_.hang_up();
  return true;
}

void PairControl::speak_regularly() {
  if (stood_still()) return;
  pace_.kept(now(), kHeartbeat);
  speak();
  later(nanos(kHeartbeat), [this, round = sessions_] {
    if (session_ && round == sessions_) speak_regularly();
  });
}

void PairControl::heartbeat(const ha::v1::Heartbeat& heartbeat) {
  run([this, heartbeat] {
    if (!session_ || stood_still()) return;
    auto word = failover::word_of(heartbeat);
    if (!word) return world_.tell("BROKEN: a heartbeat of ours is none");
    hearing_.heard(now(), std::chrono::milliseconds(heartbeat.interval_ms()));
    view_.heard = now();
    const bool was_up = std::exchange(view_.link_up, true);
    const bool alive = peer_life_.heard(heartbeat.dataplane_runs(), heartbeat.dataplane_incarnation());
    const bool news = !was_up || alive || *word != view_.word;
    view_.word = std::move(*word);
    view_.dead = peer_life_.dead();
    view_.agreed = true;
    if (!was_up) watch_silence();
    if (news) decide();
  });
}

void PairControl::watch_silence() {
  const bool silent = hearing_.silent(now());
  const Nanos at = nanos((silent ? hearing_.gone_at() : hearing_.silent_at()).time_since_epoch()) + kSecondLook;
  later(at > world_.now() ? at - world_.now() : 0, [this, round = ++silence_round_] {
    if (round != silence_round_) return;
    later(kSecondLook, [this, round] {
      if (round == silence_round_) judge_silence();
    });
  });
}

void PairControl::judge_silence() {
  if (session_ && hearing_.gone(now())) {
    session_ = false;
    world_.hang_up();
  } else if (hearing_.silent(now()) == view_.link_up) {
    view_.link_up = !view_.link_up;
    decide();
  }
  if (session_ || !hearing_.silent(now())) watch_silence();
}

void PairControl::notice() {
  run([this] {
    if (notice_pace_.may_be_old(now(), kHeartbeat)) return;
    peer_life_.died();
    view_.dead = true;
    decide();
  });
}

// --- pings ---

void PairControl::start(std::uint64_t probe, const health::Target& target) {
  const bool answers = world_.witness_answers();
  const Nanos takes = answers ? world_.between(100, 900) * kMicrosecond : nanos(target.timeout);
  later(takes, [this, probe, answers] {
    const auto result = answers ? health::Result::success : health::Result::failure;
    pings_.completed(probe, {.result = result, .cause = answers ? "" : "no answer"}, chrono(world_.now()));
    ping();
  });
}

void PairControl::ping() {
  pings_.advance(chrono(world_.now()));
  const health::Time next = pings_.next_deadline();
  if (next == health::kNever || (pings_at_ != kNever && nanos(next) >= pings_at_)) return;
  pings_at_ = nanos(next);
  later(pings_at_ > world_.now() ? pings_at_ - world_.now() : 0, [this, at = pings_at_] {
    if (at != pings_at_) return;
    pings_at_ = kNever;
    ping();
  });
}

void PairControl::read_reach() {
  failover::ReachSeen seen;
  pings_.each_detail([&](const auto& target, auto health, const auto& detail) { seen(target, health, detail); });
  seen.put(director_.rules(), observed_);
  director_.set_observed(observed_);
}

// --- the operator ---

bool PairControl::can_switch() const {
  return !paused_ && director_.has_state() && director_.can_switch(director_.rules().groups[0].name, view_).has_value();
}

void PairControl::switch_group() {
  director_.begin_switch(director_.rules().groups[0].name, now());
  decide();
}

}  // namespace headgate::sim
