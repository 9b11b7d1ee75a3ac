// Time is an input: nanoseconds since an arbitrary start, never read inside a worker. Only runners own a Clock.
#pragma once

#include <cstdint>
#include <limits>

namespace headgate {

using Nanos = std::uint64_t;  // a point in time or a span, always nanoseconds, monotonic

inline constexpr Nanos kMicrosecond = 1'000;
inline constexpr Nanos kMillisecond = 1'000'000;
inline constexpr Nanos kSecond = 1'000'000'000;
inline constexpr Nanos kNever = std::numeric_limits<Nanos>::max();

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Nanos now() const = 0;
};

}  // namespace headgate
