#include "dataplane/neighbor/neighbor_table.h"

#include <algorithm>

#include "dataplane/base/check.h"

namespace headgate::neighbor {

static_assert(kHeldMax < 0xffff);

NeighborTable::NeighborTable(std::uint64_t seed, std::uint32_t capacity)
    : store_(capacity, seed), timers_(capacity), rng_(seed), held_slots_(kHeldMax), wanted_(kWantedMax) {
  for (std::uint32_t i = 0; i < kHeldMax; ++i) held_slots_[i].next = static_cast<std::uint16_t>(i + 1);
}

NeighborRef NeighborTable::get(InterfaceId interface, const IpAddress& address, Nanos now) {
  NeighborRef ref = store_.find(interface, address);
  if (ref == kNoNeighbor) {
    ref = create(interface, address);
    if (ref == kNoNeighbor) return ref;
    store_[ref].state = NeighborState::incomplete;
    store_[ref].changed = now;
    timers_.set(ref, now + kRetransmit);
    want(ref);
  }
  mark_used(ref);
  return ref;
}

NeighborRef NeighborTable::create(InterfaceId interface, const IpAddress& address) {
  if (store_.full() && !evict_one()) {
    ++counters_.full;
    return kNoNeighbor;
  }
  return store_.create(interface, address);
}

// A scan of the on-link network by somebody behind us must not push out what traffic needs.
bool NeighborTable::evict_one() {
  for (unsigned probes = 0; probes < kEvictionProbesMax; ++probes) {
    sweep_ = sweep_ + 1 < store_.end() ? sweep_ + 1 : 0;
    const Neighbor& candidate = store_[sweep_];
    const bool needed = candidate.standing || candidate.held != 0 || (candidate.used && candidate.usable());
    if (!store_.in_use(sweep_) || needed) continue;
    erase(sweep_);
    ++counters_.evicted;
    return true;
  }
  return false;
}

void NeighborTable::erase(NeighborRef ref) {
  HEADGATE_CHECK(store_[ref].held == 0);
  store_[ref].state = NeighborState::free;
  store_[ref].wanted = false;
  timers_.remove(ref);
  store_.erase(ref);
  ++epoch_;
}

void NeighborTable::want(NeighborRef ref) {
  Neighbor& neighbor = store_[ref];
  if (neighbor.wanted) return;
  if (wanted_count_ == kWantedMax) {
    ++counters_.wanted_overflow;  // its timer wants it again
    return;
  }
  wanted_[(wanted_first_ + wanted_count_) % kWantedMax] = ref;
  ++wanted_count_;
  neighbor.wanted = true;
}

void NeighborTable::set_state(Neighbor& neighbor, NeighborState state, Nanos now) {
  if (neighbor.state == state) return;
  if (neighbor.state == NeighborState::failed || state == NeighborState::failed) ++epoch_;
  neighbor.state = state;
  neighbor.changed = now;
}

// The entry whose held packets may go, if any.
NeighborRef NeighborTable::apply(const NeighborUpdate& update, Nanos now) {
  HEADGATE_CHECK(update.state == NeighborState::reachable || update.state == NeighborState::stale ||
                 update.state == NeighborState::failed);
  NeighborRef ref = store_.find(update.interface, update.address);
  if (ref == kNoNeighbor) {
    if (!update.standing) return kNoNeighbor;
    ref = create(update.interface, update.address);
    if (ref == kNoNeighbor) return kNoNeighbor;
    store_[ref].changed = now;
  }
  Neighbor& neighbor = store_[ref];
  neighbor.standing = update.standing;
  neighbor.confirmed = now;
  set_state(neighbor, update.state, now);
  if (update.state == NeighborState::failed) {
    timers_.set(ref, now + kRecheck);
    return ref;
  }
  if (neighbor.mac != update.mac) {
    neighbor.mac = update.mac;
    neighbor.changed = now;
  }
  timers_.set(ref, now + reachable_time());
  return ref;
}

// True when the entry failed just now.
bool NeighborTable::look_at(NeighborRef ref, Nanos now) {
  Neighbor& neighbor = store_[ref];
  if (neighbor.state == NeighborState::incomplete) {
    if (now - neighbor.changed >= kIncompleteMax) {
      ++counters_.unanswered;
      set_state(neighbor, NeighborState::failed, now);
      timers_.set(ref, now + kRecheck);
      return true;
    }
    want(ref);
    timers_.set(ref, now + kRetransmit);
    return false;
  }
  if (neighbor.used) {
    neighbor.used = false;
    neighbor.last_used_s = static_cast<std::uint32_t>(now / kSecond);
    want(ref);
    timers_.set(ref, now + kRecheck);
  } else {
    look_at_idle(ref, now);
  }
  if (neighbor.state == NeighborState::reachable) neighbor.state = NeighborState::stale;  // nobody confirmed it in time
  return false;
}

void NeighborTable::look_at_idle(NeighborRef ref, Nanos now) {
  const Neighbor& neighbor = store_[ref];
  const Nanos needed_at = std::max<Nanos>({neighbor.last_used_s * kSecond, neighbor.standing ? neighbor.confirmed : 0,
                                           neighbor.state == NeighborState::failed ? neighbor.changed : 0});
  const bool short_life = neighbor.state == NeighborState::failed && !neighbor.standing;
  if (now - std::min(now, needed_at) >= (short_life ? kForgetFailed : kForgetUnused)) {
    erase(ref);
  } else {
    timers_.set(ref, now + kRecheck);
  }
}

bool NeighborTable::hold(NeighborRef ref, const Held& held) {
  Neighbor& neighbor = store_[ref];
  HEADGATE_CHECK(neighbor.state == NeighborState::incomplete);
  if (neighbor.held == kHeldPerNeighborMax || held_ == kHeldMax) {
    ++counters_.hold_refused;
    return false;
  }
  const std::uint16_t slot = held_free_;
  held_free_ = held_slots_[slot].next;
  held_slots_[slot].held = held;
  if (neighbor.held == 0) {
    neighbor.held_first = slot;
  } else {
    held_slots_[neighbor.held_last].next = slot;
  }
  neighbor.held_last = slot;
  ++neighbor.held;
  ++held_;
  return true;
}

bool NeighborTable::unhold(NeighborRef ref, Held& held) {
  Neighbor& neighbor = store_[ref];
  if (neighbor.held == 0) return false;
  const std::uint16_t slot = neighbor.held_first;
  held = held_slots_[slot].held;
  neighbor.held_first = held_slots_[slot].next;
  held_slots_[slot].next = held_free_;
  held_free_ = slot;
  --neighbor.held;
  --held_;
  return true;
}

}  // namespace headgate::neighbor
