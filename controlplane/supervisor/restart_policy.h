// When to start a process again: backoff and crash-loop alarm. Pure; milliseconds of a monotonic clock go in.
#pragma once

#include <cstdint>
#include <deque>

namespace headgate::supervisor {

inline constexpr std::int64_t kBackoffMinMs = 100, kBackoffMaxMs = 5000;
inline constexpr std::int64_t kGoodLifeMs = 10'000;  // a life that long makes the next restart quick again
inline constexpr std::int64_t kLoopWindowMs = 60'000;
inline constexpr unsigned kLoopExits = 5;

class RestartPolicy {
 public:
  void started(std::int64_t now_ms) { started_ms_ = now_ms; }
  struct Verdict {
    std::int64_t wait_ms;  // before the next start
    bool crash_loop;       // alarm: kLoopExits exits within kLoopWindowMs
  };
  Verdict exited(std::int64_t now_ms) {
    if (now_ms - started_ms_ >= kGoodLifeMs) backoff_ms_ = kBackoffMinMs;
    exits_.push_back(now_ms);
    while (now_ms - exits_.front() > kLoopWindowMs) exits_.pop_front();
    const Verdict verdict{backoff_ms_, exits_.size() >= kLoopExits};
    backoff_ms_ = backoff_ms_ * 2 > kBackoffMaxMs ? kBackoffMaxMs : backoff_ms_ * 2;
    return verdict;
  }

 private:
  std::int64_t started_ms_ = 0, backoff_ms_ = kBackoffMinMs;
  std::deque<std::int64_t> exits_;
};

}  // namespace headgate::supervisor
