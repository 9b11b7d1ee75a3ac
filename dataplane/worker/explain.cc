// What would happen to a packet, and why, by the functions that would do it: decide() and predict().
#include <rte_mbuf.h>

#include "dataplane/worker/worker.h"

namespace headgate::worker {

using telemetry::DropReason;
using telemetry::Exit;
using Action = Decision::Action;

namespace {

constexpr std::uint16_t kBackendsShown = 32;

const char* mode_name(snapshot::Mode mode) {
  switch (mode) {
    case snapshot::Mode::full_nat:
      return "full_nat";
    case snapshot::Mode::nat:
      return "nat";
    case snapshot::Mode::dsr:
      return "dsr";
    case snapshot::Mode::tunnel:
      return "tunnel";
  }
  return "?";
}

const char* algorithm_name(snapshot::Algorithm algorithm) {
  switch (algorithm) {
    case snapshot::Algorithm::round_robin:
      return "round robin";
    case snapshot::Algorithm::least_connections:
      return "least connections";
    case snapshot::Algorithm::source_hash:
      return "source hash";
    case snapshot::Algorithm::maglev:
      return "maglev";
  }
  return "?";
}

const char* neighbor_state_name(neighbor::NeighborState state) {
  switch (state) {
    case neighbor::NeighborState::free:
      return "unknown";
    case neighbor::NeighborState::incomplete:
      return "being resolved";
    case neighbor::NeighborState::reachable:
      return "reachable";
    case neighbor::NeighborState::stale:
      return "stale";
    case neighbor::NeighborState::failed:
      return "does not answer";
  }
  return "?";
}

std::string why_unusable(const snapshot::Backend& backend) {
  if (!backend.up) return "down";
  if (backend.drain) return "drained";
  return "weight 0";
}

}  // namespace

Explanation Worker::explain(std::span<const std::uint8_t> frame, std::uint16_t port, const Visit& visit) const {
  Explanation out;
  rte_mbuf mbuf{};
  mbuf.buf_addr = const_cast<std::uint8_t*>(frame.data());
  mbuf.data_len = static_cast<std::uint16_t>(frame.size());
  mbuf.pkt_len = static_cast<std::uint32_t>(frame.size());
  Packet p;
  mbuf.nb_segs = 1;
  p.mbuf = &mbuf;
  p.data = const_cast<std::uint8_t*>(frame.data());
  p.port = port;
  p.error = packet::parse(frame, frame.size(), p.info);
  if (p.error != packet::ParseError::none) {
    out.fate = drop(reason_of(p.error));
    out.steps.push_back({"parse", telemetry::describe(out.fate.reason)});
    return out;
  }
  if (snapshot_ == nullptr) {
    out.fate = drop(DropReason::not_ours);
    out.steps.push_back({"snapshot", "none is running yet"});
    return out;
  }
  if (!addressed_to_us(p)) {
    out.fate = drop(DropReason::other_mac);
    out.steps.push_back({"ethernet", telemetry::describe(out.fate.reason)});
    return out;
  }
  p.interface = snapshot_->interface_at(port, p.info.vlan);
  if (p.info.is_ip()) p.hash = flows_.hash(p.info.tuple);
  out.decision = decide(p, visit);
  describe(out, p, visit);
  out.decision.service = nullptr;
  out.decision.flow = nullptr;
  out.decision.interface = nullptr;
  return out;
}

Explanation Worker::explain_request(const RequestQuestion& question) const {
  Explanation out;
  const snapshot::Service* service = snapshot_ == nullptr ? nullptr : snapshot_->service_of(question.service);
  if (service == nullptr || service->ends != snapshot::Ends::http || !proxies_) {
    out.steps.push_back({"request", "the service is gone, or is none of HTTP"});
    return out;
  }
  const http::RequestContext context{.client = question.client,
                                     .client_port = question.client_port,
                                     .service = service->address,
                                     .service_port = service->port};
  const http::ExplainedRequest explained = proxies_->http().explain(*service->site, context, question.text);
  for (const auto& step : explained.steps) out.steps.push_back({step.stage, step.text});
  if (explained.to != http::Direction::To::pool) return out;
  const snapshot::Pool* pool = snapshot_->pool_of(explained.pool);
  if (pool != nullptr) {
    out.steps.push_back({"pool", snapshot_->name_of(*pool) + ", " + algorithm_name(pool->algorithm)});
    describe_pool(out, *pool);
  }
  describe_choice(out, {.service = service->id,
                        .pool = explained.pool,
                        .client = explained.client,
                        .client_port = question.client_port,
                        .preferred = explained.preferred});
  return out;
}

// Those of its backends that get nothing new.
void Worker::describe_pool(Explanation& out, const snapshot::Pool& pool) const {
  for (std::uint16_t i = 0; i < pool.backend_count && i < kBackendsShown; ++i) {
    const snapshot::Backend& backend = snapshot_->backends[pool.first_backend + i];
    if (!backend.usable()) {
      out.steps.push_back({"backend", snapshot_->name_of(backend) + " takes no new flows: " + why_unusable(backend)});
    } else if (backend.max_connections != 0 && shared_.limits.in_use(backend.slot) >= backend.max_connections) {
      out.steps.push_back({"backend", snapshot_->name_of(backend) + " is at its limit of " +
                                          std::to_string(backend.max_connections) + " connections"});
    }
  }
}

void Worker::describe_choice(Explanation& out, const tcp::Wish& wish) const {
  const Proxies::WouldChoose choice = proxies_->would_choose(wish);
  const snapshot::Backend* backend = choice.backend ? snapshot_->backend_of(choice.backend) : nullptr;
  if (backend == nullptr) {
    out.steps.push_back({"backend", choice.why});
    return;
  }
  out.backend = backend->id;
  out.steps.push_back({"backend", snapshot_->name_of(*backend) + " (" + to_string(backend->address) +
                                      ") would be chosen, by " + choice.why});
}

void Worker::describe(Explanation& out, const Packet& p, const Visit&) const {
  const Decision& d = out.decision;
  const auto say = [&out](std::string stage, std::string text) {
    out.steps.push_back({std::move(stage), std::move(text)});
  };
  if (p.info.is_ip()) say("parse", to_string(p.info.tuple) + ", ttl " + std::to_string(p.info.ttl));
  say("interface", p.interface != nullptr            ? "arrives on " + p.interface->name
                   : p.port == snapshot_->probe_port ? "arrives on the probe device"
                                                     : "no interface is configured for this port and VLAN");
  if (p.info.is_ip() && d.action != Action::neighbor) {
    say("owner", "bucket " + std::to_string(d.bucket) + ", worker " + std::to_string(d.owner));
    say("flow", d.existing_flow ? "a flow exists, state " + std::string(to_string(d.flow->state)) : "no live flow");
  }
  if (d.service != nullptr) {
    const snapshot::Pool& pool = snapshot_->pools[d.service->pool];
    out.service = d.service->id;
    out.pool = pool.id;
    say("service", snapshot_->name_of(*d.service) + ", mode " + mode_name(d.service->mode) + ", pool " +
                       snapshot_->name_of(pool) + ", " + algorithm_name(pool.algorithm));
    describe_pool(out, pool);
  }
  if (d.backend != snapshot::kNone) out.backend = snapshot_->backends[d.backend].id;
  switch (d.action) {
    case Action::drop:
      out.fate = drop(d.reason);
      break;
    case Action::reject: {
      out.fate = predict_reject(p, d.reason);
      if (out.fate.exit == Exit::answered)
        say("answer", p.info.tuple.protocol == kProtocolTcp ? "RST" : "ICMP port unreachable");
      break;
    }
    case Action::advert:
      say("failover", "an advert, for the election");
      out.fate = {config_.index == 0 ? Exit::consumed : Exit::handed_over, DropReason::count};
      break;
    case Action::ping:
      say("answer", "echo reply");
      out.fate = {Exit::answered, DropReason::count};
      break;
    case Action::to_kernel:
      say("kernel", "handed to the kernel by the exception device");
      out.fate = {Exit::exception, DropReason::count};
      break;
    case Action::from_kernel:
      out.fate = {Exit::forwarded, DropReason::count};
      break;
    case Action::neighbor: {
      // What the resolver makes of it is not asked: it would learn from it.
      const PortFacts& port = config_.ports[p.port];
      say("neighbor", "ARP or neighbor discovery, taken in by worker 0");
      out.fate = {Exit::consumed, DropReason::count};
      if (config_.index != 0) out.fate.exit = Exit::handed_over;
      if (p.interface == nullptr && config_.index == 0) {
        out.fate = port.exception != snapshot::kNone ? Fate{Exit::exception, DropReason::count}
                                                     : drop(DropReason::unknown_vlan);
      }
      if (port.physical != snapshot::kNone) out.fate = {Exit::forwarded, DropReason::count};
      break;
    }
    case Action::proxy:
      say("connection", proxies_->engine().find(p.info.tuple).generation != 0
                            ? "for a connection that ends here"
                            : "for the TCP engine: a new connection, or one that just began or ended");
      out.fate = {Exit::proxied, DropReason::count};
      if (d.service == nullptr || proxies_->engine().find(p.info.tuple).generation != 0) break;
      if (d.service->ends == snapshot::Ends::http) {
        say("requests", "each chooses its backend: explain http says which");
      } else {
        describe_choice(out, {.service = d.service->id,
                              .pool = out.pool,
                              .client = p.info.tuple.src,
                              .client_port = p.info.tuple.src_port,
                              .connect = true});
      }
      break;
    case Action::proxy_icmp:
      say("connection", "an error about a segment of a connection that ends here");
      out.fate = {Exit::consumed, DropReason::count};
      break;
    case Action::hand_over:
      say("hand-over", telemetry::describe(d.handover));
      out.fate = {Exit::handed_over, DropReason::count};
      break;
    case Action::icmp_error: {
      say("icmp", "an error about a flow, translated for its other side");
      out.fate = predict(p, *d.flow, d.direction);
      break;
    }
    case Action::forward: {
      const snapshot::Backend* backend = snapshot_->backend_of_slot(d.flow->backend_slot);
      if (backend != nullptr) {
        out.backend = backend->id;
        say("backend", snapshot_->name_of(*backend) + " (of the flow)");
      }
      out.fate = predict(p, *d.flow, d.direction);
      break;
    }
    case Action::start_service:
    case Action::start_probe:
    case Action::start_snat:
    case Action::start_route: {
      flow::Flow flow{};
      flow.client = p.info.tuple.src;
      flow.service = flow.backend = p.info.tuple.dst;
      flow.client_port = p.info.tuple.src_port;
      flow.service_port = p.info.tuple.dst_port;
      flow.protocol = p.info.tuple.protocol;
      flow.kind = d.action == Action::start_service ? flow::Kind::service
                  : d.action == Action::start_probe ? flow::Kind::probe
                                                    : flow::Kind::egress_snat;
      flow.backend_slot = flow.service_slot = kNoSlot;
      if (d.service != nullptr) {
        const snapshot::Backend& backend = snapshot_->backends[d.backend];
        flow.mode = d.service->mode;
        flow.gue = d.service->encapsulation == snapshot::Encapsulation::gue;
        flow.backend = backend.address;
        flow.backend_slot = backend.slot;
        say("backend", snapshot_->name_of(backend) + " (" + to_string(backend.address) + ") would be chosen");
      } else {
        say("egress", d.action == Action::start_snat ? "the servers' own traffic, source translated"
                                                     : "the servers' own traffic, routed");
      }
      out.fate = predict(p, flow, flow::Direction::forward);
      if (const auto hop = next_hop(frame_target(flow), flows_.hash(flow.forward_tuple()))) {
        const auto ref = neighbors_.find(snapshot_->interfaces[hop->interface].id, hop->address);
        say("next hop", to_string(hop->address) + " on " + snapshot_->interfaces[hop->interface].name + ", " +
                            neighbor_state_name(ref == neighbor::kNoNeighbor ? neighbor::NeighborState::free
                                                                             : neighbors_.at(ref).state));
      } else {
        say("next hop", "no route to " + to_string(frame_target(flow)));
      }
      break;
    }
  }
  const bool reasoned = out.fate.reason != DropReason::count;
  say("verdict", std::string(telemetry::to_string(out.fate.exit)) +
                     (reasoned ? std::string(": ") + telemetry::describe(out.fate.reason) : std::string()));
}

}  // namespace headgate::worker
