// A worker's own copy of what is known about next hops: hardware addresses, and packets that wait for one. It sends
// nothing: what it wants resolved it lists, the worker passes the list on to the one Resolver and brings the answers
// back by update().
//
// A flow caches a NeighborRef together with epoch(). While the epoch is the same the ref is good and the neighbor has
// not gone to or come from `failed`; otherwise the flow calls get() again. One thread.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/base/rng.h"
#include "dataplane/base/time.h"
#include "dataplane/neighbor/deadline_heap.h"
#include "dataplane/neighbor/keyed_store.h"
#include "dataplane/neighbor/limits.h"
#include "dataplane/neighbor/update.h"

namespace headgate::neighbor {

using NeighborRef = std::uint32_t;
inline constexpr NeighborRef kNoNeighbor = 0xffffffff;

struct alignas(64) Neighbor {
  IpAddress address;
  InterfaceId interface;
  MacAddress mac;  // valid in reachable and stale
  NeighborState state = NeighborState::free;
  bool used = false;              // since the last look
  Nanos changed = 0;              // state or mac
  Nanos confirmed = 0;            // last update
  std::uint32_t last_used_s = 0;  // seconds
  std::uint32_t chain = 0xffffffff;
  std::uint16_t held_first = 0, held_last = 0;  // valid when held != 0
  std::uint8_t held = 0;
  bool standing = false;
  bool wanted = false;  // in the wanted list

  bool usable() const { return state == NeighborState::reachable || state == NeighborState::stale; }
};
static_assert(sizeof(Neighbor) == 64);

// A waiting packet; all of it is the caller's.
struct Held {
  void* packet = nullptr;
  std::uint32_t word = 0;
  std::uint16_t half_a = 0, half_b = 0;
};

class NeighborTable {
 public:
  struct Counters {
    std::uint64_t full = 0, evicted = 0, hold_refused = 0, wanted_overflow = 0, unanswered = 0;
  };

  explicit NeighborTable(std::uint64_t seed, std::uint32_t capacity = kNeighborsMax);

  // Finds or creates (incomplete, and wanted). kNoNeighbor only when the table is full of entries that are needed.
  // Requires: interface is not 0; address is unicast.
  NeighborRef get(InterfaceId interface, const IpAddress& address, Nanos now);
  NeighborRef find(InterfaceId interface, const IpAddress& address) const { return store_.find(interface, address); }
  const Neighbor& at(NeighborRef ref) const { return store_[ref]; }
  std::uint32_t epoch() const { return epoch_; }
  void mark_used(NeighborRef ref) {
    if (!store_[ref].used) store_[ref].used = true;  // reads only, once set: the line stays clean
  }

  // Keeps a packet until the neighbor is resolved or failed. False: no room, the packet stays the caller's.
  // Requires: the neighbor is incomplete.
  bool hold(NeighborRef ref, const Held& held);

  // release(const Held&, const Neighbor&) for every packet that waited, in order: to send when usable(), else to drop.
  // It must not call back into the table.
  template <class F>
  void update(const NeighborUpdate& update, Nanos now, F&& release) {
    const NeighborRef ref = apply(update, now);
    if (ref != kNoNeighbor) release_held(ref, release);
  }

  // f(InterfaceId, const IpAddress&) for everything to be passed to Resolver::want().
  template <class F>
  void take_wanted(F&& f) {
    while (wanted_count_ != 0) {
      const NeighborRef ref = wanted_[wanted_first_];
      wanted_first_ = (wanted_first_ + 1) % kWantedMax;
      --wanted_count_;
      if (!store_.in_use(ref) || !store_[ref].wanted) continue;  // freed meanwhile
      store_[ref].wanted = false;
      f(store_[ref].interface, store_[ref].address);
    }
  }
  bool wants() const { return wanted_count_ != 0; }

  // At most kTimersPerAdvance entries; the rest stays due.
  template <class F>
  void advance(Nanos now, F&& release) {
    for (unsigned i = 0; i < kTimersPerAdvance && timers_.next() <= now; ++i) {
      const NeighborRef ref = timers_.top();
      if (look_at(ref, now)) release_held(ref, release);
    }
  }
  Nanos next_deadline() const { return timers_.next(); }

  // f(const Neighbor&) for every entry: for operators.
  template <class F>
  void for_each(F&& f) const {
    for (std::uint32_t i = 0; i < store_.end(); ++i) {
      if (store_.in_use(i)) f(store_[i]);
    }
  }
  std::uint32_t size() const { return store_.size(); }
  std::uint32_t held() const { return held_; }
  const Counters& counters() const { return counters_; }

 private:
  template <class F>
  void release_held(NeighborRef ref, F&& release) {
    Held held;
    while (unhold(ref, held)) release(static_cast<const Held&>(held), at(ref));
  }
  NeighborRef create(InterfaceId interface, const IpAddress& address);
  bool evict_one();
  void erase(NeighborRef ref);
  void want(NeighborRef ref);
  void set_state(Neighbor& neighbor, NeighborState state, Nanos now);
  NeighborRef apply(const NeighborUpdate& update, Nanos now);
  bool look_at(NeighborRef ref, Nanos now);
  void look_at_idle(NeighborRef ref, Nanos now);
  bool unhold(NeighborRef ref, Held& held);
  Nanos reachable_time() { return kReachableTime / 2 + rng_.below(1000) * (kReachableTime / 1000); }

  struct HeldSlot {
    Held held;
    std::uint16_t next = 0;
  };
  KeyedStore<Neighbor> store_;
  DeadlineHeap timers_;
  Rng rng_;
  std::uint32_t epoch_ = 1;
  std::uint32_t sweep_ = 0;
  std::vector<HeldSlot> held_slots_;
  std::uint16_t held_free_ = 0;
  std::uint32_t held_ = 0;
  std::vector<NeighborRef> wanted_;
  std::uint32_t wanted_first_ = 0, wanted_count_ = 0;
  Counters counters_;
};

}  // namespace headgate::neighbor
