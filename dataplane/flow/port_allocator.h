// Local ports towards backends for full NAT and snat. One allocator per worker, single threaded.
//
// A port is unique per (local address, endpoint, protocol), not per local address: 64 k flows per pair. The reply's
// Toeplitz bucket must equal the request's, so a caller needs a port of one class (base/toeplitz.h): 512 candidates,
// fewer the reserved ones below 1024. All state is per (pair, protocol, class), a pool, created when first used and
// given back when idle.
//
// Order (a port reused inside the backend's TIME_WAIT loses connections): freed longer ago than kPortHold, oldest
// first; then never used, in a pseudo-random order per pool; then the oldest freed one, however young.
//
// Bounded memory, constant time. When freed records run out, a freed port is remembered by a bitmap only (found by a
// scan of at most 8 words); when blocks run out, a pool stays at its first 64 candidates; when pools run out, the
// longest idle one is recycled, or the allocation fails. A port in use is never handed out again and no free port is
// ever lost.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/base/huge_array.h"
#include "dataplane/base/ids.h"
#include "dataplane/base/keyed_hash.h"
#include "dataplane/base/time.h"
#include "dataplane/base/toeplitz.h"
#include "dataplane/snapshot/model.h"
#include "dataplane/telemetry/counters.h"

namespace headgate::flow {

inline constexpr Nanos kPortHold = 120 * kSecond;     // twice Linux's TIME_WAIT of 60 s
inline constexpr std::uint16_t kLocalPortMin = 1024;  // below: system ports (RFC 6335 section 6)

struct PortPair {
  Slot local = kNoSlot;
  std::uint32_t endpoint = 0;  // a number for the backend's address and port; equal ones share ports
  std::uint8_t protocol = 0;
  bool v4 = true;  // family of the local address
};

class PortAllocator {
 public:
  // Memory is reserved at construction and touched as it is first used. Sizes: 68 to 72 bytes a pool with its hash
  // bucket, 128 bytes a block, 8 bytes a record.
  struct Limits {
    std::uint32_t pools = 65536;      // (pair, protocol, class) combinations at once
    std::uint32_t blocks = 32768;     // pools that may use more than 64 candidates
    std::uint32_t records = 1 << 20;  // freed ports whose age and order are known
    // A pool in use has at least one flow, so `flows` pools always suffice.
    static Limits for_flows(std::uint32_t flows) { return {flows, flows / 32 + 64, flows}; }
  };
  struct Counters {
    std::uint64_t exhausted = 0;        // no port of the class is free for the pair
    std::uint64_t pools_exhausted = 0;  // no pool left
    std::uint64_t pools_recycled = 0;   // idle ones, their history forgotten
    std::uint64_t unrecorded = 0;       // frees for which no record was left
    std::uint64_t reused_young = 0;     // ports handed out again before kPortHold
  };

  // Requires: both classes complete().
  PortAllocator(const PortClasses& v4, const PortClasses& v6, Limits limits, std::uint64_t seed);

  // A port of `port_class`, or nothing when none is free. Requires: port_class < kBuckets.
  std::optional<std::uint16_t> allocate(const PortPair& pair, unsigned port_class, Nanos now);
  // Requires: the port is allocated for this pair.
  void free(const PortPair& pair, std::uint16_t port, Nanos now);
  bool in_use(const PortPair& pair, std::uint16_t port) const;

  std::uint32_t live() const { return live_; }
  // Ports in use of one local address. Any thread may ask.
  std::uint64_t live_of(Slot local) const { return local < live_of_.size() ? live_of_[local].read() : 0; }
  std::uint32_t pools() const { return free_pools_.used; }
  const Counters& counters() const { return counters_; }
  std::size_t bytes_reserved() const;
  std::size_t bytes_touched() const;  // what was ever written, rounded up by the whole hash index

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  static constexpr unsigned kCandidates = PortClasses::kPortsPerClass;
  static constexpr unsigned kWords = kCandidates / 64;

  // Positions number a class's candidates in the pool's own pseudo-random order.
  struct Block {
    std::uint64_t live[kWords];
    std::uint64_t listed[kWords];
  };
  struct Pool {
    std::uint64_t key;
    std::uint64_t live_word, listed_word;  // of positions 0..63 while block == kNone
    std::uint32_t block;
    std::uint32_t chain;       // of the hash bucket
    std::uint32_t head, tail;  // freed records, oldest first
    std::uint32_t idle_prev, idle_next;
    std::uint16_t live;           // ports in use; 0 = on the idle list
    std::uint16_t recorded;       // length of the list at head
    std::uint16_t unrecorded;     // positions below the cursor that are neither live nor listed
    std::uint16_t cursor;         // positions from here on were never used
    std::uint32_t unrecorded_at;  // tick of the last free without a record
    std::uint32_t idle_since;     // tick, when live == 0
  };
  static_assert(sizeof(Pool) == 64);
  struct Record {
    std::uint32_t next;
    std::uint32_t tick : 23, position : 9;
  };
  static_assert(sizeof(Record) == 8);
  struct Order {  // position -> index is start + position * step; step is odd
    std::uint32_t start, step;
  };
  struct Family {
    std::array<std::uint16_t, kCandidates> kernel;  // ascending
    const PortClasses* classes;
  };
  // Which entries of an array are free: a stack linked through the entries, below a high-water mark.
  struct FreeList {
    std::uint32_t first = kNone, touched = 0, used = 0;
  };

  static std::uint64_t key_of(const PortPair& pair, unsigned port_class);
  const Family& family(const PortPair& pair) const { return pair.v4 ? v4_ : v6_; }
  Order order_of(std::uint64_t key) const;
  std::uint16_t port_at(const PortPair& pair, unsigned port_class, Order order, unsigned position) const;
  unsigned position_of(const PortPair& pair, Order order, std::uint16_t port) const;

  std::uint32_t find(std::uint64_t key) const;
  std::uint32_t find_or_create(std::uint64_t key);
  void count(const PortPair& pair, std::uint64_t by) {
    if (pair.local < live_of_.size()) live_of_[pair.local].add(by);
  }
  void recycle(std::uint32_t pool);
  void idle_push(std::uint32_t pool);
  void idle_remove(std::uint32_t pool);
  std::uint32_t take_record(std::uint32_t tick);

  std::span<std::uint64_t> live_bits(Pool& pool) { return bits(pool.live_word, pool.block, &Block::live); }
  std::span<std::uint64_t> listed_bits(Pool& pool) { return bits(pool.listed_word, pool.block, &Block::listed); }
  std::span<std::uint64_t> bits(std::uint64_t& word, std::uint32_t block, std::uint64_t (Block::*member)[kWords]);
  bool grow(Pool& pool);

  std::optional<unsigned> choose(Pool& pool, const PortPair& pair, unsigned port_class, std::uint32_t tick);
  unsigned take_freed(Pool& pool, std::uint32_t tick);
  unsigned take_oldest_record(Pool& pool);
  unsigned take_unrecorded(Pool& pool);
  std::optional<unsigned> take_new(Pool& pool, const PortPair& pair, unsigned port_class);

  Family v4_, v6_;
  Limits limits_;
  KeyedHash hash_;
  std::uint64_t seed_;
  std::uint32_t bucket_mask_;
  HugeArray<std::uint32_t> buckets_;  // pool + 1, 0 = empty: pages that were never touched read as empty
  HugeArray<Pool> pool_;
  HugeArray<Block> block_;
  HugeArray<Record> record_;
  FreeList free_pools_, free_blocks_, free_records_;
  std::uint32_t idle_first_ = kNone, idle_last_ = kNone;
  std::uint32_t live_ = 0;
  telemetry::CounterArray<telemetry::Counter> live_of_;  // by local address
  Counters counters_;
};

}  // namespace headgate::flow
