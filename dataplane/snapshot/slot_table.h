// Hands out slots: dense numbers that stay with an id across snapshots, so that workers can keep mutable state in
// arrays.
//
// Control thread only. A slot is live while the newest snapshot names its id, then retired: the id is gone but flows
// may still hold the slot. The caller calls release() when no reader runs a snapshot with the id (Publisher::reclaim)
// and no flow holds the slot; only then is it given to another id. An id that comes back while retired gets its slot
// back. Bounded: capacities are in model.h.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <tl/expected.hpp>
#include <unordered_map>
#include <vector>

#include "dataplane/base/ids.h"
#include "dataplane/base/ip.h"
#include "dataplane/snapshot/model.h"

namespace headgate::snapshot {

enum class SlotKind : std::uint8_t { service, pool, backend, local_address };

namespace internal {

// One kind's slots. Key: what a slot stays with.
template <class Key, class Hash>
class SlotMap {
 public:
  SlotMap(std::size_t capacity, Hash hash) : capacity_(capacity), by_key_(0, hash) {}

  bool fits(std::span<const Key> keys) const {
    std::size_t fresh = 0;
    for (const Key& key : keys) fresh += by_key_.contains(key) ? 0 : 1;
    return fresh <= capacity_ - entries_.size() + free_.size();
  }
  // Requires: fits(keys), no duplicates.
  std::vector<Slot> assign(std::span<const Key> keys) {
    ++round_;
    std::vector<Slot> slots;
    slots.reserve(keys.size());
    for (const Key& key : keys) slots.push_back(take(key));
    for (Entry& entry : entries_) {
      if (entry.state == State::live && entry.round != round_) entry.state = State::retired;
    }
    return slots;
  }
  std::vector<Slot> retired() const {
    std::vector<Slot> slots;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].state == State::retired) slots.push_back(static_cast<Slot>(i));
    }
    return slots;
  }
  bool release(Slot slot) {
    if (slot >= entries_.size() || entries_[slot].state != State::retired) return false;
    by_key_.erase(entries_[slot].key);
    entries_[slot].state = State::free;
    free_.push_back(slot);
    return true;
  }
  std::size_t used() const { return entries_.size(); }
  Slot slot_of(const Key& key) const {
    const auto found = by_key_.find(key);
    return found == by_key_.end() ? kNoSlot : found->second;
  }

 private:
  enum class State : std::uint8_t { free, live, retired };
  struct Entry {
    Key key{};
    std::uint64_t round = 0;
    State state = State::free;
  };

  Slot take(const Key& key) {
    const auto known = by_key_.find(key);
    Slot slot;
    if (known != by_key_.end()) {
      slot = known->second;
    } else if (!free_.empty()) {
      slot = free_.front();  // the one that rested longest
      free_.pop_front();
      by_key_.emplace(key, slot);
    } else {
      slot = static_cast<Slot>(entries_.size());
      entries_.emplace_back();
      by_key_.emplace(key, slot);
    }
    entries_[slot] = Entry{key, round_, State::live};
    return slot;
  }

  std::size_t capacity_;
  std::uint64_t round_ = 0;
  std::unordered_map<Key, Slot, Hash> by_key_;
  std::vector<Entry> entries_;
  std::deque<Slot> free_;
};

}  // namespace internal

class SlotTable {
 public:
  struct Capacity {
    std::size_t services = kServiceSlots, pools = kPoolSlots, backends = kBackendSlots,
                local_addresses = kLocalAddressSlots;
  };
  struct Request {
    std::vector<std::uint32_t> services, pools, backends;  // ids
    std::vector<IpAddress> local_addresses;
  };
  struct Assignment {
    std::vector<Slot> services, pools, backends, local_addresses;  // in the order of the request
  };

  explicit SlotTable(std::uint64_t hash_key) : SlotTable(hash_key, Capacity{}) {}
  SlotTable(std::uint64_t hash_key, const Capacity& capacity);

  // A slot for everything in the request; what it does not name is retired. All or nothing: on failure, the kind that
  // has too few slots left, and nothing changed. Requires: no duplicates within a kind.
  tl::expected<Assignment, SlotKind> assign(const Request& request);

  // 1 to 63 for each of these ids, the one it had before if possible. With all in use, that of a group which left
  // longest ago is given away, whatever flows it still has. Requires: ids.size() <= vrrp::kGroupsMax, no duplicates.
  std::vector<GroupSlot> assign_groups(std::span<const std::uint32_t> ids);

  std::vector<Slot> retired(SlotKind kind) const;
  // False, and no change, unless the slot is retired (its id came back meanwhile, or it was released already).
  bool release(SlotKind kind, Slot slot);
  // Has a slot: is in the newest snapshot, or left it and may still have flows.
  bool knows_backend(BackendId id) const { return slot_of_backend(id) != kNoSlot; }
  // kNoSlot when it has none.
  Slot slot_of_backend(BackendId id) const { return backends_.slot_of(id.value); }
  // All slots ever handed out are below this.
  std::size_t used(SlotKind kind) const;

 private:
  internal::SlotMap<std::uint32_t, IdHash> services_, pools_, backends_;
  internal::SlotMap<IpAddress, AddressHash> local_addresses_;
  std::array<std::uint32_t, vrrp::kGroupsMax + 1> group_of_slot_{};  // id; 0: never used
  std::array<std::uint64_t, vrrp::kGroupsMax + 1> group_used_{};     // when it was last asked for
  std::uint64_t group_round_ = 0;
};

}  // namespace headgate::snapshot
