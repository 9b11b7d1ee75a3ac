// The worker's side of failover: which groups are active, by their leases; adverts from the election's thread and to
// it. dataplane/vrrp/group.h says what they mean.
#include <rte_mbuf.h>

#include <cstring>

#include "dataplane/packet/build.h"
#include "dataplane/worker/worker.h"

namespace headgate::worker {

using snapshot::GroupSlot;
using telemetry::DropReason;
using telemetry::Exit;
using telemetry::Handover;

// A lease is read once a step; the runner looks again before it sends.
void Worker::switch_leases() {
  const std::uint64_t before = active_;
  active_ = shared_.failover == nullptr ? 1 : shared_.failover->leases.active(now_);
  watch_groups(before);
  if (active_ != before && resolver_) resolver_->set_active(active_, now_);
}

void Worker::learn_virtual_macs() {
  virtual_macs_.clear();
  if (snapshot_ == nullptr || snapshot_->groups.empty()) return;
  virtual_macs_.resize(config_.ports.size());
  for (const snapshot::Group& group : snapshot_->groups) {
    if (!group.virtual_mac) continue;
    for (std::size_t r = 0; r < group.interfaces.size(); ++r) {
      VirtualMacs& macs = virtual_macs_[snapshot_->interfaces[group.interfaces[r]].port];
      const vrrp::RouterConfig& router = group.config.routers[r];
      (router.v6 ? macs.v6 : macs.v4)[router.vrid] = group.slot;
    }
  }
}

// 00-00-5E-00-01-VRID or 00-00-5E-00-02-VRID (RFC 9568 7.3), where it is a router of ours.
GroupSlot Worker::group_of_mac(std::uint16_t port, const std::uint8_t* mac) const {
  constexpr std::array<std::uint8_t, 4> kIana{0x00, 0x00, 0x5e, 0x00};
  if (virtual_macs_.empty() || std::memcmp(mac, kIana.data(), kIana.size()) != 0) return snapshot::kNoGroup;
  if (mac[4] == 1) return virtual_macs_[port].v4[mac[5]];
  return mac[4] == 2 ? virtual_macs_[port].v6[mac[5]] : snapshot::kNoGroup;
}

// Before anything else of the step, so that adverts are the first that leave.
void Worker::send_adverts() {
  if (config_.index != 0 || shared_.failover == nullptr) return;
  for (std::size_t i = 0; i < kAdvertsPerStep && shared_.failover->out.pop(advert_out_); ++i) {
    if (advert_out_.kind == AdvertOut::Kind::announce) {
      if (resolver_ && snapshot_ != nullptr) resolver_->announce_group(advert_out_.group, now_);
    } else if (now_ < advert_out_.valid_until && !send_advert(advert_out_)) {
      count_drop(DropReason::no_buffer);
    }
  }
}

// Not to be sent until the peer's hardware address is known would mean: a box whose peer is away is granted no lease,
// and nobody serves. So it goes where the question for that address goes meanwhile (RFC 826, RFC 4861 7.2.2), as
// multicast adverts do: whoever could answer hears it, on old hardware or new, and if nobody hears it then it has been
// announced to all there are. The driver's acceptance proves as much as that of any advert.
MacAddress Worker::mac_of_peer(const AdvertOut& advert) {
  const neighbor::NeighborRef ref = neighbors_.get(advert.interface, advert.peer, now_);
  if (ref != neighbor::kNoNeighbor && neighbors_.at(ref).usable()) return neighbors_.at(ref).mac;
  return advert.peer.is_v4() ? kBroadcastMac : packet::multicast_mac(packet::solicited_node(advert.peer));
}

bool Worker::send_advert(const AdvertOut& advert) {
  if (advert.port >= config_.ports.size()) return true;  // the port left with a snapshot
  MacAddress to;
  if (!advert.peer.is_unspecified()) {
    if (snapshot_ == nullptr) return true;
    to = mac_of_peer(advert);
  }
  rte_mbuf* mbuf = rte_pktmbuf_alloc(config_.pool);
  if (mbuf == nullptr) return false;
  auto* data = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(mbuf, advert.length));
  if (data != nullptr) std::memcpy(data, advert.frame.data(), advert.length);
  if (data != nullptr && !advert.peer.is_unspecified()) std::memcpy(data, to.bytes.data(), to.bytes.size());
  const AdvertMark mark{.router = advert.router, .interval = advert.interval, .valid_until = advert.valid_until};
  if (data != nullptr && tx_->push_advert(advert.port, mbuf, mark)) return true;
  rte_pktmbuf_free(mbuf);
  return false;
}

// Whose number is not ours, or missing, is for the first router on that interface: it counts what was odd. So is what
// came in fragments: they are not put together, so that nobody can fill the table with them.
std::optional<RouterRef> Worker::advert_for(const Packet& p) const {
  if (shared_.failover == nullptr) return std::nullopt;
  const std::size_t vrid_at = p.info.l4_offset + 1u;
  const bool has_vrid = !p.info.later_fragment() && p.info.l4_length >= 2 && vrid_at < p.mbuf->data_len;
  std::optional<RouterRef> beside;
  const bool v6 = p.info.network == packet::Network::ipv6;
  for (const snapshot::Group& group : snapshot_->groups) {
    for (std::size_t r = 0; r < group.interfaces.size(); ++r) {
      const vrrp::RouterConfig& router = group.config.routers[r];
      const snapshot::Interface& interface = snapshot_->interfaces[group.interfaces[r]];
      if (router.v6 != v6 || interface.port != p.port || interface.vlan != p.info.vlan) continue;
      const RouterRef ref{group.config.id.value, static_cast<std::uint8_t>(r)};
      if (has_vrid && router.vrid == p.data[vrid_at]) return ref;
      if (!beside) beside = ref;
    }
  }
  return beside;
}

// To the election's thread, whoever received it. A full ring loses it, as a network would.
Fate Worker::take_advert(Packet& p) {
  if (config_.index != 0) return give(p, 0, Message::Kind::packet, Handover::advert);
  const auto router = advert_for(p);
  if (!router) return drop(DropReason::not_ours);
  advert_in_.router = *router;
  advert_in_.at = now_;
  advert_in_.carrier = {p.info.tuple.src, p.info.tuple.dst, p.info.ttl, p.info.fragment};
  const std::size_t available = p.mbuf->data_len - std::min<std::size_t>(p.mbuf->data_len, p.info.l4_offset);
  const std::size_t length = std::min({std::size_t{p.info.l4_length}, available, kAdvertMessageMax});
  advert_in_.length = static_cast<std::uint16_t>(length);
  std::memcpy(advert_in_.message.data(), p.data + p.info.l4_offset, length);
  if (!shared_.failover->in.push(advert_in_)) return drop(DropReason::handover_full);
  return {Exit::consumed, DropReason::count};
}

}  // namespace headgate::worker
