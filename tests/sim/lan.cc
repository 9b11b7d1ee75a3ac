#include "tests/sim/lan.h"

#include <algorithm>

#include "dataplane/base/check.h"
#include "dataplane/packet/build.h"
#include "dataplane/packet/packet_info.h"

namespace headgate::sim {
namespace {

MacAddress mac_of(const IpAddress& address) {
  const auto& b = address.bytes;
  return MacAddress{{0x06, address.is_v4() ? std::uint8_t{4} : std::uint8_t{6}, b[12], b[13], b[14], b[15]}};
}

MacAddress source_of(std::span<const std::uint8_t> frame) {
  MacAddress mac;
  std::copy_n(frame.begin() + 6, 6, mac.bytes.begin());
  return mac;
}

bool is_neighbor_message(const packet::PacketInfo& info) {
  if (info.network == packet::Network::arp) return true;
  return info.tuple.protocol == kProtocolIcmpv6 && info.icmp_type >= packet::kMldQuery &&
         (info.icmp_type <= packet::kNeighborAdvertisement || info.icmp_type == packet::kMldv2Report);
}

}  // namespace

const Lan::Host& Lan::add(std::string_view address, std::uint16_t port, std::uint16_t vlan) {
  const IpAddress ip = packet::testing::ip(address);
  hosts_.push_back({.address = ip, .mac = mac_of(ip), .port = port, .vlan = vlan});
  return hosts_.back();
}

void Lan::set_silent(const IpAddress& address, bool silent) {
  for (Host& host : hosts_) {
    if (host.address == address) host.silent = silent;
  }
}

const Lan::Host* Lan::find(const IpAddress& address) const {
  for (const Host& host : hosts_) {
    if (host.address == address) return &host;
  }
  return nullptr;
}

MacAddress Lan::mac(std::string_view address) const {
  const Host* host = find(packet::testing::ip(address));
  HEADGATE_CHECK(host != nullptr);
  return host->mac;
}

bool Lan::is_neighbor_traffic(std::span<const std::uint8_t> frame, std::uint16_t port,
                              std::optional<Frame>& answer) const {
  packet::PacketInfo info;
  if (packet::parse(frame, frame.size(), info) != packet::ParseError::none || !is_neighbor_message(info)) return false;
  const bool arp = info.network == packet::Network::arp;
  if (!arp && info.icmp_type != packet::kNeighborSolicitation) return true;
  if (arp && frame[info.l3_offset + 7] != 1) return true;  // a reply
  const IpAddress target = arp ? info.tuple.dst : IpAddress::load_v6(&frame[info.l4_offset + packet::kIcmpLength]);
  const Host* host = find(target);
  if (host == nullptr || host->silent || host->port != port || host->vlan != info.vlan) return true;
  Frame out(128);
  const std::size_t length =
      arp ? packet::write_arp(out.data(), info.vlan, source_of(frame), host->mac, target, source_of(frame),
                              info.tuple.src, true)
          : packet::write_neighbor_advertisement(out.data(), info.vlan, source_of(frame), host->mac, target,
                                                 info.tuple.src, target, packet::kNaSolicited | packet::kNaOverride);
  out.resize(length);
  answer = std::move(out);
  return true;
}

}  // namespace headgate::sim
