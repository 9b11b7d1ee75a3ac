// What time alone brings about.
#include <algorithm>

#include "dataplane/vrrp/group.h"

namespace headgate::vrrp {

void Group::advance(bool progress, Nanos now) {
  begin(now);
  progress_ = progress;
  if (stuck_ && progress) {
    stuck_ = false;
    settle_fault(now);
  }
  switch (status_.role) {
    case Role::starting:
      advance_starting(now);
      break;
    case Role::backup:
      advance_backup(now);
      break;
    case Role::active:
      advance_active(now);
      break;
    case Role::fault:
      retry_at_ = now + interval_;
      break;
  }
  stopped_ = false;
  update_ready(now);
  finish(now);
}

void Group::idle(Nanos now) {
  begin(now);
  expected_ = std::max(next_deadline(), now);
}

Nanos Group::next_deadline() const {
  switch (status_.role) {
    case Role::starting:
      return input_.eligible ? listen_until() : kNever;
    case Role::backup:
      return std::max(std::min(promotion_at(), preemption_at()), retry_at_);
    case Role::active: {
      Nanos at = std::min(next_send_, announce_at_);
      if (!lapse_counted_) at = std::min(at, lease_.lapses_at());
      return guard_until_ == 0 ? at : std::min({at, guard_until_, guard_limit_});
    }
    case Role::fault:
      return stuck_ ? retry_at_ : kNever;
  }
  return kNever;
}

void Group::advance_starting(Nanos now) {
  if (now < listen_until() || !input_.eligible) return;
  const Nanos listened = now - started_;
  say("listened for %lu ms", listened / kMillisecond);
  enter_backup(now);
}

void Group::advance_backup(Nanos now) {
  // We were stopped: what was to be heard may have been lost with us. One down interval more: once, or a machine that
  // is late all the time would wait for ever; and after each stop in which a living peer may have said anything.
  if (stopped_ && (!stopped_before_ || stopped_for_ > down_interval())) {
    stopped_before_ = true;
    peer_gone_ = peer_resigned_ = false;
    due_ = std::max(due_, now + down_interval());
    ready_since_ = kNever;
  } else if (now > expected_ + kLate && !stopped_before_) {
    // Late, and perhaps not alone: a claim that came by the HA link may wait in this box, too.
    stopped_before_ = true;
    due_ = std::max(due_, now + kLate);
  }
  retry_at_ = 0;
  update_ready(now);
  const bool gone = now >= promotion_at();
  if (!gone && now < preemption_at()) return;
  if (!progress_) {
    retry_at_ = now + interval_ / 4;
    return;
  }
  if (!gone) return preempt(now);
  say_why_promoted(now);
  contend(now);
  promote(now);
}

void Group::advance_active(Nanos now) {
  if (lease_.lapsed(now)) {
    after_lapse(now);
    if (status_.role != Role::active) return;
  } else {
    claim_seen_ = lapse_counted_ = false;
  }
  if (guard_until_ != 0) hand_over_guard(now);
  if (status_.role != Role::active) return;
  send_if_due(now);
  if (now >= announce_at_) {
    announce_at_ = kNever;
    announce();
  }
}

void Group::send_if_due(Nanos now) {
  if (now < next_send_) return;
  if (!progress_) {
    ++status_.withheld;
    next_send_ = now + lease_.period() / 4;
    return;
  }
  send_all(priority());
  next_send_ += lease_.period();
  if (next_send_ <= now) next_send_ = now + lease_.period();
}

void Group::after_lapse(Nanos now) {
  const auto ago = (now - lease_.lapses_at()) / kMillisecond;
  const bool granted = lease_.granted();
  if (!claim_seen_ && lease_.resume(now)) {
    if (lapse_counted_) return;
    lapse_counted_ = true;
    ++status_.lease_gaps;
    next_send_ = now;
    return;
  }
  const bool claim_seen = claim_seen_, went_on = lapse_counted_;
  end_reign();
  if (!progress_) {
    stuck_ = true;
    retry_at_ = now + interval_ / 4;
    say("a worker makes no progress, the lease ended %lu ms ago", ago);
    return become(Role::fault, now);
  }
  if (claim_seen) {
    say("the lease ended %lu ms ago, and the peer claims the group meanwhile", ago);
  } else if (granted) {
    say("the lease ended %lu ms ago, long enough for a peer to take over", ago);
  } else {
    say("no port accepted an advert since the promotion %lu ms ago", (now - status_.since) / kMillisecond);
    failures_ = std::min(failures_ + 1, kFailuresMax);
  }
  if (went_on) send_all(kPriorityResign);  // the peer heard that we went on, and waits
  enter_backup(now);
  if (!granted) due_ = std::max(due_, now + (down_interval() << failures_));
}

// We preempt a box that may forward until it hears us: not a frame from us before it said that it yields (priority 0),
// or it has been silent for longer than its lease. Or we took a group that the peer may have taken a moment ago.
void Group::hand_over_guard(Nanos now) {
  if (now >= guard_until_) {
    guard_until_ = 0;
    return announce();
  }
  if (now < guard_limit_) return;
  say("the peer does not yield to our priority %u", unsigned{priority()});
  give_up(Role::backup, now);
  stepped_down_ = now;
  due_heard_ = true;
  peer_resigned_ = false;
  due_ = now + down_interval();  // it was heard meanwhile, or the guard had ended
}

}  // namespace headgate::vrrp
