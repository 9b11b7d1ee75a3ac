#include "tests/sim/vrrp_pair.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <utility>

namespace headgate::sim {

using vrrp::Action;
using vrrp::Group;
using vrrp::Role;

namespace {

constexpr std::size_t kLogLines = 3000;

IpAddress source_of(unsigned box, bool v6) {
  IpAddress address = v6 ? IpAddress{{0xfe, 0x80}} : IpAddress::from_v4(0xc0000200);
  address.bytes[15] = static_cast<std::uint8_t>(11 + box);
  return address;
}

}  // namespace

PairPlan random_plan(Rng& rng) {
  PairPlan plan;
  constexpr std::array<Nanos, 6> kIntervals{10, 10, 20, 50, 100, 1000};
  plan.interval = kIntervals[rng.below(kIntervals.size())] * kMillisecond;
  plan.priority[0] = static_cast<std::uint8_t>(60 + rng.below(190));
  do {
    plan.priority[1] = static_cast<std::uint8_t>(60 + rng.below(190));
  } while (std::abs(plan.priority[0] - plan.priority[1]) < 10);
  plan.preemption = static_cast<vrrp::Preemption>(rng.below(3));
  plan.preempt_delay = rng.below(30) * plan.interval;
  plan.both_families = rng.chance(0.5);
  plan.witness = rng.chance(0.7);
  plan.link_fault = rng.chance(0.7);
  return plan;
}

void Pair::at(Nanos time, Event event) {
  events_.push({std::max(time, now_), numbers_++, std::move(event)});
}

void Pair::run_until(Nanos time) {
  while (!events_.empty() && events_.top().at <= time) {
    Scheduled next = std::move(const_cast<Scheduled&>(events_.top()));
    events_.pop();
    for (Box& box : boxes_) box.served_until = std::min(box.served_until, next.at);
    last_served_ = std::max({last_served_, boxes_[0].served_until, boxes_[1].served_until});
    now_ = next.at;
    next.event();
    check();
  }
  now_ = time;
}

vrrp::GroupConfig Pair::config_of(unsigned box) const {
  vrrp::GroupConfig config{.id = GroupId{1}, .name = "web"};
  const failover::Rules rules = rules_of(box);
  config.priority = static_cast<std::uint8_t>(rules.groups[0].priority);
  config.degraded_priority = static_cast<std::uint8_t>(rules.groups[0].degraded_priority);
  config.interval = plan_.interval;
  config.preemption = plan_.preemption;
  config.preempt_delay = plan_.preempt_delay;
  config.startup_wait = 20 * plan_.interval;
  config.solo_lease = 8 * plan_.interval;
  config.has_peer = true;
  for (unsigned i = 0; i < (plan_.both_families ? 4 : 2); ++i) {
    vrrp::RouterConfig router{.interface = InterfaceId{1 + network_of(i)}, .vrid = 51, .v6 = i % 2 == 1};
    router.source = source_of(box, router.v6);
    config.routers.push_back(router);
  }
  return config;
}

void Pair::start_dataplane(unsigned box) {
  Box& self = boxes_[box];
  self.paused = self.stalled = self.stuck = false;
  self.waiting.clear();
  self.mailbox.clear();
  ++self.life;
  self.group = std::make_unique<Group>(config_of(box), now_);
  self.wake_at = kNever;
  note("box %u: dataplane starts", box);
  turn(box);
  tell_links(box);
  self.input = {};
  self.control_lease = true;
  self.heard_control = now_;
  self.epoch = 0;
  self.calls.clear();
  beat(box, self.life);
  watch_later(box);
}

void Pair::tell_links(unsigned box) {
  const std::size_t routers = boxes_[box].group->config().routers.size();
  for (std::size_t i = 0; i < routers; ++i) {
    const bool up = boxes_[box].ports[network_of(i)].carrier;
    to_thread(box, [this, box, i, up] { boxes_[box].group->link(i, up, now_); });
  }
}

void Pair::to_thread(unsigned box, Event event) {
  Box& self = boxes_[box];
  if (self.group == nullptr) return;
  if (!self.paused && !self.stalled) return step(box, event);
  if (self.waiting.size() < kRing) self.waiting.push_back(std::move(event));
}

// One turn of the thread's loop: what came, its actions, the timers, their actions.
void Pair::step(unsigned box, const Event& event) {
  event();
  act(box);
  turn(box);
}

void Pair::turn(unsigned box) {
  boxes_[box].group->advance(!boxes_[box].stuck, now_);
  act(box);
  wake(box);
}

// After a stop: all that waited is read before the timers.
void Pair::drain(unsigned box) {
  Box& self = boxes_[box];
  if (self.group == nullptr || self.paused || self.stalled) return;
  for (const Event& event : std::exchange(self.waiting, {})) {
    event();
    act(box);
  }
  turn(box);
  if (std::exchange(self.untold, false)) tell_state(box);
}

void Pair::wake(unsigned box) {
  Box& self = boxes_[box];
  const Nanos deadline = self.group->next_deadline();
  if (deadline == self.wake_at || deadline == kNever) return;
  self.wake_at = deadline;
  const Nanos late = between(0, 200 * kMicrosecond);
  at(std::max(deadline, now_) + late, [this, box, deadline, life = self.life] {
    Box& that = boxes_[box];
    if (that.life != life || that.wake_at != deadline) return;
    that.wake_at = kNever;
    if (!that.paused && !that.stalled && that.group != nullptr) turn(box);
  });
}

void Pair::act(unsigned box) {
  Box& self = boxes_[box];
  const std::vector<Action> actions = self.group->actions();
  const bool leased = self.group->active_until() > now_;
  bool changed = leased && !self.leased;
  self.leased = leased;
  for (const Action& action : actions) {
    if (action.kind == Action::Kind::send) {
      const Waiting advert{action.router, action.priority, action.interval, now_};
      after(between(5, 100) * kMicrosecond, [this, box, advert, life = self.life] {
        if (boxes_[box].life == life) to_worker(box, advert);
      });
    } else if (action.kind == Action::Kind::role) {
      changed = true;
      ++transitions_;
      if (self.group->status().role == Role::active) ++self.epoch;
      const std::string cause(self.group->status().cause.view());
      note("box %u: %s, %s", box, name(self.group->status().role), cause.c_str());
      if (cause.size() < 8) complain("a role changed without a cause");
    }
  }
  if (changed && self.stalled) self.untold = true;
  if (changed) tell_state(box);
}

void Pair::to_worker(unsigned box, const Waiting& advert) {
  Box& self = boxes_[box];
  if (self.group == nullptr) return;
  if (self.paused || self.stuck) {
    if (self.mailbox.size() < kRing) self.mailbox.push_back(advert);
    return;
  }
  transmit(box, advert);
}

void Pair::flush_mailbox(unsigned box) {
  Box& self = boxes_[box];
  if (self.paused || self.stuck) return;
  for (const Waiting& advert : std::exchange(self.mailbox, {})) {
    if (now_ - advert.since <= plan_.interval / 2) transmit(box, advert);
  }
}

void Pair::transmit(unsigned box, const Waiting& advert) {
  ++adverts_;
  const unsigned network = network_of(advert.router);
  after(between(5, 50) * kMicrosecond, [this, box, advert, accepted = now_, life = boxes_[box].life] {
    if (boxes_[box].life != life) return;
    to_thread(box,
              [this, box, advert, accepted] { boxes_[box].group->accepted(advert.router, advert.interval, accepted); });
  });
  const Port& port = boxes_[box].ports[network];
  if (!port.send || !port.carrier) return;
  for (unsigned copies = rng_.chance(weather_.duplicate) ? 2 : 1; copies > 0; --copies) {
    if (rng_.chance(weather_.loss)) continue;
    const Nanos delay = between(20, 200) * kMicrosecond + (weather_.jitter == 0 ? 0 : between(0, weather_.jitter));
    after(delay, [this, to = 1 - box, advert] { arrive(to, advert.router, advert.priority, advert.interval); });
  }
}

void Pair::arrive(unsigned box, std::size_t router, std::uint8_t priority, Nanos interval) {
  const Port& port = boxes_[box].ports[network_of(router)];
  if (!port.receive || !port.carrier || boxes_[box].group == nullptr) return;
  to_thread(box, [this, box, router, priority, interval] {
    vrrp::Advert advert{.vrid = 51, .priority = priority, .interval = interval};
    const bool v6 = boxes_[box].group->config().routers[router].v6;
    boxes_[box].group->received(router, advert, source_of(1 - box, v6), now_);
  });
}

void Pair::kill_dataplane(unsigned box, Nanos down_for) {
  if (boxes_[box].group == nullptr) return;
  note("box %u: dataplane killed for %lu ms", box, down_for / kMillisecond);
  end_dataplane(box, down_for);
}

void Pair::withdraw(unsigned box, Nanos away_for) {
  Box& self = boxes_[box];
  if (self.group == nullptr || self.paused || self.stalled || self.stuck) return;
  note("box %u: switched off in order for %lu ms", box, away_for / kMillisecond);
  self.group->resign(now_, "switched off in order");
  const std::vector<Action> actions = self.group->actions();
  for (const Action& action : actions) {
    if (action.kind == Action::Kind::send) transmit(box, {action.router, action.priority, action.interval, now_});
  }
  end_dataplane(box, away_for);
}

void Pair::end_dataplane(unsigned box, Nanos down_for) {
  Box& self = boxes_[box];
  self.group.reset();
  self.served_until = std::min(self.served_until, now_);
  ++self.life;
  self.calls.clear();
  // The stream ends after all that was said on it.
  const Nanos ends = std::max({self.watch, self.answers, now_ + between(100, 2000) * kMicrosecond});
  to_control(box, ends - now_, [](PairControl& control) { control.watch_ended(); });
  call_failed(box, self.call);
  if (self.notice_armed) {
    after(between(500, 2000) * kMicrosecond, [this, box] {
      if (!ha_cut_) to_control(1 - box, 0, [](PairControl& control) { control.notice(); });
    });
  }
  after(down_for, [this, box, life = self.life] {
    if (boxes_[box].life == life) start_dataplane(box);
  });
}

void Pair::pause_dataplane(unsigned box, bool paused) {
  Box& self = boxes_[box];
  if (self.group == nullptr || self.paused == paused) return;
  note("box %u: dataplane %s", box, paused ? "stopped" : "continues");
  self.paused = paused;
  flush_mailbox(box);
  // The API's threads run beside the one that elects: either may be first.
  const bool api_first = rng_.chance(0.5);
  if (!api_first) drain(box);
  while (!self.paused && !self.calls.empty()) {
    const Event call = std::move(self.calls.front());
    self.calls.pop_front();
    call();
  }
  if (api_first) drain(box);
  if (!self.paused) tell_state(box);  // the second between two words of WatchFailover is over
}

void Pair::pause_box(unsigned box, bool paused) {
  note("box %u: %s as a whole", box, paused ? "stands still" : "goes on");
  const bool control_first = rng_.chance(0.5);
  if (control_first) pause_control(box, paused);
  pause_dataplane(box, paused);
  if (!control_first) pause_control(box, paused);
}

void Pair::stall_thread(unsigned box, bool stalled) {
  if (boxes_[box].group == nullptr || boxes_[box].stalled == stalled) return;
  note("box %u: VRRP thread %s", box, stalled ? "stalls" : "continues");
  boxes_[box].stalled = stalled;
  drain(box);
}

void Pair::stick_worker(unsigned box, bool stuck) {
  if (boxes_[box].group == nullptr || boxes_[box].stuck == stuck) return;
  note("box %u: a worker is %s", box, stuck ? "stuck" : "free again");
  boxes_[box].stuck = stuck;
  flush_mailbox(box);
}

void Pair::cut_send(unsigned box, unsigned network, bool cut) {
  note("box %u: network %u, sending %s", box, network, cut ? "cut" : "works");
  boxes_[box].ports[network].send = !cut;
}

void Pair::cut_receive(unsigned box, unsigned network, bool cut) {
  note("box %u: network %u, receiving %s", box, network, cut ? "cut" : "works");
  boxes_[box].ports[network].receive = !cut;
}

void Pair::carrier(unsigned box, unsigned network, bool up) {
  note("box %u: network %u, carrier %s", box, network, up ? "up" : "down");
  boxes_[box].ports[network].carrier = up;
  after(between(100, 1000) * kMicrosecond, [this, box] {
    if (boxes_[box].group != nullptr) tell_links(box);
  });
  // The control plane hears of it with the statistics, each 250 ms.
  to_control(box, between(1, 260) * kMillisecond, [this, box, network](PairControl& control) {
    control.links(boxes_[box].ports[network].carrier, network);
  });
}

void Pair::weather(const Weather& weather) {
  note("adverts: %.0f %% lost, %.0f %% twice, up to %lu us late", weather.loss * 100, weather.duplicate * 100,
       weather.jitter / kMicrosecond);
  weather_ = weather;
}

void Pair::heal() {
  note("all is healed");
  weather_ = {};
  cut_ha(false);
  for (unsigned box = 0; box < 2; ++box) {
    for (unsigned network = 0; network < kNetworks; ++network) {
      boxes_[box].ports[network] = {};
      carrier(box, network, true);
    }
    pause_dataplane(box, false);
    stall_thread(box, false);
    stick_worker(box, false);
    pause_control(box, false);
    start_control(box);
  }
}

void Pair::note(const char* format, ...) {
  char line[300];
  const int at =
      std::snprintf(line, sizeof line, "%12.3f ms  ", static_cast<double>(now_ - 1000 * kSecond) / kMillisecond);
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line + at, sizeof line - static_cast<std::size_t>(at), format, arguments);
  va_end(arguments);
  log_.emplace_back(line);
  if (log_.size() > kLogLines) log_.pop_front();
}

std::string Pair::log() const {
  char head[200];
  std::snprintf(
      head, sizeof head, "interval %lu ms, priorities %u and %u, preemption %u after %lu ms, %s, %s witness%s\n",
      plan_.interval / kMillisecond, plan_.priority[0], plan_.priority[1], static_cast<unsigned>(plan_.preemption),
      plan_.preempt_delay / kMillisecond, plan_.both_families ? "4 routers" : "2 routers", plan_.witness ? "a" : "no",
      plan_.link_fault ? "" : ", a link degrades");
  std::string result = head;
  for (const std::string& line : log_) result += line + "\n";
  return result;
}

}  // namespace headgate::sim
