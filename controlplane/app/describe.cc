// What the daemon knows, for people: the answers to System and Backends.
#include <chrono>

#include "controlplane/app/daemon.h"
#include "controlplane/config/address.h"

namespace headgate::app {

namespace pb = management::v1;

namespace {

constexpr int kProblemsMax = 20;  // backends that are down; the rest is counted

const char* name_of(health::Health health) {
  return health == health::Health::up ? "up" : health == health::Health::down ? "down" : "unknown";
}

std::string admin_of(health::Admin admin, bool drains) {
  if (admin == health::Admin::disabled) return "disabled";
  return admin == health::Admin::drain || drains ? "drain" : "enabled";
}

std::uint32_t us(std::chrono::nanoseconds time) {
  return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

void describe_probes(const health::Detail& detail, pb::BackendState& out) {
  out.set_since_s(health::Checker::unix_s(detail.changed));
  out.set_cause(detail.cause);
  out.set_last_probe_s(health::Checker::unix_s(detail.last));
  out.set_last_success(detail.last_result == health::Result::success);
  out.set_last_error(detail.last_error);
  out.set_latency_us(
      static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(detail.latency).count()));
}

void describe_push(const push::PushStats& stats, pb::PushSummary& out) {
  out.set_snapshots(stats.pushes);
  out.set_updates(stats.updates);
  out.set_resyncs(stats.resyncs);
  out.set_refusals(stats.refusals);
  const auto& buckets = stats.delay.buckets();
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    auto& bucket = *out.add_delay();
    if (i < push::DelayHistogram::kBounds.size())
      bucket.set_up_to_ms(static_cast<std::uint32_t>(push::DelayHistogram::kBounds[i].count()));
    bucket.set_count(buckets[i]);
  }
  out.set_delay_last_us(us(stats.delay.last()));
  out.set_delay_max_us(us(stats.delay.longest()));
  out.set_delay_sum_s(std::chrono::duration<double>(stats.delay.sum()).count());
}

// Routes whose pool cannot serve, those of one pool in one sentence.
void add_route_problems(const dataplane::v1::Service& service, const std::map<std::uint32_t, bool>& serves,
                        pb::SystemReply& reply) {
  std::map<std::uint32_t, std::pair<std::string, int>> dead;  // by pool: the first such route, and how many more
  for (const auto& route : service.http().route()) {
    if (!route.has_pool_id() || route.pool_id() == service.pool_id()) continue;
    const auto pool = serves.find(route.pool_id());
    if (pool != serves.end() && pool->second) continue;
    const auto [entry, fresh] = dead.try_emplace(route.pool_id(), route.name(), 0);
    if (!fresh) ++entry->second.second;
  }
  for (const auto& [pool, routes] : dead) {
    const auto& [name, more] = routes;
    reply.add_problem("service " + service.name() + " route " + name +
                      (more == 0 ? "" : " and " + std::to_string(more) + " more of the same pool") +
                      (more == 0 ? " has" : " have") + " no backend that can serve");
  }
}

}  // namespace

void BackendWatch::describe(pb::SystemReply& reply) const {
  for (const health::Standings::Pool& pool : standings_.pools()) {
    pb::PoolSummary& out = *reply.add_pool();
    out.set_name(pool.rules.name);
    out.set_backends(static_cast<std::uint32_t>(pool.rules.backends.size()));
    out.set_healthy(pool.state.healthy);
    out.set_minimum_healthy(pool.rules.minimum_healthy);
    out.set_below_minimum(pool.state.below_minimum);
    out.set_backups_serve(pool.state.backups_serve);
  }
  const health::Counters counters = checker_.counters();
  pb::ProbeSummary& probes = *reply.mutable_probes();
  probes.set_started(counters.started);
  probes.set_succeeded(counters.succeeded);
  probes.set_failed(counters.failed);
  probes.set_not_made(counters.unknown);
  probes.set_late(counters.late);
  probes.set_lag_max_us(us(counters.lag_max));
  probes.set_under_way(static_cast<std::uint32_t>(checker_.in_flight()));
}

void Daemon::describe(pb::SystemReply& reply) const {
  reply.set_version(HEADGATE_VERSION);
  reply.set_uptime_s(static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started_).count()));
  reply.set_dataplane_connected(connected_);
  reply.set_in_sync(settled_);
  std::map<std::uint32_t, std::pair<std::string, std::string>> down;  // name and cause, by id
  backends_.each_detail([&](const health::Target& target, health::Health health, const health::Detail& detail) {
    if (health == health::Health::down) down.emplace(target.backend_id, std::pair{target.name, detail.cause});
  });
  for (const auto& [id, names] : down) {
    if (reply.problem_size() == kProblemsMax) break;
    reply.add_problem(names.first + " is down: " + (names.second.empty() ? "as before the restart" : names.second));
  }
  std::uint32_t backends = 0;
  std::map<std::uint32_t, bool> serves;
  for (const auto& pool : wanted_.pool()) {
    backends += static_cast<std::uint32_t>(pool.backend_size());
    for (const auto& backend : pool.backend()) {
      serves[pool.id()] |= backend.health() == dataplane::v1::UP && !backend.drain() && backend.weight() != 0;
    }
  }
  for (const auto& service : wanted_.service()) {
    if (!serves[service.pool_id()]) reply.add_problem("service " + service.name() + " has no backend that can serve");
    add_route_problems(service, serves, reply);
  }
  backends_.describe(reply);
  describe_push(pusher_.stats(), *reply.mutable_push());
  for (const std::string& problem : backends_.problems()) reply.add_problem(problem);
  reply.set_backends(backends);
  reply.set_backends_down(static_cast<std::uint32_t>(down.size()));
  failover_.describe(reply);
  if (!connected_) reply.add_problem("the dataplane does not answer");
  if (held_)
    reply.add_problem("the dataplane refuses the configuration, and no earlier one is left: see show log");
  else if (connected_ && !settled_)
    reply.add_problem("the dataplane does not run the newest configuration yet");
  if (!configuration_.unwritten().empty())
    reply.add_problem("the configuration in force is not on disk: " + configuration_.unwritten());
  if (configuration_.rolls_back_in_s(machine_now())) reply.add_problem("a commit waits for confirmation");
}

void Daemon::describe(pb::BackendsReply& reply) const {
  const auto details = backends_.details();
  std::map<std::uint32_t, std::uint32_t> ports;  // of pools, by a service that uses them
  for (const auto& service : wanted_.service()) {
    ports.emplace(service.pool_id(), service.port());
    for (const auto& route : service.http().route()) {
      if (route.has_pool_id()) ports.emplace(route.pool_id(), service.port());
    }
  }
  for (const auto& pool : wanted_.pool()) {
    for (const auto& backend : pool.backend()) {
      pb::BackendState& out = *reply.add_backend();
      out.set_id(backend.id());
      out.set_pool(pool.name());
      out.set_name(backend.name());
      const std::uint32_t port = backend.port() != 0 ? backend.port() : ports[pool.id()];
      const bool v6 = backend.address().find(':') != std::string::npos;
      out.set_address((v6 ? "[" + backend.address() + "]" : backend.address()) +
                      (port == 0 ? "" : ":" + std::to_string(port)));
      out.set_up(backend.health() == dataplane::v1::UP);
      const health::PoolRules::Backend* rule = backends_.rule(backend.id());
      out.set_admin(admin_of(backends_.admin(backend.id()), rule != nullptr && rule->drain));
      out.set_weight(backend.weight());
      out.set_weight_configured(rule != nullptr ? rule->weight : backend.weight());
      out.set_note(backends_.why(backend.id()));
      const auto detail = details.find(backend.id());
      out.set_probed(detail != details.end());
      out.set_health(detail == details.end() ? "unprobed" : name_of(detail->second.health));
      if (detail != details.end()) describe_probes(detail->second, out);
    }
  }
}

}  // namespace headgate::app
