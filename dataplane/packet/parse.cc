// One function per layer, in the order of the bytes. The plain case (untagged, no options, no extension headers, not a
// fragment) has no loop; everything rarer is in a function of its own.
#include <algorithm>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/check.h"
#include "dataplane/packet/build.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/extension_headers.h"
#include "dataplane/packet/packet_info.h"

namespace headgate::packet {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t kMaxDatagram = 65535;
constexpr std::uint16_t kDhcpServerPort = 67, kDhcpClientPort = 68;

// May `length` bytes be read at the L4 header: inside the IP packet, and inside the window.
ParseError l4_header_fits(Bytes frame, const PacketInfo& info, std::size_t length) {
  // A first fragment holds the whole L4 header (RFC 1858 section 3, RFC 7112 section 5).
  if (info.l4_length < length) return info.fragment ? ParseError::bad_fragment : ParseError::truncated;
  if (info.l4_offset + length > frame.size()) return ParseError::truncated;
  return ParseError::none;
}

constexpr bool impossible_flags(unsigned flags) {
  const bool syn = (flags & kSyn) != 0, fin = (flags & kFin) != 0;
  return flags == 0 || (syn && (flags & (kFin | kRst)) != 0) || (fin && (flags & kAck) == 0);
}

// Bit f: flags f never come from a TCP.
constexpr std::uint64_t kImpossibleFlags = [] {
  std::uint64_t set = 0;
  for (unsigned flags = 0; flags < 64; ++flags) set |= std::uint64_t{impossible_flags(flags)} << flags;
  return set;
}();

ParseError parse_tcp(Bytes frame, PacketInfo& info) {
  if (const ParseError error = l4_header_fits(frame, info, kTcpLength); error != ParseError::none) return error;
  const std::uint8_t* tcp = frame.data() + info.l4_offset;
  const unsigned header = (tcp[12] >> 4) * 4u;
  info.tuple.src_port = load_be16(tcp);
  info.tuple.dst_port = load_be16(tcp + 2);
  info.tcp_flags = tcp[13] & 0x3f;
  if (header < kTcpLength) return ParseError::bad_tcp_header;
  if (header > info.l4_length) return info.fragment ? ParseError::bad_fragment : ParseError::bad_tcp_header;
  if ((kImpossibleFlags >> info.tcp_flags & 1) != 0) return ParseError::bad_tcp_header;
  if (info.tuple.src_port == 0 || info.tuple.dst_port == 0) return ParseError::bad_tcp_header;
  info.payload_offset = static_cast<std::uint16_t>(info.l4_offset + header);
  return ParseError::none;
}

ParseError parse_udp(Bytes frame, PacketInfo& info) {
  if (const ParseError error = l4_header_fits(frame, info, kUdpLength); error != ParseError::none) return error;
  const std::uint8_t* udp = frame.data() + info.l4_offset;
  info.tuple.src_port = load_be16(udp);
  info.tuple.dst_port = load_be16(udp + 2);
  const unsigned length = load_be16(udp + 4);
  // Shorter than the IP packet is legal (the rest is not UDP's); a first fragment's covers the whole datagram.
  if (length < kUdpLength || (length > info.l4_length && !info.fragment)) return ParseError::bad_udp_header;
  if (info.tuple.dst_port == 0) return ParseError::bad_udp_header;
  info.payload_offset = static_cast<std::uint16_t>(info.l4_offset + kUdpLength);
  return ParseError::none;
}

enum class IcmpKind : std::uint8_t { other, error, echo_request, echo_reply, neighbor_discovery };

IcmpKind kind_of_icmpv4(std::uint8_t type) {
  switch (type) {
    case kIcmpEchoReply:
      return IcmpKind::echo_reply;
    case kIcmpEchoRequest:
      return IcmpKind::echo_request;
    case kIcmpUnreachable:
    case kIcmpSourceQuench:
    case kIcmpTimeExceeded:
    case kIcmpParameterProblem:
      return IcmpKind::error;
    default:
      return IcmpKind::other;  // a redirect also quotes a packet, but is not ours to follow
  }
}

IcmpKind kind_of_icmpv6(std::uint8_t type) {
  switch (type) {
    case kIcmpv6Unreachable:
    case kIcmpv6TooBig:
    case kIcmpv6TimeExceeded:
    case kIcmpv6ParameterProblem:
      return IcmpKind::error;
    case kIcmpv6EchoRequest:
      return IcmpKind::echo_request;
    case kIcmpv6EchoReply:
      return IcmpKind::echo_reply;
    case kNeighborSolicitation:
    case kNeighborAdvertisement:
      return IcmpKind::neighbor_discovery;
    default:
      return IcmpKind::other;
  }
}

// RFC 4861 7.1.1 and 7.1.2, RFC 6980 section 5. The target address is readable afterwards.
ParseError check_neighbor_discovery(Bytes frame, const PacketInfo& info) {
  if (info.fragment) return ParseError::bad_fragment;
  if (info.ttl != 255 || info.icmp_code != 0) return ParseError::bad_icmp_header;
  return l4_header_fits(frame, info, kIcmpLength + 16);
}

ParseError parse_icmp(Bytes frame, PacketInfo& info) {
  if (const ParseError error = l4_header_fits(frame, info, kIcmpLength); error != ParseError::none) return error;
  const std::uint8_t* icmp = frame.data() + info.l4_offset;
  const bool v4 = info.network == Network::ipv4;
  info.icmp_type = icmp[0];
  info.icmp_code = icmp[1];
  info.payload_offset = static_cast<std::uint16_t>(info.l4_offset + kIcmpLength);
  const IcmpKind kind = v4 ? kind_of_icmpv4(icmp[0]) : kind_of_icmpv6(icmp[0]);
  switch (kind) {
    case IcmpKind::other:
      return ParseError::none;
    case IcmpKind::neighbor_discovery:
      return check_neighbor_discovery(frame, info);
    case IcmpKind::error:
      if (info.fragment) return ParseError::none;  // errors are small by rule: not believed, so not marked
      if (info.l4_length < kIcmpLength + (v4 ? kIpv4Length : kIpv6Length)) return ParseError::bad_icmp_header;
      info.icmp_error = true;
      return ParseError::none;
    case IcmpKind::echo_request:
    case IcmpKind::echo_reply:
      break;
  }
  if (info.icmp_code != 0) return ParseError::bad_icmp_header;
  info.icmp_query = true;
  (kind == IcmpKind::echo_request ? info.tuple.src_port : info.tuple.dst_port) = load_be16(icmp + 4);
  return ParseError::none;
}

// A protocol number belongs to one family: ICMP in IPv6 and ICMPv6 in IPv4 are just protocols without ports.
ParseError parse_l4(Bytes frame, PacketInfo& info) {
  info.payload_offset = info.l4_offset;
  if (info.later_fragment()) return ParseError::none;
  switch (info.tuple.protocol) {
    case kProtocolTcp:
      return parse_tcp(frame, info);
    case kProtocolUdp:
      return parse_udp(frame, info);
    case kProtocolIcmp:
      return info.network == Network::ipv4 ? parse_icmp(frame, info) : ParseError::none;
    case kProtocolIcmpv6:
      return info.network == Network::ipv6 ? parse_icmp(frame, info) : ParseError::none;
    default:
      return ParseError::none;
  }
}

// Requires: offset, more_fragments, l4_length and protocol are filled. `unfragmentable`: what counts towards the length
// of the reassembled datagram besides the fragments' data (IPv4: the header; IPv6: extension headers before the
// fragment's).
ParseError check_fragment(PacketInfo& info, std::size_t unfragmentable) {
  info.fragment = true;
  if (info.l4_length == 0) return ParseError::bad_fragment;
  if (info.more_fragments && info.l4_length % 8 != 0) return ParseError::bad_fragment;
  if (unfragmentable + info.fragment_offset + info.l4_length > kMaxDatagram) return ParseError::bad_fragment;
  // Would overwrite the TCP flags of the first fragment (RFC 1858 section 4, RFC 3128).
  if (info.fragment_offset == 8 && info.tuple.protocol == kProtocolTcp) return ParseError::bad_fragment;
  return ParseError::none;
}

// Who has no address yet may say only this: DHCPDISCOVER; duplicate address detection (RFC 4862 5.4.2) and MLD reports
// (RFC 3590, RFC 3810 5.2.13).
bool may_lack_source(const PacketInfo& info) {
  if (info.fragment) return false;
  if (info.network == Network::ipv4) {
    return info.tuple.protocol == kProtocolUdp && info.tuple.src_port == kDhcpClientPort &&
           info.tuple.dst_port == kDhcpServerPort;
  }
  if (info.tuple.protocol != kProtocolIcmpv6) return false;
  return info.icmp_type == kNeighborSolicitation || info.icmp_type == kMldReport || info.icmp_type == kMldDone ||
         info.icmp_type == kMldv2Report;
}

// L4, then the one rule about the source that needs L4.
ParseError parse_l4_and_check_source(Bytes frame, PacketInfo& info, bool unspecified_source) {
  const ParseError error = parse_l4(frame, info);
  if (error == ParseError::none && unspecified_source && !may_lack_source(info)) return ParseError::bad_ip_source;
  return error;
}

// ---- IPv4 ----

// 20 bytes without a loop; sum() of the whole header otherwise.
bool ipv4_checksum_ok(const std::uint8_t* ip, std::size_t header) {
  if (header != kIpv4Length) return sum({ip, header}) == 0xffff;
  std::uint64_t a, b;
  std::uint32_t c;
  std::memcpy(&a, ip, 8);
  std::memcpy(&b, ip + 8, 8);
  std::memcpy(&c, ip + 16, 4);
  std::uint64_t s = (a >> 32) + (a & 0xffffffff) + (b >> 32) + (b & 0xffffffff) + c;
  s = (s >> 32) + (s & 0xffffffff);
  s = (s >> 16) + (s & 0xffff);
  s = (s >> 16) + (s & 0xffff);
  return s == 0xffff;
}

// RFC 791 3.1; source routes are refused (RFC 7126 4.3, 4.4).
bool ipv4_options_ok(Bytes options) {
  constexpr std::uint8_t kEnd = 0, kNop = 1, kLooseSourceRoute = 131, kStrictSourceRoute = 137;
  std::size_t i = 0;
  while (i < options.size()) {
    const std::uint8_t kind = options[i];
    if (kind == kEnd) return true;
    if (kind == kNop) {
      ++i;
      continue;
    }
    if (kind == kLooseSourceRoute || kind == kStrictSourceRoute) return false;
    if (i + 2 > options.size() || options[i + 1] < 2) return false;
    i += options[i + 1];
  }
  return i == options.size();
}

constexpr bool v4_multicast(std::uint32_t address) {
  return address >> 28 == 0xe;
}
constexpr bool v4_loopback(std::uint32_t address) {
  return address >> 24 == 127;
}

ParseError parse_ipv4_fragment(std::uint16_t flags_and_offset, std::uint16_t id, std::size_t header, PacketInfo& info) {
  info.more_fragments = (flags_and_offset & 0x2000) != 0;
  info.fragment_offset = static_cast<std::uint16_t>((flags_and_offset & 0x1fff) * 8);
  info.fragment_id = id;
  return check_fragment(info, header);
}

ParseError parse_ipv4(Bytes frame, PacketInfo& info) {
  const std::size_t at = info.l3_offset;
  if (frame.size() < at + kIpv4Length) return ParseError::truncated;
  const std::uint8_t* ip = frame.data() + at;
  if (ip[0] >> 4 != 4) return ParseError::bad_ip_version;
  const std::size_t header = (ip[0] & 15) * std::size_t{4};
  const std::size_t total = load_be16(ip + 2);
  if (header < kIpv4Length || total < header) return ParseError::bad_ip_header_length;
  if (frame.size() < at + header || info.frame_length < at + total) return ParseError::truncated;
  if (!ipv4_checksum_ok(ip, header)) return ParseError::bad_ip_checksum;
  if (header != kIpv4Length && !ipv4_options_ok({ip + kIpv4Length, header - kIpv4Length})) {
    return ParseError::bad_ip_options;
  }

  const std::uint16_t flags_and_offset = load_be16(ip + 6);
  info.ttl = ip[8];
  info.dont_fragment = (flags_and_offset & 0x4000) != 0;
  info.tuple.protocol = ip[9];
  info.tuple.src = IpAddress::load_v4(ip + 12);
  info.tuple.dst = IpAddress::load_v4(ip + 16);
  info.l3_length = static_cast<std::uint16_t>(total);
  info.l4_offset = static_cast<std::uint16_t>(at + header);
  info.l4_length = static_cast<std::uint16_t>(total - header);

  const std::uint32_t src = load_be32(ip + 12), dst = load_be32(ip + 16);
  if (v4_multicast(src) || v4_loopback(src) || src == 0xffffffff) return ParseError::bad_ip_source;
  if (v4_loopback(dst) || dst == 0) return ParseError::bad_ip_destination;
  if ((flags_and_offset & 0x3fff) != 0) {
    const ParseError error = parse_ipv4_fragment(flags_and_offset, load_be16(ip + 4), header, info);
    if (error != ParseError::none) return error;
  }
  return parse_l4_and_check_source(frame, info, src == 0);
}

// ---- IPv6 ----

ParseError parse_extensions(Bytes frame, PacketInfo& info) {
  const std::size_t begin = info.l4_offset, end = begin + info.l4_length;
  const ExtensionWalk walk = walk_extensions(frame, begin, end, info.tuple.protocol);
  info.tuple.protocol = walk.protocol;
  info.l4_offset = static_cast<std::uint16_t>(walk.l4_offset);
  info.l4_length = static_cast<std::uint16_t>(end - walk.l4_offset);
  info.fragment_offset = walk.fragment_offset;
  info.more_fragments = walk.more_fragments;
  info.fragment_id = walk.fragment_id;
  if (walk.error != ParseError::none) return walk.error;
  if (walk.fragment_offset == 0 && !walk.more_fragments) return ParseError::none;
  // Headers after a first fragment's fragment header are fragment data, so counting them once is exact.
  const std::size_t data = end - begin;
  return check_fragment(info, data - info.l4_length - 8);
}

ParseError parse_ipv6(Bytes frame, PacketInfo& info) {
  const std::size_t at = info.l3_offset;
  if (frame.size() < at + kIpv6Length) return ParseError::truncated;
  const std::uint8_t* ip = frame.data() + at;
  if (ip[0] >> 4 != 6) return ParseError::bad_ip_version;
  const std::size_t payload = load_be16(ip + 4);
  if (info.frame_length < at + kIpv6Length + payload) return ParseError::truncated;
  info.ttl = ip[7];
  info.dont_fragment = true;
  info.tuple.protocol = ip[6];
  info.tuple.src = IpAddress::load_v6(ip + 8);
  info.tuple.dst = IpAddress::load_v6(ip + 24);
  info.l3_length = static_cast<std::uint16_t>(kIpv6Length + payload);
  info.l4_offset = static_cast<std::uint16_t>(at + kIpv6Length);
  info.l4_length = static_cast<std::uint16_t>(payload);

  const IpAddress &src = info.tuple.src, &dst = info.tuple.dst;
  if (src.bytes[0] == 0xff || src.is_v4() || src.is_loopback()) return ParseError::bad_ip_source;
  if (dst.is_v4() || dst.is_loopback() || dst.is_unspecified()) return ParseError::bad_ip_destination;
  if (is_extension(info.tuple.protocol)) {
    // Length 0 before a hop-by-hop header announces a jumbo payload (RFC 2675).
    if (payload == 0 && info.tuple.protocol == kHopByHop) return ParseError::bad_extension_header;
    if (const ParseError error = parse_extensions(frame, info); error != ParseError::none) return error;
  }
  return parse_l4_and_check_source(frame, info, src.is_unspecified());
}

// ---- Link ----

// RFC 826 for Ethernet and IPv4; a group sender address is refused (RFC 1812 3.3.2).
ParseError parse_arp(Bytes frame, PacketInfo& info) {
  if (frame.size() < info.l3_offset + kArpLength) return ParseError::truncated;
  const std::uint8_t* arp = frame.data() + info.l3_offset;
  if (load_be64(arp) >> 16 != 0x0001'0800'0604) return ParseError::bad_arp;
  if ((arp[8] & 1) != 0) return ParseError::bad_arp;
  info.tuple.src = IpAddress::load_v4(arp + 14);
  info.tuple.dst = IpAddress::load_v4(arp + 24);
  info.l3_length = kArpLength;
  info.l4_offset = info.payload_offset = static_cast<std::uint16_t>(info.l3_offset + kArpLength);
  return ParseError::none;
}

bool is_vlan(std::uint16_t ethertype) {
  return ethertype == kEtherVlan || ethertype == kEtherQinq;
}

ParseError parse_vlan_tags(Bytes frame, PacketInfo& info) {
  for (unsigned tags = 0; is_vlan(info.ethertype); ++tags) {
    if (tags == kMaxVlanTags) return ParseError::bad_ethernet;
    if (frame.size() < info.l3_offset + kVlanTagLength) return ParseError::truncated;
    const auto id = static_cast<std::uint16_t>(load_be16(frame.data() + info.l3_offset) & 0x0fff);
    if (id != 0) info.vlan = info.vlan == 0 ? id : kVlanStacked;
    info.ethertype = load_be16(frame.data() + info.l3_offset + 2);
    info.l3_offset = static_cast<std::uint16_t>(info.l3_offset + kVlanTagLength);
  }
  return ParseError::none;
}

}  // namespace

ParseError parse(Bytes frame, std::size_t frame_length, PacketInfo& info) {
  HEADGATE_CHECK(frame.size() <= frame_length);
  info = PacketInfo{};
  info.frame_length = static_cast<std::uint16_t>(std::min<std::size_t>(frame_length, 0xffff));
  if (frame.size() < kEthernetLength) return ParseError::truncated;
  info.dst_mac_group = (frame[0] & 1) != 0;
  info.ethertype = load_be16(frame.data() + 12);
  info.l3_offset = kEthernetLength;
  if ((frame[6] & 1) != 0 || frame_length > 0xffff) return ParseError::bad_ethernet;
  if (is_vlan(info.ethertype)) {
    if (const ParseError error = parse_vlan_tags(frame, info); error != ParseError::none) return error;
  }
  switch (info.ethertype) {
    case kEtherIpv4:
      info.network = Network::ipv4;
      return parse_ipv4(frame, info);
    case kEtherIpv6:
      info.network = Network::ipv6;
      return parse_ipv6(frame, info);
    case kEtherArp:
      info.network = Network::arp;
      return parse_arp(frame, info);
    default:
      return ParseError::none;
  }
}

}  // namespace headgate::packet
