#include "dataplane/tcp/timers.h"

#include <algorithm>

namespace headgate::tcp {

TimerWheel::TimerWheel(std::byte* first, std::size_t stride, Nanos now)
    : first_(first), stride_(stride), current_(tick_of(now)) {
  heads_.fill(kNone);
}

// Requires: `when` is not before current_.
void TimerWheel::link(std::uint32_t index, Tick when) {
  constexpr Tick kFarthest = (Tick{1} << 24) - 1;
  const Tick ahead = std::min(when - current_, kFarthest);
  when = current_ + ahead;
  const unsigned level = ahead < 64 ? 0 : (static_cast<unsigned>(std::bit_width(ahead)) - 1) / 6;
  const unsigned position = (when >> (6 * level)) & 63;
  const unsigned slot = (level * 64 + position) * kLanes + index % kLanes;
  WheelNode& n = node(index);
  n.slot = static_cast<std::uint16_t>(slot);
  n.previous = kNone;
  n.next = heads_[slot];
  if (n.next != kNone) node(n.next).previous = index;
  heads_[slot] = index;
  occupied_[level] |= std::uint64_t{1} << position;
  ++armed_;
}

void TimerWheel::unlink(std::uint32_t index) {
  WheelNode& n = node(index);
  if (n.next != kNone) node(n.next).previous = n.previous;
  if (n.previous != kNone) {
    node(n.previous).next = n.next;
  } else {
    heads_[n.slot] = n.next;
    const unsigned slot = n.slot / kLanes;
    const std::uint32_t* lanes = &heads_[slot * kLanes];
    if (std::all_of(lanes, lanes + kLanes, [](std::uint32_t head) { return head == kNone; })) {
      occupied_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
    }
  }
  n.slot = WheelNode::kIdle;
  n.previous = n.next = kNone;
  --armed_;
}

// Moves what a higher level holds for the span that begins now down to where it belongs.
void TimerWheel::cascade() {
  for (unsigned level = kLevels - 1; level > 0; --level) {
    if ((current_ & ((Tick{1} << (6 * level)) - 1)) != 0) continue;
    const unsigned slot = level * 64 + ((current_ >> (6 * level)) & 63);
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      std::uint32_t index = heads_[slot * kLanes + lane];
      while (index != kNone) {
        const std::uint32_t next = node(index).next;
        const Tick tick = node(index).tick;
        unlink(index);
        link(index, serial_before(tick, current_) ? current_ : tick);
        index = next;
      }
    }
  }
}

// The nearest tick at which a slot of level 0 is due or one of a higher level has to be moved down.
Tick TimerWheel::next_event() const {
  Tick nearest = Tick{1} << 31;
  for (unsigned level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    const Tick now = current_ >> (6 * level);
    const int turn = static_cast<int>((now + 1) & 63);
    const Tick ahead = static_cast<Tick>(std::countr_zero(std::rotr(occupied_[level], turn))) + 1;
    nearest = std::min(nearest, ((now + ahead) << (6 * level)) - current_);
  }
  return current_ + nearest;
}

}  // namespace headgate::tcp
