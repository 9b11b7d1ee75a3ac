// Writing headers: small functions that fill caller-provided bytes. Used for what the box itself says (ARP, ND, ICMP,
// RST, encapsulation) and by tests. All lengths in bytes; every function returns the number of bytes written; every
// checksum is filled in unless said otherwise. The caller guarantees room (sizes below).
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/base/mac.h"
#include "dataplane/base/tuple.h"

namespace headgate::packet {

inline constexpr std::size_t kEthernetLength = 14, kVlanTagLength = 4, kIpv4Length = 20, kIpv6Length = 40,
                             kTcpLength = 20, kUdpLength = 8, kIcmpLength = 8, kGueLength = 4, kArpLength = 28;
inline constexpr std::uint16_t kEtherIpv4 = 0x0800, kEtherArp = 0x0806, kEtherIpv6 = 0x86dd, kEtherVlan = 0x8100,
                               kEtherQinq = 0x88a8;

// vlan 0 = untagged. 14 or 18 bytes.
std::size_t write_ethernet(std::uint8_t* out, const MacAddress& dst, const MacAddress& src, std::uint16_t vlan,
                           std::uint16_t ethertype);

struct IpFields {
  IpAddress src{}, dst{};
  std::uint8_t protocol = 0, ttl = 64, tos = 0;
  std::uint16_t payload_length = 0;
  std::uint16_t id = 0;
  bool dont_fragment = true;
};
// 20 or 40 bytes by the family of src.
std::size_t write_ip(std::uint8_t* out, const IpFields& fields);

struct TcpFields {
  std::uint16_t src_port = 0, dst_port = 0;
  std::uint32_t sequence = 0, acknowledgment = 0;
  std::uint8_t flags = 0;
  std::uint16_t window = 0;
};
// 20 bytes, no options, no payload; the checksum covers the pseudo header of src and dst.
std::size_t write_tcp(std::uint8_t* out, const TcpFields& fields, const IpAddress& src, const IpAddress& dst);

// Whole frames into `out` (at least 1514 bytes in tests, kMaxControlFrame in the product); return the length.
inline constexpr std::size_t kMaxControlFrame =
    640;  // an ICMPv4 error quotes at most 548 bytes; ICMPv6 is cut likewise

std::size_t write_arp(std::uint8_t* out, std::uint16_t vlan, const MacAddress& eth_dst, const MacAddress& sender_mac,
                      const IpAddress& sender_ip, const MacAddress& target_mac, const IpAddress& target_ip, bool reply);
// Neighbor solicitation (RFC 4861 4.3) with source link-layer option; eth_dst group or unicast by `dst`.
std::size_t write_neighbor_solicitation(std::uint8_t* out, std::uint16_t vlan, const MacAddress& eth_dst,
                                        const MacAddress& src_mac, const IpAddress& src, const IpAddress& dst,
                                        const IpAddress& target);
// Neighbor advertisement (4.4) with target link-layer option. flags: kNaRouter, kNaSolicited, kNaOverride.
enum NaFlags : std::uint8_t { kNaOverride = 0x20, kNaSolicited = 0x40, kNaRouter = 0x80 };
std::size_t write_neighbor_advertisement(std::uint8_t* out, std::uint16_t vlan, const MacAddress& eth_dst,
                                         const MacAddress& src_mac, const IpAddress& src, const IpAddress& dst,
                                         const IpAddress& target, std::uint8_t flags);
// MLDv2 report joining solicited-node groups (RFC 3810 5.2), hop limit 1, router alert. At most kMaxMldRecords groups.
inline constexpr std::size_t kMaxMldRecords = 24;
std::size_t write_mld_report(std::uint8_t* out, std::uint16_t vlan, const MacAddress& src_mac, const IpAddress& src,
                             std::span<const IpAddress> groups);

// An ICMP error about `offender` (an IP packet from its IP header on), RFC 792, 1812 4.3.2.3, 4443: writes from the IP
// header on. v4 types: 3/x, 11/0; v6: 1/x, 2/0 (mtu), 3/0. `mtu` only for too-big.
enum class IcmpError : std::uint8_t { too_big, time_exceeded, port_unreachable, host_unreachable, admin_prohibited };
std::size_t write_icmp_error(std::uint8_t* out, IcmpError kind, const IpAddress& from, const IpAddress& to,
                             std::span<const std::uint8_t> offender, std::uint32_t mtu);

MacAddress multicast_mac(const IpAddress& group);    // RFC 1112 6.4, RFC 2464 7
IpAddress solicited_node(const IpAddress& address);  // RFC 4291 2.7.1

}  // namespace headgate::packet
