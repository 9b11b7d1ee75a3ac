// When to start a process again after it ended. Pure: time comes in.
#pragma once

#include <algorithm>
#include <chrono>
#include <deque>

namespace headgate::supervisor {

using Time = std::chrono::nanoseconds;  // monotonic, since an arbitrary start

inline constexpr std::chrono::milliseconds kBackoffFirst{100};
inline constexpr std::chrono::milliseconds kBackoffLast{5000};
inline constexpr std::chrono::seconds kGoodLife{10};  // lived this long: the next backoff is the first again
inline constexpr std::size_t kCrashLoopExits = 5;
inline constexpr std::chrono::seconds kCrashLoopWindow{60};

class RestartPolicy {
 public:
  struct Decision {
    Time start_at{};
    bool crash_loop = false;  // kCrashLoopExits within kCrashLoopWindow, and this was not said for that window yet
  };

  Decision ended(Time started, Time now) {
    if (now - started >= kGoodLife) next_ = kBackoffFirst;
    const Time start_at = now + next_;
    next_ = std::min<Time>(next_ * 2, kBackoffLast);
    exits_.push_back(now);
    while (now - exits_.front() > kCrashLoopWindow) exits_.pop_front();
    const bool crash_loop = exits_.size() >= kCrashLoopExits;
    if (crash_loop) exits_.clear();
    return {start_at, crash_loop};
  }

 private:
  Time next_ = kBackoffFirst;
  std::deque<Time> exits_;
};

}  // namespace headgate::supervisor
