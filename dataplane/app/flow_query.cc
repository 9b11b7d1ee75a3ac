#include "dataplane/app/flow_query.h"

#include <algorithm>

namespace headgate::app {

namespace pb = dataplane::v1;

bool FlowQuery::matches(const flow::Flow& flow) const {
  if (flow.state == flow::State::free || impossible || ends) return false;
  if (client && !client->contains(flow.client)) return false;
  if (client_port != 0 && flow.client_port != client_port) return false;
  if (protocol != 0 && flow.protocol != protocol) return false;
  if (service != kNoSlot && (flow.kind != flow::Kind::service || flow.service_slot != service)) return false;
  return backend == kNoSlot || flow.backend_slot == backend;
}

Result<FlowQuery> parse_flow_query(const pb::FlowFilter& filter, const snapshot::Snapshot* snapshot) {
  FlowQuery query;
  if (!filter.client().empty()) {
    query.client = parse_prefix(filter.client());
    if (!query.client)
      return fail(ErrorCode::invalid_argument, "client: '" + filter.client() + "' is no address or prefix");
  }
  if (filter.client_port() > 65535) return fail(ErrorCode::invalid_argument, "client_port: at most 65535");
  query.client_port = static_cast<std::uint16_t>(filter.client_port());
  query.protocol = filter.protocol() == pb::TCP ? kProtocolTcp : filter.protocol() == pb::UDP ? kProtocolUdp : 0;
  if (filter.protocol() == pb::TCP_PROXY) query.ends = snapshot::Ends::tcp_proxy;
  if (filter.protocol() == pb::HTTP) query.ends = snapshot::Ends::http;
  if (filter.limit() > 10'000) return fail(ErrorCode::invalid_argument, "limit: at most 10000");
  if (filter.limit() != 0) query.limit = filter.limit();
  const auto slot_of = [&](const auto& entries, std::uint32_t id) {
    for (const auto& entry : entries) {
      if (entry.id.value == id) return entry.slot;
    }
    query.impossible = true;
    return kNoSlot;
  };
  if (snapshot == nullptr) {
    query.impossible = filter.service_id() != 0 || filter.backend_id() != 0;
    return query;
  }
  if (filter.service_id() != 0) query.service = slot_of(snapshot->services, filter.service_id());
  if (filter.backend_id() != 0) query.backend = slot_of(snapshot->backends, filter.backend_id());
  return query;
}

std::string endpoint_text(const IpAddress& address, std::uint16_t port) {
  return (address.is_v4() ? to_string(address) : "[" + to_string(address) + "]") + ":" + std::to_string(port);
}

namespace {

const char* mode_of(const flow::Flow& flow) {
  if (flow.kind == flow::Kind::egress_snat) return "egress snat";
  if (flow.kind == flow::Kind::egress_route) return "egress route";
  const bool probe = flow.kind == flow::Kind::probe;
  switch (flow.mode) {
    case snapshot::Mode::full_nat:
      return probe ? "probe full_nat" : "full_nat";
    case snapshot::Mode::nat:
      return probe ? "probe nat" : "nat";
    case snapshot::Mode::dsr:
      return probe ? "probe dsr" : "dsr";
    case snapshot::Mode::tunnel:
      return probe ? "probe tunnel" : "tunnel";
  }
  return "?";
}

const char* protocol_of(std::uint8_t protocol) {
  return protocol == kProtocolTcp ? "tcp" : protocol == kProtocolUdp ? "udp" : "icmp";
}

}  // namespace

void describe_flow(const worker::Worker& worker, const flow::Flow& flow, pb::FlowInfo* out) {
  out->set_worker(worker.index());
  out->set_client(endpoint_text(flow.client, flow.client_port));
  out->set_service(endpoint_text(flow.service, flow.service_port));
  out->set_local(endpoint_text(flow.local, flow.local_port));
  out->set_backend(endpoint_text(flow.backend, flow.backend_port));
  out->set_protocol(protocol_of(flow.protocol));
  out->set_state(flow::to_string(flow.state));
  out->set_mode(mode_of(flow));
  const std::uint32_t now = worker.now_ms(), timeout = worker.flows().timeout_ms(flow.state);
  const std::uint32_t idle = now - flow.last_seen_ms;
  out->set_age_ms(now - flow.created_ms);
  out->set_idle_ms(idle);
  out->set_expires_in_ms(timeout > idle ? timeout - idle : 0);
  if (worker.snapshot() == nullptr) return;
  if (const auto* service = worker.snapshot()->service_of_slot(flow.service_slot))
    out->set_service_id(service->id.value);
  if (const auto* backend = worker.snapshot()->backend_of_slot(flow.backend_slot))
    out->set_backend_id(backend->id.value);
}

}  // namespace headgate::app
