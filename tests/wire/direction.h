// One direction of a wire that is worse than a cable: loss, delay, jitter, duplication and cuts, from a seed. Pure:
// frames and `now` in, frames out. The kernel of the lab has no netem; and what this one does, a seed repeats.
//
// Every frame draws the same numbers whatever is set, so frame n of a seed meets the same luck also after a change.
// Jitter larger than the spacing of frames reorders them, as netem's does. A cut loses what is under way, too.
//
// Thread rule: one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/base/rng.h"
#include "dataplane/base/time.h"

namespace headgate::wire {

inline constexpr std::size_t kFramesMax = 16384;  // under way in one direction; more are lost as `overflowed`
inline constexpr Nanos kDelayMax = 10 * kSecond;

struct Impairment {
  bool cut = false;
  double loss = 0, duplicate = 0;  // probabilities
  Nanos delay = 0;                 // of every frame
  Nanos jitter = 0;                // added: uniform in [0, jitter]
  friend bool operator==(const Impairment&, const Impairment&) = default;
};

struct Counters {
  std::uint64_t received = 0, sent = 0, lost = 0, cut = 0, duplicated = 0, overflowed = 0;
};

class Direction {
 public:
  explicit Direction(std::uint64_t seed) : rng_(seed) {}

  void set(const Impairment& impairment);
  const Impairment& impairment() const { return impairment_; }
  const Counters& counters() const { return counters_; }

  void push(std::span<const std::uint8_t> frame, Nanos now);
  // The next frame that is due; valid until the next call.
  std::optional<std::span<const std::uint8_t>> pop(Nanos now);
  Nanos next_deadline() const { return queue_.empty() ? kNever : queue_.front().due; }

 private:
  struct Frame {
    Nanos due;
    std::uint64_t order;  // of arrival, for frames that are due together
    std::vector<std::uint8_t> bytes;
  };
  static bool later(const Frame& a, const Frame& b) { return a.due != b.due ? a.due > b.due : a.order > b.order; }
  void enqueue(std::span<const std::uint8_t> frame, Nanos due);

  Rng rng_;
  Impairment impairment_;
  Counters counters_;
  std::vector<Frame> queue_;  // a heap, the next one in front
  Frame current_{};
  std::uint64_t order_ = 0;
};

// "DIRECTION WORDS": ab, ba or both; then heal, cut, uncut, loss P, duplicate P, delay MS, jitter MS, any number of
// them.
struct Command {
  bool ab = false, ba = false;
  std::string_view words;
};
Result<Command> parse_command(std::string_view text);
// What `words` make of an impairment.
Result<Impairment> changed(Impairment impairment, std::string_view words);

}  // namespace headgate::wire
