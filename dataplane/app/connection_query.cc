#include "dataplane/app/connection_query.h"

#include <optional>
#include <string_view>

namespace headgate::app {

namespace pb = dataplane::v1;

namespace {

constexpr std::uint32_t kSessionsPerTask = 256;
constexpr std::size_t kTextShown = 256;

void describe_connection(const tcp::Engine& engine, tcp::ConnectionId id, pb::TcpInfo* out) {
  const auto info = engine.info(id);
  if (!info) return;
  out->set_peer(endpoint_text(info->tuple.src, info->tuple.src_port));
  out->set_own(endpoint_text(info->tuple.dst, info->tuple.dst_port));
  out->set_state(tcp::name_of(info->state));
  out->set_mss(info->mss);
  out->set_cwnd(info->cwnd);
  out->set_ssthresh(info->ssthresh);
  out->set_flight(info->flight);
  out->set_rtt_us(info->srtt_us);
  out->set_rtt_variance_us(info->rttvar_us);
  out->set_rtt_min_us(info->min_rtt_us);
  out->set_timeout_ms(info->timeout_ms);
  out->set_backoff(info->backoff);
  out->set_bytes_received(info->bytes_received);
  out->set_bytes_acknowledged(info->bytes_acked);
  out->set_retransmitted(info->retransmitted);
  out->set_unacknowledged(info->unacknowledged);
  out->set_unsent(info->unsent);
  out->set_unread(info->received);
  out->set_send_window(info->snd_wnd);
  out->set_receive_window(info->rcv_wnd);
  out->set_recovery(info->recovery);
  out->set_sack(info->sack);
  out->set_timestamps(info->timestamps);
  out->set_ecn(info->ecn);
}

// What the kinds of sessions have in common, of one of them.
struct Found {
  snapshot::Ends ends = snapshot::Ends::tcp_proxy;
  tcp::ConnectionId client, backend;
  ServiceId service;
  Slot slot = kNoSlot;
  BackendId backend_id;
  IpAddress address;
  std::uint16_t port = 0;
  const char* stage = "";
  std::uint64_t idle_ms = 0, expires_in_ms = 0;
  std::uint32_t tried = 0, requests = 0;
  std::string_view method{}, target{};
};

std::optional<Found> relayed(const worker::Worker& worker, std::uint32_t position) {
  const proxy::Relay& relay = worker.proxies()->relay();
  const proxy::Session* s = relay.at(position);
  if (s == nullptr) return std::nullopt;
  return Found{.client = s->client,
               .backend = s->server,
               .service = s->plan.service,
               .slot = s->plan.slot,
               .backend_id = s->backend,
               .address = s->client_address,
               .port = s->client_port,
               .stage = proxy::to_string(s->stage),
               .idle_ms = tcp::Tick{worker.now_ms() - s->moved},
               .expires_in_ms = relay.expires_in_ms(*s, worker.now()),
               .tried = s->tried_count};
}

Found of(const http::SessionView& view) {
  return {.ends = snapshot::Ends::http,
          .client = view.client,
          .backend = view.backend,
          .service = view.service,
          .slot = view.slot,
          .backend_id = view.backend_id,
          .address = view.client_address,
          .port = view.client_port,
          .stage = view.stage,
          .idle_ms = view.idle / kMillisecond,
          .expires_in_ms = view.expires_in / kMillisecond,
          .tried = view.tried,
          .requests = view.requests,
          .method = view.method,
          .target = view.target};
}

bool matches(const FlowQuery& query, const Found& found, const worker::Leg* server) {
  if (query.impossible || (query.protocol != 0 && query.protocol != kProtocolTcp)) return false;
  if (query.ends && *query.ends != found.ends) return false;
  if (query.client && !query.client->contains(found.address)) return false;
  if (query.client_port != 0 && query.client_port != found.port) return false;
  if (query.service != kNoSlot && query.service != found.slot) return false;
  return query.backend == kNoSlot || (server != nullptr && server->backend == query.backend);
}

// Goes through a slice of what there is, in the order of the lists, until `visit` says false.
template <class Visit>
void walk(const worker::Worker& worker, const FlowQuery& query, SessionCursor& cursor, Visit&& visit) {
  using List = SessionCursor::List;
  const worker::Proxies* proxies = worker.proxies();
  if (proxies == nullptr) cursor.list = List::end;
  for (std::uint32_t looked = 0; looked < kSessionsPerTask && !cursor.at_end(); ++looked) {
    const http::Proxy& http = proxies->http();
    const std::uint32_t size = cursor.list == List::relay  ? proxies->relay().touched()
                               : cursor.list == List::http ? http.sessions_touched()
                                                           : http.links_touched();
    if (cursor.next >= size) {
      cursor = {static_cast<List>(static_cast<int>(cursor.list) + 1), 0};
      continue;
    }
    std::optional<Found> found;
    if (cursor.list == List::relay) {
      found = relayed(worker, cursor.next);
    } else if (const auto view =
                   cursor.list == List::http ? http.session_at(cursor.next) : http.unused_link_at(cursor.next)) {
      found = of(*view);
    }
    ++cursor.next;
    if (found && matches(query, *found, proxies->leg(found->backend)) && !visit(*found)) cursor.list = List::end;
  }
}

// What a client sent is shown as far as it is plain text.
std::string shown(std::string_view text) {
  std::string out(text.substr(0, kTextShown));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return out;
}

void describe(const worker::Worker& worker, const Found& found, pb::ConnectionInfo* out) {
  const worker::Proxies& proxies = *worker.proxies();
  const worker::Leg *client = proxies.leg(found.client), *server = proxies.leg(found.backend);
  const worker::Leg* first = client != nullptr ? client : server;
  out->set_worker(worker.index());
  out->set_protocol(found.ends == snapshot::Ends::http ? pb::HTTP : pb::TCP_PROXY);
  out->set_service_id(found.service.value);
  out->set_backend_id(found.backend_id.value);
  out->set_stage(found.stage);
  if (first != nullptr) out->set_age_ms(tcp::Tick{worker.now_ms() - first->began});
  out->set_idle_ms(found.idle_ms);
  out->set_expires_in_ms(found.expires_in_ms);
  out->set_tried(found.tried);
  out->set_requests(found.requests);
  if (!found.method.empty()) out->set_request(shown(found.method) + " " + shown(found.target));
  if (client != nullptr) {
    out->set_address(endpoint_text(found.address, found.port));
    describe_connection(proxies.engine(), found.client, out->mutable_client());
  }
  if (server != nullptr) describe_connection(proxies.engine(), found.backend, out->mutable_backend());
}

}  // namespace

void list_connections(const worker::Worker& worker, const FlowQuery& query, SessionCursor& cursor,
                      pb::ConnectionsReply& reply) {
  walk(worker, query, cursor, [&](const Found& found) {
    if (static_cast<std::uint32_t>(reply.connection_size()) >= query.limit) {
      reply.set_more(true);
      return false;
    }
    describe(worker, found, reply.add_connection());
    return true;
  });
}

// A session ends with its client's connection, as if the client had reset it. The engine tells of it in its next turn,
// so that what is walked through does not change meanwhile.
void clear_sessions(worker::Worker& worker, const FlowQuery& query, SessionCursor& cursor,
                    pb::ClearSessionsReply& reply) {
  walk(worker, query, cursor, [&](const Found& found) {
    if (found.client.generation != 0) {
      worker.proxies()->engine().terminate(found.client);
      reply.set_cleared(reply.cleared() + 1);
    } else {
      worker.proxies()->engine().terminate(found.backend);
      reply.set_unused_connections(reply.unused_connections() + 1);
    }
    return true;
  });
}

}  // namespace headgate::app
