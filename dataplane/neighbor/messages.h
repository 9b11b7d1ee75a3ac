// What an ARP, neighbor discovery or MLD frame says. A view of bytes goes in, a value that cannot hold nonsense comes
// out.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/base/ip.h"
#include "dataplane/base/mac.h"
#include "dataplane/base/time.h"
#include "dataplane/packet/packet_info.h"

namespace headgate::neighbor {

struct ArpMessage {
  bool reply = false;
  MacAddress sender_mac;  // unicast, not zero
  IpAddress sender;       // unspecified in a probe (RFC 5227)
  IpAddress target;
};
// Nothing when malformed. Requires: info.network == arp, as parse() left it.
std::optional<ArpMessage> read_arp(std::span<const std::uint8_t> frame, const packet::PacketInfo& info);

enum class NdType : std::uint8_t { solicitation, advertisement, multicast_query, other };

struct NdMessage {
  NdType type = NdType::other;
  IpAddress src, dst;
  IpAddress target;                      // unicast
  std::optional<MacAddress> link_layer;  // source option of a solicitation, target option of an advertisement
  MacAddress eth_src;
  bool router = false, solicited = false, override = false;
  Nanos max_response = 0;  // of a query
};
// Nothing when malformed by RFC 4861 7.1.1, 7.1.2 or RFC 3810 6.2. Requires: info is of an ICMPv6 packet.
std::optional<NdMessage> read_nd(std::span<const std::uint8_t> frame, const packet::PacketInfo& info);

}  // namespace headgate::neighbor
