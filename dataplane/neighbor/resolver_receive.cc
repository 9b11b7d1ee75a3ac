// What others say: requests for our addresses, answers to ours, announcements, claims.
#include <array>

#include "dataplane/base/check.h"
#include "dataplane/neighbor/resolver.h"
#include "dataplane/packet/build.h"

namespace headgate::neighbor {

namespace {

constexpr IpAddress kAllNodes{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

bool on_link(const snapshot::Interface& interface, const IpAddress& address) {
  if (!address.is_v4() && address.is_link_local()) return true;
  for (const IpPrefix& prefix : interface.prefixes) {
    if (prefix.contains(address)) return true;
  }
  return false;
}

}  // namespace

Verdict Resolver::on_arp(std::span<const std::uint8_t> frame, const packet::PacketInfo& info,
                         const snapshot::Interface& interface, Nanos now, ResolverSink& sink) {
  HEADGATE_CHECK(site_.snapshot != nullptr);
  const std::optional<ArpMessage> message = read_arp(frame, info);
  if (!message) {
    ++counters_.malformed;
    return Verdict::malformed;
  }
  const MacAddress port_mac = site_.mac(interface);
  if (message->sender_mac == port_mac) return Verdict::consumed;  // our own, reflected
  if (speaks_as_group(interface, message->sender, message->sender_mac)) return Verdict::consumed;
  if (site_.owns(interface, message->sender))
    return duplicate(interface, message->sender, message->sender_mac, now, sink);
  const bool for_us = site_.owns(interface, message->target);
  learn_from_arp(*message, for_us, interface, now, sink);
  if (!for_us) return Verdict::not_for_us;
  if (message->reply || port_mac.is_zero()) return Verdict::consumed;
  const MacAddress mac = site_.mac_of(interface, message->target);
  std::array<std::uint8_t, packet::kMaxControlFrame> reply;
  const std::size_t length = packet::write_arp(reply.data(), interface.vlan, message->sender_mac, mac, message->target,
                                               message->sender_mac, message->sender, true);
  sink.send(interface.id, {reply.data(), length});
  ++counters_.replies;
  return Verdict::consumed;
}

void Resolver::learn_from_arp(const ArpMessage& message, bool for_us, const snapshot::Interface& interface, Nanos now,
                              ResolverSink& sink) {
  if (message.sender.is_unspecified()) return;  // a probe, RFC 5227 2.1.1
  if (!message.reply) {
    learn_from_request(message.sender, message.sender_mac, for_us, interface, now, sink);
    return;
  }
  const std::uint32_t i = entries_.find(interface.id, message.sender);
  if (i == entries_.kNone) return;
  for_us ? confirm(i, message.sender_mac, now, sink) : learn_unconfirmed(i, message.sender_mac, now, sink);
}

// Who asks us will hear from us soon: RFC 826 and RFC 4861 7.2.3 make an entry. It must be on-link, or a stranger could
// place any address here.
void Resolver::learn_from_request(const IpAddress& sender, const MacAddress& mac, bool for_us,
                                  const snapshot::Interface& interface, Nanos now, ResolverSink& sink) {
  std::uint32_t i = entries_.find(interface.id, sender);
  if (i != entries_.kNone) {
    learn_unconfirmed(i, mac, now, sink);
    return;
  }
  if (!for_us || !on_link(interface, sender) || (entries_.full() && !evict_one(now))) return;
  i = create(interface.id, sender);
  Entry& entry = entries_[i];
  entry.state = NeighborState::stale;
  entry.mac = mac;
  entry.confirmed = now;
  due_.set(i, now + kForgetUnused);
}

// The other box of the pair, announcing what it is active for, or ourselves reflected: no stranger with our address.
// Which of the two boxes may say so is for the election, not for ARP.
bool Resolver::speaks_as_group(const snapshot::Interface& interface, const IpAddress& address,
                               const MacAddress& mac) const {
  const snapshot::OwnAddress* own = site_.own(interface, address);
  return own != nullptr && own->group != snapshot::kNoGroup &&
         (!site_.is_active(*own) || site_.mac_of(interface, address) == mac);
}

Verdict Resolver::duplicate(const snapshot::Interface& interface, const IpAddress& address, const MacAddress& claimant,
                            Nanos now, ResolverSink& sink) {
  ++counters_.duplicates;
  if (announcer_.defend(interface.id, address, now)) sink.duplicate_address(interface.id, address, claimant);
  return Verdict::duplicate_address;
}

Verdict Resolver::on_nd(std::span<const std::uint8_t> frame, const packet::PacketInfo& info,
                        const snapshot::Interface& interface, Nanos now, ResolverSink& sink) {
  HEADGATE_CHECK(site_.snapshot != nullptr);
  const std::optional<NdMessage> message = read_nd(frame, info);
  if (!message) {
    ++counters_.malformed;
    return Verdict::malformed;
  }
  const MacAddress mac = site_.mac(interface);
  if (message->eth_src == mac || message->link_layer == mac) return Verdict::consumed;  // our own, reflected
  switch (message->type) {
    case NdType::solicitation:
      return on_solicitation(*message, interface, now, sink);
    case NdType::advertisement:
      return on_advertisement(*message, interface, now, sink);
    case NdType::multicast_query:
      announcer_.mld_query(message->max_response, now);
      return Verdict::not_for_us;
    case NdType::other:
      return Verdict::not_for_us;
  }
  return Verdict::not_for_us;
}

Verdict Resolver::on_solicitation(const NdMessage& message, const snapshot::Interface& interface, Nanos now,
                                  ResolverSink& sink) {
  if (speaks_as_group(interface, message.src, message.eth_src)) return Verdict::consumed;
  const bool probe = message.src.is_unspecified();  // duplicate address detection, RFC 4862 5.4
  if (!probe && site_.owns(interface, message.src))
    return duplicate(interface, message.src, message.eth_src, now, sink);
  const bool for_us = site_.owns(interface, message.target);
  if (!probe && message.link_layer) learn_from_request(message.src, *message.link_layer, for_us, interface, now, sink);
  if (!for_us) return Verdict::not_for_us;
  const MacAddress mac = site_.mac_of(interface, message.target);
  if (mac.is_zero()) return Verdict::consumed;
  // RFC 4861 7.2.4. Who sent no link-layer address is answered where the frame came from.
  const IpAddress dst = probe ? kAllNodes : message.src;
  const MacAddress eth_dst = probe ? packet::multicast_mac(kAllNodes) : message.link_layer.value_or(message.eth_src);
  const auto flags = static_cast<std::uint8_t>(packet::kNaOverride | (probe ? 0 : packet::kNaSolicited) |
                                               (interface.gateway ? packet::kNaRouter : 0));
  std::array<std::uint8_t, packet::kMaxControlFrame> reply;
  const std::size_t length = packet::write_neighbor_advertisement(reply.data(), interface.vlan, eth_dst, mac,
                                                                  message.target, dst, message.target, flags);
  sink.send(interface.id, {reply.data(), length});
  ++counters_.replies;
  return Verdict::consumed;
}

Verdict Resolver::on_advertisement(const NdMessage& message, const snapshot::Interface& interface, Nanos now,
                                   ResolverSink& sink) {
  if (speaks_as_group(interface, message.target, message.link_layer.value_or(message.eth_src)))
    return Verdict::consumed;
  if (site_.owns(interface, message.target)) {
    return duplicate(interface, message.target, message.link_layer.value_or(message.eth_src), now, sink);
  }
  learn_from_advertisement(message, interface, now, sink);
  return site_.owns(interface, message.dst) ? Verdict::consumed : Verdict::not_for_us;
}

// RFC 4861 7.2.5. A failed entry is an incomplete one.
void Resolver::learn_from_advertisement(const NdMessage& message, const snapshot::Interface& interface, Nanos now,
                                        ResolverSink& sink) {
  const std::uint32_t i = entries_.find(interface.id, message.target);
  if (i == entries_.kNone) return;
  Entry& entry = entries_[i];
  const bool known = entry.state == NeighborState::reachable || entry.state == NeighborState::stale;
  if (!known && !message.link_layer) return;
  const MacAddress mac = message.link_layer.value_or(entry.mac);
  if (known && mac != entry.mac && !message.override) {
    if (entry.state != NeighborState::reachable) return;
    entry.state = NeighborState::stale;  // somebody else answers too: ask the one we know
    entry.probing = interesting(entry, now);
    entry.tries = 0;
    due_.set(i, entry.probing ? now : now + kForgetUnused);
    publish(entry, now, sink);
    return;
  }
  message.solicited ? confirm(i, mac, now, sink) : learn_unconfirmed(i, mac, now, sink);
}

}  // namespace headgate::neighbor
