// What the pusher did, for monitoring.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

namespace headgate::push {

// From a change's set_states() to the acknowledgement that every worker runs it; of changes that travel together the
// one that waited longest.
class DelayHistogram {
 public:
  // Upper bounds of the buckets; one more takes what is above.
  static constexpr std::array<std::chrono::milliseconds, 10> kBounds{
      std::chrono::milliseconds(1),   std::chrono::milliseconds(2),   std::chrono::milliseconds(5),
      std::chrono::milliseconds(10),  std::chrono::milliseconds(20),  std::chrono::milliseconds(50),
      std::chrono::milliseconds(100), std::chrono::milliseconds(200), std::chrono::milliseconds(500),
      std::chrono::milliseconds(1000)};

  void add(std::chrono::nanoseconds delay) {
    ++buckets_[static_cast<std::size_t>(std::ranges::lower_bound(kBounds, delay) - kBounds.begin())];
    ++count_;
    sum_ += delay;
    last_ = delay;
    longest_ = std::max(longest_, delay);
  }
  const std::array<std::uint64_t, kBounds.size() + 1>& buckets() const { return buckets_; }  // not cumulative
  std::uint64_t count() const { return count_; }
  std::chrono::nanoseconds sum() const { return sum_; }
  std::chrono::nanoseconds last() const { return last_; }
  std::chrono::nanoseconds longest() const { return longest_; }

 private:
  std::array<std::uint64_t, kBounds.size() + 1> buckets_{};
  std::uint64_t count_ = 0;
  std::chrono::nanoseconds sum_{0}, last_{0}, longest_{0};
};

struct PushStats {
  std::uint64_t pushes = 0;    // whole snapshots that were accepted
  std::uint64_t updates = 0;   // state updates that were applied
  std::uint64_t resyncs = 0;   // updates that met another snapshot than they were made for
  std::uint64_t refusals = 0;  // snapshots and updates that the dataplane found wrong
  DelayHistogram delay;
};

}  // namespace headgate::push
