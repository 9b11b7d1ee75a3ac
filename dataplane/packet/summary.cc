#include "dataplane/packet/summary.h"

#include <cstdio>
#include <utility>

#include "dataplane/packet/packet_info.h"

namespace headgate::packet {
namespace {

std::string flag_names(std::uint8_t flags) {
  static constexpr std::pair<TcpFlags, const char*> kNames[] = {{kSyn, "SYN"}, {kFin, "FIN"}, {kRst, "RST"},
                                                                {kPsh, "PSH"}, {kUrg, "URG"}, {kAck, "ACK"}};
  std::string names;
  for (const auto& [flag, name] : kNames) {
    if ((flags & flag) != 0) names += (names.empty() ? " " : ",") + std::string(name);
  }
  return names;
}

const char* icmp_name(bool v4, std::uint8_t type) {
  static constexpr std::pair<std::uint8_t, const char*> kV4[] = {{kIcmpEchoReply, "echo reply"},
                                                                 {kIcmpUnreachable, "unreachable"},
                                                                 {kIcmpSourceQuench, "source quench"},
                                                                 {kIcmpRedirect, "redirect"},
                                                                 {kIcmpEchoRequest, "echo request"},
                                                                 {kIcmpTimeExceeded, "time exceeded"},
                                                                 {kIcmpParameterProblem, "parameter problem"}};
  static constexpr std::uint8_t kRouterAdvertisement = 134, kRedirect = 137;
  static constexpr std::pair<std::uint8_t, const char*> kV6[] = {{kIcmpv6Unreachable, "unreachable"},
                                                                 {kIcmpv6TooBig, "packet too big"},
                                                                 {kIcmpv6TimeExceeded, "time exceeded"},
                                                                 {kIcmpv6ParameterProblem, "parameter problem"},
                                                                 {kIcmpv6EchoRequest, "echo request"},
                                                                 {kIcmpv6EchoReply, "echo reply"},
                                                                 {kMldQuery, "multicast query"},
                                                                 {kMldReport, "multicast report"},
                                                                 {kMldDone, "multicast done"},
                                                                 {kRouterSolicitation, "router solicitation"},
                                                                 {kRouterAdvertisement, "router advertisement"},
                                                                 {kNeighborSolicitation, "neighbor solicitation"},
                                                                 {kNeighborAdvertisement, "neighbor advertisement"},
                                                                 {kRedirect, "redirect"},
                                                                 {kMldv2Report, "multicast report"}};
  const std::span<const std::pair<std::uint8_t, const char*>> names =
      v4 ? std::span<const std::pair<std::uint8_t, const char*>>(kV4) : kV6;
  for (const auto& [value, name] : names) {
    if (value == type) return name;
  }
  return nullptr;
}

std::string icmp_text(std::span<const std::uint8_t> frame, const PacketInfo& info) {
  const bool v4 = info.network == Network::ipv4;
  const char* name = icmp_name(v4, info.icmp_type);
  std::string text = " ";
  text += name != nullptr ? name : "type " + std::to_string(info.icmp_type);
  if (info.icmp_code != 0) text += " code " + std::to_string(info.icmp_code);
  if (info.icmp_error) {
    if (const auto quoted = parse_quoted(frame, info)) text += ", of " + to_string(quoted->tuple);
  }
  return text;
}

std::string ip_text(std::span<const std::uint8_t> frame, const PacketInfo& info, bool whole) {
  std::string text = to_string(info.tuple);
  const bool icmp = info.tuple.protocol == kProtocolIcmp || info.tuple.protocol == kProtocolIcmpv6;
  if (info.fragment) {
    text += ", fragment at " + std::to_string(info.fragment_offset) + (info.more_fragments ? "" : ", the last");
  } else if (icmp && whole) {
    text += icmp_text(frame, info);
  }
  return text + flag_names(info.tcp_flags);
}

}  // namespace

std::string summary(std::span<const std::uint8_t> frame, std::size_t frame_length) {
  PacketInfo info;
  const ParseError error = parse(frame, frame_length, info);
  const std::string vlan = info.vlan != 0 ? "vlan " + std::to_string(info.vlan) + ", " : "";
  if (info.is_ip()) return vlan + ip_text(frame, info, error == ParseError::none);
  if (info.network == Network::arp)
    return vlan + "arp " + to_string(info.tuple.src) + " > " + to_string(info.tuple.dst);
  char ethertype[24];
  std::snprintf(ethertype, sizeof ethertype, "ethertype 0x%04x", info.ethertype);
  return vlan + ethertype;
}

}  // namespace headgate::packet
