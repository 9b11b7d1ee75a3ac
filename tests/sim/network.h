// Frames on their way through virtual links that lose, duplicate, delay, reorder and corrupt them, all from one seed.
#pragma once

#include <cstdint>
#include <optional>
#include <queue>
#include <vector>

#include "dataplane/base/rng.h"
#include "dataplane/base/time.h"
#include "dataplane/packet/testing.h"

namespace headgate::sim {

using packet::testing::Frame;

struct Faults {
  double loss = 0, duplicate = 0, corrupt = 0, reorder = 0;  // probabilities per frame
  Nanos delay_min = 50 * kMicrosecond, delay_max = 500 * kMicrosecond;
  Nanos reorder_delay = 20 * kMillisecond;  // what a reordered frame waits besides

  static Faults none() { return {}; }
};

class Network {
 public:
  struct Arrival {
    Nanos time = 0;
    std::uint64_t serial = 0;  // frames of one time arrive in the order they were sent
    unsigned to = 0;           // the caller's number of a receiver
    Frame frame;
  };
  struct Counters {
    std::uint64_t sent = 0, lost = 0, duplicated = 0, corrupted = 0, reordered = 0;
  };

  explicit Network(std::uint64_t seed) : rng_(seed) {}
  void set_faults(const Faults& faults) { faults_ = faults; }
  // may_corrupt: at most one bit is flipped. Not on both legs of a frame's way: two flips can cancel out in the
  // checksum.
  void send(Nanos now, unsigned to, Frame frame, bool may_corrupt);
  Nanos next_arrival() const { return arrivals_.empty() ? kNever : arrivals_.top().time; }
  // The next frame that arrives by `now`.
  std::optional<Arrival> receive(Nanos now);
  const Counters& counters() const { return counters_; }

 private:
  struct Later {
    bool operator()(const Arrival& a, const Arrival& b) const {
      return a.time != b.time ? a.time > b.time : a.serial > b.serial;
    }
  };
  Nanos delay();

  Rng rng_;
  Faults faults_;
  std::uint64_t serial_ = 0;
  std::priority_queue<Arrival, std::vector<Arrival>, Later> arrivals_;
  Counters counters_;
};

}  // namespace headgate::sim
