// What a client notices of a failover: the longest time without an answer, among probes sent every millisecond.
// Pure. Thread rule: one thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/base/time.h"

namespace headgate::bench {

// An answer to an older probe is none: a box that was stopped may answer what waited for it.
inline constexpr Nanos kLate = 100 * kMillisecond;

class GapMeter {
 public:
  // A new window. The gap that it begins in counts from the last answer before it.
  void mark(Nanos now) {
    marked_ = now;
    longest_ = longest_at_ = 0;
    sent_ = answered_ = late_ = 0;
    if (last_ == 0) last_ = now;
  }
  void sent() { ++sent_; }
  void answer(Nanos sent_at, Nanos at) {
    if (at > sent_at + kLate) {
      ++late_;
      return;
    }
    ++answered_;
    close(at);
    last_ = std::max(last_, at);
  }
  // Of the window so far, the gap that is still open included.
  Nanos longest(Nanos now) {
    close(now);
    return longest_;
  }
  Nanos longest_at() const { return longest_at_; }  // its start, after the mark; 0 when it began before
  std::uint64_t probes() const { return sent_; }
  std::uint64_t answers() const { return answered_; }
  std::uint64_t late() const { return late_; }

 private:
  void close(Nanos at) {
    if (last_ == 0 || at < last_ + longest_) return;
    longest_ = at - last_;
    longest_at_ = last_ > marked_ ? last_ - marked_ : 0;
  }
  Nanos marked_ = 0, last_ = 0, longest_ = 0, longest_at_ = 0;
  std::uint64_t sent_ = 0, answered_ = 0, late_ = 0;
};

}  // namespace headgate::bench
