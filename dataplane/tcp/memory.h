// What gives way first when buffers run short (design section 5): the least work in progress is lost last. By the true
// size of all buffers that the engine's queues hold.
#pragma once

#include <cstdint>

namespace headgate::tcp {

enum class Pressure : std::uint8_t {
  none,
  shrink,      // windows stop growing: half of the receive buffer is offered
  drop_early,  // data out of order is not kept
  cookies,     // no half-open entries
  refuse,      // no new connections; windows close
};

constexpr Pressure pressure_of(std::uint64_t used, std::uint64_t limit) {
  if (used < limit / 2) return Pressure::none;
  if (used < limit * 7 / 10) return Pressure::shrink;
  if (used < limit * 8 / 10) return Pressure::drop_early;
  if (used < limit * 9 / 10) return Pressure::cookies;
  return Pressure::refuse;
}

}  // namespace headgate::tcp
