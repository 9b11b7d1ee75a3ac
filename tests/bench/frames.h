// 64-byte frames of the measured traffic, written straight into buffers, checksums right.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/base/mac.h"

namespace headgate::bench {

inline constexpr std::uint16_t kFrameBytes = 64;
inline constexpr MacAddress kPeerMac{{0x02, 0, 0, 0, 0, 0xfe}};  // of the gateway and of every backend
inline constexpr std::array<MacAddress, 2> kPortMacs{{{{0x02, 0, 0, 0, 0, 0x10}}, {{0x02, 0, 0, 0, 0, 0x11}}}};

struct Segment {
  std::uint16_t port = 0;  // where it arrives
  std::uint32_t src = 0, dst = 0;
  std::uint16_t src_port = 0, dst_port = 0;
  std::uint8_t flags = 0;
  std::uint32_t sequence = 0;
  std::uint16_t payload = 0;  // up to 10 bytes; what is missing to 64 is Ethernet padding
};

// Requires: buffer has room and is fresh.
void write_segment(rte_mbuf* buffer, const Segment& segment);

// What a worker sent. Requires: an IPv4 TCP frame without options, not encapsulated.
struct Sent {
  std::uint32_t src = 0, dst = 0;
  std::uint16_t src_port = 0, dst_port = 0;
  std::uint32_t sequence = 0;
};
Sent read_segment(const rte_mbuf* buffer);
// Headers, lengths and checksums are right. `encapsulated`: only the outer IP header is looked at.
bool is_sound(const rte_mbuf* buffer, bool encapsulated);
bool is_arp(const rte_mbuf* buffer);
bool is_ip(const rte_mbuf* buffer);

}  // namespace headgate::bench
