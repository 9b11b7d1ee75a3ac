// show flows, clear flows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/console/client.h"

namespace headgate::console {

// Of flows and of sessions.
struct FlowOptions {
  std::string client, protocol;  // protocol: tcp, udp; of sessions tcp_proxy, http; empty: any
  std::uint32_t client_port = 0, limit = 100;
  std::string service, backend;  // as names.h finds them

  bool filter() const {
    return !client.empty() || client_port != 0 || !protocol.empty() || !service.empty() || !backend.empty();
  }
};

inline constexpr int kListDeadlineS = 30;  // large tables are walked in slices

// A filter for each pair of a service and a backend that the names mean; nothing after an error was told. one_entry: a
// name that means several entries is an error.
std::optional<std::vector<pb::FlowFilter>> filters_of(Client& client, const FlowOptions& options, bool one_entry);

// Asks for each filter in turn until options.limit entries are there. ask(context, filter, reply) is a call,
// entries(reply) the mutable list of its answer.
template <class Reply, class Ask, class Entries>
int list_all(Client& client, const FlowOptions& options, const std::vector<pb::FlowFilter>& filters, Reply& all,
             Ask&& ask, Entries&& entries) {
  for (pb::FlowFilter filter : filters) {
    const std::uint32_t room = options.limit - static_cast<std::uint32_t>(entries(all)->size());
    filter.set_limit(room > 0 ? room : 1);  // without room: only to know whether there are more
    grpc::ClientContext context;
    Client::soon(context, kListDeadlineS);
    Reply reply;
    if (const int code = client.check(ask(&context, filter, &reply))) return code;
    const bool full = room == 0 && entries(reply)->size() > 0;
    all.set_more(all.more() || reply.more() || full);
    if (full) return 0;
    entries(all)->MergeFrom(*entries(reply));
  }
  return 0;
}

// Flows of everything that the names mean.
int show_flows(Client& client, const FlowOptions& options);
// Refuses a name that means several entries of the configuration.
int clear_flows(Client& client, const FlowOptions& options);

}  // namespace headgate::console
