// What one pass over a frame's headers found. Filled once by parse(), read by every stage; stages never parse again.
//
// Invariants after parse() returned ParseError::none: every offset lies inside the frame; l4_length bytes starting at
// l4_offset lie inside the frame; lengths claimed by headers were checked against the frame; padding is excluded.
// The source address of an IP packet is not multicast, broadcast or loopback. IPv4 header checksums were verified.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/base/mac.h"
#include "dataplane/base/tuple.h"

namespace headgate::packet {

enum class Network : std::uint8_t { none, arp, ipv4, ipv6 };

// Why a frame was refused; the worker maps these one to one onto telemetry::DropReason.
enum class ParseError : std::uint8_t {
  none,
  truncated,     // shorter than a header or a length field claims
  bad_ethernet,  // source address with the group bit, more than two VLAN tags, unknown ethertype goes to `none`
  bad_arp,       // not Ethernet/IPv4, wrong lengths
  bad_ip_version,
  bad_ip_header_length,
  bad_ip_checksum,
  bad_ip_source,         // multicast, broadcast, loopback, unspecified (except DHCP-like and DAD), IPv4-mapped in IPv6
  bad_ip_destination,    // unspecified, loopback, IPv4-mapped in IPv6
  bad_ip_options,        // options that overrun; source routing (RFC 7126)
  bad_extension_header,  // malformed, too many (kMaxExtensionHeaders), routing type 0 (RFC 5095), jumbo payload
  bad_fragment,    // beyond 65535, TCP at offset 1 (RFC 1858), zero length, not multiple of 8, L4 header cut (RFC 7112)
  bad_tcp_header,  // data offset, SYN+FIN, SYN+RST, FIN without ACK, no flags, port 0
  bad_udp_header,  // length field, port 0 as destination
  bad_icmp_header,  // echo with a code, error without a quoted IP header, NS/NA from beyond the link
};

inline constexpr unsigned kMaxExtensionHeaders = 8;
inline constexpr unsigned kMaxVlanTags = 2;
// A VLAN inside a VLAN is on no interface of ours. Reserved: no interface has it (IEEE 802.1Q table 9-2).
inline constexpr std::uint16_t kVlanStacked = 0xfff;

enum TcpFlags : std::uint8_t { kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32 };

// RFC 792; RFC 4443, 2710, 3810, 4861.
enum IcmpType : std::uint8_t {
  kIcmpEchoReply = 0,
  kIcmpUnreachable = 3,
  kIcmpSourceQuench = 4,
  kIcmpRedirect = 5,
  kIcmpEchoRequest = 8,
  kIcmpTimeExceeded = 11,
  kIcmpParameterProblem = 12,
};
enum Icmpv6Type : std::uint8_t {
  kIcmpv6Unreachable = 1,
  kIcmpv6TooBig = 2,
  kIcmpv6TimeExceeded = 3,
  kIcmpv6ParameterProblem = 4,
  kIcmpv6EchoRequest = 128,
  kIcmpv6EchoReply = 129,
  kMldQuery = 130,
  kMldReport = 131,
  kMldDone = 132,
  kRouterSolicitation = 133,
  kNeighborSolicitation = 135,
  kNeighborAdvertisement = 136,
  kMldv2Report = 143,
};

struct PacketInfo {
  // Ports 0 for fragments after the first and for protocols without ports; ICMP queries: see Tuple. ARP: sender and
  // target protocol address, protocol 0. Later IPv6 fragment: protocol is what its fragment header names, which may be
  // an extension header, so IPv6 fragments are matched by (src, dst, fragment_id) alone (RFC 8200 4.5).
  Tuple tuple;
  Network network = Network::none;
  std::uint8_t ttl = 0;        // or hop limit
  std::uint8_t tcp_flags = 0;  // of TcpFlags (not ECE, CWR, which say nothing about state); 0 unless TCP
  std::uint8_t icmp_type = 0, icmp_code = 0;

  std::uint16_t ethertype = 0;  // after VLAN tags
  std::uint16_t vlan = 0;       // 0 = untagged or priority-tagged; two VLAN ids: kVlanStacked
  std::uint16_t frame_length = 0;
  std::uint16_t l3_offset = 0;
  std::uint16_t l4_offset = 0;       // of the L4 header, or of the fragment's data for later fragments
  std::uint16_t l3_length = 0;       // whole IP packet, header included, padding excluded
  std::uint16_t l4_length = 0;       // from l4_offset to the end of the IP packet
  std::uint16_t payload_offset = 0;  // after the TCP/UDP/ICMP header; l4_offset where there is none

  std::uint32_t fragment_id = 0;
  std::uint16_t fragment_offset = 0;  // bytes
  bool fragment : 1 = false;          // any fragment, the first included (RFC 6946 atomic fragments are not fragments)
  bool more_fragments : 1 = false;
  bool dont_fragment : 1 = false;  // IPv4 DF; always true for IPv6
  bool icmp_error : 1 = false;     // carries a quoted packet: see parse_quoted(). Never a redirect or a fragment
  bool icmp_query : 1 = false;     // echo request or reply; tuple has the identifier
  bool dst_mac_group : 1 = false;  // multicast or broadcast frame

  bool later_fragment() const { return fragment_offset != 0; }
  bool is_ip() const { return network == Network::ipv4 || network == Network::ipv6; }
};

static_assert(sizeof(PacketInfo) <= 80);

// `frame`: from the Ethernet header, one contiguous span (the worker linearises the first kParseWindow bytes of
// multi-segment frames; `frame_length` is the whole frame's length). Never reads outside `frame`. Fills `info` as far
// as it got on error. A header beyond the window counts as truncated. Neighbor solicitations and advertisements come
// out with hop limit 255, code 0 and a readable target (RFC 4861 7.1). Requires: frame.size() <= frame_length.
ParseError parse(std::span<const std::uint8_t> frame, std::size_t frame_length, PacketInfo& info);
inline constexpr std::size_t kParseWindow = 256;

// L4 checksum of a whole (unfragmented) packet; the span is the whole frame (false when it is not). Fragments: true.
// True when right, or when UDP over IPv4 carries 0.
// UDP over IPv6 with checksum 0 is wrong (RFC 8200 8.1). Other protocols: true.
bool l4_checksum_ok(std::span<const std::uint8_t> frame, const PacketInfo& info);

// The same for a frame in several pieces: add() them in order, from the start of the frame. Requires: the L4 header
// lies in the first piece.
class ChainSum {
 public:
  explicit ChainSum(const PacketInfo& info) : info_(info) {}
  void add(std::span<const std::uint8_t> piece);
  bool ok() const;

 private:
  const PacketInfo& info_;
  std::size_t at_ = 0;               // bytes of the frame seen
  std::size_t begin_ = 0, end_ = 0;  // what the sum covers
  std::uint16_t sum_ = 0;
  enum class Kind : std::uint8_t { judged, right, wrong } kind_ = Kind::judged;
};

// The packet quoted by an ICMP error: its tuple as the quoted sender wrote it (src = quoted source).
struct QuotedPacket {
  Tuple tuple;
  std::uint16_t l3_offset = 0, l4_offset = 0;  // in the frame
  std::uint16_t available = 0;                 // bytes of the quoted packet present from l3_offset
  bool later_fragment = false;                 // no ports known
  std::uint32_t tcp_sequence = 0;              // when TCP and present (8 bytes are always quoted)
};
// Requires: info.icmp_error. Nothing when the quote is too short or malformed.
std::optional<QuotedPacket> parse_quoted(std::span<const std::uint8_t> frame, const PacketInfo& info);

const char* to_string(ParseError error);

}  // namespace headgate::packet
