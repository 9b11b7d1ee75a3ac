// Which connection a segment belongs to: buckets of one cache line, twelve 8-bit tags and twelve indices each. A full
// bucket spills into the next and counts what went by, so a miss ends at the first bucket that nothing passed. The hash
// is keyed (base/keyed_hash.h); the caller compares the whole tuple. Share of a connection: 7.1 bytes when full.
#pragma once

#include <cstdint>

#include "dataplane/base/check.h"
#include "dataplane/base/huge_array.h"
#include "dataplane/base/touch.h"
#include "dataplane/tcp/slab.h"

namespace headgate::tcp {

class ConnectionTable {
 public:
  explicit ConnectionTable(std::uint32_t capacity) : buckets_(capacity / kTarget + 2), size_(capacity / kTarget + 2) {}

  // The index for which same(index) is true among those with this hash, or kNone.
  template <class Same>
  std::uint32_t find(std::uint64_t hash, Same&& same) const {
    const std::uint8_t tag = tag_of(hash);
    for (std::uint32_t b = home(hash);; b = next(b)) {
      const Bucket& bucket = buckets_[b];
      for (unsigned i = 0; i < kWays; ++i) {
        if (bucket.tags[i] == tag && same(bucket.index[i])) return bucket.index[i];
      }
      if (bucket.passed == 0) return kNone;
    }
  }
  // Calls visit(index) for what the first bucket may hold of this hash: to prefetch, not to find.
  template <class Visit>
  void each_candidate(std::uint64_t hash, Visit&& visit) const {
    const std::uint8_t tag = tag_of(hash);
    const Bucket& bucket = buckets_[home(hash)];
    for (unsigned i = 0; i < kWays; ++i) {
      if (bucket.tags[i] == tag) visit(bucket.index[i]);
    }
  }
  void touch(std::uint64_t hash) const { headgate::touch(&buckets_[home(hash)]); }

  // Requires: not in the table, and fewer than `capacity` are.
  void insert(std::uint64_t hash, std::uint32_t index) {
    std::uint32_t b = home(hash);
    for (;; b = next(b)) {
      Bucket& bucket = buckets_[b];
      for (unsigned i = 0; i < kWays; ++i) {
        if (bucket.tags[i] != 0) continue;
        bucket.tags[i] = tag_of(hash);
        bucket.index[i] = index;
        ++used_;
        return;
      }
      ++bucket.passed;
    }
  }
  // Requires: in the table.
  void erase(std::uint64_t hash, std::uint32_t index) {
    for (std::uint32_t b = home(hash);; b = next(b)) {
      Bucket& bucket = buckets_[b];
      for (unsigned i = 0; i < kWays; ++i) {
        if (bucket.tags[i] == 0 || bucket.index[i] != index) continue;
        bucket.tags[i] = 0;
        --used_;
        return;
      }
      HEADGATE_CHECK(bucket.passed > 0);
      --bucket.passed;
    }
  }
  std::uint32_t used() const { return used_; }
  std::size_t bytes() const { return std::size_t{size_} * sizeof(Bucket); }

 private:
  static constexpr unsigned kWays = 12, kTarget = 9;
  struct alignas(64) Bucket {
    std::uint8_t tags[kWays];  // 0 = free
    std::uint32_t passed;      // entries whose search goes on behind this bucket
    std::uint32_t index[kWays];
  };
  static_assert(sizeof(Bucket) == 64);

  static std::uint8_t tag_of(std::uint64_t hash) { return static_cast<std::uint8_t>(1 + (hash & 0xff) % 255); }
  std::uint32_t home(std::uint64_t hash) const { return static_cast<std::uint32_t>((hash >> 32) * size_ >> 32); }
  std::uint32_t next(std::uint32_t b) const { return b + 1 == size_ ? 0 : b + 1; }

  HugeArray<Bucket> buckets_;
  std::uint32_t size_, used_ = 0;
};

}  // namespace headgate::tcp
