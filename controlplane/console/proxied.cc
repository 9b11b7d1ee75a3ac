#include "controlplane/console/proxied.h"

#include <cmath>
#include <cstdio>
#include <map>
#include <vector>

#include "controlplane/console/names.h"

namespace headgate::console {
namespace {

namespace mg = management::v1;

constexpr std::size_t kLabelWidth = 10;

std::string time_text(double us) {
  char text[32];
  if (us < 1000) {
    std::snprintf(text, sizeof text, "%.3gus", us);
  } else if (us < 1'000'000) {
    std::snprintf(text, sizeof text, "%.3gms", us / 1000);
  } else {
    std::snprintf(text, sizeof text, "%.3gs", us / 1'000'000);
  }
  return text;
}

std::uint64_t number_of(const pb::TimeHistogram& times) {
  std::uint64_t total = 0;
  for (const std::uint64_t count : times.count()) total += count;
  return total;
}

std::string mean(const pb::TimeHistogram& times) {
  const std::uint64_t total = number_of(times);
  return total == 0 ? "-" : time_text(static_cast<double>(times.sum_us()) / static_cast<double>(total));
}

std::uint64_t counted(const pb::HttpStats& http, const char* name) {
  for (const auto& counter : http.counter()) {
    if (counter.name() == name) return counter.count();
  }
  return 0;
}

// Rows for what was counted at all.
void add(Table& table, const std::string& name, std::uint64_t number, const std::string& meaning) {
  if (number != 0) table.row({name, count(number), meaning});
}

void add_sessions(Table& table, const pb::SessionStats& s, bool http) {
  const std::string who = http ? "requests" : "clients";
  add(table, "waiting", s.waiting_now(), who + " that wait for a backend now");
  add(table, "queued", s.queued(), who + " that had to wait for a backend");
  add(table, "queue_full", s.queue_full(), who + " turned away: the queue was full");
  add(table, "queue_timeouts", s.queue_timeouts(), who + " that waited too long");
  add(table, "connect_failures", s.connect_failures(), "connections that a backend refused");
  add(table, "connect_timeouts", s.connect_timeouts(), "connections that a backend did not answer");
  add(table, "unserved", s.unserved(), who + " told no: no backend could be reached, or none had room in time");
  add(table, "idle_timeouts", s.idle_timeouts(), "sessions ended for want of a byte");
  add(table, "half_closed_timeouts", s.half_closed_timeouts(), "the same, after one side had ended");
  add(table, "client_resets", s.client_resets(), "connections that a client broke off");
  add(table, "backend_resets", s.backend_resets(), "connections that a backend broke off");
  add(table, "bad_headers", s.bad_headers(), "clients without the PROXY protocol header that they must send");
}

void add_http(Table& table, const pb::HttpStats& http) {
  for (const auto& counter : http.counter()) add(table, counter.name(), counter.count(), counter.meaning());
  for (int i = 0; i < http.response_size(); ++i) {
    add(table, i == 0 ? "no response" : std::to_string(i) + "xx", http.response(i),
        i == 0 ? "requests that got none" : "final responses of this class");
  }
  for (const auto& end : http.end()) add(table, "ended: " + end.name(), end.count(), end.meaning());
  for (const auto& why : http.refused()) add(table, "refused: " + why.name(), why.count(), why.meaning());
  for (const auto& why : http.backend_failure()) add(table, "response: " + why.name(), why.count(), why.meaning());
}

Table times_table(const mg::ServiceState& service, const mg::ServicesReply& reply) {
  Table table({"TIME", ">COUNT", ">MEAN", ">HALF WITHIN", ">90% WITHIN", ">99% WITHIN"});
  const pb::SessionStats& s = service.stats().sessions();
  const auto row = [&](const char* name, const pb::TimeHistogram& times) {
    table.row({name, count(number_of(times)), mean(times), within(times, reply.time_bound_us(), 0.5),
               within(times, reply.time_bound_us(), 0.9), within(times, reply.time_bound_us(), 0.99)});
  };
  row("connect", s.connect());
  if (service.stats().has_http()) row("first byte", s.first_byte());
  row("total", s.total());
  return table;
}

}  // namespace

std::string within(const pb::TimeHistogram& times, const google::protobuf::RepeatedField<std::uint32_t>& bounds_us,
                   double share) {
  const std::uint64_t total = number_of(times);
  if (total == 0 || times.count_size() != bounds_us.size() + 1) return "-";
  const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total)));
  std::uint64_t sum = 0;
  for (int i = 0; i < bounds_us.size(); ++i) {
    sum += times.count(i);
    if (sum >= wanted) return time_text(bounds_us[i]);
  }
  return ">" + time_text(bounds_us[bounds_us.size() - 1]);
}

std::string service_text(const mg::ServiceState& service, const mg::ServicesReply& reply, const Look& look) {
  const auto line = [&](const char* label, const std::string& text) { return field(label, kLabelWidth, text, look); };
  std::string what = service.protocol() + ", mode " + service.mode() + ", pool " + service.pool();
  if (service.protocol() == "http") what += ", " + std::to_string(service.routes()) + " routes";
  std::string out = line("service", service.name()) + line("address", service.address()) + line("what", what);
  if (!service.has_stats()) return out + line("counters", "none: the dataplane is away or does not run it yet");
  const pb::TrafficCounters& t = service.stats().traffic();
  out += line("flows", count(t.flows_now()) + " now, " + count(t.flows_total()) + " so far");
  out += line("in", count(t.packets_in()) + " packets, " + count(t.bytes_in()) + " bytes");
  out += line("out", count(t.packets_out()) + " packets, " + count(t.bytes_out()) + " bytes");
  if (service.stats().has_sessions()) out += "\n" + times_table(service, reply).text(look);
  Table counters({"COUNTER", ">COUNT", "MEANING"});
  for (const auto& drop : service.stats().drop()) add(counters, drop.reason(), drop.packets(), drop.meaning());
  add_sessions(counters, service.stats().sessions(), service.stats().has_http());
  add_http(counters, service.stats().http());
  return out + "\n" + counters.text(look);
}

int show_service(Client& client, const std::string& name) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::ServicesReply all, named;
  if (const int code = client.check(client.stub().Services(&context, {}, &all))) return code;
  *named.mutable_time_bound_us() = all.time_bound_us();
  for (const auto& service : all.service()) {
    if (name == service.name() || name == written_name(service.name())) *named.add_service() = service;
  }
  if (named.service_size() == 0) return Client::say("there is no service '" + name + "'; see show services");
  if (client.json()) return print_json(named);
  for (int i = 0; i < named.service_size(); ++i)
    std::printf("%s%s", i == 0 ? "" : "\n", service_text(named.service(i), named, client.look()).c_str());
  return 0;
}

Table http_table(const pb::StatsReply& reply) {
  Table table(
      {"SERVICE", ">REQUESTS", ">2XX", ">3XX", ">4XX", ">5XX", ">?NONE", ">REUSED", ">RETRIES", ">HALF IN", ">99% IN"});
  for (const auto& service : reply.service()) {
    if (!service.has_http()) continue;
    const pb::HttpStats& http = service.http();
    const auto responses = [&](int kind) { return count(kind < http.response_size() ? http.response(kind) : 0); };
    const pb::TimeHistogram& total = service.sessions().total();
    table.row({service.name(), count(counted(http, "requests")), responses(2), responses(3), responses(4), responses(5),
               responses(0), count(counted(http, "reuses")), count(counted(http, "retries")),
               within(total, reply.time_bound_us(), 0.5), within(total, reply.time_bound_us(), 0.99)});
  }
  return table;
}

int show_http(Client& client) {
  pb::StatsReply reply;
  if (const int code = client.stats(reply)) return code;
  if (client.json()) return print_json(reply);
  print(http_table(reply), client.look());
  return 0;
}

Table routes_table(const mg::HttpRoutesReply& reply) {
  Table table({"SERVICE", "ROUTE", "HOST", "PATH", "ACTION", "?METHOD", "?HEADERS"});
  const auto or_any = [](const std::string& text) { return text.empty() ? "any" : text; };
  for (const auto& route : reply.route()) {
    std::string headers;
    for (const std::string& header : route.header()) headers += (headers.empty() ? "" : ", ") + header;
    table.row({route.service(), route.name().empty() ? "(the rest)" : route.name(), or_any(route.host()),
               or_any(route.path()), route.action(), or_any(route.method()), headers.empty() ? "-" : headers});
  }
  return table;
}

int show_http_routes(Client& client, const std::string& service) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::HttpRoutesReply all, named;
  if (const int code = client.check(client.stub().HttpRoutes(&context, {}, &all))) return code;
  for (const auto& route : all.route()) {
    if (service.empty() || service == route.service() || service == written_name(route.service()))
      *named.add_route() = route;
  }
  if (named.route_size() == 0 && !service.empty())
    return Client::say("there is no HTTP service '" + service + "'; see show services");
  if (client.json()) return print_json(named);
  print(routes_table(named), client.look());
  return 0;
}

std::string tcp_text(const pb::StatsReply& reply, const Look& look) {
  pb::WorkerStats sum;
  std::vector<std::string> order;
  std::map<std::string, pb::Count> counters;
  for (const auto& worker : reply.worker()) {
    sum.set_connections_now(sum.connections_now() + worker.connections_now());
    sum.set_connections_max(sum.connections_max() + worker.connections_max());
    sum.set_sessions_now(sum.sessions_now() + worker.sessions_now());
    sum.set_half_open_now(sum.half_open_now() + worker.half_open_now());
    sum.set_time_wait_now(sum.time_wait_now() + worker.time_wait_now());
    sum.set_tcp_memory(sum.tcp_memory() + worker.tcp_memory());
    sum.set_tcp_memory_max(sum.tcp_memory_max() + worker.tcp_memory_max());
    for (const auto& counter : worker.tcp()) {
      pb::Count& total = counters[counter.name()];
      if (total.name().empty()) order.push_back(counter.name());
      total.set_name(counter.name());
      total.set_count(total.count() + counter.count());
      total.set_meaning(counter.meaning());
    }
  }
  const auto line = [&](const char* label, const std::string& text) { return field(label, 13, text, look); };
  std::string out = line("connections", count(sum.connections_now()) + " of " + count(sum.connections_max()));
  out += line("sessions", count(sum.sessions_now()));
  out += line("half-open", count(sum.half_open_now()));
  out += line("TIME-WAIT", count(sum.time_wait_now()));
  out += line("memory", count(sum.tcp_memory()) + " of " + count(sum.tcp_memory_max()) + " bytes in queues");
  Table table({"COUNTER", ">COUNT", "MEANING"});
  for (const std::string& name : order) add(table, name, counters[name].count(), counters[name].meaning());
  return out + "\n" + table.text(look);
}

int show_tcp(Client& client) {
  pb::StatsReply reply;
  if (const int code = client.stats(reply)) return code;
  if (client.json()) return print_json(reply);
  std::fputs(tcp_text(reply, client.look()).c_str(), stdout);
  return 0;
}

}  // namespace headgate::console
