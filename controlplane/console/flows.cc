#include "controlplane/console/flows.h"

#include <cstdio>
#include <optional>
#include <vector>

#include "controlplane/console/names.h"
#include "controlplane/console/table.h"

namespace headgate::console {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// The ids that a name means; {0} (any) without a name. Nothing after saying that there is none, or several for `one`.
std::optional<std::vector<std::uint32_t>> ids_of(const char* kind, const std::string& name, const Match& match,
                                                 bool one) {
  if (name.empty()) return std::vector<std::uint32_t>{0};
  if (match.ids.empty()) {
    std::fprintf(stderr, "headgate: there is no %s '%s'; see show %ss\n", kind, name.c_str(), kind);
    return std::nullopt;
  }
  if (one && match.entries.size() > 1) {
    std::fprintf(stderr, "headgate: several %ss are named '%s'; say which one: %s\n", kind, name.c_str(),
                 joined(match.entries).c_str());
    return std::nullopt;
  }
  return match.ids;
}

}  // namespace

std::optional<std::vector<pb::FlowFilter>> filters_of(Client& client, const FlowOptions& options, bool one_entry) {
  pb::FlowFilter filter;
  filter.set_client(options.client);
  filter.set_client_port(options.client_port);
  filter.set_limit(options.limit);
  filter.set_protocol(options.protocol == "tcp"         ? pb::TCP
                      : options.protocol == "udp"       ? pb::UDP
                      : options.protocol == "tcp_proxy" ? pb::TCP_PROXY
                      : options.protocol == "http"      ? pb::HTTP
                                                        : pb::PROTOCOL_UNSPECIFIED);
  if (options.service.empty() && options.backend.empty()) return std::vector{filter};
  pb::StatsReply stats;
  if (client.stats(stats) != 0) return std::nullopt;
  const auto services = ids_of("service", options.service, services_named(stats, options.service), one_entry);
  if (!services) return std::nullopt;
  const auto backends = ids_of("backend", options.backend, backends_named(stats, options.backend), one_entry);
  if (!backends) return std::nullopt;
  std::vector<pb::FlowFilter> filters;
  for (const std::uint32_t service : *services) {
    for (const std::uint32_t backend : *backends) {
      filter.set_service_id(service);
      filter.set_backend_id(backend);
      filters.push_back(filter);
    }
  }
  return filters;
}

int show_flows(Client& client, const FlowOptions& options) {
  const auto filters = filters_of(client, options, false);
  if (!filters) return 1;
  pb::FlowsReply reply;
  const auto ask = [&](grpc::ClientContext* context, const pb::FlowFilter& filter, pb::FlowsReply* of) {
    return client.stub().ListFlows(context, filter, of);
  };
  const auto flows_of = [](pb::FlowsReply& of) { return of.mutable_flow(); };
  if (const int code = list_all(client, options, *filters, reply, ask, flows_of)) return code;
  if (client.json()) return print_json(reply);
  Table table({"PROTO", "CLIENT", "SERVICE", "BACKEND", "STATE", ">IDLE", ">?AGE", ">?ENDS IN", "?MODE", "?LOCAL"});
  for (const auto& flow : reply.flow()) {
    table.row({flow.protocol(), flow.client(), flow.service(), flow.backend(), flow.state(), duration(flow.idle_ms()),
               duration(flow.age_ms()), duration(flow.expires_in_ms()), flow.mode(), flow.local()});
  }
  print(table, client.look());
  if (reply.more()) std::printf("there are more; narrow the filter or raise --limit\n");
  return 0;
}

int clear_flows(Client& client, const FlowOptions& options) {
  const auto filters = filters_of(client, options, true);
  if (!filters) return 1;
  pb::ClearFlowsReply all;
  for (const pb::FlowFilter& filter : *filters) {
    grpc::ClientContext context;
    Client::soon(context, kListDeadlineS);
    pb::ClearFlowsReply reply;
    if (const int code = client.check(client.stub().ClearFlows(&context, filter, &reply))) return code;
    all.set_cleared(all.cleared() + reply.cleared());
  }
  if (client.json()) return print_json(all);
  std::printf("%llu flows cleared\n", static_cast<unsigned long long>(all.cleared()));
  return 0;
}

}  // namespace headgate::console
