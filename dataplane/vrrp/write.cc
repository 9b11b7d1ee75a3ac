// Adverts of ours (RFC 9568 5, RFC 3768 5).
#include <algorithm>
#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/check.h"
#include "dataplane/packet/build.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/packet_info.h"
#include "dataplane/vrrp/wire.h"

namespace headgate::vrrp {
namespace {

constexpr std::uint8_t kInternetworkControl = 0xc0;  // traffic class CS6, as routers mark their protocols
constexpr std::size_t kAuthenticationData = 8;       // version 2: type "none", all zero
constexpr std::size_t kEthernetMax = 18, kIpMax = 40;
static_assert(kEthernetMax + kIpMax + kHeader + kAddressesMax * 16 <= kFrameMax);

std::uint16_t rounded(Nanos interval, Nanos unit, Nanos most) {
  return static_cast<std::uint16_t>(std::clamp<Nanos>((interval + unit / 2) / unit, 1, most));
}

std::size_t write_message(const FrameSpec& spec, std::uint8_t* out) {
  std::memset(out, 0, kHeader);
  out[0] = static_cast<std::uint8_t>(spec.version << 4 | 1);
  out[1] = spec.vrid;
  out[2] = spec.priority;
  out[3] = static_cast<std::uint8_t>(spec.addresses.size());
  if (spec.version == 2) {
    out[5] = static_cast<std::uint8_t>(rounded(spec.interval, kSecond, 255));
  } else {
    store_be16(out + 4, rounded(spec.interval, kCentisecond, 4095));
  }
  std::size_t at = kHeader;
  for (const IpAddress& address : spec.addresses) {
    const std::size_t size = address.is_v4() ? 4 : 16;
    std::memcpy(out + at, address.is_v4() ? address.v4_bytes() : address.bytes.data(), size);
    at += size;
  }
  if (spec.version == 2) {
    std::memset(out + at, 0, kAuthenticationData);
    at += kAuthenticationData;
  }
  return at;
}

std::uint16_t covered_besides(const FrameSpec& spec, std::size_t length) {
  const bool v4 = spec.source.is_v4();
  if (v4 && (spec.version == 2 || spec.form == ChecksumForm::plain)) return 0;
  const bool group = v4 && spec.form == ChecksumForm::pseudo_header_of_group;
  return packet::pseudo_header_sum(spec.source, group ? kGroupV4 : spec.destination, kProtocol,
                                   static_cast<std::uint32_t>(length));
}

std::size_t message_size(const FrameSpec& spec) {
  return kHeader + spec.addresses.size() * (spec.source.is_v4() ? 4 : 16) +
         (spec.version == 2 ? kAuthenticationData : 0);
}

}  // namespace

std::size_t write_frame(const FrameSpec& spec, std::span<std::uint8_t> out) {
  const bool v4 = spec.source.is_v4();
  HEADGATE_CHECK(v4 == spec.destination.is_v4() && (v4 || spec.version == 3));
  for (const IpAddress& address : spec.addresses) HEADGATE_CHECK(address.is_v4() == v4);
  const std::size_t length = message_size(spec);
  const std::size_t before = (spec.vlan != 0 ? kEthernetMax : kEthernetMax - 4) + (v4 ? kIpMax - 20 : kIpMax);
  if (spec.addresses.size() > kAddressesMax || before + length > out.size()) return 0;
  const MacAddress destination =
      spec.destination.is_multicast() ? packet::multicast_mac(spec.destination) : spec.destination_mac;
  std::size_t at = packet::write_ethernet(out.data(), destination, spec.source_mac, spec.vlan,
                                          v4 ? packet::kEtherIpv4 : packet::kEtherIpv6);
  at += packet::write_ip(out.data() + at, {.src = spec.source,
                                           .dst = spec.destination,
                                           .protocol = kProtocol,
                                           .ttl = kHopLimit,
                                           .tos = kInternetworkControl,
                                           .payload_length = static_cast<std::uint16_t>(length)});
  HEADGATE_CHECK(at == before);
  std::uint8_t* message = out.data() + at;
  HEADGATE_CHECK(write_message(spec, message) == length);
  const std::uint16_t checksum = packet::invert(packet::sum({message, length}, covered_besides(spec, length)));
  std::memcpy(message + 6, &checksum, 2);
  return at + length;
}

}  // namespace headgate::vrrp
