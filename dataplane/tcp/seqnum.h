// Sequence numbers (RFC 9293 3.4): 32 bits that wrap. Comparison is serial (RFC 1982): right while two numbers are less
// than 2^31 apart, which windows of at most 2^30 bytes (RFC 7323 2.2) guarantee.
#pragma once

#include <cstdint>

namespace headgate::tcp {

struct Seq {
  std::uint32_t value = 0;

  friend constexpr bool operator==(Seq, Seq) = default;
  friend constexpr bool operator<(Seq a, Seq b) { return static_cast<std::int32_t>(a.value - b.value) < 0; }
  friend constexpr bool operator>(Seq a, Seq b) { return b < a; }
  friend constexpr bool operator<=(Seq a, Seq b) { return !(b < a); }
  friend constexpr bool operator>=(Seq a, Seq b) { return !(a < b); }

  friend constexpr Seq operator+(Seq a, std::uint32_t bytes) { return {a.value + bytes}; }
  friend constexpr Seq operator-(Seq a, std::uint32_t bytes) { return {a.value - bytes}; }
  // Bytes from b to a. Meaningful when b <= a.
  friend constexpr std::uint32_t operator-(Seq a, Seq b) { return a.value - b.value; }
  constexpr Seq& operator+=(std::uint32_t bytes) {
    value += bytes;
    return *this;
  }
};

constexpr Seq max(Seq a, Seq b) {
  return a < b ? b : a;
}
constexpr Seq min(Seq a, Seq b) {
  return b < a ? b : a;
}

// Timestamps (RFC 7323 5.2) and ticks wrap likewise.
constexpr bool serial_before(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b) < 0;
}

}  // namespace headgate::tcp
