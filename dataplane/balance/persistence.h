// Clients that come back within a time go to the backend they had: (pool, client prefix) -> backend. Bounded, per
// worker: one worker (home_of) decides for a prefix, so no two disagree.
//
// Buckets of eight entries, two to choose from, which fill to three quarters before anything is shed. Expiry is
// lazy: an expired entry is as good as free. When both buckets are full the entry that would expire first goes. An
// entry whose backend is gone, down, drained or of weight 0 is ignored and replaced by the next remember().
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/base/keyed_hash.h"
#include "dataplane/base/time.h"
#include "dataplane/snapshot/model.h"

namespace headgate::balance {

class PersistenceTable {
 public:
  // entries: rounded up to a power of two, 32 bytes each. hash_key: random per process; clients choose their addresses.
  PersistenceTable(std::size_t entries, std::uint64_t hash_key);

  // The prefix of `client` that `pool` persists by.
  static IpAddress prefix_of(const snapshot::Pool& pool, const IpAddress& client) {
    return client.masked(client.is_v4() ? pool.persistence_v4 : pool.persistence_v6);
  }
  // The worker that decides for a client. Any worker; equal on all.
  static unsigned home_of(const snapshot::Pool& pool, const IpAddress& client, unsigned workers);

  // The usable backend this client had (index into Snapshot::backends), or kNone. Requires: the pool has persistence.
  std::uint16_t find(const snapshot::Snapshot& snapshot, const snapshot::Pool& pool, const IpAddress& client,
                     Nanos now) const;
  // For every new flow, also one that find() decided: the timeout slides.
  void remember(const snapshot::Snapshot& snapshot, const snapshot::Pool& pool, const IpAddress& client,
                std::uint16_t backend, Nanos now);

  std::size_t capacity() const { return entries_.size(); }
  std::size_t used() const { return used_; }    // expired ones that nobody replaced count too
  std::uint64_t shed() const { return shed_; }  // unexpired entries that had to go

 private:
  static constexpr std::size_t kWays = 8;
  struct Entry {
    IpAddress prefix;
    Nanos expires = 0;  // 0 = never used
    std::uint32_t backend_id = 0;
    Slot pool = kNoSlot;
    Slot backend = kNoSlot;
  };
  static_assert(sizeof(Entry) == 32);
  struct Buckets {
    std::size_t first, second;  // of their first entries
  };

  Buckets buckets_of(Slot pool, const IpAddress& prefix) const;
  const Entry* lookup(Slot pool, const IpAddress& prefix) const;
  Entry& place_for(Slot pool, const IpAddress& prefix, Nanos now);

  KeyedHash hash_;
  std::vector<Entry> entries_;
  std::size_t used_ = 0;
  std::uint64_t shed_ = 0;
};

}  // namespace headgate::balance
