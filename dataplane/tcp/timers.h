// A hierarchical timer wheel in ticks of a millisecond: four levels of 64 slots, 4.6 hours; later deadlines are looked
// at then. One node per connection lies in the connection, and stands for the earliest of its deadlines or for an
// earlier moment: whoever is called compares with the real deadlines and arms anew. So a deadline that moves away, as
// most do with each acknowledgment, costs nothing, and none can fire after it was called off.
//
// Ticks wrap after 49.7 days. A deadline is at most 24 days ahead. Single threaded.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/check.h"
#include "dataplane/base/time.h"
#include "dataplane/base/touch.h"
#include "dataplane/tcp/seqnum.h"
#include "dataplane/tcp/slab.h"

namespace headgate::tcp {

using Tick = std::uint32_t;  // milliseconds, wraps
inline constexpr Nanos kTick = kMillisecond;

constexpr Tick tick_of(Nanos now) {
  return static_cast<Tick>(now / kTick);
}
// The first tick that is not before `now + span`.
constexpr Tick tick_after(Nanos now, Nanos span) {
  return static_cast<Tick>((now + span + kTick - 1) / kTick);
}

struct WheelNode {
  static constexpr std::uint16_t kIdle = 0xffff;
  std::uint32_t previous = kNone, next = kNone;
  Tick tick = 0;
  std::uint16_t slot = kIdle;  // (level * 64 + position) * lanes + lane
  bool armed() const { return slot != kIdle; }
};

class TimerWheel {
 public:
  // `first`: the node of index 0; node i lies i * stride bytes behind.
  TimerWheel(std::byte* first, std::size_t stride, Nanos now);

  // The node fires at `tick` or before. Does nothing when it is already armed for that or an earlier moment.
  void arm(std::uint32_t index, Tick tick) {
    WheelNode& n = node(index);
    if (n.armed()) {
      if (!serial_before(tick, n.tick)) return;
      unlink(index);
    }
    n.tick = tick;
    const Tick soonest = current_ + 1;
    link(index, serial_before(tick, soonest) ? soonest : tick);
  }
  void disarm(std::uint32_t index) {
    if (node(index).armed()) unlink(index);
  }

  // Calls fire(index) for each node whose tick has come; it is disarmed before, and may be armed again. Stops after
  // about `most`: next_deadline() is `now` then, and the next call goes on. soon(indices) comes before: these are next,
  // unless one of them changes that. To bring them into the cache side by side.
  template <class Fire, class Soon>
  void advance(Nanos now, unsigned most, Fire&& fire, Soon&& soon) {
    const Tick target = tick_of(now);
    unsigned left = most;
    while (fire_slot(left, fire, soon)) {
      const Tick ahead = next_event() - current_;
      if (armed_ == 0 || ahead > target - current_) {
        current_ = target;
        return;
      }
      current_ += ahead;
      cascade();
    }
  }

  // When advance() has something to do, `now` at the earliest; may be early, never late. kNever when nothing is armed.
  Nanos next_deadline(Nanos now) const {
    if (armed_ == 0) return kNever;
    const Tick ahead = (occupied_[0] >> (current_ & 63) & 1) != 0 ? 0 : next_event() - current_;
    return std::max(now, (now / kTick - (tick_of(now) - current_) + ahead) * kTick);
  }
  std::uint32_t armed() const { return armed_; }

 private:
  static constexpr unsigned kLevels = 4, kLanes = 16;
  WheelNode& node(std::uint32_t index) {
    return *reinterpret_cast<WheelNode*>(first_ + static_cast<std::size_t>(index) * stride_);
  }
  // What is due at current_. False when some is left.
  template <class Fire, class Soon>
  bool fire_slot(unsigned& left, Fire&& fire, Soon&& soon) {
    const std::uint32_t* heads = &heads_[(current_ & 63) * kLanes];
    while ((occupied_[0] >> (current_ & 63) & 1) != 0) {
      if (left == 0) return false;
      std::array<std::uint32_t, kLanes> due;
      unsigned count = 0;
      for (unsigned lane = 0; lane < kLanes; ++lane) {
        if (heads[lane] != kNone) due[count++] = heads[lane];
      }
      soon(std::span<const std::uint32_t>(due.data(), count));
      for (unsigned i = 0; i < count; ++i) {  // unlinking writes to the next ones
        if (const std::uint32_t next = node(due[i]).next; next != kNone) touch(&node(next));
      }
      for (unsigned i = 0; i < count; ++i) {
        if (heads[due[i] % kLanes] != due[i]) continue;  // called off by one that fired just now
        unlink(due[i]);
        fire(due[i]);
      }
      left -= std::min(left, count);
    }
    return true;
  }
  void link(std::uint32_t index, Tick when);
  void unlink(std::uint32_t index);
  void cascade();
  Tick next_event() const;

  std::byte* first_;
  std::size_t stride_;
  Tick current_;
  std::uint32_t armed_ = 0;
  std::array<std::uint64_t, kLevels> occupied_{};
  std::array<std::uint32_t, kLevels * 64 * kLanes> heads_;
};

}  // namespace headgate::tcp
