#include "dataplane/neighbor/resolver.h"

#include <algorithm>
#include <array>

#include "dataplane/base/check.h"
#include "dataplane/packet/build.h"

namespace headgate::neighbor {

Resolver::Resolver(std::uint64_t seed, Options options)
    : announcer_(site_, options.announce_refresh, seed),
      entries_(kNeighborsMax, seed),
      due_(kNeighborsMax),
      rng_(seed) {}

void Resolver::set_port_mac(std::uint16_t port, const MacAddress& mac) {
  HEADGATE_CHECK(port < kPortsMax && !mac.is_multicast());
  site_.port_macs[port] = mac;
}

void Resolver::set_active(std::uint64_t active, Nanos now) {
  const std::uint64_t gained = active & ~site_.active;
  site_.active = active;
  if (gained != 0 && site_.snapshot != nullptr) announcer_.announce_groups(gained, now);
}

NeighborState Resolver::state(InterfaceId interface, const IpAddress& address) const {
  const std::uint32_t i = entries_.find(interface, address);
  return i == entries_.kNone ? NeighborState::free : entries_[i].state;
}

// --- entries
// ------------------------------------------------------------------------------------------------------------

std::uint32_t Resolver::create(InterfaceId interface, const IpAddress& address) {
  const std::uint32_t i = entries_.create(interface, address);
  if (i == entries_.kNone) ++counters_.full;
  return i;
}

bool Resolver::evict_one(Nanos now) {
  for (unsigned probes = 0; probes < kEvictionProbesMax; ++probes) {
    sweep_ = sweep_ + 1 < entries_.end() ? sweep_ + 1 : 0;
    const Entry& entry = entries_[sweep_];
    const bool usable = entry.state == NeighborState::reachable || entry.state == NeighborState::stale;
    if (!entries_.in_use(sweep_) || standing(entry) || (usable && interesting(entry, now))) continue;
    erase(sweep_);
    ++counters_.evicted;
    return true;
  }
  return false;
}

void Resolver::erase(std::uint32_t i) {
  leave_unresolved(entries_[i]);
  due_.remove(i);
  entries_.erase(i);
}

// While a new snapshot is being looked at, what the one before it gave still counts.
bool Resolver::standing(const Entry& entry) const {
  return entry.generation != 0 &&
         (entry.generation == generation_ || (phase_ != Phase::done && entry.generation + 1 == generation_));
}

bool Resolver::interesting(const Entry& entry, Nanos now) const {
  return standing(entry) || (entry.ever_wanted && now - entry.wanted_at < kInterest);
}

void Resolver::leave_unresolved(Entry& entry) {
  unresolved_by_traffic_ -= entry.by_traffic ? 1 : 0;
  entry.by_traffic = false;
}

void Resolver::want(InterfaceId interface, const IpAddress& address, Nanos now, ResolverSink& sink) {
  if (!interface) return;
  std::uint32_t i = entries_.find(interface, address);
  if (i == entries_.kNone) {
    if (unresolved_by_traffic_ == kWantedUnresolvedMax || (entries_.full() && !evict_one(now))) {
      ++counters_.want_refused;
      return;
    }
    i = create(interface, address);
    entries_[i].state = NeighborState::incomplete;
    entries_[i].by_traffic = true;
    ++unresolved_by_traffic_;
    due_.set(i, now);
  }
  Entry& entry = entries_[i];
  entry.ever_wanted = true;
  entry.wanted_at = now;
  if (entry.state == NeighborState::incomplete) {
    if (entry.tries == 0) due_.set(i, now);  // traffic does not wait for the pacing of standing interest
    return;
  }
  publish(entry, now, sink);
  if (entry.state == NeighborState::stale && !entry.probing) {
    entry.probing = true;
    entry.tries = 0;
    due_.set(i, now);
  }
}

void Resolver::publish(Entry& entry, Nanos now, ResolverSink& sink) {
  entry.published = now;
  sink.update({.address = entry.address,
               .interface = entry.interface,
               .mac = entry.mac,
               .state = entry.state,
               .standing = standing(entry)});
}

// An answer to us.
void Resolver::confirm(std::uint32_t i, const MacAddress& mac, Nanos now, ResolverSink& sink) {
  Entry& entry = entries_[i];
  const bool changed = entry.state != NeighborState::reachable || entry.mac != mac;
  if (entry.state == NeighborState::incomplete || entry.state == NeighborState::failed) ++counters_.resolved;
  leave_unresolved(entry);
  entry.state = NeighborState::reachable;
  entry.mac = mac;
  entry.probing = false;
  entry.tries = 0;
  entry.confirmed = now;
  due_.set(i, now + reachable_time());
  if (changed || now - entry.published >= kPublishInterval) publish(entry, now, sink);
}

// Something it said to others: the address is usable, but whether it hears us is to be asked.
void Resolver::learn_unconfirmed(std::uint32_t i, const MacAddress& mac, Nanos now, ResolverSink& sink) {
  Entry& entry = entries_[i];
  const bool usable = entry.state == NeighborState::reachable || entry.state == NeighborState::stale;
  if (usable && entry.mac == mac) return;
  if (!usable) ++counters_.resolved;
  leave_unresolved(entry);
  entry.state = NeighborState::stale;
  entry.mac = mac;
  entry.confirmed = now;
  entry.tries = 0;
  entry.probing = interesting(entry, now);
  due_.set(i, entry.probing ? now : now + kForgetUnused);
  publish(entry, now, sink);
}

void Resolver::fail(std::uint32_t i, Nanos now, ResolverSink& sink) {
  Entry& entry = entries_[i];
  if (entry.state != NeighborState::failed) ++counters_.failed;
  leave_unresolved(entry);
  entry.state = NeighborState::failed;
  entry.probing = false;
  entry.retry_s = 1;
  due_.set(i, now + kRetransmit);
  publish(entry, now, sink);
}

// --- time
// ---------------------------------------------------------------------------------------------------------------

void Resolver::advance(Nanos now, ResolverSink& sink) {
  if (site_.snapshot == nullptr) return;
  if (now - tick_ >= kPaceTick) {
    tick_ = now;
    budget_ = kFramesPerTick;
  }
  scan(now);
  // Announcements first: they may be a failover. But not all of the budget, so that resolution never starves.
  budget_ -= announcer_.announce(now, sink, std::min(budget_, kAnnouncementsFirst));
  budget_ -= announcer_.report_groups(now, sink, budget_ / 4);
  for (unsigned work = 0; work < kTimersPerAdvance && budget_ != 0 && due_.next() <= now; ++work) {
    budget_ -= work_on(due_.top(), now, sink) ? 1 : 0;
  }
  budget_ -= announcer_.announce(now, sink, budget_);
  budget_ -= announcer_.report_groups(now, sink, budget_);
}

Nanos Resolver::next_deadline() const {
  if (site_.snapshot == nullptr) return kNever;
  if (announcer_.scanning() || phase_ != Phase::done) return tick_;  // at once
  const Nanos due = std::min(due_.next(), announcer_.next_deadline());
  return budget_ != 0 || due == kNever ? due : std::max(due, tick_ + kPaceTick);
}

// True when a frame was sent. Every path moves or removes the deadline.
bool Resolver::work_on(std::uint32_t i, Nanos now, ResolverSink& sink) {
  const Entry& entry = entries_[i];
  if (site_.interface(entry.interface) == nullptr) {
    erase(i);
    return false;
  }
  switch (entry.state) {
    case NeighborState::incomplete:
      return ask(i, now, sink);
    case NeighborState::reachable:
    case NeighborState::stale:
      return entry.probing ? ask(i, now, sink) : age(i, now, sink);
    case NeighborState::failed:
      return retry(i, now, sink);
    case NeighborState::free:
      break;
  }
  HEADGATE_CHECK(false);
  return false;
}

bool Resolver::ask(std::uint32_t i, Nanos now, ResolverSink& sink) {
  Entry& entry = entries_[i];
  if (entry.tries == kSolicitsMax) {
    fail(i, now, sink);
    return false;
  }
  ++entry.tries;
  // A known neighbor is asked alone; the last try asks everybody, in case the address has moved to other hardware.
  const bool unicast = entry.state != NeighborState::incomplete && entry.tries < kSolicitsMax;
  if (!send_request(entry, unicast, sink)) {
    ++counters_.unresolvable;
    fail(i, now, sink);
    return false;
  }
  due_.set(i, now + kRetransmit);
  return true;
}

// Its reachable time has passed.
bool Resolver::age(std::uint32_t i, Nanos now, ResolverSink& sink) {
  Entry& entry = entries_[i];
  if (standing(entry)) {
    entry.probing = true;
    entry.tries = 0;
    return ask(i, now, sink);
  }
  entry.state = NeighborState::stale;
  const Nanos last = std::max(entry.confirmed, entry.wanted_at);
  if (now - last >= kForgetUnused) {
    erase(i);
  } else {
    due_.set(i, last + kForgetUnused);
  }
  return false;
}

bool Resolver::retry(std::uint32_t i, Nanos now, ResolverSink& sink) {
  Entry& entry = entries_[i];
  if (!interesting(entry, now)) {
    erase(i);
    return false;
  }
  entry.retry_s = static_cast<std::uint8_t>(std::min<Nanos>(Nanos{2} * entry.retry_s, kRetryMax / kSecond));
  due_.set(i, now + entry.retry_s * kSecond);
  if (send_request(entry, false, sink)) return true;
  ++counters_.unresolvable;
  return false;
}

namespace {

// An address of ours in the target's prefix. For link-local gateways: any address of ours on the interface will do.
IpAddress source_for(const snapshot::Interface& interface, const IpAddress& target) {
  IpAddress best;
  int best_length = -1;
  for (std::size_t i = 0; i < interface.prefixes.size() && i < interface.resolve_from.size(); ++i) {
    const IpAddress& from = interface.resolve_from[i];
    if (from.is_unspecified() || from.is_v4() != target.is_v4()) continue;
    const int length = interface.prefixes[i].contains(target) ? interface.prefixes[i].length : -1;
    const bool any = best_length < 0 && best.is_unspecified() && !target.is_v4() && target.is_link_local();
    if (length > best_length || any) {
      best = from;
      best_length = length;
    }
  }
  return best;
}

}  // namespace

bool Resolver::send_request(const Entry& entry, bool unicast, ResolverSink& sink) {
  const snapshot::Interface& interface = *site_.interface(entry.interface);
  const IpAddress source = source_for(interface, entry.address);
  // From an address that floats only while it is here, and then with its MAC: who is asked remembers both.
  const snapshot::OwnAddress* own = site_.snapshot->own_addresses.find(source);
  if (own != nullptr && !site_.is_active(*own)) return false;
  const MacAddress mac = site_.mac_of(interface, source);
  if (mac.is_zero() || source.is_unspecified()) return false;
  std::array<std::uint8_t, packet::kMaxControlFrame> frame;
  std::size_t length = 0;
  if (entry.address.is_v4()) {
    length = packet::write_arp(frame.data(), interface.vlan, unicast ? entry.mac : kBroadcastMac, mac, source,
                               unicast ? entry.mac : MacAddress{}, entry.address, false);
  } else {
    const IpAddress dst = unicast ? entry.address : packet::solicited_node(entry.address);
    length = packet::write_neighbor_solicitation(frame.data(), interface.vlan,
                                                 unicast ? entry.mac : packet::multicast_mac(dst), mac, source, dst,
                                                 entry.address);
  }
  sink.send(entry.interface, {frame.data(), length});
  ++counters_.requests;
  return true;
}

}  // namespace headgate::neighbor
