// The flow table of one worker: flows in a slab, found by forward or reverse tuple through cache-line buckets of tags.
//
// Thread rule: one worker owns it; nothing here is shared. No allocation after construction.
// Invariants: a live flow has a forward index entry, a reverse one when reverse_indexed, is linked into the timer
// wheel, and, when it may be shed (closed, half-open or one-way TCP, UDP, ICMP), into the list of its class. Expiry is
// lazy: packets only write last_seen; the wheel looks at a flow when its old deadline comes and moves it on. A flow
// past its deadline is never found (find() says `expired` by the caller's check of is_expired()).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/base/check.h"
#include "dataplane/base/huge_array.h"
#include "dataplane/base/keyed_hash.h"
#include "dataplane/flow/flow.h"

namespace headgate::flow {

struct Found {
  Flow* flow = nullptr;
  Direction direction = Direction::forward;
};

class FlowTable {
 public:
  // `capacity` flows; bytes per flow with index: about 160.
  FlowTable(std::uint32_t capacity, std::uint64_t hash_key);

  std::uint64_t hash(const Tuple& tuple) const { return hash_(tuple); }

  // The three stages of a batched lookup: bucket line, then flow lines, then find().
  void prefetch_bucket(std::uint64_t hash) const { __builtin_prefetch(&buckets_[bucket_of(hash)]); }
  void prefetch_flow(std::uint64_t hash) const;
  Found find(const Tuple& tuple, std::uint64_t hash) const;
  Found find(const Tuple& tuple) const { return find(tuple, hash(tuple)); }

  // A new flow with only its `state` set; null when the slab is full (shed() first). Fill it, then index() it.
  Flow* allocate();
  // Enters forward and, when reverse_indexed, reverse tuple; starts the timer. False, and nothing entered, when either
  // tuple is taken already or the buckets around are full; the flow is then to be given back by discard().
  bool index(Flow& flow, std::uint32_t now_ms);
  void discard(Flow& flow);
  void erase(Flow& flow);

  // Moves between states; keeps class lists and the timer right (a shorter timeout takes effect at once).
  void set_state(Flow& flow, State state, std::uint32_t now_ms);

  void set_timeouts(const snapshot::Timeouts& timeouts);
  std::uint32_t timeout_ms(State state) const { return timeout_ms_[static_cast<unsigned>(state)]; }
  bool is_expired(const Flow& flow, std::uint32_t now_ms) const {
    return now_ms - flow.last_seen_ms >= timeout_ms(flow.state) &&
           static_cast<std::int32_t>(now_ms - flow.last_seen_ms) > 0;
  }

  // Calls on_expired(flow) for flows whose time is over, at most `budget` entries looked at; on_expired must erase()
  // it.
  template <class F>
  void expire(std::uint32_t now_ms, unsigned budget, F&& on_expired);
  // Milliseconds from now until expire() has something to look at, at most kWheelSlots ticks; 0 = now.
  std::uint32_t ms_until_expiry(std::uint32_t now_ms) const;

  // The cheapest flow to give up: TCP that closed first, then the oldest half-open, then UDP and ICMP, then TCP of
  // which only the client's side is seen (dsr, tunnel: a spoofed SYN and ACK make one); in the last two the one idle
  // longest among the first kShedTries. Null when only established flows seen from both sides are left: they are never
  // shed.
  Flow* shed_candidate();

  std::uint32_t size() const { return used_; }
  std::uint32_t capacity() const { return capacity_; }
  std::size_t bytes() const { return flows_.bytes() + buckets_.bytes(); }
  FlowIndex index_of(const Flow& flow) const { return static_cast<FlowIndex>(&flow - &flows_[0]); }
  // For listing and sweeps: any index below high_water(); state == free means unused.
  Flow& at(FlowIndex i) { return flows_[i]; }
  const Flow& at(FlowIndex i) const { return flows_[i]; }
  FlowIndex high_water() const { return high_water_; }

 private:
  static constexpr unsigned kPerBucket = 10;
  static constexpr unsigned kProbeMax = 16;  // buckets looked at when a home bucket overflowed
  static constexpr unsigned kTickMs = 128;
  static constexpr unsigned kWheelSlots = 8192;  // 17 minutes; longer timeouts are looked at again then
  static constexpr std::uint32_t kTurnMs = kWheelSlots * kTickMs;
  static_assert((std::uint64_t{1} << 32) % kTurnMs == 0, "slots go on in order where the millisecond clock wraps");
  static constexpr unsigned kShedTries = 8;
  static constexpr unsigned kShedClosed = 0, kShedHalfOpen = 1, kShedIdle = 2,
                            kShedOneWay = 3;  // lists, the cheapest first
  static constexpr std::uint32_t kHeadMark = 0x80000000u;
  static constexpr std::uint32_t kNil = 0xffffffffu;

  struct alignas(64) Bucket {
    std::array<std::uint16_t, kPerBucket> tag;  // 0 = empty
    std::uint16_t overflowed;                   // entries that belong here and live in a later bucket
    std::uint16_t unused;
    std::array<std::uint32_t, kPerBucket> ref;  // flow index << 1 | direction
  };
  static_assert(sizeof(Bucket) == 64);

  std::size_t bucket_of(std::uint64_t hash) const {
    return static_cast<std::size_t>(static_cast<unsigned __int128>(hash) * bucket_count_ >> 64);
  }
  static std::uint16_t tag_of(std::uint64_t hash) { return static_cast<std::uint16_t>((hash & 0xffff) | 1); }
  static unsigned matches(const Bucket& bucket, std::uint16_t tag);  // bit i set: tag[i] equal
  bool matches_tuple(std::uint32_t ref, const Tuple& tuple) const;
  bool insert_ref(const Tuple& tuple, std::uint32_t ref);
  void remove_ref(const Tuple& tuple, std::uint32_t ref);

  std::uint32_t deadline_of(const Flow& flow) const { return flow.last_seen_ms + timeout_ms(flow.state); }
  static std::uint32_t slot_of(std::uint32_t tick_ms) { return tick_ms / kTickMs % kWheelSlots; }
  void timer_link(Flow& flow, std::uint32_t deadline_ms);
  void timer_unlink(Flow& flow);
  static int shed_class(const Flow& flow);  // -1: never shed
  void shed_link(Flow& flow, int list);
  Flow* longest_idle(unsigned list);
  void shed_unlink(Flow& flow);

  std::uint32_t capacity_;
  std::size_t bucket_count_;
  KeyedHash hash_;
  HugeArray<Bucket> buckets_;
  HugeArray<Flow> flows_;
  FlowIndex free_head_ = kNoFlow;  // chained through timer_next
  FlowIndex high_water_ = 0;
  std::uint32_t used_ = 0;
  std::array<std::uint32_t, 9> timeout_ms_{};

  std::vector<std::uint32_t> wheel_;           // heads
  std::vector<std::uint64_t> wheel_occupied_;  // one bit per slot
  std::uint32_t hand_ms_ = 0;                  // start of the next tick to look at; wraps with the worker's clock
  bool wheel_started_ = false;
  std::array<std::uint32_t, 4> shed_head_{kNil, kNil, kNil, kNil}, shed_tail_{kNil, kNil, kNil, kNil};
};

template <class F>
void FlowTable::expire(std::uint32_t now_ms, unsigned budget, F&& on_expired) {
  const std::uint32_t now_tick_ms = now_ms - now_ms % kTickMs;
  if (!wheel_started_) {
    hand_ms_ = now_tick_ms;
    wheel_started_ = true;
  }
  // A turn has seen every flow; what a longer pause skipped needs no second look.
  if (now_tick_ms - hand_ms_ > kTurnMs) hand_ms_ = now_tick_ms - kTurnMs;
  while (hand_ms_ != now_tick_ms) {
    const std::uint32_t slot = slot_of(hand_ms_);
    while (wheel_[slot] != kNil) {
      if (budget == 0) return;
      --budget;
      Flow& flow = flows_[wheel_[slot]];
      if (is_expired(flow, now_ms)) {
        on_expired(flow);
      } else {
        timer_unlink(flow);
        timer_link(flow, deadline_of(flow));
      }
    }
    hand_ms_ += kTickMs;
  }
}

}  // namespace headgate::flow
