// Who is to be active: the promotion table. What the HA link, witnesses and adverts say, and what follows from it.
//
//   adverts   the HA link says            we
//   heard     anything                    stay backup; policy `after` may preempt
//   prio 0    active, its lease holds     promote once it says otherwise, or by order: see hear_resignation()
//   prio 0    anything else               promote at once in a pair or by order, after the skew time otherwise
//   missing   dead or in fault            promote at once, when it lived by the HA link a moment before and was not
//                                         heard again since; else after the down interval
//   missing   active, its lease holds     stay, whatever witnesses say. Who is cut off is for the peer to find out,
//                                         whose health then says fault; two boxes that both reach their gateways and
//                                         not each other would otherwise both forward
//   missing   active, its lease is over   as silent: its dataplane is stopped
//   missing   backup                      promote after the down interval; if we never heard it, too, later by
//                                         priority, so that the HA link can say who was first
//   missing   silent                      promote after the down interval if a witness answers or none is configured;
//                                         all silent: only if no peer was there since our start
#include <algorithm>

#include "dataplane/vrrp/group.h"

namespace headgate::vrrp {
namespace {

bool is_gone(PeerState state) {
  return state >= PeerState::fault;
}

bool lives(PeerState state) {
  return state == PeerState::backup || state == PeerState::active;
}

}  // namespace

bool Group::able() const {
  return status_.role == Role::backup && input_.eligible && input_.health != Health::fault && has_link();
}

// What the HA link said changed, or was said again.
void Group::hear_of_peer(const Input& old, Nanos now) {
  const PeerState peer = input_.peer;
  if (peer == PeerState::active) {
    if (input_.peer_lease != 0) {
      // It may have been renewed until the next claim was due, an interval after this one.
      claimed_until_ = now + std::max(input_.peer_lease, 2 * learned_) + learned_;
    } else if (old.peer != PeerState::active) {
      claimed_until_ = now + kDownIntervals * learned_;
    }
    if (claimed_until_ > now && lease_.lapsed(now)) claim_seen_ = true;
    if (claimed_until_ > now) yielded_ = false;
    if (claimed_until_ > now && guard_until_ != 0) rival(now);
  } else if (peer != PeerState::unknown) {
    claimed_until_ = 0;  // a silent HA link leaves a lease as long as it is
  }
  if (peer == PeerState::backup && old.peer != peer) peer_backup_since_ = now;
  const bool agrees = peer != PeerState::active && peer != PeerState::unknown;
  if (agrees && resignation_heard_at_ != 0 && now < resignation_heard_at_ + interval_) believe_resignation(now);
  if (agrees) resignation_heard_at_ = 0;
  // The HA link fell silent while both took turns: it does so on both boxes at once, so their skew times decide anew.
  if (peer == PeerState::unknown && old.peer == PeerState::backup && status_.role == Role::backup && !due_heard_) {
    due_ = std::max(due_, now + down_interval());
  }
  if (lives(peer) || lives(old.peer)) peer_lived_ = now;
  if (!is_gone(peer)) {
    peer_gone_ = false;
  } else if (old.peer != peer && peer_lived_ != 0 && now <= peer_lived_ + kNoticeDelay) {
    // News to a backup, of a peer that lived by the same source a moment ago. Who knew nothing before may say what is
    // old: a control plane that stood still goes on with what it knew. Just after our start, or after we were stopped,
    // it may be a word from before that, and the peer back since.
    peer_gone_ = status_.role == Role::backup && now >= std::max(started_, caught_up_) + kWordAge;
  }
  met_ |= peer == PeerState::backup || peer == PeerState::active || peer == PeerState::fault;
  const bool yielded = old.peer == PeerState::active && peer != PeerState::active && peer != PeerState::unknown;
  if (yielded && guard_until_ != 0) guard_until_ = now;
}

Nanos Group::promotion_at() const {
  if (!able()) return kNever;
  if (peer_gone_) return 0;
  if (peer_resigned_) return std::max(due_, claimed_until_);
  Nanos at = std::max(due_, claimed_until_);
  const bool silent = input_.witness == Witness::silent;
  if (input_.peer == PeerState::backup) at = std::max(at, std::max(due_, peer_backup_since_) + turn(silent));
  const bool unheard = heard_at_ == 0 && !met_;
  if (silent && (input_.peer == PeerState::unknown || input_.peer == PeerState::active) && !unheard) return kNever;
  return at;
}

// Two boxes that see each other by the HA link alone, neither of them active: each has its turn, long enough after the
// other's for a claim to arrive by that link; the higher priority first, the better health before it, who reaches no
// witness last. A turn begins when the peer is known to be no longer active. Who was heard needs no turns: see
// promote().
Nanos Group::turn(bool witness_silent) const {
  if (due_heard_ && !witness_silent) return 0;
  const std::uint8_t own = input_.priority != 0 ? input_.priority : config_.priority;
  const unsigned steps = 256u - own + (input_.health == Health::degraded ? 256 : 0) + (witness_silent ? 512 : 0);
  return steps * kClaimDelay;
}

void Group::say_why_promoted(Nanos now) {
  const auto since = [now](Nanos then) { return (now - then) / kMillisecond; };
  if (peer_gone_) {
    const bool dead = input_.peer == PeerState::dead;
    return say("the peer's HA link says that %s", dead ? "its dataplane is gone" : "it is in fault");
  }
  if (peer_resigned_) return say("the peer resigned, priority 0");
  if (yielded_) return say("taken again: nobody took it for %lu ms after it was given up", since(status_.since));
  const char* alarm = input_.witness == Witness::silent ? ", ALARM: no witness answers" : "";
  if (heard_at_ == 0) return say("no peer was heard for %lu ms since the start%s", since(started_), alarm);
  say("no advert from the peer for %lu ms, down interval %lu ms%s", since(heard_at_), down_interval() / kMillisecond,
      alarm);
}

void Group::promote(Nanos now) {
  become(Role::active, now);
  ++status_.promotions;
  lease_.begin(routers_.size(), interval_, now);
  next_send_ = now + lease_.period();
  announce_at_ = kNever;
  claim_seen_ = lapse_counted_ = peer_resigned_ = yielded_ = stopped_before_ = false;
  send_all(priority());
  if (guard_until_ == 0) announce();
}

// The peer lives and is not active, as far as we know: it may take the group in this moment, too. So may one of which
// nothing is known, unless it was heard as active and fell silent since: both boxes may just have started, or gone on
// after a stop. And so may one that yielded when we did. We claim it, and wait for what it has to say before the first
// frame is forwarded.
void Group::contend(Nanos now) {
  const bool known = input_.peer == PeerState::backup, unheard = input_.peer == PeerState::unknown && !due_heard_;
  const bool may_take = peer_resigned_ ? yielded_lately(now) : known || unheard;
  if (!config_.has_peer || !may_take) return;
  guard_until_ = now + kClaimDelay;
  guard_limit_ = now + (kDownIntervals + 1) * learned_;
}

// The HA link says that the peer is active, too, while we wait. Of both that took the group the better one stays.
void Group::rival(Nanos now) {
  if (peer_priority_ != 0 && peer_priority_ < priority()) {
    guard_until_ = std::max(guard_until_, claimed_until_);
    return;
  }
  say("the HA link says that the peer took the group, too");
  give_up(Role::backup, now);
  due_heard_ = false;
  peer_resigned_ = false;
  due_ = now + down_interval();
}

// Policy `after`: the peer lives, and is worse. In a pair it confirms that it yields; others do as RFC 9568 6.4.3 says.
void Group::preempt(Nanos now) {
  say("our priority %u is above the peer's %u, ready for %lu ms", unsigned{priority()}, unsigned{peer_priority_},
      (now - ready_since_) / kMillisecond);
  if (config_.has_peer) {
    guard_until_ = std::max(heard_at_ + kDownIntervals * learned_, claimed_until_);
    guard_limit_ = now + (kDownIntervals + 1) * learned_;
  }
  promote(now);
}

Nanos Group::preemption_at() const {
  if (ready_since_ == kNever) return kNever;
  const Nanos delay = priority() == kPriorityOwner ? 0 : config_.preempt_delay;
  return ready_since_ + std::max(delay, down_interval());
}

void Group::update_ready(Nanos now) {
  const bool policy = config_.preemption == Preemption::after || priority() == kPriorityOwner;
  // Now, not some time ago: from a peer that falls silent nobody hears that it yields.
  const bool heard = heard_at_ != 0 && now < heard_at_ + learned_ * 5 / 2 && !peer_resigned_;
  const bool ready = policy && able() && heard && !yielded_ && !input_.paused && input_.health == Health::ok &&
                     priority() > peer_priority_;
  if (!ready) {
    ready_since_ = kNever;
  } else if (ready_since_ == kNever) {
    ready_since_ = now;
  }
}

}  // namespace headgate::vrrp
