// The worker's side of ARP and neighbor discovery. Worker 0 resolves; every worker keeps a replica of what is known.
#include <rte_mbuf.h>

#include "dataplane/worker/worker.h"

namespace headgate::worker {

using neighbor::NeighborRef;
using telemetry::DropReason;
using telemetry::Exit;
using telemetry::Handover;

Fate Worker::handle_neighbor(Packet& p) {
  const PortFacts& port = config_.ports[p.port];
  if (port.physical != snapshot::kNone) return transmit(p, port.physical);  // the kernel's own ARP
  if (config_.index != 0) return give(p, 0, Message::Kind::neighbor, Handover::neighbor);
  if (p.interface == nullptr) p.interface = snapshot_->interface_at(p.port, p.info.vlan);
  if (p.interface == nullptr) {
    return port.exception != snapshot::kNone ? execute(p, {.action = Decision::Action::to_kernel}, Visit{})
                                             : drop(DropReason::unknown_vlan);
  }
  const std::span<const std::uint8_t> frame{p.data, p.mbuf->data_len};
  const neighbor::Verdict verdict = p.info.network == packet::Network::arp
                                        ? resolver_->on_arp(frame, p.info, *p.interface, now_, *this)
                                        : resolver_->on_nd(frame, p.info, *p.interface, now_, *this);
  switch (verdict) {
    case neighbor::Verdict::consumed:
      return {Exit::consumed, DropReason::count};
    case neighbor::Verdict::malformed:
      return drop(p.info.network == packet::Network::arp ? DropReason::bad_arp : DropReason::bad_icmp_header);
    case neighbor::Verdict::duplicate_address:
      return drop(DropReason::duplicate_address);
    case neighbor::Verdict::not_for_us:
      break;
  }
  return port.exception != snapshot::kNone ? execute(p, {.action = Decision::Action::to_kernel}, Visit{})
                                           : drop(DropReason::not_ours);
}

std::uint16_t Worker::interface_index(InterfaceId id) const {
  for (std::size_t i = 0; i < snapshot_->interfaces.size(); ++i) {
    if (snapshot_->interfaces[i].id == id) return static_cast<std::uint16_t>(i);
  }
  return snapshot::kNone;
}

void Worker::send(InterfaceId interface, std::span<const std::uint8_t> frame) {
  const std::uint16_t index = interface_index(interface);
  if (index != snapshot::kNone) send_frame(snapshot_->interfaces[index].port, frame);
}

// From the resolver, on worker 0: applied here and told to the others.
void Worker::update(const neighbor::NeighborUpdate& update) {
  Message message;
  message.kind = Message::Kind::neighbor_update;
  message.update = update;
  for (unsigned to = 1; to < shared_.mailboxes.workers(); ++to) {
    // A full ring loses an update; the replica asks again when it needs the neighbor.
    if (!shared_.mailboxes.at(0, to).push(message)) count_drop(DropReason::handover_full);
  }
  apply_update(update);
}

void Worker::duplicate_address(InterfaceId, const IpAddress&, const MacAddress&) {
  // Said per frame by on_arp and on_nd, which count it.
}

void Worker::apply_update(const neighbor::NeighborUpdate& update) {
  neighbors_.update(update, now_,
                    [this](const neighbor::Held& held, const neighbor::Neighbor& to) { release_held(held, to); });
  doubt_hops();  // before the next packet of this step
}

// A packet that waited as a bare IP packet.
void Worker::release_held(const neighbor::Held& held, const neighbor::Neighbor& to) {
  Packet p;
  p.mbuf = static_cast<rte_mbuf*>(held.packet);
  p.data = rte_pktmbuf_mtod(p.mbuf, std::uint8_t*);
  p.info.l3_offset = 0;
  sending_for_ = static_cast<snapshot::GroupSlot>(held.half_a);
  Fate fate = drop(DropReason::neighbor_failed);
  if (to.usable() && snapshot_ != nullptr) {
    // The interface may have left with the snapshot since.
    const std::uint16_t index = interface_index(to.interface);
    const NeighborRef ref = neighbors_.find(to.interface, to.address);
    hop_interface_[ref] = index;
    fate = index == snapshot::kNone ? drop(DropReason::port_gone) : send_to(p, ref);
  }
  if (fate.exit == Exit::dropped) {
    count_drop(fate.reason);
    rte_pktmbuf_free(p.mbuf);
  }
}

void Worker::send_wanted() {
  neighbors_.take_wanted([this](InterfaceId interface, const IpAddress& address) {
    if (resolver_) {
      resolver_->want(interface, address, now_, *this);
      return;
    }
    Message message;
    message.kind = Message::Kind::neighbor_wanted;
    message.update.interface = interface;
    message.update.address = address;
    if (!shared_.mailboxes.at(config_.index, 0).push(message)) count_drop(DropReason::handover_full);
  });
}

}  // namespace headgate::worker
