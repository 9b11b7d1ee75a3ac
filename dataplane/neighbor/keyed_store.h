// Entries found by (interface, address), in an array sized once. An index stays with its entry until erase().
// Entry has: IpAddress address; InterfaceId interface (0 = free); std::uint32_t chain (the store's).
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "dataplane/base/check.h"
#include "dataplane/base/ids.h"
#include "dataplane/base/keyed_hash.h"

namespace headgate::neighbor {

template <class Entry>
class KeyedStore {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  KeyedStore(std::uint32_t capacity, std::uint64_t hash_key)
      : hash_(hash_key), buckets_(std::bit_ceil(capacity), kNone), entries_(capacity) {}

  std::uint32_t find(InterfaceId interface, const IpAddress& address) const {
    std::uint32_t i = buckets_[bucket(interface, address)];
    while (i != kNone && !(entries_[i].address == address && entries_[i].interface == interface)) i = entries_[i].chain;
    return i;
  }

  // kNone when full. Requires: the key is absent, interface is not 0.
  std::uint32_t create(InterfaceId interface, const IpAddress& address) {
    HEADGATE_CHECK(interface);
    std::uint32_t i = free_;
    if (i != kNone) {
      free_ = entries_[i].chain;
    } else if (end_ < entries_.size()) {
      i = end_++;
    } else {
      return kNone;
    }
    std::uint32_t& head = buckets_[bucket(interface, address)];
    entries_[i] = Entry{};
    entries_[i].address = address;
    entries_[i].interface = interface;
    entries_[i].chain = head;
    head = i;
    ++size_;
    return i;
  }

  void erase(std::uint32_t i) {
    std::uint32_t* link = &buckets_[bucket(entries_[i].interface, entries_[i].address)];
    while (*link != i) link = &entries_[*link].chain;
    *link = entries_[i].chain;
    entries_[i].interface = {};
    entries_[i].chain = free_;
    free_ = i;
    --size_;
  }

  Entry& operator[](std::uint32_t i) { return entries_[i]; }
  const Entry& operator[](std::uint32_t i) const { return entries_[i]; }
  bool in_use(std::uint32_t i) const { return static_cast<bool>(entries_[i].interface); }
  std::uint32_t end() const { return end_; }  // every entry in use is below
  std::uint32_t size() const { return size_; }
  bool full() const { return size_ == entries_.size(); }

 private:
  std::size_t bucket(InterfaceId interface, const IpAddress& address) const {
    return hash_(hash_(address), interface.value) & (buckets_.size() - 1);
  }

  KeyedHash hash_;
  std::vector<std::uint32_t> buckets_;
  std::vector<Entry> entries_;
  std::uint32_t free_ = kNone, end_ = 0, size_ = 0;
};

}  // namespace headgate::neighbor
