// What the box says to its neighbors: ARP (RFC 826), neighbor discovery (RFC 4861), MLDv2 (RFC 3810).
#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/check.h"
#include "dataplane/packet/build.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/packet_info.h"

namespace headgate::packet {
namespace {

constexpr std::uint8_t kSourceLinkLayer = 1, kTargetLinkLayer = 2;  // RFC 4861 4.6.1
constexpr std::size_t kNeighborMessage = 24;                        // ICMPv6 header and target
constexpr IpAddress kAllMldv2Routers{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16}};
constexpr std::uint8_t kChangeToExclude = 4;  // RFC 3810 5.2.12: "join", of no excluded sources
constexpr std::size_t kMldReportHeader = 8, kMldRecord = 20, kRouterAlert = 8;

static_assert(kEthernetLength + kVlanTagLength + kIpv6Length + kRouterAlert + kMldReportHeader +
                  kMaxMldRecords * kMldRecord <=
              kMaxControlFrame);

void fill_icmpv6_checksum(std::uint8_t* icmp, std::size_t length, const IpAddress& src, const IpAddress& dst) {
  const std::uint16_t pseudo = pseudo_header_sum(src, dst, kProtocolIcmpv6, static_cast<std::uint32_t>(length));
  const std::uint16_t checksum = invert(sum({icmp, length}, pseudo));
  std::memcpy(icmp + 2, &checksum, 2);
}

std::size_t write_link_layer_option(std::uint8_t* out, std::uint8_t type, const MacAddress& mac) {
  out[0] = type;
  out[1] = 1;  // units of 8 bytes
  std::memcpy(out + 2, mac.bytes.data(), 6);
  return 8;
}

struct NeighborMessage {
  std::uint8_t type = 0, flags = 0;
  IpAddress target;
  std::uint8_t option = 0;  // 0: none
  MacAddress mac{};
};

std::size_t write_neighbor_frame(std::uint8_t* out, std::uint16_t vlan, const MacAddress& eth_dst,
                                 const MacAddress& eth_src, const IpAddress& src, const IpAddress& dst,
                                 const NeighborMessage& message) {
  const std::size_t length = kNeighborMessage + (message.option != 0 ? 8 : 0);
  std::size_t at = write_ethernet(out, eth_dst, eth_src, vlan, kEtherIpv6);
  at += write_ip(out + at, IpFields{.src = src,
                                    .dst = dst,
                                    .protocol = kProtocolIcmpv6,
                                    .ttl = 255,
                                    .payload_length = static_cast<std::uint16_t>(length)});
  std::uint8_t* icmp = out + at;
  std::memset(icmp, 0, 8);
  icmp[0] = message.type;
  icmp[4] = message.flags;
  std::memcpy(icmp + 8, message.target.bytes.data(), 16);
  if (message.option != 0) write_link_layer_option(icmp + kNeighborMessage, message.option, message.mac);
  fill_icmpv6_checksum(icmp, length, src, dst);
  return at + length;
}

}  // namespace

std::size_t write_arp(std::uint8_t* out, std::uint16_t vlan, const MacAddress& eth_dst, const MacAddress& sender_mac,
                      const IpAddress& sender_ip, const MacAddress& target_mac, const IpAddress& target_ip,
                      bool reply) {
  HEADGATE_CHECK(sender_ip.is_v4() && target_ip.is_v4());
  const std::size_t at = write_ethernet(out, eth_dst, sender_mac, vlan, kEtherArp);
  std::uint8_t* arp = out + at;
  store_be16(arp, 1);  // Ethernet
  store_be16(arp + 2, kEtherIpv4);
  arp[4] = 6;
  arp[5] = 4;
  store_be16(arp + 6, reply ? 2 : 1);
  std::memcpy(arp + 8, sender_mac.bytes.data(), 6);
  std::memcpy(arp + 14, sender_ip.v4_bytes(), 4);
  std::memcpy(arp + 18, target_mac.bytes.data(), 6);
  std::memcpy(arp + 24, target_ip.v4_bytes(), 4);
  return at + kArpLength;
}

std::size_t write_neighbor_solicitation(std::uint8_t* out, std::uint16_t vlan, const MacAddress& eth_dst,
                                        const MacAddress& src_mac, const IpAddress& src, const IpAddress& dst,
                                        const IpAddress& target) {
  NeighborMessage message{.type = kNeighborSolicitation, .target = target};
  if (!src.is_unspecified()) {  // duplicate address detection carries none (RFC 4861 4.3)
    message.option = kSourceLinkLayer;
    message.mac = src_mac;
  }
  return write_neighbor_frame(out, vlan, eth_dst, src_mac, src, dst, message);
}

std::size_t write_neighbor_advertisement(std::uint8_t* out, std::uint16_t vlan, const MacAddress& eth_dst,
                                         const MacAddress& src_mac, const IpAddress& src, const IpAddress& dst,
                                         const IpAddress& target, std::uint8_t flags) {
  return write_neighbor_frame(out, vlan, eth_dst, src_mac, src, dst,
                              NeighborMessage{.type = kNeighborAdvertisement,
                                              .flags = flags,
                                              .target = target,
                                              .option = kTargetLinkLayer,
                                              .mac = src_mac});
}

std::size_t write_mld_report(std::uint8_t* out, std::uint16_t vlan, const MacAddress& src_mac, const IpAddress& src,
                             std::span<const IpAddress> groups) {
  HEADGATE_CHECK(groups.size() <= kMaxMldRecords);
  const std::size_t length = kMldReportHeader + groups.size() * kMldRecord;
  std::size_t at = write_ethernet(out, multicast_mac(kAllMldv2Routers), src_mac, vlan, kEtherIpv6);
  at += write_ip(out + at, IpFields{.src = src,
                                    .dst = kAllMldv2Routers,
                                    .protocol = 0,  // hop-by-hop
                                    .ttl = 1,
                                    .payload_length = static_cast<std::uint16_t>(kRouterAlert + length)});
  constexpr std::uint8_t kAlert[kRouterAlert] = {kProtocolIcmpv6, 0, 5, 2, 0, 0, 1, 0};  // RFC 2711, then PadN
  std::memcpy(out + at, kAlert, kRouterAlert);
  at += kRouterAlert;

  std::uint8_t* icmp = out + at;
  std::memset(icmp, 0, length);
  icmp[0] = kMldv2Report;
  store_be16(icmp + 6, static_cast<std::uint16_t>(groups.size()));
  std::uint8_t* record = icmp + kMldReportHeader;
  for (const IpAddress& group : groups) {
    record[0] = kChangeToExclude;
    std::memcpy(record + 4, group.bytes.data(), 16);
    record += kMldRecord;
  }
  fill_icmpv6_checksum(icmp, length, src, kAllMldv2Routers);
  return at + length;
}

}  // namespace headgate::packet
