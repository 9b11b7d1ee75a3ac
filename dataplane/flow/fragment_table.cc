#include "dataplane/flow/fragment_table.h"

#include <bit>

#include "dataplane/base/check.h"

namespace headgate::flow {

static_assert(std::has_single_bit(kFragmentEntriesMax));

FragmentTable::FragmentTable(std::uint64_t hash_key)
    : hash_(hash_key),
      buckets_(kFragmentEntriesMax, kNone),
      entries_(kFragmentEntriesMax),
      held_pool_(kFragmentsHeldMax) {
  for (std::uint32_t i = kFragmentEntriesMax; i-- > 0;) {
    entries_[i].chain = free_;
    free_ = i;
  }
  for (std::uint32_t i = kFragmentsHeldMax; i-- > 0;) {
    held_pool_[i].next = held_free_;
    held_free_ = i;
  }
}

std::size_t FragmentTable::bucket(const FragmentKey& key) const {
  return hash_(hash_(key.src) ^ key.id, hash_(key.dst) ^ key.protocol) & (kFragmentEntriesMax - 1);
}

std::uint32_t FragmentTable::find(const FragmentKey& key) const {
  std::uint32_t i = buckets_[bucket(key)];
  while (i != kNone && !(entries_[i].key == key)) i = entries_[i].chain;
  return i;
}

// Requires: an entry is free.
std::uint32_t FragmentTable::insert(const FragmentKey& key) {
  const std::uint32_t i = free_;
  HEADGATE_CHECK(i != kNone);
  free_ = entries_[i].chain;
  std::uint32_t& head = buckets_[bucket(key)];
  entries_[i] = Entry{.key = key, .tuple = {}, .chain = head};
  head = i;
  link_back(i);
  ++used_;
  return i;
}

// Requires: nothing is held for it.
void FragmentTable::erase(std::uint32_t i) {
  HEADGATE_CHECK(entries_[i].held == 0);
  unlink(i);
  std::uint32_t* link = &buckets_[bucket(entries_[i].key)];
  while (*link != i) link = &entries_[*link].chain;
  *link = entries_[i].chain;
  entries_[i].chain = free_;
  free_ = i;
  --used_;
}

void FragmentTable::move_to_back(std::uint32_t i) {
  unlink(i);
  link_back(i);
}

void FragmentTable::link_back(std::uint32_t i) {
  entries_[i].older = youngest_;
  entries_[i].younger = kNone;
  (youngest_ == kNone ? oldest_ : entries_[youngest_].younger) = i;
  youngest_ = i;
}

void FragmentTable::unlink(std::uint32_t i) {
  const Entry& entry = entries_[i];
  (entry.older == kNone ? oldest_ : entries_[entry.older].younger) = entry.younger;
  (entry.younger == kNone ? youngest_ : entries_[entry.younger].older) = entry.older;
}

void FragmentTable::hold(std::uint32_t i, const HeldFragment& fragment) {
  const std::uint32_t h = held_free_;
  HEADGATE_CHECK(h != kNone);
  held_free_ = held_pool_[h].next;
  held_pool_[h] = {fragment, kNone};
  Entry& entry = entries_[i];
  (entry.held == 0 ? entry.held_first : held_pool_[entry.held_last].next) = h;
  entry.held_last = h;
  ++entry.held;
  ++held_;
}

// The longest held one.
std::optional<HeldFragment> FragmentTable::unhold(std::uint32_t i) {
  Entry& entry = entries_[i];
  if (entry.held == 0) return std::nullopt;
  const std::uint32_t h = entry.held_first;
  entry.held_first = held_pool_[h].next;
  --entry.held;
  --held_;
  held_pool_[h].next = held_free_;
  held_free_ = h;
  return held_pool_[h].fragment;
}

}  // namespace headgate::flow
