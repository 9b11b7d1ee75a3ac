#include "dataplane/flow/port_allocator.h"

#include <algorithm>
#include <bit>

#include "dataplane/base/check.h"

namespace headgate::flow {

namespace {

// Ages are kept in quarter seconds modulo 2^23, 24 days. An older one looks young: then never-used ports go first, no
// harm.
constexpr Nanos kTick = 250 * kMillisecond;
constexpr std::uint32_t kTickMask = (1u << 23) - 1;
constexpr std::uint32_t kHoldTicks = kPortHold / kTick;
constexpr unsigned kRecycleTries = 4;

std::uint32_t tick_of(Nanos now) {
  return static_cast<std::uint32_t>(now / kTick) & kTickMask;
}
std::uint32_t age(std::uint32_t tick, std::uint32_t since) {
  return (tick - since) & kTickMask;
}

bool test(std::span<const std::uint64_t> bits, unsigned i) {
  return i / 64 < bits.size() && (bits[i / 64] >> (i % 64) & 1) != 0;
}
void set(std::span<std::uint64_t> bits, unsigned i) {
  bits[i / 64] |= std::uint64_t{1} << (i % 64);
}
void clear(std::span<std::uint64_t> bits, unsigned i) {
  bits[i / 64] &= ~(std::uint64_t{1} << (i % 64));
}

template <class List, class Array, class Link>
std::uint32_t take(List& list, Array& array, Link link) {
  std::uint32_t i = list.first;
  if (i != 0xffffffff) {
    list.first = link(array[i]);
  } else if (list.touched < array.size()) {
    i = list.touched++;
  } else {
    return 0xffffffff;
  }
  ++list.used;
  return i;
}

}  // namespace

PortAllocator::PortAllocator(const PortClasses& v4, const PortClasses& v6, Limits limits, std::uint64_t seed)
    : hash_(seed),
      seed_(seed),
      bucket_mask_(std::bit_ceil(std::max(limits.pools, 1u)) - 1),
      buckets_(bucket_mask_ + 1),
      pool_(limits.pools),
      block_(limits.blocks),
      record_(limits.records),
      live_of_(snapshot::kLocalAddressSlots) {
  HEADGATE_CHECK(v4.complete() && v6.complete());
  v4_.classes = &v4;
  v6_.classes = &v6;
  for (unsigned i = 0; i < kCandidates; ++i) {
    // The kernel holds port 0, and class 0's base is its smallest member: class 0's ports are the kernel itself.
    v4_.kernel[i] = v4.port(0, i);
    v6_.kernel[i] = v6.port(0, i);
  }
  HEADGATE_CHECK(std::ranges::is_sorted(v4_.kernel) && std::ranges::is_sorted(v6_.kernel));
  HEADGATE_CHECK(v4_.kernel[0] == 0 && v6_.kernel[0] == 0);
}

std::optional<std::uint16_t> PortAllocator::allocate(const PortPair& pair, unsigned port_class, Nanos now) {
  HEADGATE_CHECK(port_class < kBuckets);
  const std::uint64_t key = key_of(pair, port_class);
  const std::uint32_t index = find_or_create(key);
  if (index == kNone) {
    ++counters_.pools_exhausted;
    return std::nullopt;
  }
  Pool& pool = pool_[index];
  const std::optional<unsigned> position = choose(pool, pair, port_class, tick_of(now));
  if (!position) {
    ++counters_.exhausted;
    return std::nullopt;
  }
  const std::span<std::uint64_t> live = live_bits(pool);
  HEADGATE_CHECK(!test(live, *position));
  set(live, *position);
  if (pool.live++ == 0) idle_remove(index);
  ++live_;
  count(pair, 1);
  return port_at(pair, port_class, order_of(key), *position);
}

void PortAllocator::free(const PortPair& pair, std::uint16_t port, Nanos now) {
  const std::uint64_t key = key_of(pair, family(pair).classes->class_of(port));
  const std::uint32_t index = find(key);
  HEADGATE_CHECK(index != kNone);
  Pool& pool = pool_[index];
  const unsigned position = position_of(pair, order_of(key), port);
  const std::span<std::uint64_t> live = live_bits(pool);
  HEADGATE_CHECK(test(live, position));
  clear(live, position);
  --live_;
  count(pair, ~std::uint64_t{0});
  const std::uint32_t tick = tick_of(now);
  if (const std::uint32_t record = take_record(tick); record != kNone) {
    record_[record] = Record{kNone, tick & kTickMask, position & (kCandidates - 1)};
    if (pool.recorded++ == 0) {
      pool.head = record;
    } else {
      record_[pool.tail].next = record;
    }
    pool.tail = record;
    set(listed_bits(pool), position);
  } else {
    ++pool.unrecorded;
    pool.unrecorded_at = tick;
    ++counters_.unrecorded;
  }
  if (--pool.live == 0) {
    pool.idle_since = tick;
    idle_push(index);
  }
}

bool PortAllocator::in_use(const PortPair& pair, std::uint16_t port) const {
  const std::uint64_t key = key_of(pair, family(pair).classes->class_of(port));
  const std::uint32_t index = find(key);
  if (index == kNone) return false;
  const Pool& pool = pool_[index];
  const unsigned position = position_of(pair, order_of(key), port);
  if (pool.block != kNone) return test(block_[pool.block].live, position);
  return test(std::span(&pool.live_word, 1), position);
}

// --- which port
// ---------------------------------------------------------------------------------------------------------

std::optional<unsigned> PortAllocator::choose(Pool& pool, const PortPair& pair, unsigned port_class,
                                              std::uint32_t tick) {
  const bool recorded = pool.recorded != 0;
  const bool unrecorded = pool.unrecorded != 0;
  if ((recorded && age(tick, record_[pool.head].tick) >= kHoldTicks) ||
      (unrecorded && age(tick, pool.unrecorded_at) >= kHoldTicks)) {
    return take_freed(pool, tick);
  }
  if (const std::optional<unsigned> fresh = take_new(pool, pair, port_class)) return fresh;
  if (!recorded && !unrecorded) return std::nullopt;
  ++counters_.reused_young;
  return take_freed(pool, tick);
}

// Unrecorded ports count as old as the last of them.
unsigned PortAllocator::take_freed(Pool& pool, std::uint32_t tick) {
  if (pool.unrecorded == 0) return take_oldest_record(pool);
  if (pool.recorded == 0) return take_unrecorded(pool);
  return age(tick, pool.unrecorded_at) > age(tick, record_[pool.head].tick) ? take_unrecorded(pool)
                                                                            : take_oldest_record(pool);
}

unsigned PortAllocator::take_oldest_record(Pool& pool) {
  const std::uint32_t i = pool.head;
  const unsigned position = record_[i].position;
  pool.head = record_[i].next;
  --pool.recorded;
  record_[i].next = free_records_.first;
  free_records_.first = i;
  --free_records_.used;
  clear(listed_bits(pool), position);
  return position;
}

unsigned PortAllocator::take_unrecorded(Pool& pool) {
  const std::span<const std::uint64_t> live = live_bits(pool), listed = listed_bits(pool);
  for (unsigned w = 0; w < live.size(); ++w) {
    const std::uint64_t candidates = ~(live[w] | listed[w]);
    if (candidates == 0) continue;
    const unsigned position = w * 64 + static_cast<unsigned>(std::countr_zero(candidates));
    HEADGATE_CHECK(position < pool.cursor);
    --pool.unrecorded;
    return position;
  }
  HEADGATE_CHECK(false);
  return 0;
}

// At most the class's reserved ports are skipped, about 8; they stay listed so that no scan finds them.
std::optional<unsigned> PortAllocator::take_new(Pool& pool, const PortPair& pair, unsigned port_class) {
  const Order order = order_of(pool.key);
  while (pool.cursor < kCandidates) {
    if (pool.cursor / 64 >= live_bits(pool).size() && !grow(pool)) return std::nullopt;
    const unsigned position = pool.cursor++;
    if (port_at(pair, port_class, order, position) >= kLocalPortMin) return position;
    set(listed_bits(pool), position);
  }
  return std::nullopt;
}

// --- positions
// ----------------------------------------------------------------------------------------------------------

std::uint64_t PortAllocator::key_of(const PortPair& pair, unsigned port_class) {
  return std::uint64_t{pair.endpoint} << 32 | std::uint64_t{pair.local} << 16 | std::uint64_t{pair.protocol} << 8 |
         std::uint64_t{pair.v4} << 7 | port_class;
}

PortAllocator::Order PortAllocator::order_of(std::uint64_t key) const {
  const std::uint64_t random = hash_(key, seed_ ^ 0x9e3779b97f4a7c15ull);
  return {static_cast<std::uint32_t>(random) % kCandidates,
          (static_cast<std::uint32_t>(random >> 32) | 1) % kCandidates};
}

std::uint16_t PortAllocator::port_at(const PortPair& pair, unsigned port_class, Order order, unsigned position) const {
  return family(pair).classes->port(port_class, (order.start + position * order.step) % kCandidates);
}

unsigned PortAllocator::position_of(const PortPair& pair, Order order, std::uint16_t port) const {
  const Family& f = family(pair);
  const auto member = static_cast<std::uint16_t>(port ^ f.classes->port(f.classes->class_of(port), 0));
  const auto index = static_cast<std::uint32_t>(std::ranges::lower_bound(f.kernel, member) - f.kernel.begin());
  // Inverse of an odd number modulo a power of two by Newton's iteration: 3, 6, 12 bits right.
  std::uint32_t inverse = order.step;
  inverse *= 2 - order.step * inverse;
  inverse *= 2 - order.step * inverse;
  return ((index - order.start) * inverse) % kCandidates;
}

// --- pools, blocks, records
// ---------------------------------------------------------------------------------------------

std::uint32_t PortAllocator::find(std::uint64_t key) const {
  std::uint32_t i = buckets_[hash_(key, seed_) & bucket_mask_] - 1;
  while (i != kNone && pool_[i].key != key) i = pool_[i].chain;
  return i;
}

std::uint32_t PortAllocator::find_or_create(std::uint64_t key) {
  std::uint32_t i = find(key);
  if (i != kNone) return i;
  i = take(free_pools_, pool_, [](const Pool& p) { return p.chain; });
  if (i == kNone && idle_first_ != kNone) {
    recycle(idle_first_);
    i = take(free_pools_, pool_, [](const Pool& p) { return p.chain; });
  }
  if (i == kNone) return kNone;
  std::uint32_t& bucket = buckets_[hash_(key, seed_) & bucket_mask_];
  pool_[i] = Pool{.key = key,
                  .live_word = 0,
                  .listed_word = 0,
                  .block = kNone,
                  .chain = bucket - 1,
                  .head = kNone,
                  .tail = kNone,
                  .idle_prev = kNone,
                  .idle_next = kNone,
                  .live = 0,
                  .recorded = 0,
                  .unrecorded = 0,
                  .cursor = 0,
                  .unrecorded_at = 0,
                  .idle_since = 0};
  bucket = i + 1;
  idle_push(i);
  return i;
}

// Forgets an idle pool: its records, its block and itself become free.
void PortAllocator::recycle(std::uint32_t index) {
  Pool& pool = pool_[index];
  HEADGATE_CHECK(pool.live == 0);
  if (pool.recorded != 0) {
    record_[pool.tail].next = free_records_.first;
    free_records_.first = pool.head;
    free_records_.used -= pool.recorded;
  }
  if (pool.block != kNone) {
    block_[pool.block].live[0] = free_blocks_.first;
    free_blocks_.first = pool.block;
    --free_blocks_.used;
  }
  idle_remove(index);
  std::uint32_t* link = &buckets_[hash_(pool.key, seed_) & bucket_mask_];
  if (*link - 1 == index) {
    *link = pool.chain + 1;
  } else {
    std::uint32_t before = *link - 1;
    while (pool_[before].chain != index) before = pool_[before].chain;
    pool_[before].chain = pool.chain;
  }
  pool.chain = free_pools_.first;
  free_pools_.first = index;
  --free_pools_.used;
  ++counters_.pools_recycled;
}

void PortAllocator::idle_push(std::uint32_t index) {
  pool_[index].idle_prev = idle_last_;
  pool_[index].idle_next = kNone;
  (idle_last_ == kNone ? idle_first_ : pool_[idle_last_].idle_next) = index;
  idle_last_ = index;
}

void PortAllocator::idle_remove(std::uint32_t index) {
  const Pool& pool = pool_[index];
  (pool.idle_prev == kNone ? idle_first_ : pool_[pool.idle_prev].idle_next) = pool.idle_next;
  (pool.idle_next == kNone ? idle_last_ : pool_[pool.idle_next].idle_prev) = pool.idle_prev;
}

// When records run out, pools whose history no longer matters give theirs back.
std::uint32_t PortAllocator::take_record(std::uint32_t tick) {
  for (unsigned tries = 0; tries < kRecycleTries; ++tries) {
    const std::uint32_t i = take(free_records_, record_, [](const Record& r) { return r.next; });
    if (i != kNone) return i;
    if (idle_first_ == kNone || age(tick, pool_[idle_first_].idle_since) < kHoldTicks) return kNone;
    recycle(idle_first_);
  }
  return kNone;
}

std::span<std::uint64_t> PortAllocator::bits(std::uint64_t& word, std::uint32_t block,
                                             std::uint64_t (Block::*member)[kWords]) {
  if (block == kNone) return {&word, 1};
  return {block_[block].*member, kWords};
}

bool PortAllocator::grow(Pool& pool) {
  const std::uint32_t i =
      take(free_blocks_, block_, [](const Block& b) { return static_cast<std::uint32_t>(b.live[0]); });
  if (i == kNone) return false;
  block_[i] = Block{};
  block_[i].live[0] = pool.live_word;
  block_[i].listed[0] = pool.listed_word;
  pool.block = i;
  return true;
}

std::size_t PortAllocator::bytes_reserved() const {
  return sizeof *this + buckets_.size() * sizeof(std::uint32_t) + pool_.size() * sizeof(Pool) +
         block_.size() * sizeof(Block) + record_.size() * sizeof(Record);
}

std::size_t PortAllocator::bytes_touched() const {
  return sizeof *this + buckets_.size() * sizeof(std::uint32_t) + free_pools_.touched * sizeof(Pool) +
         free_blocks_.touched * sizeof(Block) + free_records_.touched * sizeof(Record);
}

}  // namespace headgate::flow
