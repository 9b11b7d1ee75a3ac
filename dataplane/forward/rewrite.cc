#include "dataplane/forward/rewrite.h"

#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/checksum.h"

namespace headgate::forward {
namespace {

std::uint32_t load32(const void* p) {
  std::uint32_t v;
  std::memcpy(&v, p, 4);
  return v;
}
std::uint16_t load16(const void* p) {
  std::uint16_t v;
  std::memcpy(&v, p, 2);
  return v;
}

// Ones' complement difference new - old, accumulated unfolded in wire order; folded once at the end.
class Difference {
 public:
  void words(const std::uint8_t* old_bytes, const std::uint8_t* new_bytes, unsigned count32) {
    for (unsigned i = 0; i < count32; ++i) {
      const std::uint32_t o = ~load32(old_bytes + 4 * i), n = load32(new_bytes + 4 * i);
      sum_ += (o & 0xffff) + (o >> 16) + (n & 0xffff) + (n >> 16);
    }
  }
  void word(std::uint16_t old_word, std::uint16_t new_word) {
    sum_ += static_cast<std::uint16_t>(~old_word) + std::uint32_t{new_word};
  }
  packet::Delta delta() const {
    std::uint64_t s = sum_;
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    return packet::Delta{static_cast<std::uint16_t>(s)};
  }

 private:
  std::uint64_t sum_ = 0;
};

// Replaces address bytes in place and adds the change to `difference`.
void replace_address(std::uint8_t* field, const IpAddress& address, bool v4, Difference& difference) {
  const std::uint8_t* wanted = v4 ? address.v4_bytes() : address.bytes.data();
  const unsigned words = v4 ? 1 : 4;
  difference.words(field, wanted, words);
  std::memcpy(field, wanted, words * 4);
}

void replace_port(std::uint8_t* field, std::uint16_t port, Difference& difference) {
  const std::uint16_t wanted = __builtin_bswap16(port);
  difference.word(load16(field), wanted);
  std::memcpy(field, &wanted, 2);
}

// The L4 checksum field of protocols that cover addresses or ports; null where there is none or it is not in the
// packet.
std::uint8_t* checksum_field(std::uint8_t* l4, std::uint8_t protocol, std::size_t available) {
  switch (protocol) {
    case kProtocolTcp:
      return available >= 18 ? l4 + 16 : nullptr;
    case kProtocolUdp:
      return available >= 8 ? l4 + 6 : nullptr;
    case kProtocolIcmp:
    case kProtocolIcmpv6:
      return available >= 4 ? l4 + 2 : nullptr;
    default:
      return nullptr;
  }
}

void apply(std::uint8_t* field, std::uint8_t protocol, packet::Delta delta) {
  if (protocol == kProtocolUdp) {
    packet::adjust_udp(field, delta);
  } else {
    packet::adjust(field, delta);
  }
}

}  // namespace

void decrement_ttl(std::uint8_t* frame, const packet::PacketInfo& info) {
  std::uint8_t* l3 = frame + info.l3_offset;
  if (info.network == packet::Network::ipv6) {
    --l3[7];
    return;
  }
  Difference difference;
  const std::uint16_t before = load16(l3 + 8);
  --l3[8];
  difference.word(before, load16(l3 + 8));
  packet::adjust(l3 + 10, difference.delta());
}

void rewrite(std::uint8_t* frame, const packet::PacketInfo& info, const Endpoint& src, const Endpoint& dst,
             unsigned hops) {
  const bool v4 = info.network == packet::Network::ipv4;
  std::uint8_t* l3 = frame + info.l3_offset;
  std::uint8_t* l4 = frame + info.l4_offset;
  Difference addresses;
  replace_address(l3 + (v4 ? 12 : 8), src.address, v4, addresses);
  replace_address(l3 + (v4 ? 16 : 24), dst.address, v4, addresses);
  if (v4) {
    Difference header = addresses;
    const std::uint16_t before = load16(l3 + 8);
    l3[8] = static_cast<std::uint8_t>(l3[8] - hops);
    header.word(before, load16(l3 + 8));
    packet::adjust(l3 + 10, header.delta());
  } else {
    l3[7] = static_cast<std::uint8_t>(l3[7] - hops);
  }
  if (info.later_fragment()) return;

  const std::uint8_t protocol = info.tuple.protocol;
  Difference covered = protocol == kProtocolIcmp ? Difference{} : addresses;  // ICMPv4 has no pseudo header
  if (protocol == kProtocolTcp || protocol == kProtocolUdp) {
    replace_port(l4, src.port, covered);
    replace_port(l4 + 2, dst.port, covered);
  } else if (info.icmp_query) {
    const bool request = info.icmp_type == 8 || info.icmp_type == 128;
    replace_port(l4 + 4, request ? src.port : dst.port, covered);
  }
  if (std::uint8_t* field = checksum_field(l4, protocol, info.l4_length); field != nullptr) {
    apply(field, protocol, covered.delta());
  }
}

void rewrite_icmp_error(std::uint8_t* frame, const packet::PacketInfo& info, const packet::QuotedPacket& quoted,
                        const IpAddress& outer_src, const IpAddress& outer_dst, const Endpoint& quoted_src,
                        const Endpoint& quoted_dst) {
  const bool v4 = info.network == packet::Network::ipv4;
  std::uint8_t* l3 = frame + info.l3_offset;
  std::uint8_t* inner_l3 = frame + quoted.l3_offset;
  std::uint8_t* inner_l4 = frame + quoted.l4_offset;
  const std::size_t header = static_cast<std::size_t>(quoted.l4_offset - quoted.l3_offset);
  const std::size_t inner_l4_bytes = quoted.available > header ? quoted.available - header : 0;

  Difference outer;  // everything that changes inside the ICMP message
  Difference inner_addresses;
  replace_address(inner_l3 + (v4 ? 12 : 8), quoted_src.address, v4, inner_addresses);
  replace_address(inner_l3 + (v4 ? 16 : 24), quoted_dst.address, v4, inner_addresses);
  const packet::Delta address_delta = inner_addresses.delta();
  outer.word(0xffff, address_delta.value);  // ~0xffff + delta: adds the delta
  if (v4) {
    const std::uint16_t before = load16(inner_l3 + 10);
    packet::adjust(inner_l3 + 10, address_delta);
    outer.word(before, load16(inner_l3 + 10));
  }
  const std::uint8_t protocol = quoted.tuple.protocol;
  if (!quoted.later_fragment && inner_l4_bytes >= 4) {
    Difference covered = protocol == kProtocolIcmp ? Difference{} : inner_addresses;
    Difference ports;
    if (protocol == kProtocolTcp || protocol == kProtocolUdp) {
      replace_port(inner_l4, quoted_src.port, ports);
      replace_port(inner_l4 + 2, quoted_dst.port, ports);
    } else if (inner_l4_bytes >= 8) {  // ICMP query
      const bool request = inner_l4[0] == 8 || inner_l4[0] == 128;
      replace_port(inner_l4 + 4, request ? quoted_src.port : quoted_dst.port, ports);
    }
    const packet::Delta port_delta = ports.delta();
    outer.word(0xffff, port_delta.value);
    covered.word(0xffff, port_delta.value);
    if (std::uint8_t* field = checksum_field(inner_l4, protocol, inner_l4_bytes); field != nullptr) {
      const std::uint16_t before = load16(field);
      apply(field, protocol, covered.delta());
      outer.word(before, load16(field));
    }
  }

  Difference outer_addresses;
  replace_address(l3 + (v4 ? 12 : 8), outer_src, v4, outer_addresses);
  replace_address(l3 + (v4 ? 16 : 24), outer_dst, v4, outer_addresses);
  if (v4) {
    packet::adjust(l3 + 10, outer_addresses.delta());
  } else {
    outer.word(0xffff, outer_addresses.delta().value);
  }
  packet::adjust(frame + info.l4_offset + 2, outer.delta());
}

}  // namespace headgate::forward
