#include "dataplane/neighbor/announcer.h"

#include <algorithm>
#include <array>

#include "dataplane/packet/build.h"

namespace headgate::neighbor {

namespace {

constexpr IpAddress kAllNodes{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

// RFC 3810 5.2.13: a link-local source, or unspecified when there is none (snooping switches listen to it all the
// same).
IpAddress report_source(const snapshot::Interface& interface) {
  for (const IpAddress& address : interface.addresses) {
    if (!address.is_v4() && address.is_link_local()) return address;
  }
  return {};
}

}  // namespace

Announcer::Announcer(const Site& site, Nanos refresh, std::uint64_t seed)
    : site_(site), refresh_(refresh), own_(kOwnAddressesMax, seed), due_(kOwnAddressesMax), rng_(seed) {}

void Announcer::begin_scan() {
  ++generation_;
  phase_ = Phase::interfaces;
  position_ = 0;
}

std::size_t Announcer::phase_items() const {
  const snapshot::Snapshot& s = *site_.snapshot;
  switch (phase_) {
    case Phase::interfaces:
      return s.interfaces.size();
    case Phase::local_addresses:
      return s.local_addresses.size();
    case Phase::services:
      return s.services.size();
    case Phase::done:
      return 0;
  }
  return 0;
}

unsigned Announcer::scan(unsigned work, Nanos now) {
  while (work != 0 && phase_ != Phase::done) {
    if (position_ < phase_items()) {
      work -= std::min(work, scan_item(position_++, now));
      continue;
    }
    position_ = 0;
    phase_ = static_cast<Phase>(static_cast<int>(phase_) + 1);
    if (phase_ == Phase::done) finish_scan(now);
  }
  return work;
}

unsigned Announcer::scan_item(std::size_t item, Nanos now) {
  const snapshot::Snapshot& s = *site_.snapshot;
  if (phase_ == Phase::local_addresses) {
    note(s.local_addresses[item].address, now);
  } else if (phase_ == Phase::services) {
    note(s.services[item].address, now);
  } else {
    for (const IpAddress& address : s.interfaces[item].addresses) note(address, now);
    return 1 + static_cast<unsigned>(s.interfaces[item].addresses.size());
  }
  return 1;
}

void Announcer::note(const IpAddress& address, Nanos now) {
  const snapshot::Snapshot& s = *site_.snapshot;
  const snapshot::OwnAddress* known = s.own_addresses.find(address);
  if (known == nullptr || known->interface >= s.interfaces.size()) return;
  const InterfaceId interface = s.interfaces[known->interface].id;
  std::uint32_t i = own_.find(interface, address);
  if (i == own_.kNone) {
    i = own_.create(interface, address);
    if (i == own_.kNone) {
      ++counters_.overflow;
      return;
    }
    own_[i].left = kAnnouncements;
    due_.set(i, now);
    if (!address.is_v4()) mld_due_ = std::min(mld_due_, now);
  }
  own_[i].generation = generation_;
}

// Forgets what is ours no more. One pass over at most kOwnAddressesMax, when a snapshot comes.
void Announcer::finish_scan(Nanos now) {
  bool v6 = false;
  for (std::uint32_t i = 0; i < own_.end(); ++i) {
    if (!own_.in_use(i)) continue;
    if (own_[i].generation != generation_) {
      due_.remove(i);
      own_.erase(i);
    } else {
      v6 = v6 || !own_[i].address.is_v4();
    }
  }
  if (!v6) {
    mld_due_ = kNever;
    mld_cursor_ = 0;
  } else if (mld_due_ == kNever) {
    mld_due_ = now;
  }
}

void Announcer::announce_groups(std::uint64_t groups, Nanos now) {
  for (std::uint32_t i = 0; i < own_.end(); ++i) {
    if (!own_.in_use(i)) continue;
    const snapshot::OwnAddress* address = known(own_[i]);
    if (address == nullptr || ((groups >> address->group) & 1) == 0) continue;
    own_[i].left =
        static_cast<std::uint8_t>(address->group == snapshot::kNoGroup ? kAnnouncements : kGroupAnnouncements.size());
    own_[i].said = 0;
    due_.set(i, now);
    if (!own_[i].address.is_v4()) mld_due_ = std::min(mld_due_, now);
  }
}

const snapshot::OwnAddress* Announcer::known(const Own& own) const {
  return site_.snapshot->own_addresses.find(own.address);
}

// kNever: it has been said often enough, or its group went to the other box.
Nanos Announcer::next_announcement(Own& own, Nanos now) const {
  const snapshot::OwnAddress* address = known(own);
  const bool floats = address != nullptr && address->group != snapshot::kNoGroup;
  if (floats && !site_.is_active(*address)) return kNever;
  if (own.left > 0) --own.left;
  if (!floats) return own.left > 0 ? now + kAnnounceInterval : refresh_ != 0 ? now + refresh_ : kNever;
  if (own.left == 0) return now + kGroupRefresh;
  ++own.said;
  return now + kGroupAnnouncements[own.said % kGroupAnnouncements.size()];
}

bool Announcer::defend(InterfaceId interface, const IpAddress& address, Nanos now) {
  const std::uint32_t i = own_.find(interface, address);
  if (i == own_.kNone) return true;
  Own& own = own_[i];
  if (own.defended && now - own.defended_at < kDefendInterval) return false;
  own.defended = true;
  own.defended_at = now;
  own.left = std::max<std::uint8_t>(own.left, 1);
  due_.set(i, now);
  ++counters_.defended;
  return true;
}

void Announcer::mld_query(Nanos max_response, Nanos now) {
  if (mld_due_ == kNever || mld_cursor_ != 0) return;
  const Nanos delay = rng_.below(1024) * (max_response / 1024);
  mld_due_ = std::min(mld_due_, std::max(now + delay, mld_last_ + kMldSpacing));
}

unsigned Announcer::announce(Nanos now, ResolverSink& sink, unsigned budget) {
  unsigned sent = 0;
  for (unsigned work = 0; work < kTimersPerAdvance && sent < budget && due_.next() <= now; ++work) {
    const std::uint32_t i = due_.top();
    Own& own = own_[i];
    sent += send_announcement(own, sink) ? 1 : 0;
    if (const Nanos next = next_announcement(own, now); next != kNever) {
      due_.set(i, next);
    } else {
      due_.remove(i);
    }
  }
  return sent;
}

bool Announcer::send_announcement(const Own& own, ResolverSink& sink) {
  const snapshot::Interface* interface = site_.interface(own.interface);
  if (interface == nullptr || site_.mac(*interface).is_zero()) return false;
  const snapshot::OwnAddress* known_as = known(own);
  if (known_as == nullptr || !site_.is_active(*known_as)) return false;
  const MacAddress mac = site_.mac_of(*interface, own.address);
  std::array<std::uint8_t, packet::kMaxControlFrame> frame;
  std::size_t length = 0;
  if (own.address.is_v4()) {
    length = packet::write_arp(frame.data(), interface->vlan, kBroadcastMac, mac, own.address, MacAddress{},
                               own.address, false);
  } else {
    const auto flags = static_cast<std::uint8_t>(packet::kNaOverride | (interface->gateway ? packet::kNaRouter : 0));
    length = packet::write_neighbor_advertisement(frame.data(), interface->vlan, packet::multicast_mac(kAllNodes), mac,
                                                  own.address, kAllNodes, own.address, flags);
  }
  sink.send(own.interface, {frame.data(), length});
  ++counters_.announcements;
  return true;
}

// Walks the addresses; a frame carries a run of one interface's groups. Neighbors in the table mostly share an
// interface.
unsigned Announcer::report_groups(Nanos now, ResolverSink& sink, unsigned budget) {
  if (mld_due_ > now || mld_due_ == kNever) return 0;
  std::array<IpAddress, packet::kMaxMldRecords> groups;
  unsigned sent = 0;
  while (sent < budget && mld_cursor_ < own_.end()) {
    InterfaceId interface;
    std::size_t n = 0;
    for (; mld_cursor_ < own_.end() && n < groups.size(); ++mld_cursor_) {
      const Own& own = own_[mld_cursor_];
      if (!own_.in_use(mld_cursor_) || own.address.is_v4()) continue;
      const snapshot::OwnAddress* known_as = known(own);
      if (known_as == nullptr || !site_.is_active(*known_as)) continue;  // joined only while it is here
      if (n != 0 && own.interface != interface) break;
      interface = own.interface;
      groups[n++] = packet::solicited_node(own.address);
    }
    if (n != 0 && send_report(interface, {groups.data(), n}, sink)) ++sent;
  }
  if (mld_cursor_ >= own_.end()) {
    mld_cursor_ = 0;
    mld_last_ = now;
    mld_due_ = now + kMldReportInterval;
  }
  return sent;
}

bool Announcer::send_report(InterfaceId id, std::span<const IpAddress> groups, ResolverSink& sink) {
  const snapshot::Interface* interface = site_.interface(id);
  if (interface == nullptr || site_.mac(*interface).is_zero()) return false;
  std::array<std::uint8_t, packet::kMaxControlFrame> frame;
  const std::size_t length =
      packet::write_mld_report(frame.data(), interface->vlan, site_.mac(*interface), report_source(*interface), groups);
  sink.send(id, {frame.data(), length});
  ++counters_.mld_reports;
  return true;
}

}  // namespace headgate::neighbor
