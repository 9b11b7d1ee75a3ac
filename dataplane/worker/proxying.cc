// Packets of connections that end here: who takes them, and what the engine has to send.
#include <rte_mbuf.h>

#include "dataplane/base/byte_order.h"
#include "dataplane/worker/worker.h"

namespace headgate::worker {

using neighbor::NeighborRef;
using packet::kAck;
using packet::kRst;
using packet::kSyn;
using telemetry::DropReason;
using telemetry::Exit;
using telemetry::Handover;
using Action = Decision::Action;
using Claim = tcp::Engine::Claim;

namespace {

constexpr unsigned kRoomForFlows = kTxBatch / 4;  // of a port's batch, kept from a burst of segments

}  // namespace

// The connection's own packet path: it lives at its owner, so neither owner nor service is asked, only its group.
tcp::ConnectionId Worker::connection_of(const Packet& p) const {
  if (!proxies_ || p.info.tuple.protocol != kProtocolTcp || proxies_->engine().connections() == 0) return {};
  return proxies_->engine().find(p.info.tuple);
}

Decision Worker::decide_connection(const Packet& p, tcp::ConnectionId id) const {
  const Leg* leg = proxies_->leg(id);
  Decision decision{.action = Action::proxy, .owner = static_cast<std::uint8_t>(config_.index)};
  const auto refuse = [&decision](DropReason reason) {
    decision.action = Action::drop;
    decision.reason = reason;
    return decision;
  };
  if (leg != nullptr && !is_active(leg->group)) return refuse(DropReason::group_inactive);
  if (p.info.fragment) return refuse(DropReason::proxy_fragment);
  if (p.info.dst_mac_group) return refuse(DropReason::not_ours);
  if (!l4_checksum_ok(p)) return refuse(DropReason::bad_l4_checksum);
  return decision;
}

// Of a service whose connections end here. Requires: the checksum is right.
Decision Worker::decide_proxied(const Packet& p, const snapshot::Service& service, const Visit& visit) const {
  const packet::PacketInfo& info = p.info;
  Decision decision{.action = Action::proxy, .service = &service};
  const auto with = [&decision](Action action, DropReason reason) {
    decision.action = action;
    decision.reason = reason;
    return decision;
  };
  if (!proxies_) return with(Action::reject, DropReason::no_service);
  if (info.fragment) return with(Action::drop, DropReason::proxy_fragment);
  const snapshot::Pool& pool = snapshot_->pools[service.pool];
  switch (proxies_->engine().claim(info.tuple, now_).by) {
    case Claim::connection:
    case Claim::time_wait:
      return decision;
    case Claim::half_open:
    case Claim::maybe_cookie: {
      // The last segment of a handshake: the session that begins with it has to know the client's backend.
      if ((info.tcp_flags & (kSyn | kAck | kRst)) != kAck || pool.persistence_timeout == 0 || visit.persistence_done)
        return decision;
      const unsigned decider = balance::PersistenceTable::home_of(pool, info.tuple.src, shared_.mailboxes.workers());
      if (decider == config_.index) return decision;
      decision.action = Action::hand_over;
      decision.handover = Handover::persistence;
      decision.owner = static_cast<std::uint8_t>(decider);
      return decision;
    }
    case Claim::none:
      break;
  }
  if ((info.tcp_flags & (kSyn | kAck | kRst)) != kSyn)
    return with((info.tcp_flags & kRst) ? Action::drop : Action::reject, DropReason::no_flow);
  if (pool.usable.empty() && service.ends == snapshot::Ends::tcp_proxy)
    return with(Action::reject, DropReason::no_backend);
  return decision;
}

// A packet to a local address that no flow claims.
bool Worker::claimed_by_engine(const Packet& p) const {
  if (!proxies_ || p.info.tuple.protocol != kProtocolTcp) return false;
  const Claim claim = proxies_->engine().claim(p.info.tuple, now_).by;
  return claim == Claim::connection || claim == Claim::time_wait;
}

Fate Worker::take_segment(Packet& p, const Decision& decision, const Visit& visit) {
  if (decision.service != nullptr && visit.persisted != kNoSlot) {
    const snapshot::Pool& pool = snapshot_->pools[decision.service->pool];
    const snapshot::Backend* backend = snapshot_->backend_of_slot(visit.persisted);
    if (backend != nullptr && snapshot_->pools[backend->pool].id == pool.id && pool.persistence_timeout != 0) {
      persistence_.remember(*snapshot_, pool, p.info.tuple.src,
                            static_cast<std::uint16_t>(backend - snapshot_->backends.data()), now_);
    }
  }
  if (const Leg* leg = proxies_->leg(proxies_->engine().find(p.info.tuple))) {
    telemetry::Traffic& traffic =
        leg->backend == kNoSlot ? counters_.service[leg->service] : counters_.backend[leg->backend];
    const bool in = leg->backend == kNoSlot;
    (in ? traffic.packets_in : traffic.packets_out).add(1);
    (in ? traffic.bytes_in : traffic.bytes_out).add(p.info.l3_length);
  }
  switch (proxies_->take(p.mbuf, p.info)) {
    case proxy::Added::taken:
      break;
    case proxy::Added::bad_header:
      return drop(DropReason::bad_tcp_header);
    case proxy::Added::no_buffer:
      return drop(DropReason::no_buffer);
  }
  return {Exit::proxied, DropReason::count};
}

// About a segment of ours: the path is narrower than we thought (RFC 1191, 8201), or leads nowhere (RFC 5461).
Fate Worker::take_icmp_error(Packet& p) {
  const auto quoted = packet::parse_quoted({p.data, p.mbuf->data_len}, p.info);
  if (!quoted) return drop(DropReason::bad_icmp_header);
  const std::uint8_t* l4 = p.data + p.info.l4_offset;
  const bool v4 = p.info.network == packet::Network::ipv4;
  const bool too_big = v4 ? p.info.icmp_type == packet::kIcmpUnreachable && p.info.icmp_code == 4
                          : p.info.icmp_type == packet::kIcmpv6TooBig;
  const bool unreachable =
      v4 ? p.info.icmp_type == packet::kIcmpUnreachable : p.info.icmp_type == packet::kIcmpv6Unreachable;
  if (too_big) {
    const std::uint32_t mtu = v4 ? load_be16(l4 + 6) : load_be32(l4 + 4);
    proxies_->engine().packet_too_big(quoted->tuple, quoted->tcp_sequence, mtu, now_);
  } else if (unreachable) {
    proxies_->engine().unreachable(quoted->tuple, quoted->tcp_sequence, now_);
  } else {
    return drop(DropReason::icmp_unsupported);
  }
  return {Exit::consumed, DropReason::count};
}

// After the packets of a step.
void Worker::proxy_turn() {
  if (!proxies_) return;
  proxies_->settle(now_);
  doubt_hops();  // timers may have freed neighbors
  std::size_t done = 0;
  for (const tcp::OutSegment& segment : proxies_->output()) {
    if (room_to_send() <= kRoomForFlows) break;  // the rest in the next step
    send_segment(segment);
    ++done;
  }
  proxies_->sent(done);
  sweep_connections();
}

void Worker::send_segment(const tcp::OutSegment& segment) {
  Leg* leg = proxies_->leg(segment.connection);
  snapshot::GroupSlot group = snapshot::kNoGroup;
  if (leg != nullptr) {
    group = leg->group;
  } else if (const snapshot::OwnAddress* own = snapshot_->own_addresses.find(segment.tuple.src)) {
    group = own->group;
  }
  if (!is_active(group)) return count_drop(DropReason::group_inactive);
  NeighborRef ref = leg != nullptr ? leg->hop : neighbor::kNoNeighbor;
  if (leg == nullptr || leg->hop_epoch != hop_epoch_) {
    ref = resolve_hop(segment.tuple.dst, flows_.hash(segment.tuple));
    settle_hops();
    if (leg != nullptr) {
      leg->hop = ref;
      leg->hop_epoch = hop_epoch_;
    }
  }
  if (ref == neighbor::kNoNeighbor) return count_drop(DropReason::no_route);
  const std::uint16_t port = snapshot_->interfaces[hop_interface_[ref]].port;
  Packet p;
  p.mbuf = proxy::write_packet(proxies_->buffers(), segment, config_.ports[port].chains);
  if (p.mbuf == nullptr) return count_drop(DropReason::no_buffer);
  const std::uint32_t length = p.mbuf->pkt_len;
  p.data = rte_pktmbuf_mtod(p.mbuf, std::uint8_t*);
  p.info.l3_offset = 0;
  sending_for_ = group;
  const Fate fate = send_to(p, ref);
  if (fate.exit == Exit::dropped) {
    count_drop(fate.reason);
    return rte_pktmbuf_free(p.mbuf);
  }
  if (leg == nullptr) return;
  const bool in = leg->backend != kNoSlot;
  telemetry::Traffic& traffic = in ? counters_.backend[leg->backend] : counters_.service[leg->service];
  (in ? traffic.packets_in : traffic.packets_out).add(1);
  (in ? traffic.bytes_in : traffic.bytes_out).add(length);
}

// A group that left: for a moment its connections are frozen (nothing of them is sent or received), which outlives a
// lease that lapsed and came back. Then they are the other box's business, which resets them, and end here in silence:
// what ends them sends nothing, because the group is not active.
void Worker::watch_groups(std::uint64_t before) {
  if (!proxies_ || before == active_) return;
  for (unsigned group = 1; group <= vrrp::kGroupsMax; ++group) {
    const std::uint64_t bit = std::uint64_t{1} << group;
    if ((before & bit) != 0 && (active_ & bit) == 0) {
      group_left_[group] = now_;
      groups_left_ = true;
    }
    if ((active_ & bit) != 0) group_left_[group] = 0;
  }
}

void Worker::sweep_connections() {
  if (!groups_left_) return;
  std::uint64_t over = 0, frozen = 0;
  for (unsigned group = 1; group <= vrrp::kGroupsMax; ++group) {
    if (group_left_[group] == 0) continue;
    (now_ - group_left_[group] >= kFrozenMax ? over : frozen) |= std::uint64_t{1} << group;
  }
  groups_left_ = (over | frozen) != 0;
  if (over != group_sweep_mask_) group_sweep_at_ = 0;  // what was looked at was not looked at for all of them
  group_sweep_mask_ = over;
  if (over == 0) return;
  const auto gone = [over](const Leg& leg) { return (over >> leg.group & 1) != 0; };
  if (!proxies_->sweep(group_sweep_at_, kSweepPerStep, gone)) return;
  group_sweep_at_ = 0;
  group_sweep_mask_ = 0;
  for (unsigned group = 1; group <= vrrp::kGroupsMax; ++group) {
    if ((over >> group & 1) != 0) group_left_[group] = 0;
  }
}

}  // namespace headgate::worker
