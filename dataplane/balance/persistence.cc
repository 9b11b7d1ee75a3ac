#include "dataplane/balance/persistence.h"

#include <algorithm>
#include <bit>

#include "dataplane/base/check.h"

namespace headgate::balance {

using snapshot::Backend;
using snapshot::kNone;
using snapshot::Pool;
using snapshot::Snapshot;

PersistenceTable::PersistenceTable(std::size_t entries, std::uint64_t hash_key)
    : hash_(hash_key), entries_(std::bit_ceil(std::max(entries, kWays))) {}

unsigned PersistenceTable::home_of(const Pool& pool, const IpAddress& client, unsigned workers) {
  const KeyedHash hash(0x686f6d65ull);
  return static_cast<unsigned>((hash(prefix_of(pool, client)) >> 32) * workers >> 32);
}

PersistenceTable::Buckets PersistenceTable::buckets_of(Slot pool, const IpAddress& prefix) const {
  const std::uint64_t hash = hash_(hash_(prefix), pool);
  const std::size_t mask = entries_.size() / kWays - 1;
  return {(hash & mask) * kWays, (hash >> 32 & mask) * kWays};
}

const PersistenceTable::Entry* PersistenceTable::lookup(Slot pool, const IpAddress& prefix) const {
  const Buckets buckets = buckets_of(pool, prefix);
  for (const std::size_t start : {buckets.first, buckets.second}) {
    for (std::size_t i = start; i < start + kWays; ++i) {
      if (entries_[i].pool == pool && entries_[i].prefix == prefix) return &entries_[i];
    }
  }
  return nullptr;
}

std::uint16_t PersistenceTable::find(const Snapshot& snapshot, const Pool& pool, const IpAddress& client,
                                     Nanos now) const {
  const Entry* entry = lookup(pool.slot, prefix_of(pool, client));
  if (entry == nullptr || entry->expires <= now) return kNone;
  const Backend* backend = snapshot.backend_of_slot(entry->backend);
  // Slots are reused, ids are not: the id tells whether it is still the same backend, and its pool whether the same
  // pool.
  if (backend == nullptr || backend->id.value != entry->backend_id) return kNone;
  if (&snapshot.pools[backend->pool] != &pool || !backend->usable()) return kNone;
  return static_cast<std::uint16_t>(backend - snapshot.backends.data());
}

// Where a new entry goes: a free or expired place in the emptier bucket, else that of the entry nearest to its end.
PersistenceTable::Entry& PersistenceTable::place_for(Slot pool, const IpAddress& prefix, Nanos now) {
  const Buckets buckets = buckets_of(pool, prefix);
  const auto free_in = [&](std::size_t start) {
    return std::count_if(&entries_[start], &entries_[start] + kWays, [&](const Entry& e) { return e.expires <= now; });
  };
  const std::size_t start = free_in(buckets.second) > free_in(buckets.first) ? buckets.second : buckets.first;
  const auto sooner = [](const Entry& a, const Entry& b) { return a.expires < b.expires; };
  Entry* place = std::min_element(&entries_[start], &entries_[start] + kWays, sooner);
  if (place->expires > now) {
    Entry* other = std::min_element(&entries_[buckets.second], &entries_[buckets.second] + kWays, sooner);
    if (sooner(*other, *place)) place = other;
    ++shed_;
  }
  if (place->expires == 0) ++used_;
  return *place;
}

void PersistenceTable::remember(const Snapshot& snapshot, const Pool& pool, const IpAddress& client,
                                std::uint16_t backend, Nanos now) {
  HEADGATE_CHECK(pool.persistence_timeout > 0 && backend < snapshot.backends.size());
  const IpAddress prefix = prefix_of(pool, client);
  Entry* entry = const_cast<Entry*>(lookup(pool.slot, prefix));
  if (entry == nullptr) entry = &place_for(pool.slot, prefix, now);
  const Backend& chosen = snapshot.backends[backend];
  *entry = {prefix, now + pool.persistence_timeout, chosen.id.value, pool.slot, chosen.slot};
}

}  // namespace headgate::balance
