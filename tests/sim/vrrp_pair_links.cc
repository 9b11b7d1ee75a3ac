// The API between the dataplanes and their control planes, the HA link, and what must always be true.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "controlplane/compile/id_table.h"
#include "dataplane/app/failover_words.h"
#include "tests/sim/vrrp_pair.h"

namespace headgate::sim {

namespace dp = dataplane::v1;
using vrrp::Role;

namespace {

constexpr std::size_t kUnsentMax = 64;                 // heartbeats in a socket's buffer
constexpr Nanos kControlGrace = 30 * kSecond;          // config.proto, control_grace_s
constexpr Nanos kAnswerLimit = 1000 * kMillisecond;    // failover/channel.h, kAnswer
constexpr Nanos kWatchAgain = 100 * kMillisecond;      // kRetry there
constexpr Nanos kRetransmission = 400 * kMillisecond;  // of TCP, after a cut that lasted less than a second

}  // namespace

class Pair::World final : public PairControl::World {
 public:
  World(Pair& pair, unsigned box) : pair_(pair), box_(box) {}
  Nanos now() const override { return pair_.now_; }
  void after(Nanos span, PairControl::Event event) override { pair_.after(span, std::move(event)); }
  Nanos between(Nanos low, Nanos high) override { return pair_.between(low, high); }
  void set_failover(const dp::FailoverInput& input) override { pair_.set_failover(box_, input); }
  void say(const ha::v1::Heartbeat& heartbeat) override { pair_.say(box_, heartbeat); }
  void hang_up() override { pair_.end_session(box_); }
  bool witness_answers() const override { return pair_.witness_answers(box_); }
  void save_epoch(std::uint64_t epoch) override { pair_.boxes_[box_].saved_epoch = epoch; }
  void tell(const std::string& event) override { pair_.note("box %u: %s", box_, event.c_str()); }

 private:
  Pair& pair_;
  const unsigned box_;
};

Pair::Pair(const PairPlan& plan, std::uint64_t seed)
    : plan_(plan), rng_(seed), seed_(seed), verbose_(std::getenv("HEADGATE_VERBOSE") != nullptr) {
  good_since_.fill(now_);
  last_served_ = now_;
  for (unsigned box = 0; box < 2; ++box) {
    boxes_[box].world = std::make_unique<World>(*this, box);
    after(between(0, plan_.interval), [this, box] { start_dataplane(box); });
    after(between(0, plan_.interval), [this, box] { start_control(box); });
  }
}

Pair::~Pair() = default;

failover::Rules Pair::rules_of(unsigned box) const {
  config::v1::Config config;
  auto& pair = *config.mutable_failover();
  pair.set_side(box == 0 ? config::v1::A : config::v1::B);
  pair.mutable_ha_link();
  if (plan_.witness) pair.add_witness("192.0.2.1");
  auto& group = *config.add_group();
  group.set_name("web");
  group.set_priority_a(plan_.priority[0]);
  group.set_priority_b(plan_.priority[1]);
  group.set_interval_ms(static_cast<std::uint32_t>(plan_.interval / kMillisecond));
  for (unsigned network = 0; network < kNetworks; ++network) {
    const std::string name = "net" + std::to_string(network);
    group.add_router()->set_interface(name);
    if (plan_.link_fault) continue;
    auto& track = *group.add_track();
    track.set_interface(name);
    track.set_effect(config::v1::Group::Track::DEGRADED);
  }
  compile::IdTable ids;
  ids.assign(compile::Kind::group, "web");
  return failover::rules_of(config, ids);
}

// --- the dataplane's API ---

vrrp::Input Pair::in_force(unsigned box) const {
  return boxes_[box].control_lease ? boxes_[box].input : app::without_control(boxes_[box].input);
}

dp::FailoverState Pair::state_of(unsigned box) const {
  dp::FailoverState state;
  app::describe(*boxes_[box].group, in_force(box).health, now_, *state.add_group());
  state.set_epoch(boxes_[box].epoch);
  state.set_control_lease(boxes_[box].control_lease);
  return state;
}

void Pair::beat(unsigned box, unsigned life) {
  Box& self = boxes_[box];
  if (self.life != life) return;
  after(kSecond, [this, box, life] { beat(box, life); });
  if (self.paused) return;
  if (!self.stalled && self.control_lease && now_ - self.heard_control > kControlGrace) {
    note("box %u: no word from the control plane within the grace", box);
    self.control_lease = false;
    step(box, [this, box] { boxes_[box].group->input(in_force(box), now_); });
  }
  tell_state(box);
}

void Pair::to_control(unsigned box, Nanos delay, std::function<void(PairControl&)> event) {
  after(delay, [this, box, event = std::move(event), life = boxes_[box].control_life] {
    if (boxes_[box].control_life == life && boxes_[box].control != nullptr) event(*boxes_[box].control);
  });
}

// By the API's threads, which run while the VRRP thread stalls.
void Pair::tell_state(unsigned box) {
  Box& self = boxes_[box];
  if (self.group == nullptr || self.paused || self.control == nullptr) return;
  self.watch = std::max(self.watch, now_ + between(50, 500) * kMicrosecond);
  to_control(box, self.watch - now_, [state = state_of(box)](PairControl& control) { control.state(state); });
}

void Pair::watch_later(unsigned box) {
  after(between(0, kWatchAgain), [this, box] { tell_state(box); });
}

void Pair::set_failover(unsigned box, const dp::FailoverInput& input) {
  Box& self = boxes_[box];
  const std::uint64_t call = ++self.call;
  self.calling = true;
  after(kAnswerLimit, [this, box, call] { call_failed(box, call); });
  in_order(self.requests, between(50, 500) * kMicrosecond, [this, box, call, input] {
    Box& that = boxes_[box];
    if (that.group == nullptr) return call_failed(box, call);
    const Event event = [this, box, call, input] {
      apply(box, input);
      answer(box, call);
    };
    if (!that.paused) return event();
    if (that.calls.size() < kRing) that.calls.push_back(event);
  });
}

void Pair::apply(unsigned box, const dp::FailoverInput& input) {
  Box& self = boxes_[box];
  self.heard_control = now_;
  self.control_lease = true;
  self.epoch = std::max(self.epoch, input.epoch());
  self.input = app::input_of(input.group(0));
  if (verbose_) note("box %u: told %s", box, input.ShortDebugString().c_str());
  self.group->input(in_force(box), now_);
  act(box);
  if (self.stalled) return;
  // The thread is woken. After a stop the worker may not have emptied its queues yet; for an active box whose lease is
  // over, and a backup that is due, it does before anything is decided (Election::catch_up()).
  const Role role = self.group->status().role;
  const bool lapsed = role == Role::active && self.group->active_until() <= now_;
  const bool due = role == Role::backup && self.group->next_deadline() <= now_;
  lapsed || due ? drain(box) : turn(box);
}

void Pair::answer(unsigned box, std::uint64_t call) {
  Box& self = boxes_[box];
  self.answers = std::max(self.answers, now_ + between(50, 500) * kMicrosecond);
  to_control(box, self.answers - now_, [this, box, call, state = state_of(box)](PairControl& control) {
    if (boxes_[box].call != call || !std::exchange(boxes_[box].calling, false)) return;
    control.answered(state);
  });
}

void Pair::call_failed(unsigned box, std::uint64_t call) {
  if (boxes_[box].call != call || !std::exchange(boxes_[box].calling, false)) return;
  to_control(box, between(100, 2000) * kMicrosecond, [](PairControl& control) { control.failed(); });
}

// --- the control planes and the HA link ---

void Pair::kill_control(unsigned box) {
  Box& self = boxes_[box];
  if (self.control == nullptr) return;
  note("box %u: control plane killed", box);
  self.control.reset();
  ++self.control_life;
  self.calling = false;
  boxes_[1 - box].notice_armed = false;  // nobody knows its key
  if (self.session != 0) end_session(box);
}

void Pair::start_control(unsigned box) {
  Box& self = boxes_[box];
  if (self.control != nullptr) return;
  note("box %u: control plane starts", box);
  const std::uint64_t seed = seed_ * 4096 + 2 * self.control_life + box;
  self.control = std::make_unique<PairControl>(*self.world, rules_of(box), seed, self.saved_epoch);
  for (unsigned network = 0; network < kNetworks; ++network) {
    to_control(box, between(1, 260) * kMillisecond, [this, box, network](PairControl& control) {
      control.links(boxes_[box].ports[network].carrier, network);
    });
  }
  watch_later(box);
  connect_later();
}

void Pair::pause_control(unsigned box, bool paused) {
  PairControl* control = boxes_[box].control.get();
  if (control == nullptr || control->paused() == paused) return;
  note("box %u: control plane %s", box, paused ? "stopped" : "continues");
  control->pause(paused);
  if (!paused) connect_later();
}

void Pair::connect() {
  Box &a = boxes_[0], &b = boxes_[1];
  const auto runs = [](const Box& box) { return box.control != nullptr && !box.control->paused(); };
  if (ha_cut_ || !runs(a) || !runs(b) || a.session != 0) return;
  if (b.session != 0) b.control->session_ended();  // the peer connected anew
  a.session = b.session = ++sessions_;
  a.notice_armed = b.notice_armed = true;
  a.unsent.clear();
  b.unsent.clear();
  a.control->session_began(b.control->instance());
  b.control->session_began(a.control->instance());
}

// This end has closed it; the other one learns of that, unless there is a cut.
void Pair::end_session(unsigned box) {
  const std::uint64_t session = std::exchange(boxes_[box].session, 0);
  connect_later();
  after(between(100, 1500) * kMicrosecond, [this, to = 1 - box, session] {
    if (ha_cut_ || boxes_[to].session != session || boxes_[to].control == nullptr) return;
    boxes_[to].session = 0;
    boxes_[to].control->session_ended();
  });
}

void Pair::say(unsigned box, const ha::v1::Heartbeat& heartbeat) {
  Box& self = boxes_[box];
  const auto keep = [this, box](const ha::v1::Heartbeat& said) {
    auto& unsent = boxes_[box].unsent;
    if (unsent.size() < kUnsentMax) unsent.push_back(said);
  };
  if (self.session == 0) return;
  if (verbose_) note("box %u: says %s", box, heartbeat.ShortDebugString().c_str());
  if (ha_cut_) return keep(heartbeat);
  in_order(boxes_[1 - box].words, between(100, 1500) * kMicrosecond,
           [this, box, keep, heartbeat, session = self.session] {
             if (boxes_[box].session != session) return;
             if (ha_cut_) return keep(heartbeat);
             Box& peer = boxes_[1 - box];
             if (peer.session == session) return peer.control->heartbeat(heartbeat);
             end_session(box);  // the other end is closed, and its kernel says so
             boxes_[box].control->session_ended();
           });
}

void Pair::cut_ha(bool cut) {
  note("HA link %s", cut ? "cut" : "works");
  if (std::exchange(ha_cut_, cut) == cut || cut) return;
  for (unsigned box = 0; box < 2; ++box) {
    Nanos& arrives = boxes_[1 - box].words;
    arrives = std::max(arrives, now_ + between(0, kRetransmission));
    for (const ha::v1::Heartbeat& heartbeat : std::exchange(boxes_[box].unsent, {})) say(box, heartbeat);
  }
  connect_later();
}

bool Pair::ha_works() const {
  return !ha_cut_ && boxes_[0].session != 0 && boxes_[0].session == boxes_[1].session &&
         std::all_of(boxes_.begin(), boxes_.end(),
                     [](const Box& box) { return box.control != nullptr && !box.control->paused(); });
}

bool Pair::witness_answers(unsigned box) const {
  const auto works = [](const Port& port) { return port.send && port.receive && port.carrier; };
  return std::any_of(boxes_[box].ports.begin(), boxes_[box].ports.end(), works);
}

// Three pings in vain and the time in which the peer would notice the same (reach.cc, Director::cut_off_for()).
Nanos Pair::witness_time() const {
  const Nanos every = std::clamp<Nanos>(plan_.interval, 100 * kMillisecond, kSecond);
  const Nanos fast = std::min(every, 200 * kMillisecond), timeout = std::min(every, 500 * kMillisecond);
  const Nanos silent = every + 2 * std::max(fast, timeout) + timeout;
  return silent * 51 / 50 + every * 5 / 4 + 125 * kMillisecond + 50 * kMillisecond;
}

// By the console of either box.
void Pair::switch_over(unsigned to) {
  if (!ha_works() || active() != static_cast<int>(1 - to)) return;
  const unsigned at = rng_.below(2);
  if (!boxes_[at].control->can_switch()) return;
  note("the operator of box %u switches to box %u", at, to);
  boxes_[at].control->switch_group();
}

bool Pair::one_epoch() const {
  const auto same = [&](const Box& box) {
    return box.control == nullptr || box.control->epoch() == boxes_[0].control->epoch();
  };
  const auto dataplane = [&](const Box& box) {
    return box.group == nullptr || box.epoch == boxes_[0].control->epoch();
  };
  return boxes_[0].control != nullptr && std::all_of(boxes_.begin(), boxes_.end(), same) &&
         std::all_of(boxes_.begin(), boxes_.end(), dataplane);
}

vrrp::Role Pair::role(unsigned box) const {
  return alive(box) ? boxes_[box].group->status().role : Role::fault;
}

bool Pair::forwards(unsigned box) const {
  return alive(box) && !boxes_[box].paused && boxes_[box].group->active_until() > now_;
}

bool Pair::serves(unsigned box) const {
  if (!forwards(box) || boxes_[box].stuck) return false;
  const auto works = [](const Port& port) { return port.send && port.receive && port.carrier; };
  return forwarding_counts_ || std::all_of(boxes_[box].ports.begin(), boxes_[box].ports.end(), works);
}

int Pair::active() const {
  if (forwards(0) == forwards(1)) return -1;
  return forwards(0) ? 0 : 1;
}

Nanos Pair::down_interval(unsigned box) const {
  return 3 * plan_.interval + (256 - Nanos{plan_.priority[box]}) * plan_.interval / 256;
}

bool Pair::network_works(unsigned network) const {
  return weather_.loss == 0 && std::all_of(boxes_.begin(), boxes_.end(), [network](const Box& box) {
           const Port& port = box.ports[network];
           return port.send && port.receive && port.carrier;
         });
}

void Pair::check_paths() {
  const auto keep = [this](Nanos& since, bool good) {
    if (!good) {
      since = kNever;
    } else if (since == kNever) {
      since = now_;
    }
  };
  for (unsigned network = 0; network < kNetworks; ++network) keep(good_since_[network], network_works(network));
  keep(good_since_[kNetworks], ha_works());
}

// What went wrong while they were apart has a second and the down interval to settle.
bool Pair::connected() const {
  const Nanos long_enough = kSecond + 4 * plan_.interval;
  return std::any_of(good_since_.begin(), good_since_.end(),
                     [&](Nanos since) { return since != kNever && now_ - since >= long_enough; });
}

void Pair::check() {
  check_paths();
  if (forwards(0) && forwards(1) && connected()) complain("both boxes forward while a path connects them");
  for (unsigned box = 0; box < 2; ++box) {
    boxes_[box].served_until = serves(box) ? boxes_[box].group->active_until() : 0;
  }
  if (!serves(0) && !serves(1)) return;
  longest_gap_ = std::max(longest_gap_, now_ - last_served_);
  last_served_ = now_;
}

Nanos Pair::take_longest_gap() {
  if (!serves(0) && !serves(1)) longest_gap_ = std::max(longest_gap_, now_ - last_served_);
  return std::exchange(longest_gap_, 0);
}

void Pair::complain(const std::string& what) {
  if (!trouble_.empty()) return;
  note("BROKEN: %s", what.c_str());
  trouble_ = what;
}

}  // namespace headgate::sim
