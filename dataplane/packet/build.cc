#include "dataplane/packet/build.h"

#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/check.h"
#include "dataplane/packet/checksum.h"

namespace headgate::packet {
namespace {

void store_wire(std::uint8_t* out, std::uint16_t wire_order) {
  std::memcpy(out, &wire_order, 2);
}

std::size_t write_ipv4(std::uint8_t* out, const IpFields& fields) {
  out[0] = 0x45;
  out[1] = fields.tos;
  store_be16(out + 2, static_cast<std::uint16_t>(kIpv4Length + fields.payload_length));
  store_be16(out + 4, fields.id);
  store_be16(out + 6, fields.dont_fragment ? 0x4000 : 0);
  out[8] = fields.ttl;
  out[9] = fields.protocol;
  store_be16(out + 10, 0);
  std::memcpy(out + 12, fields.src.v4_bytes(), 4);
  std::memcpy(out + 16, fields.dst.v4_bytes(), 4);
  store_wire(out + 10, invert(sum({out, kIpv4Length})));
  return kIpv4Length;
}

std::size_t write_ipv6(std::uint8_t* out, const IpFields& fields) {
  store_be32(out, 6u << 28 | static_cast<std::uint32_t>(fields.tos) << 20);
  store_be16(out + 4, fields.payload_length);
  out[6] = fields.protocol;
  out[7] = fields.ttl;
  std::memcpy(out + 8, fields.src.bytes.data(), 16);
  std::memcpy(out + 24, fields.dst.bytes.data(), 16);
  return kIpv6Length;
}

}  // namespace

std::size_t write_ethernet(std::uint8_t* out, const MacAddress& dst, const MacAddress& src, std::uint16_t vlan,
                           std::uint16_t ethertype) {
  std::memcpy(out, dst.bytes.data(), 6);
  std::memcpy(out + 6, src.bytes.data(), 6);
  if (vlan == 0) {
    store_be16(out + 12, ethertype);
    return kEthernetLength;
  }
  store_be16(out + 12, kEtherVlan);
  store_be16(out + 14, vlan);
  store_be16(out + 16, ethertype);
  return kEthernetLength + kVlanTagLength;
}

std::size_t write_ip(std::uint8_t* out, const IpFields& fields) {
  HEADGATE_CHECK(fields.src.is_v4() == fields.dst.is_v4());
  return fields.src.is_v4() ? write_ipv4(out, fields) : write_ipv6(out, fields);
}

std::size_t write_tcp(std::uint8_t* out, const TcpFields& fields, const IpAddress& src, const IpAddress& dst) {
  store_be16(out, fields.src_port);
  store_be16(out + 2, fields.dst_port);
  store_be32(out + 4, fields.sequence);
  store_be32(out + 8, fields.acknowledgment);
  out[12] = (kTcpLength / 4) << 4;
  out[13] = fields.flags;
  store_be16(out + 14, fields.window);
  store_be32(out + 16, 0);  // checksum, urgent pointer
  store_wire(out + 16, invert(sum({out, kTcpLength}, pseudo_header_sum(src, dst, kProtocolTcp, kTcpLength))));
  return kTcpLength;
}

MacAddress multicast_mac(const IpAddress& group) {
  const auto& b = group.bytes;
  if (group.is_v4()) {
    return MacAddress{{0x01, 0x00, 0x5e, static_cast<std::uint8_t>(b[13] & 0x7f), b[14], b[15]}};
  }
  return MacAddress{{0x33, 0x33, b[12], b[13], b[14], b[15]}};
}

IpAddress solicited_node(const IpAddress& address) {
  const auto& b = address.bytes;
  return IpAddress{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, b[13], b[14], b[15]}};
}

}  // namespace headgate::packet
