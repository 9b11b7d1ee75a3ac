// A packet of a known flow: state, size, rewriting, next hop, out.
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/forward/encapsulate.h"
#include "dataplane/forward/rewrite.h"
#include "dataplane/forward/tcp_state.h"
#include "dataplane/packet/mss.h"
#include "dataplane/worker/worker.h"

namespace headgate::worker {

using flow::Direction;
using flow::Flow;
using flow::Kind;
using neighbor::NeighborRef;
using neighbor::NeighborState;
using snapshot::Interface;
using snapshot::Mode;
using telemetry::DropReason;
using telemetry::Exit;

namespace {

constexpr std::uint32_t kToKernel = neighbor::kNoNeighbor - 1;  // a hop: the kernel's socket behind the probe port
constexpr std::uint16_t kEtherHeader = 14;

forward::Segment segment_of(const std::uint8_t* data, const packet::PacketInfo& info) {
  const std::uint8_t* l4 = data + info.l4_offset;
  const std::uint32_t sequence = load_be32(l4 + 4);
  const auto payload = static_cast<std::uint32_t>(info.l4_offset + info.l4_length - info.payload_offset);
  return {.flags = info.tcp_flags,
          .sequence = sequence,
          .after = sequence + payload + ((info.tcp_flags & packet::kSyn) ? 1 : 0) +
                   ((info.tcp_flags & packet::kFin) ? 1 : 0),
          .acknowledgment = load_be32(l4 + 8)};
}

}  // namespace

std::uint16_t Worker::gue_port(const Flow& flow) const {
  const snapshot::Service* service = snapshot_->service_of_slot(flow.service_slot);
  return service != nullptr ? service->gue_port : 6080;
}

// Where the frame goes: mostly the packet's own destination.
IpAddress Worker::frame_target(const Flow& flow) const {
  if (flow.kind == Kind::probe && (flow.mode == Mode::dsr || flow.mode == Mode::tunnel)) {
    if (const snapshot::Backend* backend = snapshot_->backend_of_slot(flow.backend_slot)) return backend->address;
  }
  return flow.backend;
}

unsigned Worker::encapsulation(const Flow& flow, Direction direction) const {
  if (direction == Direction::reverse || flow.mode != Mode::tunnel || flow.kind > Kind::probe) return 0;
  return forward::encapsulation_length(frame_target(flow).is_v4(), flow.gue);
}

std::optional<Worker::Hop> Worker::next_hop(const IpAddress& target, std::uint64_t hash) const {
  const std::uint16_t index = snapshot_->route_table.find(target);
  if (index == snapshot::kNone) return std::nullopt;
  const snapshot::Route& route = snapshot_->routes[index];
  // By flow hash over the live next hops; when none lives, over all, so that a dead gateway is seen as one.
  std::array<const snapshot::NextHop*, snapshot::kNextHopsMax> live;
  std::size_t count = 0;
  for (const snapshot::NextHop& hop : route.next_hops) {
    if (!hop.gateway.is_unspecified()) {
      const NeighborRef ref = neighbors_.find(snapshot_->interfaces[hop.interface].id, hop.gateway);
      if (ref != neighbor::kNoNeighbor && neighbors_.at(ref).state == NeighborState::failed) continue;
    }
    if (count < live.size()) live[count++] = &hop;
  }
  const snapshot::NextHop& chosen = count == 0 ? route.next_hops[hash % route.next_hops.size()] : *live[hash % count];
  return Hop{chosen.gateway.is_unspecified() ? target : chosen.gateway, chosen.interface};
}

NeighborRef Worker::resolve_hop(const IpAddress& target, std::uint64_t hash) {
  const std::optional<Hop> hop = next_hop(target, hash);
  if (!hop) return neighbor::kNoNeighbor;
  const NeighborRef ref = neighbors_.get(snapshot_->interfaces[hop->interface].id, hop->address, now_);
  if (ref != neighbor::kNoNeighbor) hop_interface_[ref] = hop->interface;
  return ref;
}

// get() may have made room by freeing an entry: then every cached ref is in doubt, those just got are not.
void Worker::settle_hops() {
  if (neighbors_.epoch() == neighbor_epoch_) return;
  neighbor_epoch_ = neighbors_.epoch();
  ++hop_epoch_;
}

void Worker::resolve_hops(Flow& flow) {
  const std::uint64_t hash = flows_.hash(flow.forward_tuple());
  const auto resolve = [&](const IpAddress& target) { return resolve_hop(target, hash); };
  flow.to_backend = resolve(frame_target(flow));
  // In dsr and tunnel mode nothing goes back through us: no need to know the client, who may be spoofed.
  flow.to_client = flow.kind == Kind::probe ? kToKernel
                   : flow.reverse_indexed   ? resolve(flow.client)
                                            : neighbor::kNoNeighbor;
  settle_hops();
  flow.hop_epoch = hop_epoch_;
}

// UDP lives two minutes or more once it is in use (RFC 4787 REQ-5). In dsr and tunnel mode answers do not pass here:
// there a client that goes on sending is the proof; more of the same millisecond may be one datagram in fragments.
bool Worker::proves_exchange(const Flow& flow, Direction direction) const {
  return direction == Direction::reverse || (!flow.reverse_indexed && flow.created_ms != now_ms_);
}

// Larger than the next link? The sender is told (RFC 1191, RFC 8201), or the packet dropped when it may not be.
Fate Worker::check_size(const Packet& p, const Flow& flow, Direction direction, const Interface& out) const {
  if (p.info.l3_length + encapsulation(flow, direction) <= out.mtu) [[likely]]
    return {Exit::forwarded, DropReason::count};
  return drop(DropReason::too_big);
}

// What becomes of something sent to the flow's side in this direction: send_to(), without sending.
Fate Worker::predict_send(const Flow& flow, Direction direction, Hop& hop) const {
  if (flow.kind == Kind::probe && direction == Direction::reverse) return {Exit::forwarded, DropReason::count};
  const IpAddress target = direction == Direction::forward ? frame_target(flow) : flow.client;
  const std::optional<Hop> found = next_hop(target, flows_.hash(flow.forward_tuple()));
  if (!found) return drop(DropReason::no_route);
  hop = *found;
  const NeighborRef ref = neighbors_.find(snapshot_->interfaces[hop.interface].id, hop.address);
  if (ref == neighbor::kNoNeighbor || neighbors_.at(ref).state == NeighborState::incomplete)
    return {Exit::held, DropReason::count};
  if (neighbors_.at(ref).state == NeighborState::failed) return drop(DropReason::neighbor_failed);
  return {Exit::forwarded, DropReason::count};
}

// What forward() would do, without doing it.
Fate Worker::predict(const Packet& p, const Flow& flow, Direction direction) const {
  if (!is_active(flow.group)) return drop(DropReason::group_inactive);
  if (p.info.ttl <= 1 && p.port != snapshot_->probe_port) return predict_icmp_error(p, DropReason::ttl_expired);
  Hop hop;
  const Fate fate = predict_send(flow, direction, hop);
  if (hop.interface != snapshot::kNone &&
      check_size(p, flow, direction, snapshot_->interfaces[hop.interface]).exit == Exit::dropped) {
    return p.info.dont_fragment ? predict_icmp_error(p, DropReason::too_big) : drop(DropReason::too_big);
  }
  return fate;
}

Fate Worker::forward(Packet& p, Flow& flow, Direction direction) {
  const packet::PacketInfo& info = p.info;
  if (!is_active(flow.group)) [[unlikely]]
    return drop(DropReason::group_inactive);
  sending_for_ = flow.group;
  const bool is_tcp = info.tuple.protocol == kProtocolTcp && !info.later_fragment();
  if (is_tcp && forward::must_rebind(flow, direction, info.tcp_flags)) {
    // Nothing ends on the word of a packet with a broken checksum.
    if (!info.fragment && !l4_checksum_ok(p)) return drop(DropReason::bad_l4_checksum);
    end_flow(flow);
    p.interface = snapshot_->interface_at(p.port, info.vlan);
    return execute(p, decide(p, Visit{}), Visit{});
  }
  // What never leaves says nothing about the backend by its silence.
  const auto blame_nobody = [&flow] {
    if (flow.state == flow::State::tcp_syn && !flow.replied) flow.unanswered = 1;
  };
  if (info.ttl <= 1 && p.port != snapshot_->probe_port) [[unlikely]] {
    blame_nobody();
    return answer_icmp_error(p, packet::IcmpError::time_exceeded, 0, DropReason::ttl_expired);
  }
  if (flow.hop_epoch != hop_epoch_) [[unlikely]]
    resolve_hops(flow);
  const NeighborRef ref = direction == Direction::forward ? flow.to_backend : flow.to_client;
  if (ref == neighbor::kNoNeighbor) [[unlikely]] {
    blame_nobody();
    return drop(DropReason::no_route);
  }
  const bool to_kernel = ref == kToKernel;
  const Interface* out = to_kernel ? nullptr : &snapshot_->interfaces[hop_interface_[ref]];
  if (out != nullptr && check_size(p, flow, direction, *out).exit == Exit::dropped) [[unlikely]] {
    blame_nobody();
    if (!info.dont_fragment) return drop(DropReason::too_big);
    return answer_icmp_error(p, packet::IcmpError::too_big, out->mtu - encapsulation(flow, direction),
                             DropReason::too_big);
  }

  if (is_tcp) {
    if ((info.tcp_flags & (packet::kSyn | packet::kRst)) == 0) [[likely]] {
      forward::track_tcp(flows_, flow, direction, segment_of(p.data, info), now_ms_);
    } else {
      track_syn_or_reset(p, flow, direction);
      if ((info.tcp_flags & packet::kSyn) && out != nullptr) clamp(p, flow, *out);
    }
  } else {
    flow.last_seen_ms = now_ms_;
    if (flow.state == flow::State::udp_unreplied && proves_exchange(flow, direction)) [[unlikely]] {
      flows_.set_state(flow, flow::State::udp, now_ms_);
    }
  }

  // Only what certainly leaves counts as the flow's traffic.
  const bool in = direction == Direction::forward;
  const auto count = [&](telemetry::Traffic& traffic) {
    (in ? traffic.packets_in : traffic.packets_out).add(1);
    (in ? traffic.bytes_in : traffic.bytes_out).add(info.l3_length);
  };
  if (flow.kind == Kind::service) [[likely]] {
    count(counters_.service[flow.service_slot]);
    count(counters_.backend[flow.backend_slot]);
  }

  const unsigned hops = p.port == snapshot_->probe_port ? 0 : 1;
  if (!in) {
    forward::rewrite(p.data, info, {flow.service, flow.service_port}, {flow.client, flow.client_port}, hops);
    return to_kernel ? send_to_kernel_socket(p) : send_to(p, ref);
  }
  if (flow.keeps_destination()) {
    forward::decrement_ttl(p.data, info);
  } else {
    forward::rewrite(p.data, info, {flow.local, flow.local_port}, {flow.backend, flow.backend_port}, hops);
  }
  if (flow.mode == Mode::tunnel && flow.kind <= Kind::probe) return tunnel(p, flow, ref);
  return send_to(p, ref);
}

// These alone tell how the backend behaves; established flows pay nothing for it.
void Worker::track_syn_or_reset(const Packet& p, Flow& flow, Direction direction) {
  const bool opening = flow.state == flow::State::tcp_syn && !flow.replied;
  const bool in_use = flow.state == flow::State::tcp_established && flow.fin_seen == 0;
  forward::track_tcp(flows_, flow, direction, segment_of(p.data, p.info), now_ms_);
  if (!watches_backend(flow)) return;
  telemetry::BackendConduct& conduct = counters_.conduct[flow.backend_slot];
  const bool reset = (p.info.tcp_flags & packet::kRst) != 0;
  if (direction == Direction::forward) {
    if (opening && !reset && now_ms_ - flow.created_ms >= kSynRetryMs) note_unanswered(flow);
  } else if (reset && flow.state == flow::State::tcp_closed) {  // believed
    if (opening) note_unanswered(flow);
    if (in_use) conduct.resets.add(1);
  } else if (opening && !reset && (p.info.tcp_flags & packet::kAck)) {
    conduct.connects.add(1);
  }
}

// Its answers pass here, and it is a client who asks: probes are judged by their sender.
bool Worker::watches_backend(const Flow& flow) const {
  return flow.kind == Kind::service && flow.reverse_indexed;
}

void Worker::note_expiry(Flow& flow) {
  if (flow.state == flow::State::tcp_syn && !flow.replied && watches_backend(flow)) note_unanswered(flow);
}

// Once a flow.
void Worker::note_unanswered(Flow& flow) {
  if (flow.unanswered) return;
  flow.unanswered = 1;
  counters_.conduct[flow.backend_slot].connect_failures.add(1);
}

// Encapsulation and narrow links shorten what fits: lower the SYN's MSS so that nothing too large is ever sent.
void Worker::clamp(Packet& p, const Flow& flow, const Interface& out) {
  const bool v4 = p.info.network == packet::Network::ipv4;
  // The SYN's MSS limits what the backend sends; in tunnel mode the backend's SYN-ACK does not pass here, so the
  // client's segments are limited by the too-big answer, and the backend's by its own route. Both legs' MTU count for
  // NAT modes.
  unsigned mtu = out.mtu;
  if (p.interface == nullptr) p.interface = snapshot_->interface_at(p.port, p.info.vlan);
  if (p.interface != nullptr) mtu = std::min<unsigned>(mtu, p.interface->mtu);
  mtu -= encapsulation(flow, Direction::forward);
  const unsigned headers = (v4 ? 20u : 40u) + 20u;
  const std::size_t available =
      std::min<std::size_t>(p.info.payload_offset - p.info.l4_offset, p.mbuf->data_len - p.info.l4_offset);
  packet::clamp_mss({p.data + p.info.l4_offset, available}, static_cast<std::uint16_t>(mtu - headers));
}

Fate Worker::tunnel(Packet& p, const Flow& flow, NeighborRef ref) {
  // Room: the outer headers take the place of the Ethernet header and grow into the headroom.
  const IpAddress target = frame_target(flow);
  // A probe's `local` belongs to the packet inside, which may be of the other family.
  IpAddress from = flow.kind == Kind::probe ? IpAddress{} : flow.local;
  if (from.is_unspecified()) {
    for (const IpAddress& address : snapshot_->interfaces[hop_interface_[ref]].resolve_from) {
      if (address.is_v4() == target.is_v4() && !address.is_unspecified()) from = address;
    }
  }
  if (from.is_unspecified() || from.is_v4() != target.is_v4()) return drop(DropReason::no_local_address);
  const unsigned length = forward::encapsulation_length(target.is_v4(), flow.gue);
  const unsigned in_front = p.info.l3_offset;
  if (length > in_front) {
    if (rte_pktmbuf_prepend(p.mbuf, static_cast<std::uint16_t>(length - in_front)) == nullptr)
      return drop(DropReason::no_buffer);
  } else {
    rte_pktmbuf_adj(p.mbuf, static_cast<std::uint16_t>(in_front - length));
  }
  std::uint8_t* start = rte_pktmbuf_mtod(p.mbuf, std::uint8_t*);
  const std::uint64_t hash = flows_.hash(flow.forward_tuple());
  forward::encapsulate(start + length, p.info.l3_length, p.info.network == packet::Network::ipv4,
                       {.src = from,
                        .dst = target,
                        .gue = flow.gue != 0,
                        .gue_port = gue_port(flow),
                        .source_port = static_cast<std::uint16_t>(0xc000 | (hash & 0x3fff))});
  p.data = start;
  p.info.l3_offset = 0;
  return send_to(p, ref);
}

// Leaves through the neighbor `ref`, or waits for its hardware address. p.info.l3_offset says where the IP packet
// starts; the Ethernet header is written anew.
Fate Worker::send_to(Packet& p, NeighborRef ref) {
  const neighbor::Neighbor& neighbor = neighbors_.at(ref);
  const std::uint16_t interface = hop_interface_[ref];
  if (neighbor.state == NeighborState::reachable || neighbor.state == NeighborState::stale) [[likely]] {
    neighbors_.mark_used(ref);
    const Interface& out = snapshot_->interfaces[interface];
    write_ethernet(p, out, neighbor.mac, out.port);
    return transmit(p, out.port);
  }
  if (neighbor.state == NeighborState::failed) {
    neighbors_.mark_used(ref);
    return drop(DropReason::neighbor_failed);
  }
  // Held as a bare IP packet.
  rte_pktmbuf_adj(p.mbuf, p.info.l3_offset);
  if (!neighbors_.hold(ref, neighbor::Held{.packet = p.mbuf, .half_a = sending_for_})) {
    return drop(DropReason::neighbor_queue_full);
  }
  return {Exit::held, DropReason::count};
}

Fate Worker::send_to_kernel_socket(Packet& p) {
  const std::uint16_t port = snapshot_->probe_port;
  if (port == snapshot::kNone) return drop(DropReason::port_gone);
  // The device does no ARP: its peer is the kernel, which takes frames for the device's own address.
  static const Interface untagged{};
  write_ethernet(p, untagged, config_.ports[port].mac, port);
  return transmit(p, port);
}

void Worker::write_ethernet(Packet& p, const Interface& interface, const MacAddress& to, std::uint16_t port) {
  const bool v4 = (p.data[p.info.l3_offset] >> 4) == 4;
  const auto length = static_cast<std::uint16_t>(kEtherHeader + (interface.vlan != 0 ? 4 : 0));
  if (length > p.info.l3_offset) {
    rte_pktmbuf_prepend(p.mbuf,
                        static_cast<std::uint16_t>(length - p.info.l3_offset));  // headroom is reserved by every port
  } else if (length < p.info.l3_offset) {
    rte_pktmbuf_adj(p.mbuf, static_cast<std::uint16_t>(p.info.l3_offset - length));
  }
  p.data = rte_pktmbuf_mtod(p.mbuf, std::uint8_t*);
  packet::write_ethernet(p.data, to, config_.ports[port].mac, interface.vlan,
                         v4 ? packet::kEtherIpv4 : packet::kEtherIpv6);
  // Ethernet padding of short frames is not ours to carry on.
  const std::uint32_t wanted = length + (v4 ? load_be16(p.data + length + 2) : load_be16(p.data + length + 4) + 40u);
  if (p.mbuf->pkt_len > wanted && p.mbuf->nb_segs == 1)
    rte_pktmbuf_trim(p.mbuf, static_cast<std::uint16_t>(p.mbuf->pkt_len - wanted));
}

Fate Worker::transmit(Packet& p, std::uint16_t port) {
  if (port >= config_.ports.size()) return drop(DropReason::port_gone);
  p.mbuf->ol_flags = 0;
  if (config_.index < config_.ports[port].tx_queues) [[likely]] {
    if (!tx_->push(port, p.mbuf, sending_for_)) return drop(DropReason::tx_full);
    return {Exit::forwarded, DropReason::count};
  }
  Message message;
  message.kind = Message::Kind::transmit;
  message.port = port;
  message.group = sending_for_;
  message.mbuf = p.mbuf;
  if (!shared_.mailboxes.at(config_.index, 0).push(message)) return drop(DropReason::handover_full);
  counters_.handovers[static_cast<unsigned>(telemetry::Handover::transmit)].add(1);
  return {Exit::forwarded, DropReason::count};
}

// Frames that this step can still send, whichever port they leave by.
unsigned Worker::room_to_send() const {
  std::size_t room = kTxBatch;
  const auto ports = static_cast<std::uint16_t>(config_.ports.size());
  for (std::uint16_t port = 0; port < ports; ++port) {
    const bool own_queue = config_.index < config_.ports[port].tx_queues;
    room = std::min(room, own_queue ? tx_->room(port) : shared_.mailboxes.at(config_.index, 0).room());
  }
  return static_cast<unsigned>(room);
}

// An ICMP error about a packet we sent on: to the flow's other side, quoting what that side knows (RFC 5508 section 4).
// A packet like any other on its way: it loses a hop and has to fit, but nobody is told when it does not.
Fate Worker::translate_icmp_error(Packet& p, const Decision& decision) {
  const auto quoted = packet::parse_quoted({p.data, p.mbuf->data_len}, p.info);
  if (!quoted) return drop(DropReason::bad_icmp_header);
  const bool hop = p.port != snapshot_->probe_port;
  if (hop && p.info.ttl <= 1) return drop(DropReason::ttl_expired);
  Flow& flow = *decision.flow;
  if (!is_active(flow.group)) return drop(DropReason::group_inactive);
  sending_for_ = flow.group;
  if (flow.hop_epoch != hop_epoch_) resolve_hops(flow);
  const bool to_client = decision.direction == Direction::reverse;  // the quoted packet went to the backend
  const NeighborRef ref = to_client ? flow.to_client : flow.to_backend;
  if (ref == neighbor::kNoNeighbor) return drop(DropReason::no_route);
  if (ref != kToKernel) {
    const Fate fits = check_size(p, flow, decision.direction, snapshot_->interfaces[hop_interface_[ref]]);
    if (fits.exit == Exit::dropped) return fits;
  }
  if (hop) forward::decrement_ttl(p.data, p.info);
  if (to_client) {
    // From the backend itself: as if from the service, the only address the client knows. Routers keep their name.
    const IpAddress from = p.info.tuple.src == flow.backend ? flow.service : p.info.tuple.src;
    forward::rewrite_icmp_error(p.data, p.info, *quoted, from, flow.client, {flow.client, flow.client_port},
                                {flow.service, flow.service_port});
    return ref == kToKernel ? send_to_kernel_socket(p) : send_to(p, ref);
  }
  if (!flow.keeps_destination()) {
    const IpAddress from = p.info.tuple.src == flow.client ? flow.local : p.info.tuple.src;
    forward::rewrite_icmp_error(p.data, p.info, *quoted, from, flow.backend, {flow.backend, flow.backend_port},
                                {flow.local, flow.local_port});
    return send_to(p, ref);
  }
  // dsr, tunnel: the backend sent the quoted packet itself, under the service address.
  if (flow.mode == Mode::tunnel) return tunnel(p, flow, ref);
  return send_to(p, ref);
}

}  // namespace headgate::worker
