// A packet that no live flow claims: what is it to us? decide() answers and changes nothing (explain() is built on it);
// execute() carries the decision out.
#include <rte_mbuf.h>

#include <algorithm>

#include "dataplane/forward/tcp_state.h"
#include "dataplane/worker/worker.h"

namespace headgate::worker {

using flow::Direction;
using flow::Flow;
using flow::Kind;
using packet::kAck;
using packet::kRst;
using packet::kSyn;
using snapshot::Egress;
using snapshot::Mode;
using telemetry::DropReason;
using telemetry::Exit;
using telemetry::Handover;
using Action = Decision::Action;

namespace {

Decision refuse(DropReason reason) {
  return {.action = Action::drop, .reason = reason};
}
Decision reject_with(DropReason reason) {
  return {.action = Action::reject, .reason = reason};
}

flow::State initial_state(std::uint8_t protocol) {
  if (protocol == kProtocolTcp) return flow::State::tcp_syn;
  return protocol == kProtocolUdp ? flow::State::udp_unreplied : flow::State::icmp;
}

// As clients would: to the service address where the backend must hold it, else to the backend's own.
const IpAddress& probe_destination(const snapshot::Service& service, const snapshot::Backend& backend) {
  const bool as_service = service.mode == Mode::dsr || service.mode == Mode::tunnel;
  return as_service ? service.address : backend.address;
}

bool starts_tcp(const packet::PacketInfo& info) {
  return (info.tcp_flags & (kSyn | kAck | kRst)) == kSyn;
}

}  // namespace

bool Worker::is_neighbor_discovery(const Packet& p) const {
  const auto& info = p.info;
  return info.tuple.protocol == kProtocolIcmpv6 && !info.fragment &&
         ((info.icmp_type >= 130 && info.icmp_type <= 136) || info.icmp_type == 143);
}

// Also finds live flows, for explain(); on the packet path those were found before.
Decision Worker::decide(const Packet& p, const Visit& visit) const {
  if (p.error != packet::ParseError::none) return refuse(DropReason::truncated);
  if (p.info.network == packet::Network::arp || is_neighbor_discovery(p)) return {.action = Action::neighbor};
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
  if (info.dst_mac_group)
    return refuse(DropReason::not_ours);  // RFC 1122 3.3.6: a group frame with a unicast destination
  if (tuple.protocol == kProtocolTcp || tuple.protocol == kProtocolUdp) {
    // Nothing is started, and nobody answered, on the word of a packet with a broken checksum.
    if (!info.fragment && !l4_checksum_ok(p)) return refuse(DropReason::bad_l4_checksum);
    const snapshot::Service* service = snapshot_->find_service(tuple.dst, tuple.dst_port, tuple.protocol);
    if (service != nullptr) return decide_service(p, *service, visit);
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

Fate Worker::execute(Packet& p, const Decision& decision, const Visit& visit) {
  switch (decision.action) {
    case Action::drop:
      return drop(decision.reason);
    case Action::reject:
      if (decision.service != nullptr) counters_.service_refused[decision.service->slot].add(decision.reason);
      return reject(p, decision.reason);
    case Action::forward:
      return forward(p, *decision.flow, decision.direction);
    case Action::ping:
      return answer_ping(p);
    case Action::icmp_error:
      return translate_icmp_error(p, decision);
    case Action::neighbor:
      return handle_neighbor(p);
    case Action::to_kernel: {
      const std::uint16_t out = config_.ports[p.port].exception;
      const Fate fate = transmit(p, out);
      return fate.exit == Exit::forwarded ? Fate{Exit::exception, DropReason::count} : fate;
    }
    case Action::from_kernel:
      return transmit(p, config_.ports[p.port].physical);
    case Action::hand_over:
      return give(p, decision.owner,
                  decision.handover == Handover::persistence ? Message::Kind::persistence_query : Message::Kind::packet,
                  decision.handover, visit);
    default:
      break;
  }
  if (decision.flow != nullptr) {  // expired, closed and reopened, or on its way out
    if (flows_.is_expired(*decision.flow, now_ms_)) note_expiry(*decision.flow);
    end_flow(*decision.flow);
  }
  if (decision.action == Action::start_service) return start_service_flow(p, decision, visit);

  Flow* flow = allocate_flow();
  if (flow == nullptr) return drop(DropReason::flow_table_full);
  const Tuple& tuple = p.info.tuple;
  flow->client = tuple.src;
  flow->client_port = tuple.src_port;
  flow->service = tuple.dst;
  flow->service_port = tuple.dst_port;
  flow->reverse_indexed = 1;
  const auto give_up = [&](DropReason reason) {
    flows_.discard(*flow);
    return drop(reason);
  };
  if (decision.action == Action::start_probe) {
    const snapshot::Backend& backend = snapshot_->backends[decision.backend];
    const snapshot::Service& service = *decision.service;
    flow->kind = Kind::probe;
    flow->mode = service.mode;
    flow->gue = service.encapsulation == snapshot::Encapsulation::gue;
    flow->backend = probe_destination(service, backend);
    flow->backend_port = tuple.dst_port;
    flow->backend_slot = backend.slot;
    flow->service_slot = service.slot;
    flow->protocol = tuple.protocol;
    if (!choose_probe_local(*flow, service, decision.bucket)) return give_up(DropReason::no_local_address);
  } else {
    flow->backend = tuple.dst;
    flow->backend_port = tuple.dst_port;
    flow->backend_slot = flow->service_slot = kNoSlot;
    flow->kind = decision.action == Action::start_snat ? Kind::egress_snat : Kind::egress_route;
    flow->mode = Mode::full_nat;
    flow->protocol = tuple.protocol;
    if (decision.action == Action::start_route) {
      flow->local = flow->client;
      flow->local_port = flow->client_port;
    } else if (!choose_snat(*flow, *decision.interface, decision.bucket)) {
      return give_up(DropReason::local_ports_exhausted);
    }
  }
  return start_flow(p, *flow, decision);
}

Flow* Worker::allocate_flow() {
  for (unsigned i = 0; i < kShedPerFlow; ++i) {
    if (Flow* flow = flows_.allocate()) {
      flow->local_slot = kNoSlot;
      return flow;
    }
    Flow* cheapest = flows_.shed_candidate();
    if (cheapest == nullptr) return nullptr;
    counters_.flows_shed.add(1);
    end_flow(*cheapest);
  }
  return nullptr;
}

// Runs where the client prefix is decided. Remembers the choice, so that the next connection, whoever owns it, gets the
// same.
Slot Worker::persistent_backend(const snapshot::Pool& pool, const Packet& p) {
  std::uint16_t index = persistence_.find(*snapshot_, pool, p.info.tuple.src, now_);
  if (index == snapshot::kNone) {
    const balance::Choice choice = choose(p, pool, Visit{});
    if (!choice) return kNoSlot;
    balancer_.take(*snapshot_, pool, choice, excluded_);
    index = choice.backend;
  }
  persistence_.remember(*snapshot_, pool, p.info.tuple.src, index, now_);
  return snapshot_->backends[index].slot;
}

Fate Worker::start_service_flow(Packet& p, const Decision& first, Visit visit) {
  const snapshot::Service& service = *first.service;
  const snapshot::Pool& pool = snapshot_->pools[service.pool];
  const Tuple& tuple = p.info.tuple;
  const auto refuse = [&](DropReason reason) {
    counters_.service_refused[service.slot].add(reason);
    return drop(reason);
  };
  if (pool.persistence_timeout != 0 && !visit.persistence_done) {
    visit.persisted = persistent_backend(pool, p);
    visit.persistence_done = true;
  }
  for (unsigned tries = 0; tries <= kConflictsMax; ++tries) {
    const Decision decision = decide_service(p, service, visit);
    if (decision.action != Action::start_service) return execute(p, decision, visit);
    const snapshot::Backend& backend = snapshot_->backends[decision.backend];
    if (decision.balanced) balancer_.take(*snapshot_, pool, {decision.backend, balance::Reason::chosen}, excluded_);

    bool limited = false;
    if (backend.max_connections != 0) {
      limited = visit.granted == backend.slot;
      if (limited) {
        grant_used_ = true;
      } else {
        const unsigned home = shared_.limits.home_of(backend.slot);
        if (home != config_.index) {
          visit.granted = backend.slot;  // asked for
          return give(p, home, Message::Kind::grant_query, Handover::connection_limit, visit);
        }
        limited = shared_.limits.try_grant(config_.index, backend.slot, backend.max_connections);
        if (!limited) {
          const auto free = std::find(visit.denied.begin(), visit.denied.end(), kNoSlot);
          if (free == visit.denied.end()) {
            counters_.service_refused[service.slot].add(DropReason::backend_limit);
            return reject(p, DropReason::backend_limit);
          }
          *free = backend.slot;
          continue;
        }
      }
    }
    const auto give_back = [&] {
      if (limited) shared_.limits.release(config_.index, backend.slot);
    };
    Flow* flow = allocate_flow();
    if (flow == nullptr) {
      give_back();
      return refuse(DropReason::flow_table_full);
    }
    flow->client = tuple.src;
    flow->client_port = tuple.src_port;
    flow->service = tuple.dst;
    flow->service_port = tuple.dst_port;
    flow->backend = backend.address;
    flow->backend_port = backend.port != 0 ? backend.port : tuple.dst_port;
    flow->mode = service.mode;
    flow->kind = Kind::service;
    flow->service_slot = service.slot;
    flow->backend_slot = backend.slot;
    flow->limited = limited;
    flow->reset_on_expiry = service.reset_on_expiry;
    flow->gue = service.encapsulation == snapshot::Encapsulation::gue;
    flow->reverse_indexed = service.mode == Mode::full_nat || service.mode == Mode::nat;
    flow->local = tuple.src;
    flow->local_port = tuple.src_port;
    flow->protocol = tuple.protocol;
    DropReason trouble = DropReason::count;
    if (service.mode == Mode::full_nat) {
      const auto& locals = backend.address.is_v4() ? service.local_v4 : service.local_v6;
      if (locals.empty()) {
        trouble = DropReason::no_local_address;
      } else if (!choose_local(*flow, locals, first.bucket)) {
        trouble = DropReason::local_ports_exhausted;
      }
    } else if (service.mode == Mode::tunnel) {
      const auto hop = next_hop(backend.address, 0);
      flow->local = IpAddress{};
      if (hop) {
        const snapshot::Interface& out = snapshot_->interfaces[hop->interface];
        for (const IpAddress& address : out.resolve_from) {
          if (address.is_v4() == backend.address.is_v4() && !address.is_unspecified()) flow->local = address;
        }
      }
      if (flow->local.is_unspecified()) trouble = hop ? DropReason::no_local_address : DropReason::no_route;
    }
    if (trouble != DropReason::count) {
      flows_.discard(*flow);
      give_back();
      return refuse(trouble);
    }
    flow->bucket = first.bucket & 0x7f;
    flow->state = initial_state(tuple.protocol);
    if (!flows_.index(*flow, now_ms_)) {
      // nat: the same client endpoint already talks to this backend through another service. Try another backend.
      if (flow->local_slot != kNoSlot) ports_.free(port_pair(*flow), flow->local_port, now_);
      flows_.discard(*flow);
      give_back();
      const auto free = std::find(visit.denied.begin(), visit.denied.end(), kNoSlot);
      if (free == visit.denied.end()) break;
      *free = backend.slot;
      visit.granted = kNoSlot;
      continue;
    }
    counters_.service[service.slot].flows_started.add(1);
    counters_.backend[backend.slot].flows_started.add(1);
    load_.started(backend.slot);
    return forward(p, *flow, Direction::forward);
  }
  return refuse(DropReason::flow_conflict);
}

Fate Worker::start_flow(Packet& p, Flow& flow, const Decision& decision) {
  flow.protocol = p.info.tuple.protocol;
  flow.bucket = decision.bucket & 0x7f;
  // A probe by UDP or ping is one question and its answer, from a port of its own each time: kept as shortly as what
  // has been closed, or probes alone would fill the table (1,000 backends every 2 s: 150,000 flows at udp_s of 300).
  const bool single = flow.kind == Kind::probe && flow.protocol != kProtocolTcp;
  flow.state = single ? flow::State::tcp_closed : initial_state(flow.protocol);
  if (!flows_.index(flow, now_ms_)) {
    if (flow.local_slot != kNoSlot) ports_.free(port_pair(flow), flow.local_port, now_);
    flows_.discard(flow);
    return drop(DropReason::flow_conflict);
  }
  return forward(p, flow, Direction::forward);
}

// Ports are unique towards an endpoint, not towards a backend id: two pools may name the same server. Endpoints with
// equal hashes share their ports, which costs some and harms nothing.
flow::PortPair Worker::port_pair(const Flow& flow) const {
  const std::uint64_t endpoint = flows_.hash({flow.backend, IpAddress{}, flow.backend_port, 0, flow.protocol});
  return {flow.local_slot, static_cast<std::uint32_t>(endpoint >> 32), flow.protocol, flow.local.is_v4()};
}

// One local address is preferred per (backend, class) until its ports run out, so that port state stays small.
bool Worker::choose_local(Flow& flow, std::span<const std::uint16_t> locals, unsigned bucket) {
  const std::size_t start = (flow.backend_slot * 31u + bucket) % locals.size();
  for (std::size_t i = 0; i < locals.size(); ++i) {
    const snapshot::LocalAddress& local = snapshot_->local_addresses[locals[(start + i) % locals.size()]];
    flow.local = local.address;
    flow.local_slot = local.slot;
    const Tuple reply{flow.backend, local.address, flow.backend_port, 0, flow.protocol};
    const auto port = ports_.allocate(port_pair(flow), steering_.port_class(reply, bucket), now_);
    if (!port) continue;
    flow.local_port = *port;
    return true;
  }
  flow.local_slot = kNoSlot;
  return false;
}

// A local port within the class that steers the reply home; unique by the flow table itself. TCP walks its class, so
// that a port comes back only after a whole turn: the remote's TIME_WAIT of the connection before would refuse or
// misread the new one. Others draw: DNS answers are told from forged ones by their port (RFC 5452 9.2).
bool Worker::try_local(Flow& flow, const IpAddress& address, unsigned bucket, std::uint64_t random) {
  const Tuple reply{flow.backend, address, flow.backend_port, 0, flow.protocol};
  const unsigned port_class = steering_.port_class(reply, bucket);
  const std::uint64_t index = flow.protocol == kProtocolTcp ? local_cursor_[port_class]++ : random;
  const std::uint16_t port =
      steering_.classes(address.is_v4()).port(port_class, static_cast<unsigned>(index % PortClasses::kPortsPerClass));
  if (port < flow::kLocalPortMin) return false;
  flow.local = address;
  flow.local_port = port;
  return flows_.find(flow.reverse_tuple()).flow == nullptr;
}

// The servers' own traffic goes to anywhere, so its ports are unique per remote endpoint.
bool Worker::choose_snat(Flow& flow, const snapshot::Interface& interface, unsigned bucket) {
  for (unsigned i = 0; i < kSnatTries; ++i) {
    const std::uint64_t random = rng_.next();
    const std::uint16_t index = interface.snat_addresses[(random >> 32) % interface.snat_addresses.size()];
    const IpAddress& address = snapshot_->local_addresses[index].address;
    if (address.is_v4() == flow.client.is_v4() && try_local(flow, address, bucket, random)) return true;
  }
  return false;
}

bool Worker::choose_probe_local(Flow& flow, const snapshot::Service& service, unsigned bucket) {
  const bool v4 = flow.backend.is_v4();
  if (service.mode == Mode::full_nat) {
    const auto& locals = v4 ? service.local_v4 : service.local_v6;
    return !locals.empty() && choose_local(flow, locals, bucket);
  }
  // An address of ours on the backend's network: nat, dsr and tunnel backends answer it directly.
  const auto hop = next_hop(frame_target(flow), 0);
  if (!hop) return false;
  for (const IpAddress& address : snapshot_->interfaces[hop->interface].resolve_from) {
    if (address.is_unspecified() || address.is_v4() != v4) continue;
    for (unsigned i = 0; i < kSnatTries; ++i) {
      if (try_local(flow, address, bucket, rng_.next())) return true;
    }
  }
  return false;
}

}  // namespace headgate::worker
