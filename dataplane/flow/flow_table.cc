#include "dataplane/flow/flow_table.h"

#include <emmintrin.h>

#include <algorithm>
#include <bit>

namespace headgate::flow {
namespace {

constexpr std::uint32_t direction_bit(Direction direction) {
  return static_cast<std::uint32_t>(direction);
}

}  // namespace

const char* to_string(State state) {
  switch (state) {
    case State::free:
      return "free";
    case State::tcp_syn:
      return "syn";
    case State::tcp_established:
      return "established";
    case State::tcp_transitory:
      return "closing";
    case State::tcp_closed:
      return "closed";
    case State::udp_unreplied:
      return "unreplied";
    case State::udp:
      return "replied";
    case State::icmp:
      return "icmp";
  }
  return "?";
}

// Six entries of ten on average: a home bucket overflows with probability below 4 %, and a lookup stays at one line.
FlowTable::FlowTable(std::uint32_t capacity, std::uint64_t hash_key)
    : capacity_(capacity),
      bucket_count_(std::max<std::size_t>(64, (std::size_t{capacity} * 2 + 5) / 6)),
      hash_(hash_key),
      buckets_(bucket_count_),
      flows_(capacity),
      wheel_(kWheelSlots, kNil),
      wheel_occupied_(kWheelSlots / 64, 0) {
  HEADGATE_CHECK(capacity > 0 && capacity < kHeadMark / 2);
  set_timeouts(snapshot::Timeouts{});
}

unsigned FlowTable::matches(const Bucket& bucket, std::uint16_t tag) {
  const __m128i wanted = _mm_set1_epi16(static_cast<short>(tag));
  const __m128i first = _mm_load_si128(reinterpret_cast<const __m128i*>(bucket.tag.data()));
  const __m128i equal = _mm_cmpeq_epi16(first, wanted);
  unsigned bits = static_cast<unsigned>(_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())));
  bits |= static_cast<unsigned>(bucket.tag[8] == tag) << 8 | static_cast<unsigned>(bucket.tag[9] == tag) << 9;
  return bits;
}

bool FlowTable::matches_tuple(std::uint32_t ref, const Tuple& tuple) const {
  const Flow& flow = flows_[ref >> 1];
  if (flow.protocol != tuple.protocol) return false;
  if ((ref & 1) == direction_bit(Direction::forward)) {
    return flow.client == tuple.src && flow.service == tuple.dst && flow.client_port == tuple.src_port &&
           flow.service_port == tuple.dst_port;
  }
  return flow.reverse_tuple() == tuple;
}

void FlowTable::prefetch_flow(std::uint64_t hash) const {
  const Bucket& bucket = buckets_[bucket_of(hash)];
  const unsigned bits = matches(bucket, tag_of(hash));
  if (bits == 0) return;
  const Flow* flow = &flows_[bucket.ref[static_cast<unsigned>(std::countr_zero(bits))] >> 1];
  __builtin_prefetch(flow, 1);
  __builtin_prefetch(reinterpret_cast<const char*>(flow) + 64, 1);
}

Found FlowTable::find(const Tuple& tuple, std::uint64_t hash) const {
  const std::uint16_t tag = tag_of(hash);
  std::size_t at = bucket_of(hash);
  const bool overflowed = buckets_[at].overflowed != 0;
  for (unsigned probe = 0; probe < (overflowed ? kProbeMax : 1); ++probe) {
    const Bucket& bucket = buckets_[at];
    for (unsigned bits = matches(bucket, tag); bits != 0; bits &= bits - 1) {
      const std::uint32_t ref = bucket.ref[static_cast<unsigned>(std::countr_zero(bits))];
      if (matches_tuple(ref, tuple)) {
        return {const_cast<Flow*>(&flows_[ref >> 1]), static_cast<Direction>(ref & 1)};
      }
    }
    at = at + 1 == bucket_count_ ? 0 : at + 1;
  }
  return {};
}

bool FlowTable::insert_ref(const Tuple& tuple, std::uint32_t ref) {
  const std::uint64_t h = hash_(tuple);
  const std::size_t home = bucket_of(h);
  std::size_t at = home;
  for (unsigned probe = 0; probe < kProbeMax; ++probe) {
    Bucket& bucket = buckets_[at];
    for (unsigned i = 0; i < kPerBucket; ++i) {
      if (bucket.tag[i] != 0) continue;
      bucket.tag[i] = tag_of(h);
      bucket.ref[i] = ref;
      if (probe != 0) ++buckets_[home].overflowed;
      return true;
    }
    at = at + 1 == bucket_count_ ? 0 : at + 1;
  }
  return false;
}

void FlowTable::remove_ref(const Tuple& tuple, std::uint32_t ref) {
  const std::uint64_t h = hash_(tuple);
  const std::size_t home = bucket_of(h);
  std::size_t at = home;
  for (unsigned probe = 0; probe < kProbeMax; ++probe) {
    Bucket& bucket = buckets_[at];
    for (unsigned i = 0; i < kPerBucket; ++i) {
      if (bucket.tag[i] == 0 || bucket.ref[i] != ref) continue;
      bucket.tag[i] = 0;
      if (probe != 0) --buckets_[home].overflowed;
      return;
    }
    at = at + 1 == bucket_count_ ? 0 : at + 1;
  }
  constexpr bool kIndexedFlowIsInItsBucket = false;
  HEADGATE_CHECK(kIndexedFlowIsInItsBucket);
}

Flow* FlowTable::allocate() {
  FlowIndex i = free_head_;
  if (i != kNoFlow) {
    free_head_ = flows_[i].timer_next;
  } else if (high_water_ < capacity_) {
    i = high_water_++;
  } else {
    return nullptr;
  }
  flows_[i] = Flow{};
  flows_[i].timer_prev = flows_[i].shed_prev = kNil;
  ++used_;
  return &flows_[i];
}

void FlowTable::discard(Flow& flow) {
  flow.state = State::free;
  flow.timer_next = free_head_;
  free_head_ = index_of(flow);
  --used_;
}

bool FlowTable::index(Flow& flow, std::uint32_t now_ms) {
  const std::uint32_t ref = index_of(flow) << 1;
  const Tuple forward = flow.forward_tuple();
  if (find(forward).flow != nullptr) return false;
  if (flow.reverse_indexed && find(flow.reverse_tuple()).flow != nullptr) return false;
  if (!insert_ref(forward, ref | direction_bit(Direction::forward))) return false;
  if (flow.reverse_indexed && !insert_ref(flow.reverse_tuple(), ref | direction_bit(Direction::reverse))) {
    remove_ref(forward, ref | direction_bit(Direction::forward));
    return false;
  }
  flow.created_ms = flow.last_seen_ms = now_ms;
  timer_link(flow, deadline_of(flow));
  if (const int list = shed_class(flow); list >= 0) shed_link(flow, list);
  return true;
}

void FlowTable::erase(Flow& flow) {
  const std::uint32_t ref = index_of(flow) << 1;
  remove_ref(flow.forward_tuple(), ref | direction_bit(Direction::forward));
  if (flow.reverse_indexed) remove_ref(flow.reverse_tuple(), ref | direction_bit(Direction::reverse));
  timer_unlink(flow);
  shed_unlink(flow);
  discard(flow);
}

void FlowTable::set_state(Flow& flow, State state, std::uint32_t now_ms) {
  if (flow.state == state) return;
  const int before = shed_class(flow);
  const std::uint32_t old_timeout = timeout_ms(flow.state);
  flow.state = state;
  const int after = shed_class(flow);
  flow.last_seen_ms = now_ms;
  if (before != after) {
    shed_unlink(flow);
    if (after >= 0) shed_link(flow, after);
  }
  // A later deadline is found lazily; an earlier one must be entered now.
  if (timeout_ms(state) < old_timeout) {
    timer_unlink(flow);
    timer_link(flow, deadline_of(flow));
  }
}

void FlowTable::set_timeouts(const snapshot::Timeouts& t) {
  const auto set = [this](State state, Nanos timeout) {
    timeout_ms_[static_cast<unsigned>(state)] =
        static_cast<std::uint32_t>(std::min<Nanos>(timeout / kMillisecond, 0x3fffffff));
  };
  set(State::free, 0);
  set(State::tcp_syn, t.tcp_syn);
  set(State::tcp_established, t.tcp_established);
  set(State::tcp_transitory, t.tcp_transitory);
  set(State::tcp_closed, t.tcp_closed);
  set(State::udp_unreplied, t.udp_unreplied);
  set(State::udp, t.udp);
  set(State::icmp, t.icmp);
}

void FlowTable::timer_link(Flow& flow, std::uint32_t deadline_ms) {
  // Entered in the tick after the deadline, so that a flow looked at is a flow expired; never behind the wheel's hand.
  // Distances are signed milliseconds: a deadline beyond the clock's wrap is still ahead.
  const std::uint32_t hand = wheel_started_ ? hand_ms_ : flow.last_seen_ms - flow.last_seen_ms % kTickMs;
  const auto ahead_ms = static_cast<std::int32_t>(deadline_ms - hand);
  const std::uint32_t ticks = ahead_ms < 0 ? 1 : static_cast<std::uint32_t>(ahead_ms) / kTickMs + 1;
  const std::uint32_t slot = slot_of(hand + std::min(ticks, kWheelSlots - 1) * kTickMs);
  const FlowIndex i = index_of(flow);
  flow.timer_prev = kHeadMark | slot;
  flow.timer_next = wheel_[slot];
  if (flow.timer_next != kNil) flows_[flow.timer_next].timer_prev = i;
  wheel_[slot] = i;
  wheel_occupied_[slot / 64] |= 1ull << (slot % 64);
}

void FlowTable::timer_unlink(Flow& flow) {
  if (flow.timer_prev == kNil) return;
  if (flow.timer_prev & kHeadMark) {
    const std::uint32_t slot = flow.timer_prev & ~kHeadMark;
    wheel_[slot] = flow.timer_next;
    if (flow.timer_next == kNil) wheel_occupied_[slot / 64] &= ~(1ull << (slot % 64));
  } else {
    flows_[flow.timer_prev].timer_next = flow.timer_next;
  }
  if (flow.timer_next != kNil) flows_[flow.timer_next].timer_prev = flow.timer_prev;
  flow.timer_prev = kNil;
}

std::uint32_t FlowTable::ms_until_expiry(std::uint32_t now_ms) const {
  if (used_ == 0) return kTurnMs;
  const std::uint32_t hand = wheel_started_ ? hand_ms_ : now_ms - now_ms % kTickMs;
  for (std::uint32_t ahead = 0; ahead < kWheelSlots;) {
    const std::uint32_t slot = slot_of(hand + ahead * kTickMs);
    const std::uint64_t word = wheel_occupied_[slot / 64] >> (slot % 64);
    if (word != 0) {
      ahead += static_cast<std::uint32_t>(std::countr_zero(word));
      const std::uint32_t due = hand + (ahead + 1) * kTickMs;
      return static_cast<std::int32_t>(due - now_ms) > 0 ? due - now_ms : 0;
    }
    ahead += 64 - slot % 64;
  }
  return kTurnMs;
}

int FlowTable::shed_class(const Flow& flow) {
  switch (flow.state) {
    case State::tcp_closed:
      return kShedClosed;
    case State::tcp_syn:
      return kShedHalfOpen;
    case State::udp_unreplied:
    case State::udp:
    case State::icmp:
      return kShedIdle;
    case State::tcp_established:
    case State::tcp_transitory:
      return flow.reverse_indexed ? -1 : static_cast<int>(kShedOneWay);
    default:
      return -1;
  }
}

void FlowTable::shed_link(Flow& flow, int list) {
  const auto l = static_cast<std::size_t>(list);
  const FlowIndex i = index_of(flow);
  flow.shed_prev = shed_tail_[l] == kNil ? (kHeadMark | static_cast<std::uint32_t>(list)) : shed_tail_[l];
  flow.shed_next = kHeadMark | static_cast<std::uint32_t>(list);
  if (shed_tail_[l] == kNil) {
    shed_head_[l] = i;
  } else {
    flows_[shed_tail_[l]].shed_next = i;
  }
  shed_tail_[l] = i;
}

void FlowTable::shed_unlink(Flow& flow) {
  if (flow.shed_prev == kNil) return;
  const bool first = (flow.shed_prev & kHeadMark) != 0, last = (flow.shed_next & kHeadMark) != 0;
  if (first) {
    shed_head_[flow.shed_prev & ~kHeadMark] = last ? kNil : flow.shed_next;
  } else {
    flows_[flow.shed_prev].shed_next = flow.shed_next;
  }
  if (last) {
    shed_tail_[flow.shed_next & ~kHeadMark] = first ? kNil : flow.shed_prev;
  } else {
    flows_[flow.shed_next].shed_prev = flow.shed_prev;
  }
  flow.shed_prev = kNil;
}

Flow* FlowTable::shed_candidate() {
  for (const unsigned list : {kShedClosed, kShedHalfOpen}) {
    if (shed_head_[list] != kNil) return &flows_[shed_head_[list]];
  }
  for (const unsigned list : {kShedIdle, kShedOneWay}) {
    if (shed_head_[list] != kNil) return longest_idle(list);
  }
  return nullptr;
}

// Entries move only here, not with every packet: the front is old by creation, so take the one of the first few that
// was idle longest, and send the others to the back.
Flow* FlowTable::longest_idle(unsigned list) {
  Flow* oldest = nullptr;
  for (unsigned i = 0; i < kShedTries; ++i) {
    Flow& flow = flows_[shed_head_[list]];
    if (&flow == oldest) break;
    if (oldest == nullptr || static_cast<std::int32_t>(flow.last_seen_ms - oldest->last_seen_ms) < 0) oldest = &flow;
    shed_unlink(flow);
    shed_link(flow, static_cast<int>(list));
  }
  return oldest;
}

}  // namespace headgate::flow
