// The five values that name a flow in one direction, host order.
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/base/ip.h"

namespace headgate {

inline constexpr std::uint8_t kProtocolIcmp = 1;
inline constexpr std::uint8_t kProtocolIpip = 4;
inline constexpr std::uint8_t kProtocolTcp = 6;
inline constexpr std::uint8_t kProtocolUdp = 17;
inline constexpr std::uint8_t kProtocolIpv6 = 41;
inline constexpr std::uint8_t kProtocolFragment = 44;
inline constexpr std::uint8_t kProtocolIcmpv6 = 58;
inline constexpr std::uint8_t kProtocolNone = 59;
inline constexpr std::uint8_t kProtocolVrrp = 112;

// ICMP queries: the identifier is the source port of a request and the destination port of a reply; the other port is 0
// (RFC 5508 section 3). Protocols without ports: both 0.
struct Tuple {
  IpAddress src, dst;
  std::uint16_t src_port = 0, dst_port = 0;
  std::uint8_t protocol = 0;

  Tuple reversed() const { return {dst, src, dst_port, src_port, protocol}; }
  friend bool operator==(const Tuple&, const Tuple&) = default;
};

std::string to_string(const Tuple& tuple);  // "tcp 192.0.2.10:40000 > 192.0.2.100:80", IPv6 addresses in brackets

}  // namespace headgate
