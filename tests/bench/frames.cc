#include "tests/bench/frames.h"

#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/build.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/packet_info.h"

namespace headgate::bench {
namespace {

constexpr std::size_t kIp = packet::kEthernetLength, kTcp = kIp + packet::kIpv4Length;

std::uint16_t ethertype(const rte_mbuf* buffer) {
  return load_be16(rte_pktmbuf_mtod_offset(buffer, const std::uint8_t*, 12));
}

}  // namespace

void write_segment(rte_mbuf* buffer, const Segment& segment) {
  auto* frame = rte_pktmbuf_mtod(buffer, std::uint8_t*);
  buffer->data_len = kFrameBytes;
  buffer->pkt_len = kFrameBytes;
  std::memset(frame + kTcp + packet::kTcpLength, 0, kFrameBytes - kTcp - packet::kTcpLength);
  const IpAddress src = IpAddress::from_v4(segment.src), dst = IpAddress::from_v4(segment.dst);
  packet::write_ethernet(frame, kPortMacs[segment.port], kPeerMac, 0, packet::kEtherIpv4);
  packet::write_ip(frame + kIp, {.src = src,
                                 .dst = dst,
                                 .protocol = kProtocolTcp,
                                 .payload_length = static_cast<std::uint16_t>(packet::kTcpLength + segment.payload)});
  packet::write_tcp(frame + kTcp,
                    {.src_port = segment.src_port,
                     .dst_port = segment.dst_port,
                     .sequence = segment.sequence,
                     .acknowledgment = 1,
                     .flags = segment.flags,
                     .window = 65535},
                    src, dst);
  // write_tcp() knows no payload: it is zeros, so only the length in the pseudo header differs.
  packet::Delta delta;
  delta.replace(__builtin_bswap16(packet::kTcpLength),
                __builtin_bswap16(static_cast<std::uint16_t>(packet::kTcpLength + segment.payload)));
  packet::adjust(frame + kTcp + 16, delta);
}

Sent read_segment(const rte_mbuf* buffer) {
  const auto* frame = rte_pktmbuf_mtod(buffer, const std::uint8_t*);
  return {.src = load_be32(frame + kIp + 12),
          .dst = load_be32(frame + kIp + 16),
          .src_port = load_be16(frame + kTcp),
          .dst_port = load_be16(frame + kTcp + 2),
          .sequence = load_be32(frame + kTcp + 4)};
}

bool is_sound(const rte_mbuf* buffer, bool encapsulated) {
  packet::PacketInfo info;
  const std::span frame{rte_pktmbuf_mtod(buffer, const std::uint8_t*), buffer->data_len};
  return packet::parse(frame, buffer->pkt_len, info) == packet::ParseError::none &&
         (encapsulated || packet::l4_checksum_ok(frame, info));
}

bool is_arp(const rte_mbuf* buffer) {
  return ethertype(buffer) == packet::kEtherArp;
}
bool is_ip(const rte_mbuf* buffer) {
  return ethertype(buffer) == packet::kEtherIpv4;
}

}  // namespace headgate::bench
