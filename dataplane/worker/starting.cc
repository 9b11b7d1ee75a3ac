// What decide() decided, carried out; and flows that start: a backend, a place below its limit, a local port.
#include <rte_mbuf.h>

#include <algorithm>

#include "dataplane/worker/worker.h"

namespace headgate::worker {

using flow::Direction;
using flow::Flow;
using flow::Kind;
using snapshot::Mode;
using telemetry::DropReason;
using telemetry::Exit;
using telemetry::Handover;
using Action = Decision::Action;

namespace {

flow::State initial_state(std::uint8_t protocol) {
  if (protocol == kProtocolTcp) return flow::State::tcp_syn;
  return protocol == kProtocolUdp ? flow::State::udp_unreplied : flow::State::icmp;
}

}  // namespace

Fate Worker::execute(Packet& p, const Decision& decision, const Visit& visit) {
  sending_for_ = group_addressed(p);
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
    case Action::proxy:
      return take_segment(p, decision, visit);
    case Action::proxy_icmp:
      return take_icmp_error(p);
    case Action::neighbor:
      return handle_neighbor(p);
    case Action::advert:
      return take_advert(p);
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
    flow->group = snapshot::kNoGroup;  // the passive box probes too
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
    flow->group = decision.interface->group;
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
    flow->group = service.group;
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
  if (proxies_ && proxies_->engine().find(flow.reverse_tuple()).generation != 0) return false;
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
    // Answers come to this box whichever is active, where there is a local address of its own.
    const auto& own = v4 ? snapshot_->own_local_v4 : snapshot_->own_local_v6;
    if (service.group != snapshot::kNoGroup && !own.empty()) return choose_local(flow, own, bucket);
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
