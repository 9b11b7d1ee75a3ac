#include "tests/sim/network.h"

namespace headgate::sim {

Nanos Network::delay() {
  Nanos delay = faults_.delay_min + rng_.next() % (faults_.delay_max - faults_.delay_min + 1);
  if (rng_.chance(faults_.reorder)) {
    delay += rng_.next() % faults_.reorder_delay;
    ++counters_.reordered;
  }
  return delay;
}

void Network::send(Nanos now, unsigned to, Frame frame, bool may_corrupt) {
  ++counters_.sent;
  if (rng_.chance(faults_.loss)) {
    ++counters_.lost;
    return;
  }
  if (rng_.chance(faults_.duplicate)) {
    ++counters_.duplicated;
    arrivals_.push({now + delay(), serial_++, to, frame});
  }
  if (may_corrupt && rng_.chance(faults_.corrupt)) {
    ++counters_.corrupted;
    frame[rng_.below(static_cast<std::uint32_t>(frame.size()))] ^= static_cast<std::uint8_t>(1u << rng_.below(8));
  }
  arrivals_.push({now + delay(), serial_++, to, std::move(frame)});
}

std::optional<Network::Arrival> Network::receive(Nanos now) {
  if (next_arrival() > now) return std::nullopt;
  Arrival arrival = arrivals_.top();
  arrivals_.pop();
  return arrival;
}

}  // namespace headgate::sim
