#include "dataplane/vrrp/group_testing.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "dataplane/base/check.h"

namespace headgate::vrrp::testing {

GroupConfig config_of(const BoxSpec& spec) {
  GroupConfig config{.id = GroupId{1}, .name = "web"};
  config.priority = spec.priority;
  config.interval = spec.interval;
  config.preemption = spec.preemption;
  config.preempt_delay = spec.preempt_delay;
  config.startup_wait = spec.startup_wait;
  config.has_peer = spec.has_peer;
  for (std::size_t i = 0; i < spec.routers; ++i) {
    const bool v6 = i % 2 == 1;
    RouterConfig router{.interface = InterfaceId{static_cast<std::uint32_t>(1 + i / 2)}, .vrid = 51, .v6 = v6};
    router.version = v6 ? 3 : spec.version;
    router.checksum = spec.checksum;
    router.source = ip(v6 ? spec.source_v6 : spec.source_v4);
    router.addresses = v6 ? ips({"fe80::100", "2001:db8::100"}) : ips({"192.0.2.100"});
    if (!v6) router.peers = spec.peers;
    config.routers.push_back(router);
  }
  return config;
}

Bench::Bench(const BoxSpec& spec, Nanos start) : config_(config_of(spec)), group_(config_, start), now_(start) {}

void Bench::act() {
  const std::vector<Action> actions = group_.actions();  // the next call clears them
  if (!actions.empty()) last_ = actions;
  for (const Action& action : actions) {
    switch (action.kind) {
      case Action::Kind::send:
        if (action.router == 0) ++sent_[action.priority];
        if (driver_accepts && accepts_on[action.router]) group_.accepted(action.router, action.interval, now_);
        break;
      case Action::Kind::announce:
        ++announced_;
        break;
      case Action::Kind::role:
        char at[32];
        std::snprintf(at, sizeof at, "%.3f ", static_cast<double>(since_start()) / kMillisecond);
        trace_.push_back(std::string(at) + name(role()) + ": " + cause());
        break;
    }
  }
}

void Bench::advance() {
  group_.advance(progress, now_);
  act();
}

void Bench::run(Nanos span) {
  const Nanos end = now_ + span;
  if (group_.next_deadline() > now_) group_.idle(now_);
  for (unsigned turns = 0; group_.next_deadline() <= end; ++turns) {
    HEADGATE_CHECK(turns < 10'000'000);
    now_ = std::max(now_, group_.next_deadline());
    advance();
  }
  now_ = end;
}

void Bench::run_hearing(Nanos span, std::uint8_t priority, Nanos period, Nanos interval) {
  if (period == 0) period = config_.interval;
  for (const Nanos end = now_ + span; now_ < end;) {
    hear(priority, interval);
    run(std::min(period, end - now_));
  }
}

Oddity Bench::hear_on(std::size_t router, std::uint8_t priority, Nanos interval, const char* source) {
  const RouterConfig& config = config_.routers[router];
  const Bytes addresses = wire(config.addresses);
  Advert advert{.version = config.version, .vrid = config.vrid, .priority = priority};
  advert.interval = interval != 0 ? interval : config_.interval;
  advert.form = config.v6 ? ChecksumForm::pseudo_header : ChecksumForm::plain;
  advert.addresses = addresses;
  const char* from = source != nullptr ? source : config.v6 ? "fe80::12" : "192.0.2.12";
  const Oddity oddity = group_.received(router, advert, ip(from), now_);
  act();
  return oddity;
}

void Bench::hear(std::uint8_t priority, Nanos interval) {
  for (std::size_t i = 0; i < config_.routers.size(); ++i) hear_on(i, priority, interval);
}

void Bench::input(const Input& input) {
  group_.input(input, now_);
  act();
}

void Bench::link(std::size_t router, bool up) {
  group_.link(router, up, now_);
  act();
}

void Bench::configure(const GroupConfig& config) {
  config_ = config;
  group_.configure(config, now_);
  act();
}

void Bench::resign(const char* why) {
  group_.resign(now_, why);
  act();
}

void Bench::become_backup() {
  run_hearing(5 * kSecond, 150);
  HEADGATE_CHECK(role() == Role::backup);
  take_trace();
}

void Bench::become_active() {
  run(std::max<Nanos>(20 * config_.interval, 5 * kSecond));
  HEADGATE_CHECK(role() == Role::active);
  take_trace();
  sent_ = {};
  announced_ = 0;
}

std::vector<std::string> Bench::take_trace() {
  return std::exchange(trace_, {});
}

unsigned Bench::sent(std::uint8_t priority) {
  return std::exchange(sent_[priority], 0);
}

unsigned Bench::announced() {
  return std::exchange(announced_, 0);
}

}  // namespace headgate::vrrp::testing
