// The packet inside an ICMP error. It left its sender some hops ago and comes back cut, so it is judged less than a
// packet that arrives: no checksum (routers differ in what they quote), no rule about addresses, its own lengths may
// exceed it.
#include <algorithm>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/build.h"
#include "dataplane/packet/extension_headers.h"
#include "dataplane/packet/packet_info.h"

namespace headgate::packet {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t kQuotedL4 = 8;  // what every router quotes at least (RFC 792, "Internet Header + 64 bits")

// Requires: kQuotedL4 bytes at `l4`.
void read_ports(const std::uint8_t* l4, bool v4, QuotedPacket& quoted) {
  Tuple& tuple = quoted.tuple;
  if (tuple.protocol == kProtocolTcp || tuple.protocol == kProtocolUdp) {
    tuple.src_port = load_be16(l4);
    tuple.dst_port = load_be16(l4 + 2);
    if (tuple.protocol == kProtocolTcp) quoted.tcp_sequence = load_be32(l4 + 4);
  } else if (tuple.protocol == (v4 ? kProtocolIcmp : kProtocolIcmpv6)) {
    if (l4[0] == (v4 ? std::uint8_t{kIcmpEchoRequest} : std::uint8_t{kIcmpv6EchoRequest}))
      tuple.src_port = load_be16(l4 + 4);
    if (l4[0] == (v4 ? std::uint8_t{kIcmpEchoReply} : std::uint8_t{kIcmpv6EchoReply}))
      tuple.dst_port = load_be16(l4 + 4);
  }
}

// `end`: end of the quote in the frame. Fills everything but ports. False when malformed.
bool read_ipv4(Bytes frame, std::size_t end, QuotedPacket& quoted) {
  const std::size_t at = quoted.l3_offset;
  if (end < at + kIpv4Length) return false;
  const std::uint8_t* ip = frame.data() + at;
  const std::size_t header = (ip[0] & 15) * std::size_t{4};
  const std::size_t total = load_be16(ip + 2);
  if (ip[0] >> 4 != 4 || header < kIpv4Length || total < header) return false;
  quoted.tuple.src = IpAddress::load_v4(ip + 12);
  quoted.tuple.dst = IpAddress::load_v4(ip + 16);
  quoted.tuple.protocol = ip[9];
  quoted.later_fragment = (load_be16(ip + 6) & 0x1fff) != 0;
  quoted.l4_offset = static_cast<std::uint16_t>(at + header);
  quoted.available = static_cast<std::uint16_t>(std::min(end - at, total));
  return true;
}

bool read_ipv6(Bytes frame, std::size_t end, QuotedPacket& quoted) {
  const std::size_t at = quoted.l3_offset;
  if (end < at + kIpv6Length) return false;
  const std::uint8_t* ip = frame.data() + at;
  if (ip[0] >> 4 != 6) return false;
  const std::size_t total = kIpv6Length + load_be16(ip + 4);
  const std::size_t quote_end = std::min(end, at + total);
  const ExtensionWalk walk = walk_extensions(frame, at + kIpv6Length, quote_end, ip[6]);
  if (walk.error != ParseError::none) return false;
  quoted.tuple.src = IpAddress::load_v6(ip + 8);
  quoted.tuple.dst = IpAddress::load_v6(ip + 24);
  quoted.tuple.protocol = walk.protocol;
  quoted.later_fragment = walk.fragment_offset != 0;
  quoted.l4_offset = static_cast<std::uint16_t>(walk.l4_offset);
  quoted.available = static_cast<std::uint16_t>(quote_end - at);
  return true;
}

}  // namespace

std::optional<QuotedPacket> parse_quoted(Bytes frame, const PacketInfo& info) {
  const bool v4 = info.network == Network::ipv4;
  const std::size_t end = std::min<std::size_t>(frame.size(), std::size_t{info.l3_offset} + info.l3_length);
  QuotedPacket quoted;
  quoted.l3_offset = info.payload_offset;
  if (!(v4 ? read_ipv4(frame, end, quoted) : read_ipv6(frame, end, quoted))) return std::nullopt;
  // All of the first 8 bytes are needed even when only ports are wanted: less is not what a router quotes.
  if (std::size_t{quoted.l3_offset} + quoted.available < quoted.l4_offset + kQuotedL4) return std::nullopt;
  if (!quoted.later_fragment) read_ports(frame.data() + quoted.l4_offset, v4, quoted);
  return quoted;
}

}  // namespace headgate::packet
