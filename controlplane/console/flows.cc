#include "controlplane/console/flows.h"

#include <cstdio>
#include <optional>
#include <vector>

#include "controlplane/console/names.h"
#include "controlplane/console/table.h"

namespace headgate::console {
namespace {

constexpr int kDeadlineS = 30;  // large tables are walked in slices

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

// A filter for each pair of a service and a backend that the names mean; nothing after an error was told.
std::optional<std::vector<pb::FlowFilter>> filters_of(Client& client, const FlowOptions& options, bool one_entry) {
  pb::FlowFilter filter;
  filter.set_client(options.client);
  filter.set_client_port(options.client_port);
  filter.set_limit(options.limit);
  filter.set_protocol(options.protocol == "tcp"   ? pb::TCP
                      : options.protocol == "udp" ? pb::UDP
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

// At most options.limit flows over all filters.
int list(Client& client, const FlowOptions& options, const std::vector<pb::FlowFilter>& filters, pb::FlowsReply& all) {
  for (pb::FlowFilter filter : filters) {
    const std::uint32_t room = options.limit - static_cast<std::uint32_t>(all.flow_size());
    filter.set_limit(std::max(room, 1u));  // without room: only to know whether there are more
    grpc::ClientContext context;
    Client::soon(context, kDeadlineS);
    pb::FlowsReply reply;
    if (const int code = client.check(client.stub().ListFlows(&context, filter, &reply))) return code;
    const bool full = room == 0 && reply.flow_size() > 0;
    all.set_more(all.more() || reply.more() || full);
    if (full) return 0;
    for (auto& flow : *reply.mutable_flow()) all.add_flow()->Swap(&flow);
  }
  return 0;
}

}  // namespace

int show_flows(Client& client, const FlowOptions& options) {
  const auto filters = filters_of(client, options, false);
  if (!filters) return 1;
  pb::FlowsReply reply;
  if (const int code = list(client, options, *filters, reply)) return code;
  if (client.json()) return print_json(reply);
  Table table({"PROTO", "CLIENT", "SERVICE", "BACKEND", "STATE", ">AGE", ">IDLE", ">ENDS IN", "MODE", "LOCAL"});
  for (const auto& flow : reply.flow()) {
    table.row({flow.protocol(), flow.client(), flow.service(), flow.backend(), flow.state(), duration(flow.age_ms()),
               duration(flow.idle_ms()), duration(flow.expires_in_ms()), flow.mode(), flow.local()});
  }
  print(table);
  if (reply.more()) std::printf("there are more; narrow the filter or raise --limit\n");
  return 0;
}

int clear_flows(Client& client, const FlowOptions& options) {
  const auto filters = filters_of(client, options, true);
  if (!filters) return 1;
  pb::ClearFlowsReply all;
  for (const pb::FlowFilter& filter : *filters) {
    grpc::ClientContext context;
    Client::soon(context, kDeadlineS);
    pb::ClearFlowsReply reply;
    if (const int code = client.check(client.stub().ClearFlows(&context, filter, &reply))) return code;
    all.set_cleared(all.cleared() + reply.cleared());
  }
  if (client.json()) return print_json(all);
  std::printf("%llu flows cleared\n", static_cast<unsigned long long>(all.cleared()));
  return 0;
}

}  // namespace headgate::console
