// Tunnel headers in front of an IP packet: IPIP (RFC 2003, RFC 2473) and GUE (draft-ietf-intarea-gue-09, variant 0, no
// options). Pure functions on bytes.
#pragma once

#include <cstdint>

#include "dataplane/base/tuple.h"

namespace headgate::forward {

// Bytes in front of the inner IP header, Ethernet not counted: IPIP 20 (v4) or 40 (v6); GUE 12 more.
constexpr unsigned encapsulation_length(bool outer_v4, bool gue) {
  return (outer_v4 ? 20u : 40u) + (gue ? 12u : 0u);
}

struct Outer {
  IpAddress src, dst;
  bool gue = false;
  std::uint16_t gue_port = 6080;
  std::uint16_t source_port = 0;  // GUE: entropy from the flow's hash, 49152..65535
};

// Writes the outer headers so that they end right before `inner`, which starts an IPv4 or IPv6 packet of `inner_length`
// bytes. Copies DSCP and ECN (RFC 6040 normal mode) and the DF bit; outer hop limit 64. Returns the start of the outer
// IP header. Requires: encapsulation_length() bytes of room before `inner`.
std::uint8_t* encapsulate(std::uint8_t* inner, std::uint16_t inner_length, bool inner_v4, const Outer& outer);

}  // namespace headgate::forward
