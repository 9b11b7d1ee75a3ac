#include "dataplane/forward/encapsulate.h"

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/build.h"
#include "dataplane/packet/checksum.h"

namespace headgate::forward {

std::uint8_t* encapsulate(std::uint8_t* inner, std::uint16_t inner_length, bool inner_v4, const Outer& outer) {
  const bool outer_v4 = outer.dst.is_v4();
  const std::uint8_t inner_protocol = inner_v4 ? kProtocolIpip : kProtocolIpv6;
  std::uint8_t* at = inner;
  std::uint16_t length = inner_length;
  if (outer.gue) {
    at -= packet::kGueLength;
    at[0] = 0;  // variant 0, control 0, header length 0
    at[1] = inner_protocol;
    store_be16(at + 2, 0);
    at -= packet::kUdpLength;
    length = static_cast<std::uint16_t>(length + packet::kGueLength + packet::kUdpLength);
    store_be16(at, outer.source_port);
    store_be16(at + 2, outer.gue_port);
    store_be16(at + 4, length);
    // Zero over IPv4, and over IPv6 under RFC 6935/6936: the inner packet carries its own checksums and a wrong outer
    // address leads to a host that drops it.
    store_be16(at + 6, 0);
  }
  const bool dont_fragment = !inner_v4 || (inner[6] & 0x40) != 0;
  const auto tos = static_cast<std::uint8_t>(inner_v4 ? inner[1] : ((inner[0] & 0x0f) << 4) | (inner[1] >> 4));
  // With DF clear a router may cut the outer packet: packets in flight between the same two hosts need different
  // identifiers (RFC 6864 4.3). The inner one differs from packet to packet, the port from flow to flow.
  const auto id = static_cast<std::uint16_t>(outer.source_port ^ (inner_v4 ? load_be16(inner + 4) : 0));
  at -= outer_v4 ? packet::kIpv4Length : packet::kIpv6Length;
  packet::write_ip(at, {.src = outer.src,
                        .dst = outer.dst,
                        .protocol = outer.gue ? kProtocolUdp : inner_protocol,
                        .ttl = 64,
                        .tos = tos,
                        .payload_length = length,
                        .id = id,
                        .dont_fragment = dont_fragment});
  return at;
}

}  // namespace headgate::forward
