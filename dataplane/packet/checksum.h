// Internet checksum (RFC 1071) and its incremental update (RFC 1624, equation 3). Sums are kept unfolded in 64 bits or
// as 16-bit ones' complement values in network byte order as they lie in memory ("wire order"), so nothing is swapped.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/base/tuple.h"

namespace headgate::packet {

// Ones' complement sum of the bytes, wire order, folded to 16 bits, not inverted. `start` continues an earlier
// even-length sum.
std::uint16_t sum(std::span<const std::uint8_t> bytes, std::uint16_t start = 0);
inline std::uint16_t add(std::uint16_t a, std::uint16_t b) {
  const std::uint32_t s = static_cast<std::uint32_t>(a) + b;
  return static_cast<std::uint16_t>(s + (s >> 16));
}
inline std::uint16_t invert(std::uint16_t s) {
  return static_cast<std::uint16_t>(~s);
}

// Pseudo header sum (RFC 793, 768, 8200 8.1), wire order.
std::uint16_t pseudo_header_sum(const IpAddress& src, const IpAddress& dst, std::uint8_t protocol,
                                std::uint32_t l4_length);

// What must be added to a checksum field when some covered 16-bit words (wire order) change: new - old in ones'
// complement. Accumulate with replace(); apply with adjust(). A precomputed Delta is how established flows rewrite
// cheaply.
struct Delta {
  std::uint16_t value = 0;
  void replace(std::uint16_t old_word, std::uint16_t new_word) { value = add(value, add(invert(old_word), new_word)); }
  // Same family, else see nat64 (not done).
  void replace(const IpAddress& old_address, const IpAddress& new_address);
};
// HC' = ~(~HC + delta), RFC 1624 eqn. 3. `field` points at the checksum in the packet.
void adjust(std::uint8_t* field, Delta delta);
// UDP over IPv4: 0 means "no checksum" and stays 0; a computed 0 becomes 0xffff (RFC 768).
void adjust_udp(std::uint8_t* field, Delta delta);

}  // namespace headgate::packet
