#include "controlplane/console/sessions.h"

#include <cstdio>

namespace headgate::console {
namespace {

std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : text;
}

std::string round_trip(std::uint32_t us) {
  char text[32];
  std::snprintf(text, sizeof text, us < 1000 ? "%.0fus" : "%.3gms", us < 1000 ? us : us / 1000.0);
  return us == 0 ? "-" : text;
}

int show(Client& client, const FlowOptions& options, Table (*table)(const pb::ConnectionsReply&)) {
  const auto filters = filters_of(client, options, false);
  if (!filters) return 1;
  pb::ConnectionsReply reply;
  const auto ask = [&](grpc::ClientContext* context, const pb::FlowFilter& filter, pb::ConnectionsReply* of) {
    return client.stub().ListConnections(context, filter, of);
  };
  const auto connections_of = [](pb::ConnectionsReply& of) { return of.mutable_connection(); };
  if (const int code = list_all(client, options, *filters, reply, ask, connections_of)) return code;
  if (client.json()) return print_json(reply);
  print(table(reply), client.look());
  if (reply.more()) std::printf("there are more; narrow the filter or raise --limit\n");
  return 0;
}

}  // namespace

Table sessions_table(const pb::ConnectionsReply& reply) {
  Table table(
      {"CLIENT", "SERVICE", "BACKEND", "STAGE", ">IDLE", ">?AGE", ">?REQUESTS", "?REQUEST", ">?ENDS IN", ">?TRIED"});
  for (const auto& s : reply.connection()) {
    if (!s.has_client()) continue;
    const bool http = s.protocol() == pb::HTTP;
    table.row({s.address(), s.client().own(), or_dash(s.backend().peer()), s.stage(), duration(s.idle_ms()),
               duration(s.age_ms()), http ? std::to_string(s.requests()) : "-", or_dash(s.request()),
               duration(s.expires_in_ms()), std::to_string(s.tried())});
  }
  return table;
}

Table connections_table(const pb::ConnectionsReply& reply) {
  Table table({"SIDE", "PEER", "STATE", "?STAGE", ">RTT", ">UNSENT", ">RESENT", ">?UNACKED", ">?UNREAD", ">?AGE",
               ">?CWND", ">?MSS", "?RECOVERY", ">?WE MAY SEND", ">?THEY MAY SEND", ">?RECEIVED", ">?SENT", ">?TIMEOUT",
               "?OWN"});
  const auto row = [&](const char* side, const pb::ConnectionInfo& s, const pb::TcpInfo& tcp) {
    table.row({side, tcp.peer(), or_dash(tcp.state()), s.stage(), round_trip(tcp.rtt_us()), count(tcp.unsent()),
               count(tcp.retransmitted()), count(tcp.unacknowledged()), count(tcp.unread()), duration(s.age_ms()),
               count(tcp.cwnd()), std::to_string(tcp.mss()), tcp.recovery(), count(tcp.send_window()),
               count(tcp.receive_window()), count(tcp.bytes_received()), count(tcp.bytes_acknowledged()),
               duration(tcp.timeout_ms()), tcp.own()});
  };
  for (const auto& s : reply.connection()) {
    if (s.has_client()) row("client", s, s.client());
    if (s.has_backend()) row("backend", s, s.backend());
  }
  return table;
}

int show_sessions(Client& client, const FlowOptions& options) {
  return show(client, options, sessions_table);
}

int show_connections(Client& client, const FlowOptions& options) {
  return show(client, options, connections_table);
}

int clear_sessions(Client& client, const FlowOptions& options) {
  const auto filters = filters_of(client, options, true);
  if (!filters) return 1;
  pb::ClearSessionsReply all;
  for (const pb::FlowFilter& filter : *filters) {
    grpc::ClientContext context;
    Client::soon(context, kListDeadlineS);
    pb::ClearSessionsReply reply;
    if (const int code = client.check(client.stub().ClearSessions(&context, filter, &reply))) return code;
    all.set_cleared(all.cleared() + reply.cleared());
    all.set_unused_connections(all.unused_connections() + reply.unused_connections());
  }
  if (client.json()) return print_json(all);
  std::printf("%llu sessions cleared", static_cast<unsigned long long>(all.cleared()));
  if (all.unused_connections() != 0)
    std::printf(", and %llu unused connections to backends", static_cast<unsigned long long>(all.unused_connections()));
  std::printf("\n");
  return 0;
}

}  // namespace headgate::console
