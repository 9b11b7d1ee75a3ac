// A packet that no live flow claims: what is it to us? decide() answers and changes nothing (explain() is built on it);
// execute() (starting.cc) carries the decision out.
#include <rte_mbuf.h>

#include <algorithm>

#include "dataplane/forward/tcp_state.h"
#include "dataplane/worker/worker.h"

namespace headgate::worker {

using packet::kAck;
using packet::kRst;
using packet::kSyn;
using snapshot::Egress;
using snapshot::Mode;
using telemetry::DropReason;
using telemetry::Handover;
using Action = Decision::Action;

namespace {

Decision refuse(DropReason reason) {
  return {.action = Action::drop, .reason = reason};
}
Decision reject_with(DropReason reason) {
  return {.action = Action::reject, .reason = reason};
}

bool starts_tcp(const packet::PacketInfo& info) {
  return (info.tcp_flags & (kSyn | kAck | kRst)) == kSyn;
}

}  // namespace

// As clients would: to the service address where the backend must hold it, else to the backend's own.
const IpAddress& Worker::probe_destination(const snapshot::Service& service, const snapshot::Backend& backend) {
  const bool as_service = service.mode == Mode::dsr || service.mode == Mode::tunnel;
  return as_service ? service.address : backend.address;
}

bool Worker::is_neighbor_discovery(const Packet& p) const {
  const auto& info = p.info;
  return info.tuple.protocol == kProtocolIcmpv6 && !info.fragment &&
         ((info.icmp_type >= 130 && info.icmp_type <= 136) || info.icmp_type == 143);
}

// Also finds live flows, for explain(); on the packet path those were found before.
Decision Worker::decide(const Packet& p, const Visit& visit) const {
  if (p.error != packet::ParseError::none) return refuse(DropReason::truncated);
  if (p.info.network == packet::Network::arp || is_neighbor_discovery(p)) return {.action = Action::neighbor};
  if (p.info.tuple.protocol == vrrp::kProtocol && p.info.is_ip() && advert_for(p)) return {.action = Action::advert};
  if (!p.info.is_ip()) {
    if (p.port < config_.ports.size() && (config_.ports[p.port].physical != snapshot::kNone))
      return {.action = Action::from_kernel};
    const bool way = config_.ports[p.port].exception != snapshot::kNone;
    return way ? Decision{.action = Action::to_kernel} : refuse(DropReason::unknown_ethertype);
  }
  const flow::Found found = flows_.find(p.info.tuple, p.hash);
  if (found.flow != nullptr && !flows_.is_expired(*found.flow, now_ms_) && !being_removed(*found.flow) &&
      !(p.info.tuple.protocol == kProtocolTcp &&
        forward::must_rebind(*found.flow, found.direction, p.info.tcp_flags))) {
    return {.action = Action::forward,
            .existing_flow = true,
            .owner = static_cast<std::uint8_t>(config_.index),
            .bucket = found.flow->bucket,
            .flow = found.flow,
            .direction = found.direction};
  }
  if (const tcp::ConnectionId id = connection_of(p); id.generation != 0) return decide_connection(p, id);
  Visit with_stale = visit;
  with_stale.replaced = found.flow;
  Decision decision = decide_miss(p, with_stale);
  if (decision.flow == nullptr) decision.flow = found.flow;  // stale: to be replaced
  return decision;
}

Decision Worker::decide_miss(const Packet& p, const Visit& visit) const {
  const packet::PacketInfo& info = p.info;
  const Tuple& tuple = info.tuple;
  if (config_.ports[p.port].physical != snapshot::kNone) return {.action = Action::from_kernel};
  const bool probe = p.port == snapshot_->probe_port;
  if (p.interface == nullptr && !probe) {
    return config_.ports[p.port].exception != snapshot::kNone ? Decision{.action = Action::to_kernel}
                                                              : refuse(DropReason::unknown_vlan);
  }
  // A server that answers a probe directly (dsr, tunnel) sends from the service address: only the owner knows that
  // flow.
  const bool own_source = !probe && snapshot_->own_addresses.find(tuple.src) != nullptr;
  if (own_source && info.icmp_error) return refuse(DropReason::spoofed_source);
  if (info.icmp_error) return decide_icmp_error(p, visit);

  const unsigned bucket = steering_.bucket(*snapshot_, tuple, p.port);
  const unsigned owner = steering_.worker_of(bucket);
  if (!visit.owner_known && owner != config_.index) {
    return {.action = Action::hand_over,
            .handover = Handover::steering,
            .owner = static_cast<std::uint8_t>(owner),
            .bucket = static_cast<std::uint16_t>(bucket)};
  }
  if (own_source) return refuse(DropReason::spoofed_source);
  Decision decision;
  const snapshot::OwnAddress* own = snapshot_->own_addresses.find(tuple.dst);
  if (probe) {
    // Address number i of the probe prefix stands for the backend with id i.
    const IpPrefix& prefix = tuple.dst.is_v4() ? snapshot_->probe_v4 : snapshot_->probe_v6;
    if (prefix.length == 0 || !prefix.contains(tuple.dst)) {
      decision = refuse(DropReason::not_ours);
    } else {
      const std::uint32_t id =
          load_be32(tuple.dst.bytes.data() + 12) - load_be32(prefix.network().address.bytes.data() + 12);
      const auto* target = snapshot_->probe_targets.find(id);
      if (target == nullptr || target->service == snapshot::kNone) {
        decision = reject_with(DropReason::no_backend);
      } else if (probe_destination(snapshot_->services[target->service], snapshot_->backends[target->backend])
                     .is_v4() != tuple.dst.is_v4()) {
        decision = reject_with(DropReason::no_backend);  // the packet keeps the family it came with
      } else if (tuple.protocol == kProtocolTcp && !starts_tcp(info)) {
        decision = reject_with(DropReason::no_flow);
      } else {
        decision = {.action = Action::start_probe,
                    .service = &snapshot_->services[target->service],
                    .backend = target->backend};
      }
    }
  } else if (own != nullptr) {
    decision = decide_own_address(p, *own, visit);
  } else {
    decision = decide_foreign(p);
  }
  decision.bucket = static_cast<std::uint16_t>(bucket);
  if (decision.action != Action::hand_over)
    decision.owner = static_cast<std::uint8_t>(owner);  // else: who decides first
  return decision;
}

Decision Worker::decide_own_address(const Packet& p, const snapshot::OwnAddress& own, const Visit& visit) const {
  const packet::PacketInfo& info = p.info;
  const Tuple& tuple = info.tuple;
  if (!is_active(own.group)) return refuse(DropReason::group_inactive);
  if (info.dst_mac_group)
    return refuse(DropReason::not_ours);  // RFC 1122 3.3.6: a group frame with a unicast destination
  if (tuple.protocol == kProtocolTcp || tuple.protocol == kProtocolUdp) {
    // Nothing is started, and nobody answered, on the word of a packet with a broken checksum.
    if (!info.fragment && !l4_checksum_ok(p)) return refuse(DropReason::bad_l4_checksum);
    const snapshot::Service* service = snapshot_->find_service(tuple.dst, tuple.dst_port, tuple.protocol);
    if (service != nullptr && service->proxied()) return decide_proxied(p, *service, visit);
    if (service != nullptr) return decide_service(p, *service, visit);
    if (own.local_address != snapshot::kNone && claimed_by_engine(p)) return {.action = Action::proxy};
    return own.local_address != snapshot::kNone ? refuse(DropReason::no_flow) : reject_with(DropReason::no_service);
  }
  // A later fragment of a ping has the identifier that its first fragment lent it, as the source port.
  const bool later_of_ping = (tuple.protocol == kProtocolIcmp || tuple.protocol == kProtocolIcmpv6) &&
                             info.later_fragment() && tuple.src_port != 0;
  if (later_of_ping || (info.icmp_query && (info.icmp_type == 8 || info.icmp_type == 128))) {
    if (!info.fragment && !l4_checksum_ok(p)) return refuse(DropReason::bad_l4_checksum);
    const bool answer = own.answers_ping || own.interface_address || own.local_address != snapshot::kNone;
    return answer ? Decision{.action = Action::ping} : refuse(DropReason::ping_unserved);
  }
  if (tuple.protocol == kProtocolIcmp || tuple.protocol == kProtocolIcmpv6) return refuse(DropReason::icmp_unsupported);
  return refuse(DropReason::no_service);
}

Decision Worker::decide_service(const Packet& p, const snapshot::Service& service, const Visit& visit) const {
  Decision decision{.service = &service};
  const auto with = [&decision](Action action, DropReason reason) {
    decision.action = action;
    decision.reason = reason;
    return decision;
  };
  if (p.info.tuple.protocol == kProtocolTcp && !starts_tcp(p.info)) {
    return with((p.info.tcp_flags & kRst) ? Action::drop : Action::reject, DropReason::no_flow);
  }
  const snapshot::Pool& pool = snapshot_->pools[service.pool];
  decision.action = Action::start_service;
  if (pool.persistence_timeout != 0) {
    Slot persisted = visit.persisted;
    if (!visit.persistence_done) {
      const unsigned decider = balance::PersistenceTable::home_of(pool, p.info.tuple.src, shared_.mailboxes.workers());
      if (decider != config_.index) {
        decision.action = Action::hand_over;
        decision.handover = Handover::persistence;
        decision.owner = static_cast<std::uint8_t>(decider);
        return decision;
      }
      persisted = persistent_slot(pool, p.info.tuple.src);
    }
    const snapshot::Backend* backend = snapshot_->backend_of_slot(persisted);
    const bool denied = std::find(visit.denied.begin(), visit.denied.end(), persisted) != visit.denied.end();
    if (backend != nullptr && backend->usable() && snapshot_->pools[backend->pool].id == pool.id && !denied &&
        (visit.granted == persisted || !at_limit(*backend, visit))) {
      decision.backend = static_cast<std::uint16_t>(backend - snapshot_->backends.data());
      return decision;
    }
  }
  if (visit.granted != kNoSlot) {
    const snapshot::Backend* backend = snapshot_->backend_of_slot(visit.granted);
    // Its slot may have another owner by now.
    if (backend != nullptr && backend->usable() && snapshot_->pools[backend->pool].id == pool.id) {
      decision.backend = static_cast<std::uint16_t>(backend - snapshot_->backends.data());
      return decision;
    }
  }
  const balance::Choice choice = choose(p, pool, visit);
  if (!choice) {
    const bool full = choice.reason == balance::Reason::all_excluded;
    return with(Action::reject, full ? DropReason::backend_limit : DropReason::no_backend);
  }
  decision.backend = choice.backend;
  decision.balanced = true;
  return decision;
}

bool Worker::at_limit(const snapshot::Backend& backend, const Visit& visit) const {
  if (backend.max_connections == 0) return false;
  // The flow that makes way for this one gives its token back first.
  const bool gives_back =
      visit.replaced != nullptr && visit.replaced->limited && visit.replaced->backend_slot == backend.slot;
  return shared_.limits.in_use(backend.slot) >= backend.max_connections + (gives_back ? 1 : 0);
}

// Leaves out backends at their limit, found so by their home worker, or towards which the tuple is taken.
balance::Choice Worker::choose(const Packet& p, const snapshot::Pool& pool, const Visit& visit) const {
  excluded_.clear();
  const bool any_denied = visit.denied[0] != kNoSlot;
  if (pool.any_limit || any_denied) {
    for (const std::uint16_t index : pool.usable) {
      const snapshot::Backend& backend = snapshot_->backends[index];
      const bool denied =
          any_denied && std::find(visit.denied.begin(), visit.denied.end(), backend.slot) != visit.denied.end();
      if (denied || at_limit(backend, visit)) excluded_.add(index);
    }
  }
  return balancer_.peek(*snapshot_, pool, {p.info.tuple.src, p.info.tuple.src_port, p.info.tuple.protocol},
                        load_.view(), excluded_);
}

Decision Worker::decide_foreign(const Packet& p) const {
  const Tuple& tuple = p.info.tuple;
  const PortFacts& port = config_.ports[p.port];
  const auto otherwise = [&port](DropReason reason) {
    return port.exception != snapshot::kNone ? Decision{.action = Action::to_kernel} : refuse(reason);
  };
  if (p.info.dst_mac_group || tuple.dst.is_multicast() || tuple.dst.is_broadcast())
    return otherwise(DropReason::not_ours);
  const bool carried = tuple.protocol == kProtocolTcp || tuple.protocol == kProtocolUdp || p.info.icmp_query;
  // The servers' own traffic: from an on-link prefix of a gateway interface, to somewhere else.
  const bool servers =
      p.interface->gateway && std::any_of(p.interface->prefixes.begin(), p.interface->prefixes.end(),
                                          [&](const IpPrefix& prefix) { return prefix.contains(tuple.src); });
  if (!servers) return otherwise(DropReason::not_ours);
  if (snapshot_->nat_endpoints.find({tuple.src, tuple.src_port, tuple.protocol}) != nullptr &&
      (tuple.protocol != kProtocolTcp || !starts_tcp(p.info))) {
    return refuse(DropReason::no_flow);
  }
  if (p.interface->egress == Egress::drop) return otherwise(DropReason::egress_denied);
  if (!carried) return refuse(DropReason::egress_denied);
  if (tuple.protocol == kProtocolTcp && !starts_tcp(p.info)) return refuse(DropReason::no_flow);
  if (!p.info.fragment && !l4_checksum_ok(p)) return refuse(DropReason::bad_l4_checksum);
  return {.action = p.interface->egress == Egress::snat ? Action::start_snat : Action::start_route,
          .interface = p.interface};
}

Decision Worker::decide_icmp_error(const Packet& p, const Visit& visit) const {
  const auto quoted = packet::parse_quoted({p.data, p.mbuf->data_len}, p.info);
  if (!quoted || quoted->later_fragment) return refuse(DropReason::bad_icmp_header);
  // The quoted packet is one of ours on its way; its answer would have come as the reversed tuple.
  const Tuple answer = quoted->tuple.reversed();
  const unsigned bucket = steering_.bucket(*snapshot_, answer, p.port);
  const unsigned owner = steering_.worker_of(bucket);
  if (!visit.owner_known && owner != config_.index) {
    return {.action = Action::hand_over,
            .handover = Handover::icmp_error,
            .owner = static_cast<std::uint8_t>(owner),
            .bucket = static_cast<std::uint16_t>(bucket)};
  }
  const flow::Found found = flows_.find(answer);
  if (found.flow == nullptr) {
    if (proxies_ && proxies_->engine().find(answer).generation != 0) {
      if (!l4_checksum_ok(p)) return refuse(DropReason::bad_l4_checksum);
      return {.action = Action::proxy_icmp,
              .owner = static_cast<std::uint8_t>(config_.index),
              .bucket = static_cast<std::uint16_t>(bucket)};
    }
    const bool ours = snapshot_->own_addresses.find(p.info.tuple.dst) != nullptr;
    if (!ours && config_.ports[p.port].exception != snapshot::kNone) return {.action = Action::to_kernel};
    return refuse(DropReason::icmp_unmatched);
  }
  if (!l4_checksum_ok(p)) return refuse(DropReason::bad_l4_checksum);
  return {.action = Action::icmp_error,
          .existing_flow = true,
          .owner = static_cast<std::uint8_t>(config_.index),
          .bucket = static_cast<std::uint16_t>(bucket),
          .flow = found.flow,
          .direction = found.direction};
}

}  // namespace headgate::worker
