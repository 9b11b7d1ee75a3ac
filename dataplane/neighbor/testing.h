// A link with a resolver at one end, for tests: every frame that goes out is parsed back and told in one line.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/neighbor/messages.h"
#include "dataplane/neighbor/resolver.h"
#include "dataplane/packet/build.h"
#include "dataplane/packet/packet_info.h"

namespace headgate::neighbor {

using Lines = std::vector<std::string>;
using Frame = std::vector<std::uint8_t>;

inline IpAddress ip(std::string_view text) {
  return parse_ip(text).value();
}
inline IpPrefix prefix(std::string_view text) {
  return parse_prefix(text).value();
}
inline constexpr MacAddress kOurMac{{2, 0, 0, 0, 0, 0xaa}}, kPeerMac{{2, 0, 0, 0, 0, 0x11}},
    kOtherMac{{2, 0, 0, 0, 0, 0x22}};

// Short names in traces.
inline std::string name(const MacAddress& mac) {
  if (mac == kOurMac) return "us";
  if (mac == kPeerMac) return "peer";
  if (mac == kOtherMac) return "other";
  if (mac == kBroadcastMac) return "all";
  return to_string(mac);
}

// "arp who-has 10.0.0.5 tell 10.0.0.1 us>all", "na 2001:db8::1 src dst [flags] us>peer"
inline std::string describe(const Frame& frame) {
  packet::PacketInfo info;
  const packet::ParseError error = packet::parse(frame, frame.size(), info);
  if (error != packet::ParseError::none) return std::string("unparsable: ") + packet::to_string(error);
  MacAddress dst, src;
  std::copy_n(frame.data(), 6, dst.bytes.begin());
  std::copy_n(frame.data() + 6, 6, src.bytes.begin());
  const std::string way =
      " " + name(src) + ">" + name(dst) + (info.vlan != 0 ? " vlan " + std::to_string(info.vlan) : "");
  if (info.network == packet::Network::arp) {
    const auto arp = read_arp(frame, info);
    if (!arp) return "malformed arp";
    if (!arp->reply) return "arp who-has " + to_string(arp->target) + " tell " + to_string(arp->sender) + way;
    return "arp " + to_string(arp->sender) + " is-at " + name(arp->sender_mac) + " tell " + to_string(arp->target) +
           way;
  }
  if (!packet::l4_checksum_ok(frame, info)) return "bad checksum";
  if (info.icmp_type == 143)
    return "mld report from " + to_string(info.tuple.src) + " groups " + std::to_string(frame[info.l4_offset + 7]) +
           way;
  const auto nd = read_nd(frame, info);
  if (!nd) return "malformed nd";
  const std::string ends = " " + to_string(nd->src) + " " + to_string(nd->dst);
  if (nd->type == NdType::solicitation) return "ns " + to_string(nd->target) + ends + way;
  if (nd->type != NdType::advertisement) return "other icmpv6";
  return "na " + to_string(nd->target) + ends + (nd->router ? " R" : "") + (nd->solicited ? " S" : "") +
         (nd->override ? " O" : "") + way;
}

// Builds what the resolver reads of a snapshot.
class SiteBuilder {
 public:
  SiteBuilder() { snapshot_.interfaces.reserve(8); }
  SiteBuilder& interface(std::uint32_t id, std::uint16_t vlan, std::vector<std::string> prefixes,
                         std::vector<std::string> from) {
    snapshot::Interface entry;
    entry.id = {id};
    entry.port = 0;
    entry.vlan = vlan;
    const auto index = static_cast<std::uint16_t>(snapshot_.interfaces.size());
    for (std::size_t i = 0; i < prefixes.size(); ++i) {
      entry.prefixes.push_back(prefix(prefixes[i]));
      entry.resolve_from.push_back(from[i].empty() ? IpAddress{} : ip(from[i]));
      if (!from[i].empty()) own(index, from[i]);
      snapshot_.routes.push_back({prefix(prefixes[i]).network(), {{IpAddress{}, index}}});
    }
    snapshot_.interfaces.push_back(entry);
    return *this;
  }
  // An address of ours, entered as a local address.
  SiteBuilder& own(std::uint16_t interface, std::string_view address) {
    snapshot::LocalAddress local;
    local.address = ip(address);
    local.interface = interface;
    snapshot_.local_addresses.push_back(local);
    own_.emplace_back(ip(address),
                      snapshot::OwnAddress{.interface = interface, .local_address = 0, .interface_address = true});
    return *this;
  }
  SiteBuilder& backend(std::string_view address) { return backend(ip(address)); }
  SiteBuilder& backend(const IpAddress& address) {
    snapshot_.backends.emplace_back().address = address;
    return *this;
  }
  SiteBuilder& route(std::string_view to, std::string_view gateway, std::uint16_t interface) {
    snapshot_.routes.push_back({prefix(to), {{ip(gateway), interface}}});
    return *this;
  }
  std::unique_ptr<snapshot::Snapshot> build() {
    auto out = std::make_unique<snapshot::Snapshot>(snapshot_);
    out->route_table = snapshot::RouteTable(out->routes, 1);
    out->own_addresses = {own_, snapshot::AddressHash{1}};
    return out;
  }

 private:
  snapshot::Snapshot snapshot_;
  std::vector<std::pair<IpAddress, snapshot::OwnAddress>> own_;
};

struct Link : ResolverSink {
  Resolver resolver;
  std::unique_ptr<snapshot::Snapshot> snapshot;
  Nanos now = 0;
  std::vector<std::pair<Nanos, std::string>> frames;
  Lines updates, duplicates;

  explicit Link(std::uint64_t seed = 1, Resolver::Options options = {}) : resolver(seed, options) {
    resolver.set_port_mac(0, kOurMac);
  }
  void send(InterfaceId, std::span<const std::uint8_t> frame) override {
    frames.emplace_back(now, describe(Frame(frame.begin(), frame.end())));
  }
  void update(const NeighborUpdate& u) override {
    const bool usable = u.state != NeighborState::failed;
    updates.push_back(to_string(u.address) + " " + to_string(u.state) + (usable ? " " + name(u.mac) : "") +
                      (u.standing ? " standing" : ""));
  }
  void duplicate_address(InterfaceId, const IpAddress& address, const MacAddress& claimant) override {
    duplicates.push_back(to_string(address) + " " + name(claimant));
  }

  void use(SiteBuilder& site) {
    auto next = site.build();
    resolver.snapshot_changed(*next, now);
    snapshot = std::move(next);
  }
  void run(Nanos until) {
    while (resolver.next_deadline() <= until) {
      now = std::max(now, resolver.next_deadline());
      resolver.advance(now, *this);
    }
    now = until;
  }
  // Announcements and first requests are over, nothing is left to tell.
  void settle() {
    run(now + 3 * kSecond);
    frames.clear();
    updates.clear();
  }
  void want(std::uint32_t interface, std::string_view address) {
    resolver.want({interface}, ip(address), now, *this);
    resolver.advance(now, *this);
  }
  Verdict receive(const Frame& frame, std::size_t interface = 0) {
    packet::PacketInfo info;
    EXPECT_EQ(packet::parse(frame, frame.size(), info), packet::ParseError::none);
    return receive_unchecked(frame, info, interface);
  }
  Verdict receive_unchecked(const Frame& frame, const packet::PacketInfo& info, std::size_t interface = 0) {
    const snapshot::Interface& at = snapshot->interfaces[interface];
    const Verdict verdict = info.network == packet::Network::arp ? resolver.on_arp(frame, info, at, now, *this)
                                                                 : resolver.on_nd(frame, info, at, now, *this);
    resolver.advance(now, *this);
    return verdict;
  }
  Lines take_frames() {
    Lines out;
    for (auto& [when, line] : frames) out.push_back(std::move(line));
    frames.clear();
    return out;
  }
  Lines take_updates() { return std::exchange(updates, {}); }
  NeighborState state(std::string_view address, std::uint32_t interface = 1) const {
    return resolver.state({interface}, ip(address));
  }
};

struct Arp {
  std::string sender, target;
  MacAddress mac = kPeerMac, eth_dst = kOurMac;
  bool reply = false;
};
inline Frame arp(const Arp& a) {
  Frame frame(packet::kMaxControlFrame);
  frame.resize(packet::write_arp(frame.data(), 0, a.eth_dst, a.mac, ip(a.sender), kOurMac, ip(a.target), a.reply));
  return frame;
}
inline Frame solicitation(std::string_view src, std::string_view target, const MacAddress& mac = kPeerMac) {
  Frame frame(packet::kMaxControlFrame);
  const IpAddress dst = packet::solicited_node(ip(target));
  frame.resize(
      packet::write_neighbor_solicitation(frame.data(), 0, packet::multicast_mac(dst), mac, ip(src), dst, ip(target)));
  return frame;
}
inline Frame advertisement(std::string_view target, std::string_view dst, int flags, const MacAddress& mac = kPeerMac) {
  Frame frame(packet::kMaxControlFrame);
  frame.resize(packet::write_neighbor_advertisement(frame.data(), 0, kOurMac, mac, ip(target), ip(dst), ip(target),
                                                    static_cast<std::uint8_t>(flags)));
  return frame;
}

}  // namespace headgate::neighbor
