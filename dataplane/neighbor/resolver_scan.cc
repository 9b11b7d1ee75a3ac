// Standing interest: every backend's next hop and every gateway, looked up a few at a time after a snapshot has come.
#include <algorithm>

#include "dataplane/neighbor/resolver.h"

namespace headgate::neighbor {

void Resolver::snapshot_changed(const snapshot::Snapshot& snapshot, Nanos now) {
  // A scan that was cut short leaves its unseen entries two generations behind: give what is known the benefit of one.
  if (phase_ != Phase::done) {
    for (std::uint32_t i = 0; i < entries_.end(); ++i) {
      if (entries_.in_use(i) && standing(entries_[i])) entries_[i].generation = generation_;
    }
  }
  site_.set(snapshot);
  ++generation_;
  phase_ = Phase::own;
  position_ = next_hop_ = 0;
  new_interest_ = 0;
  announcer_.begin_scan();
  scan(now);
}

void Resolver::scan(Nanos now) {
  unsigned work = kScanPerAdvance;
  if (phase_ == Phase::own) {
    work = announcer_.scan(work, now);
    if (!announcer_.scanning()) phase_ = Phase::routes;
  }
  const snapshot::Snapshot& s = *site_.snapshot;
  for (; phase_ == Phase::routes && work != 0; --work) {
    if (position_ == s.routes.size()) {
      phase_ = Phase::backends;
      position_ = 0;
    } else if (next_hop_ == s.routes[position_].next_hops.size()) {
      ++position_;
      next_hop_ = 0;
    } else {
      const snapshot::NextHop& hop = s.routes[position_].next_hops[next_hop_++];
      if (!hop.gateway.is_unspecified()) stand_by(hop.interface, hop.gateway, now);
    }
  }
  for (; phase_ == Phase::backends && work != 0; --work) {
    if (position_ == s.backends.size()) {
      phase_ = Phase::done;
    } else {
      scan_backend(s.backends[position_++], now);
    }
  }
}

// Gateways have had their turn; only an on-link backend is its own next hop.
void Resolver::scan_backend(const snapshot::Backend& backend, Nanos now) {
  const std::uint16_t route = site_.snapshot->route_table.find(backend.address);
  if (route == snapshot::kNone) return;
  for (const snapshot::NextHop& hop : site_.snapshot->routes[route].next_hops) {
    if (hop.gateway.is_unspecified()) stand_by(hop.interface, backend.address, now);
  }
}

void Resolver::stand_by(std::uint16_t interface, const IpAddress& address, Nanos now) {
  if (interface >= site_.snapshot->interfaces.size()) return;
  const InterfaceId id = site_.snapshot->interfaces[interface].id;
  if (site_.owns(site_.snapshot->interfaces[interface], address)) return;
  std::uint32_t i = entries_.find(id, address);
  const Nanos paced = now + new_interest_ / kFramesPerTick * kPaceTick;
  if (i == entries_.kNone) {
    if (entries_.full() && !evict_one(now)) {
      ++counters_.full;
      return;
    }
    i = create(id, address);
    entries_[i].state = NeighborState::incomplete;
    due_.set(i, paced);
    ++new_interest_;
  } else if (Entry& entry = entries_[i]; !standing(entry) && entry.state != NeighborState::failed && !entry.probing) {
    due_.set(i, paced);  // ask now, and tell the replicas that do not have it
    entry.published = 0;
    ++new_interest_;
  }
  leave_unresolved(entries_[i]);
  entries_[i].generation = generation_;
}

}  // namespace headgate::neighbor
