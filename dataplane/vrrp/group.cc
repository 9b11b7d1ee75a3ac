#include "dataplane/vrrp/group.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <utility>

#include "dataplane/base/check.h"

namespace headgate::vrrp {
namespace {

// Of one event: give up (16), answer (16), take (16), some announcements and roles.
constexpr std::size_t kActionsMax = 4 * kRoutersMax;

// Version 2 counts in whole seconds and learns nothing, so a group in which one router speaks it does, too.
Nanos unit_interval(const GroupConfig& config) {
  const bool old = std::any_of(config.routers.begin(), config.routers.end(), [](auto& r) { return r.version == 2; });
  const Nanos unit = old ? kSecond : kCentisecond;
  const Nanos rounded = (config.interval + unit / 2) / unit * unit;
  return std::clamp<Nanos>(rounded, unit, kIntervalMax / unit * unit);
}

bool same_router(const RouterConfig& a, const RouterConfig& b) {
  return a.interface == b.interface && a.vrid == b.vrid && a.v6 == b.v6;
}

}  // namespace

Group::Group(GroupConfig config, Nanos now) : config_(std::move(config)), started_(now) {
  actions_.reserve(kActionsMax);
  HEADGATE_CHECK(config_.routers.size() <= kRoutersMax);
  routers_.resize(config_.routers.size());
  interval_ = learned_ = unit_interval(config_);
  status_.since = now;
  say("start: listening for %lu ms", (listen_until() - now) / kMillisecond);
  lease_.reset_routers(routers_.size(), now);
  update_solo(now);
  settle_fault(now);
  finish(now);
}

Nanos Group::listen_until() const {
  const Nanos longest_lease = std::max(config_.solo_lease, kLeaseIntervals * interval_);
  return started_ + std::max(config_.startup_wait, longest_lease + (kDownIntervals + 1) * interval_);
}

void Group::configure(GroupConfig config, Nanos now) {
  begin(now);
  HEADGATE_CHECK(config.routers.size() <= kRoutersMax);
  const GroupConfig old = std::exchange(config_, std::move(config));
  if (old.routers != config_.routers) keep_routers(old, now);
  const Nanos before = std::exchange(interval_, unit_interval(config_));
  if (interval_ != before && lease_.running()) {
    lease_.interval(interval_, now);
    next_send_ = now;
  }
  if (interval_ != before && heard_at_ == 0) learned_ = interval_;
  update_solo(now);
  settle_fault(now);
  update_ready(now);
  finish_told(now);
}

void Group::keep_routers(const GroupConfig& old, Nanos now) {
  const std::vector<RouterStatus> before = std::move(routers_);
  const auto learned = learned_of_;
  routers_.assign(config_.routers.size(), {});
  learned_of_ = {};
  lease_.reset_routers(routers_.size(), now);
  for (std::size_t i = 0; i < routers_.size(); ++i) {
    for (std::size_t j = 0; j < before.size(); ++j) {
      if (!same_router(config_.routers[i], old.routers[j])) continue;
      routers_[i] = before[j];
      learned_of_[i] = learned[j];
    }
    lease_.link(i, routers_[i].link, now);
  }
  if (lease_.running()) next_send_ = now;
}

void Group::begin(Nanos now) {
  actions_.clear();
  if (expected_ == kNever || now <= expected_ + learned_) return;
  stopped_ = true;
  stopped_for_ = now - expected_;
  caught_up_ = now + interval_;
}

void Group::finish(Nanos now) {
  if (status_.role == Role::active && lease_.granted()) failures_ = 0;
  const bool leased = status_.role == Role::active && guard_until_ == 0;
  status_.active_until = leased ? lease_.until() : 0;
  status_.down_interval = down_interval();
  status_.due = status_.role == Role::backup ? promotion_at() : kNever;
  status_.priority = priority();
  status_.interval = lease_.running() ? lease_.advertised() : interval_;
  expected_ = std::max(next_deadline(), now);
}

void Group::finish_told(Nanos now) {
  const Nanos known = expected_;
  finish(now);
  expected_ = std::min(expected_, known);
}

void Group::say(const char* format, ...) {
  Cause& cause = status_.cause;
  va_list arguments;
  va_start(arguments, format);
  const int length = std::vsnprintf(cause.text.data(), cause.text.size(), format, arguments);
  va_end(arguments);
  cause.length = static_cast<std::uint8_t>(std::clamp<int>(length, 0, static_cast<int>(cause.text.size()) - 1));
}

void Group::become(Role role, Nanos now) {
  HEADGATE_CHECK(role != status_.role && !status_.cause.empty());
  status_.role = role;
  status_.since = now;
  ++status_.transitions;
  ready_since_ = kNever;
  actions_.push_back({.kind = Action::Kind::role});
}

void Group::end_reign() {
  lease_.end();
  status_.active_until = 0;
  next_send_ = announce_at_ = kNever;
  guard_until_ = 0;
  claim_seen_ = lapse_counted_ = false;
}

void Group::give_up(Role role, Nanos now) {
  if (status_.role == Role::active) {
    end_reign();
    send_all(kPriorityResign);
  }
  become(role, now);
}

void Group::enter_backup(Nanos now) {
  const Nanos heard_due = heard_at_ == 0 ? 0 : heard_at_ + down_interval();
  if (heard_due <= now) learned_ = interval_;
  due_heard_ = heard_due > now;
  due_ = now + down_interval();
  peer_resigned_ = yielded_ = false;
  peer_gone_ = false;  // that word is as old as our reign, or older than what we could not hear
  become(Role::backup, now);
}

void Group::input(const Input& input, Nanos now) {
  begin(now);
  const Input old = std::exchange(input_, input);
  hear_of_peer(old, now);
  settle_fault(now);
  const bool somebody = input.peer < PeerState::fault;  // who could take it, as far as we know
  if (input.yield && !old.yield && status_.role == Role::active && somebody) yield(now);
  update_solo(now);
  update_ready(now);
  finish_told(now);
}

// Whoever waits for his down interval has his turn before we take it again: the longest one is 4 intervals.
void Group::yield(Nanos now) {
  const Nanos wait = (kDownIntervals + 2) * lease_.advertised();
  say("given up by order, priority 0 sent");
  give_up(Role::backup, now);
  stepped_down_ = now;
  peer_resigned_ = false;
  yielded_ = due_heard_ = true;
  due_ = now + wait;
}

void Group::link(std::size_t router, bool up, Nanos now) {
  begin(now);
  if (up != routers_[router].link) {
    routers_[router].link = up;
    lease_.link(router, up, now);
    learned_of_[router] = {};
    if (up && lease_.running()) next_send_ = now;
  }
  settle_fault(now);
  update_ready(now);
  finish(now);
}

void Group::accepted(std::size_t router, Nanos interval, Nanos at) {
  ++routers_[router].accepted;
  routers_[router].last_accepted = at;
  actions_.clear();
  lease_.accepted(router, interval, at);
  const bool leased = status_.role == Role::active && guard_until_ == 0;
  status_.active_until = leased ? lease_.until() : 0;
  if (lease_.running() && lease_.granted()) failures_ = 0;
}

void Group::resign(Nanos now, const char* why) {
  begin(now);
  resigned_ = true;
  if (status_.role != Role::fault) {
    say("%s", why);
    give_up(Role::fault, now);
  }
  finish(now);
}

bool Group::has_link() const {
  return std::any_of(routers_.begin(), routers_.end(), [](const RouterStatus& r) { return r.link; });
}

const char* Group::fault() const {
  if (resigned_) return "resigned";
  if (!has_link()) return "no router has a link";
  if (input_.health == Health::fault) return "health is fault";
  return stuck_ ? "a worker makes no progress" : nullptr;
}

void Group::settle_fault(Nanos now) {
  const char* reason = fault();
  if (status_.role != Role::fault) {
    if (reason == nullptr) return;
    say("%s", reason);
    return give_up(Role::fault, now);
  }
  if (reason != nullptr) return;
  say("no longer in fault, for %lu ms", (now - status_.since) / kMillisecond);
  if (now < listen_until() || !input_.eligible) return become(Role::starting, now);
  enter_backup(now);
}

// A long lease is for a box that nobody waits behind: none is configured and none was heard. A foreign backup on a
// multicast network says nothing; who has one names it as a peer.
void Group::update_solo(Nanos now) {
  const auto unicast = [](const RouterConfig& router) { return !router.peers.empty(); };
  const bool configured = config_.has_peer || std::any_of(config_.routers.begin(), config_.routers.end(), unicast);
  lease_.solo(!configured && heard_at_ == 0 && !loser_heard_ ? config_.solo_lease : 0, now);
}

void Group::send(std::size_t router, std::uint8_t priority) {
  ++routers_[router].sent;
  actions_.push_back({.kind = Action::Kind::send,
                      .router = static_cast<std::uint8_t>(router),
                      .priority = priority,
                      .interval = lease_.advertised(),
                      .form = form(router)});
}

void Group::send_all(std::uint8_t priority) {
  for (std::size_t i = 0; i < routers_.size(); ++i) {
    if (routers_[i].link) send(i, priority);
  }
}

ChecksumForm Group::form(std::size_t router) const {
  const RouterConfig& config = config_.routers[router];
  if (config.version == 2) return ChecksumForm::plain;
  if (config.v6 || config.checksum == ChecksumRule::pseudo_header) return ChecksumForm::pseudo_header;
  if (config.checksum == ChecksumRule::rfc9568) return ChecksumForm::plain;
  return routers_[router].peer_form.value_or(ChecksumForm::pseudo_header);
}

std::uint8_t Group::priority() const {
  const std::uint8_t own = input_.priority != 0 ? input_.priority : config_.priority;
  if (own == kPriorityOwner || input_.health != Health::degraded) return own;
  return std::clamp<std::uint8_t>(config_.degraded_priority, 1, own);
}

Nanos Group::skew() const {
  return (256 - Nanos{priority()}) * learned_ / 256;
}

}  // namespace headgate::vrrp
