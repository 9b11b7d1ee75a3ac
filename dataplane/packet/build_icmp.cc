// ICMP errors of our own (RFC 792, 1812, 4443). Whether one may be sent at all is the caller's to judge.
#include <algorithm>
#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/check.h"
#include "dataplane/packet/build.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/packet_info.h"

namespace headgate::packet {
namespace {

// 576 bytes with headers (RFC 1812 4.3.2.3). RFC 4443 2.4 (c) would let ICMPv6 quote up to 1280; ports and sequence
// number are all that a receiver needs, and a control frame stays small.
constexpr std::size_t kMaxQuote = 576 - kIpv4Length - kIcmpLength;
constexpr std::uint8_t kInternetworkControl = 0xc0;  // RFC 1812 4.3.2.5
static_assert(kEthernetLength + kVlanTagLength + kIpv6Length + kIcmpLength + kMaxQuote <= kMaxControlFrame);

struct TypeAndCode {
  std::uint8_t type, code;
};

TypeAndCode icmpv4(IcmpError kind) {
  switch (kind) {
    case IcmpError::too_big:
      return {kIcmpUnreachable, 4};
    case IcmpError::time_exceeded:
      return {kIcmpTimeExceeded, 0};
    case IcmpError::port_unreachable:
      return {kIcmpUnreachable, 3};
    case IcmpError::host_unreachable:
      return {kIcmpUnreachable, 1};
    case IcmpError::admin_prohibited:
      return {kIcmpUnreachable, 13};
  }
  HEADGATE_CHECK(false);
}

TypeAndCode icmpv6(IcmpError kind) {
  switch (kind) {
    case IcmpError::too_big:
      return {kIcmpv6TooBig, 0};
    case IcmpError::time_exceeded:
      return {kIcmpv6TimeExceeded, 0};
    case IcmpError::port_unreachable:
      return {kIcmpv6Unreachable, 4};
    case IcmpError::host_unreachable:
      return {kIcmpv6Unreachable, 3};
    case IcmpError::admin_prohibited:
      return {kIcmpv6Unreachable, 1};
  }
  HEADGATE_CHECK(false);
}

}  // namespace

std::size_t write_icmp_error(std::uint8_t* out, IcmpError kind, const IpAddress& from, const IpAddress& to,
                             std::span<const std::uint8_t> offender, std::uint32_t mtu) {
  const bool v4 = from.is_v4();
  const std::size_t quote = std::min(offender.size(), kMaxQuote);
  const std::size_t length = kIcmpLength + quote;
  const std::uint8_t protocol = v4 ? kProtocolIcmp : kProtocolIcmpv6;
  const std::size_t at = write_ip(out, IpFields{.src = from,
                                                .dst = to,
                                                .protocol = protocol,
                                                .tos = v4 ? kInternetworkControl : std::uint8_t{0},
                                                .payload_length = static_cast<std::uint16_t>(length)});
  const TypeAndCode what = v4 ? icmpv4(kind) : icmpv6(kind);
  std::uint8_t* icmp = out + at;
  icmp[0] = what.type;
  icmp[1] = what.code;
  store_be16(icmp + 2, 0);
  // One 32-bit field; IPv4 uses only its lower half (RFC 1191 section 4).
  store_be32(icmp + 4, kind != IcmpError::too_big ? 0 : v4 ? std::min<std::uint32_t>(mtu, 0xffff) : mtu);
  std::memcpy(icmp + kIcmpLength, offender.data(), quote);
  const std::uint16_t start =
      v4 ? std::uint16_t{0} : pseudo_header_sum(from, to, protocol, static_cast<std::uint32_t>(length));
  const std::uint16_t checksum = invert(sum({icmp, length}, start));
  std::memcpy(icmp + 2, &checksum, 2);
  return at + length;
}

}  // namespace headgate::packet
