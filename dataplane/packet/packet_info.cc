#include "dataplane/packet/packet_info.h"

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/checksum.h"

namespace headgate::packet {

bool l4_checksum_ok(std::span<const std::uint8_t> frame, const PacketInfo& info) {
  if (!info.is_ip() || info.fragment) return true;
  std::size_t length = info.l4_length;
  if (info.l4_offset + length > frame.size()) return false;
  const std::uint8_t* l4 = frame.data() + info.l4_offset;
  const bool v4 = info.network == Network::ipv4;
  switch (info.tuple.protocol) {
    case kProtocolTcp:
      break;
    case kProtocolUdp:
      if (load_be16(l4 + 6) == 0) return v4;
      length = load_be16(l4 + 4);
      break;
    case kProtocolIcmp:
      return !v4 || sum({l4, length}) == 0xffff;
    case kProtocolIcmpv6:
      if (v4) return true;
      break;
    default:
      return true;
  }
  const std::uint16_t pseudo =
      pseudo_header_sum(info.tuple.src, info.tuple.dst, info.tuple.protocol, static_cast<std::uint32_t>(length));
  return sum({l4, length}, pseudo) == 0xffff;
}

const char* to_string(ParseError error) {
  switch (error) {
    case ParseError::none:
      return "none";
    case ParseError::truncated:
      return "truncated";
    case ParseError::bad_ethernet:
      return "bad_ethernet";
    case ParseError::bad_arp:
      return "bad_arp";
    case ParseError::bad_ip_version:
      return "bad_ip_version";
    case ParseError::bad_ip_header_length:
      return "bad_ip_header_length";
    case ParseError::bad_ip_checksum:
      return "bad_ip_checksum";
    case ParseError::bad_ip_source:
      return "bad_ip_source";
    case ParseError::bad_ip_destination:
      return "bad_ip_destination";
    case ParseError::bad_ip_options:
      return "bad_ip_options";
    case ParseError::bad_extension_header:
      return "bad_extension_header";
    case ParseError::bad_fragment:
      return "bad_fragment";
    case ParseError::bad_tcp_header:
      return "bad_tcp_header";
    case ParseError::bad_udp_header:
      return "bad_udp_header";
    case ParseError::bad_icmp_header:
      return "bad_icmp_header";
  }
  return "unknown";
}

}  // namespace headgate::packet
