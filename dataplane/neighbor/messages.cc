#include "dataplane/neighbor/messages.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/neighbor/limits.h"
#include "dataplane/packet/build.h"

namespace headgate::neighbor {

namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::uint8_t kQuery = 130, kSolicitation = 135, kAdvertisement = 136;
constexpr std::uint8_t kSourceLinkLayer = 1, kTargetLinkLayer = 2;
constexpr std::size_t kNeighborMessageLength = 24, kQueryLengthV1 = 24, kQueryLengthV2 = 28;

MacAddress mac_at(const std::uint8_t* p) {
  MacAddress mac;
  std::memcpy(mac.bytes.data(), p, 6);
  return mac;
}

bool can_be_sender(const MacAddress& mac) {
  return !mac.is_multicast() && !mac.is_zero();
}

// False when an option has no length or overruns (RFC 4861 7.1.1), when there are too many, or when the sender is a
// group.
bool read_options(Bytes options, std::uint8_t wanted, std::optional<MacAddress>& link_layer) {
  for (unsigned n = 0; !options.empty(); ++n) {
    if (n == kNdOptionsMax || options.size() < 8) return false;
    const std::size_t length = options[1] * std::size_t{8};
    if (length == 0 || length > options.size()) return false;
    if (options[0] == wanted && !link_layer) {
      link_layer = mac_at(options.data() + 2);
      if (length != 8 || !can_be_sender(*link_layer)) return false;
    }
    options = options.subspan(length);
  }
  return true;
}

bool is_solicited_node(const IpAddress& group, const IpAddress& target) {
  return group == packet::solicited_node(target);
}

bool read_neighbor_message(Bytes icmp, const packet::PacketInfo& info, NdMessage& message) {
  if (icmp.size() < kNeighborMessageLength || info.ttl != 255 || info.icmp_code != 0) return false;
  message.target = IpAddress::load_v6(icmp.data() + 8);
  if (message.target.is_multicast() || message.target.is_unspecified() || message.target.is_v4()) return false;
  const bool solicitation = info.icmp_type == kSolicitation;
  if (!read_options(icmp.subspan(kNeighborMessageLength), solicitation ? kSourceLinkLayer : kTargetLinkLayer,
                    message.link_layer)) {
    return false;
  }
  if (solicitation) {
    message.type = NdType::solicitation;
    if (!message.src.is_unspecified()) return true;
    return is_solicited_node(message.dst, message.target) && !message.link_layer;  // duplicate address detection
  }
  message.type = NdType::advertisement;
  message.router = (icmp[4] & packet::kNaRouter) != 0;
  message.solicited = (icmp[4] & packet::kNaSolicited) != 0;
  message.override = (icmp[4] & packet::kNaOverride) != 0;
  return !(message.dst.is_multicast() && message.solicited);
}

// Maximum response code: RFC 2710 3.4 for version 1, RFC 3810 5.1.3 for version 2.
bool read_query(Bytes icmp, const packet::PacketInfo& info, NdMessage& message) {
  if (info.ttl != 1 || !message.src.is_link_local()) return false;
  if (icmp.size() != kQueryLengthV1 && icmp.size() < kQueryLengthV2) return false;
  message.type = NdType::multicast_query;
  const std::uint32_t code = load_be16(icmp.data() + 4);
  const std::uint32_t exponent = code >> 12 & 7, mantissa = code & 0xfff;
  const bool floating = icmp.size() != kQueryLengthV1 && code >= 0x8000;
  const std::uint64_t milliseconds = floating ? std::uint64_t{mantissa | 0x1000} << (exponent + 3) : code;
  message.max_response = std::min<Nanos>(milliseconds * kMillisecond, kMldDelayMax);
  return true;
}

}  // namespace

std::optional<ArpMessage> read_arp(Bytes frame, const packet::PacketInfo& info) {
  if (frame.size() < std::size_t{info.l3_offset} + packet::kArpLength) return std::nullopt;
  const std::uint8_t* arp = frame.data() + info.l3_offset;
  if (load_be64(arp) >> 16 != 0x0001'0800'0604) return std::nullopt;
  const std::uint16_t operation = load_be16(arp + 6);
  if (operation != 1 && operation != 2) return std::nullopt;
  const ArpMessage message{.reply = operation == 2,
                           .sender_mac = mac_at(arp + 8),
                           .sender = IpAddress::load_v4(arp + 14),
                           .target = IpAddress::load_v4(arp + 24)};
  if (!can_be_sender(message.sender_mac)) return std::nullopt;
  if (message.sender.is_multicast() || message.sender.is_loopback() || message.sender.is_broadcast())
    return std::nullopt;
  if (message.reply && message.sender.is_unspecified()) return std::nullopt;
  return message;
}

std::optional<NdMessage> read_nd(Bytes frame, const packet::PacketInfo& info) {
  if (std::size_t{info.l4_offset} + info.l4_length > frame.size() || info.l4_length < 8 || info.fragment)
    return std::nullopt;
  if (!packet::l4_checksum_ok(frame, info)) return std::nullopt;
  const Bytes icmp = frame.subspan(info.l4_offset, info.l4_length);
  NdMessage message;
  message.src = info.tuple.src;
  message.dst = info.tuple.dst;
  message.eth_src = mac_at(frame.data() + 6);
  if (!can_be_sender(message.eth_src)) return std::nullopt;
  switch (info.icmp_type) {
    case kSolicitation:
    case kAdvertisement:
      if (!read_neighbor_message(icmp, info, message)) return std::nullopt;
      break;
    case kQuery:
      if (!read_query(icmp, info, message)) return std::nullopt;
      break;
    default:
      break;
  }
  return message;
}

}  // namespace headgate::neighbor
