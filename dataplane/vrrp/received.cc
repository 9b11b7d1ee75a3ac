// Adverts that arrive: what is odd about them, and what they mean to each role (RFC 9568 6.4).
#include <arpa/inet.h>

#include <algorithm>

#include "dataplane/vrrp/group.h"

namespace headgate::vrrp {
namespace {

struct AddressText {
  char text[INET6_ADDRSTRLEN] = "?";
  explicit AddressText(const IpAddress& address) {
    const bool v4 = address.is_v4();
    const void* bytes = v4 ? address.v4_bytes() : address.bytes.data();
    inet_ntop(v4 ? AF_INET : AF_INET6, bytes, text, sizeof text);
  }
};

}  // namespace

// What decode() could not know. Notes are counted in any case, a reason to drop decides.
Oddity Group::judge(std::size_t router, const Advert& advert, const IpAddress& source) {
  const RouterConfig& config = config_.routers[router];
  if (source == config.source) return Oddity::own_source;
  const auto& peers = config.peers;
  if (!peers.empty() && std::find(peers.begin(), peers.end(), source) == peers.end()) return Oddity::unknown_peer;
  const Nanos ours = lease_.running() ? lease_.advertised() : interval_;
  if (advert.version == 2 && advert.interval != ours) return Oddity::version2_interval;
  Oddity last = Oddity::none;
  const auto note = [&](bool is_so, Oddity oddity) {
    if (!is_so) return;
    odd(router, oddity);
    last = oddity;
  };
  note(advert.trailing, Oddity::trailing_bytes);
  note(advert.priority == kPriorityOwner, Oddity::owner_priority);
  note(advert.interval != ours, Oddity::interval_differs);
  note(!same_addresses(advert.addresses, config.addresses), Oddity::addresses_differ);
  return last;
}

Oddity Group::received(std::size_t router, const Advert& advert, const IpAddress& source, Nanos now) {
  begin(now);
  RouterStatus& status = routers_[router];
  ++status.received;
  const Oddity oddity = judge(router, advert, source);
  if (counts_for_nothing(oddity)) {
    odd(router, oddity);
    return oddity;
  }
  const bool of_peer = status.peer == source;
  status.last_heard = now;
  if (advert.priority != kPriorityResign || !config_.has_peer) status.peer = source;
  status.peer_priority = advert.priority;
  status.peer_interval = advert.interval;
  if (!config_.routers[router].v6 && advert.version == 3) status.peer_form = advert.form;
  if (advert.priority == kPriorityResign) {
    hear_resignation(of_peer, now);
    if (status_.role == Role::active && !lease_.lapsed(now)) answer(router);
  } else {
    hear_claim(router, advert, now);
  }
  update_solo(now);
  update_ready(now);
  finish(now);
  return oddity;
}

void Group::answer(std::size_t router) {
  if (progress_ && routers_[router].link) send(router, priority());
}

// Anybody on the network can write priority 0, or send one again that he recorded. In a pair it promotes at once when
// it is from who was heard last and the HA link, which is authenticated, does not say otherwise; by order of a switch
// in any case. While the HA link says that the peer is active, it counts once that link agrees: it does within some
// milliseconds of a true one. Any other only shortens the wait to the skew time (RFC 9568 6.4.2), and the next advert
// of a living peer takes that back. So does one that waited while we were stopped: the peer may have come back since.
void Group::hear_resignation(bool of_peer, Nanos now) {
  const bool contradicted = config_.has_peer && claimed_until_ > now && !input_.take;
  const bool old = now < caught_up_;
  if (!old && (!config_.has_peer || (of_peer && !contradicted) || input_.take)) return believe_resignation(now);
  if (of_peer && !old) resignation_heard_at_ = now;
  if (status_.role == Role::backup && due_heard_) due_ = std::min(due_, std::max(now + skew(), caught_up_));
}

void Group::believe_resignation(Nanos now) {
  claimed_until_ = 0;
  peer_resigned_at_ = now;
  if (status_.role == Role::active) {
    if (lease_.lapsed(now)) return;
    if (guard_until_ != 0) {
      guard_until_ = now;
    } else if (announce_at_ == kNever) {
      announce_at_ = now + kAnnounceAgain;
    }
    return;
  }
  if (status_.role != Role::backup) return;
  // Just after we stepped down ourselves, it is an echo of that: two boxes that both yield must not both take at once.
  const bool echo = yielded_lately(now);
  const bool only_two = config_.has_peer || input_.take;
  const Nanos due = only_two && !echo ? now : now + skew();
  due_ = peer_resigned_ ? std::min(due_, due) : due;
  peer_resigned_ = true;
}

void Group::hear_claim(std::size_t router, const Advert& advert, Nanos now) {
  peer_gone_ = false;
  // The peer of a pair that resigned comes back after some intervals at the earliest: this was sent before it resigned.
  // Unless we yielded, too: then the skew time is all that it waits.
  const bool too_soon = peer_resigned_at_ != 0 && now < peer_resigned_at_ + interval_;
  const bool overtaken = config_.has_peer && too_soon && !yielded_lately(now);
  if (overtaken && (status_.role == Role::active || peer_resigned_)) return;
  if (status_.role == Role::active) return hear_while_active(router, advert, now);
  heard_at_ = now;
  peer_priority_ = advert.priority;
  learn(router, advert, now);
  if (status_.role == Role::starting) {
    if (!input_.eligible) return;
    say("a peer was heard, priority %u from %s", unsigned{advert.priority}, AddressText(routers_[router].peer).text);
    return enter_backup(now);
  }
  if (status_.role != Role::backup) return;
  due_ = now + down_interval();
  due_heard_ = true;
  peer_resigned_ = yielded_ = stopped_before_ = false;
}

void Group::hear_while_active(std::size_t router, const Advert& advert, Nanos now) {
  if (lease_.lapsed(now)) {  // we were stopped, and somebody took over: advance() decides when all was read
    claim_seen_ = true;
    heard_at_ = now;
    peer_priority_ = advert.priority;
    learn(router, advert, now);
    return;
  }
  if (!peer_wins(advert.priority)) {
    loser_heard_ = true;
    if (is_deaf(advert, now)) {
      say("priority %u from %s claims the group for %u intervals and hears no answer", unsigned{advert.priority},
          AddressText(routers_[router].peer).text, kDeafAfter);
      return step_down(router, advert, now);
    }
    answer(router);
    if (guard_until_ != 0) {
      guard_until_ = now + kDownIntervals * advert.interval;
    } else if (announce_at_ == kNever) {
      announce_at_ = now + kAnnounceAgain;
    }
    return;
  }
  say("priority %u from %s wins over our %u", unsigned{advert.priority}, AddressText(routers_[router].peer).text,
      unsigned{priority()});
  step_down(router, advert, now);
}

void Group::step_down(std::size_t router, const Advert& advert, Nanos now) {
  heard_at_ = now;
  peer_priority_ = advert.priority;
  learn(router, advert, now);
  end_reign();
  if (config_.has_peer) send_all(kPriorityResign);  // the peer waits for that: see hand_over_guard()
  stepped_down_ = now;
  enter_backup(now);
}

// What we send does not reach the peer, and what it sends reaches us: both would be active without end. Either we are
// mute, or it is deaf and of no use to anybody. No witness hears us: it is us. With an HA link the peer would know.
bool Group::is_deaf(const Advert& advert, Nanos now) {
  const bool mute = input_.witness == Witness::silent;
  if (!mute || !config_.has_peer || input_.peer != PeerState::unknown || guard_until_ != 0) return false;
  if (unheard_ == 0 || now >= unheard_at_ + kDownIntervals * advert.interval) {
    unheard_ = 1;
    unheard_at_ = now;
  } else if (now >= unheard_at_ + advert.interval * 3 / 4) {
    ++unheard_;
    unheard_at_ = now;
  }
  return unheard_ > kDeafAfter;
}

// Equal priorities: the higher address (RFC 9568 6.4.3), compared on the first router where both are known, so that
// all routers of a group decide alike.
bool Group::peer_wins(std::uint8_t peer_priority) const {
  if (peer_priority != priority()) return peer_priority > priority();
  for (std::size_t i = 0; i < routers_.size(); ++i) {
    const IpAddress &ours = config_.routers[i].source, &theirs = routers_[i].peer;
    if (!theirs.is_unspecified() && ours.is_v4() == theirs.is_v4() && ours != theirs) return theirs > ours;
  }
  return false;
}

// The peer advertises one interval on all routers at a time; networks that delay differently may show two. The largest
// that is current counts, since its lease may be by that. One that was heard too long ago is not current.
void Group::learn(std::size_t router, const Advert& advert, Nanos now) {
  learned_of_[router] = {.interval = advert.interval, .at = now};
  learned_ = 0;
  for (std::size_t i = 0; i < routers_.size(); ++i) {
    const Learned& learned = learned_of_[i];
    if (learned.interval != 0 && now < learned.at + kDownIntervals * learned.interval) {
      learned_ = std::max(learned_, learned.interval);
    }
  }
}

}  // namespace headgate::vrrp
