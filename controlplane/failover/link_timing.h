// When the HA link tries again, and when the peer counts as silent. Pure, in virtual time.
#pragma once

#include <algorithm>
#include <chrono>

#include "controlplane/failover/peer_view.h"

namespace headgate::failover {

// 100 ms, then 200, then 250 each time: the boxes of a pair must find each other again as soon as a cut heals, and a
// connection that nobody answers costs a packet. A peer that refused us has to be set right by a person: 2 s.
class Backoff {
 public:
  static constexpr std::chrono::milliseconds kFirst{100}, kLast{250}, kRefused{2000};
  std::chrono::milliseconds next() {
    const auto wait = next_;
    next_ = std::min(kLast, next_ * 2);
    return wait;
  }
  void reset() { next_ = kFirst; }
  void refused() { next_ = kRefused; }  // one of the two by the other

 private:
  std::chrono::milliseconds next_ = kFirst;
};

// The sender says how often it speaks. After three intervals without a word it is silent; after ten, a second at least,
// the connection is given up: the next one is there sooner than TCP's own timers.
class Hearing {
 public:
  static constexpr unsigned kSilentAfter = 3, kGoneAfter = 10;
  static constexpr std::chrono::milliseconds kIntervalLeast{20}, kIntervalMost{10000}, kGoneLeast{1000};

  // A connection: there is nothing to hear yet, and all the time for it.
  void begin(Time now) { began_ = now; }
  void heard(Time now, std::chrono::milliseconds interval) {
    last_ = now;
    interval_ = std::clamp(interval, kIntervalLeast, kIntervalMost);
  }
  Time silent_at() const { return last_ + kSilentAfter * interval_; }
  Time gone_at() const { return std::max(last_, began_) + gone_after(); }
  std::chrono::milliseconds gone_after() const { return std::max(kGoneAfter * interval_, kGoneLeast); }
  bool silent(Time now) const { return now >= silent_at(); }
  bool gone(Time now) const { return now >= gone_at(); }

 private:
  Time last_{}, began_{};
  std::chrono::milliseconds interval_{kIntervalLeast};
};

// Whether this process stood still. What waits in a connection then is as old as that, and may be all of it: the peer
// ended the connection long ago. To act on it as if it were said now would make a fault, a claim or a switch of then
// true again, so the connection is made anew instead.
class Pace {
 public:
  static constexpr std::chrono::milliseconds kLeast{500};   // a busy machine is no standstill
  static constexpr std::chrono::milliseconds kWaking{100};  // until what waited was read

  // By a timer that goes off every heartbeat, or every 250 ms at least.
  void kept(Time now, std::chrono::milliseconds heartbeat) {
    if (last_ != Time{} && stood_still(now, heartbeat)) waking_until_ = now + kWaking;
    last_ = now;
  }
  bool stood_still(Time now, std::chrono::milliseconds heartbeat) const {
    return now - last_ > std::max(Hearing::kSilentAfter * heartbeat, kLeast);
  }
  // What is read now may have waited while we stood still.
  bool may_be_old(Time now, std::chrono::milliseconds heartbeat) const {
    return now < waking_until_ || stood_still(now, heartbeat);
  }

 private:
  Time last_{}, waking_until_{};
};

}  // namespace headgate::failover
