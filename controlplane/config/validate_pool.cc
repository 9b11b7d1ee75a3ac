// What a pool says of its backends together: minimum, backups, slow start, what traffic shows.
#include <algorithm>

#include "controlplane/config/checks.h"

namespace headgate::config {
namespace {

void check_minimum(const Node& node, const v1::Pool& pool, Report& report) {
  if (pool.minimum_healthy() > static_cast<std::uint32_t>(pool.backend_size())) {
    report.warn(node.location_of("minimum_healthy"),
                "minimum_healthy is " + std::to_string(pool.minimum_healthy()) + ", but pool " + quoted(pool.name()) +
                    " has " + std::to_string(pool.backend_size()) + " backends: the alarm never ends",
                "lower it or add backends");
  }
  if (pool.has_below_minimum() && pool.minimum_healthy() == 0) {
    report.warn(node.location_of("below_minimum"), "below_minimum has no effect without minimum_healthy",
                "set minimum_healthy or remove it");
  }
}

void check_backups(const Node& node, const v1::Pool& pool, Report& report) {
  const auto is_backup = [](const v1::Backend& backend) { return backend.backup() != 0; };
  if (pool.backend_size() != 0 && std::all_of(pool.backend().begin(), pool.backend().end(), is_backup)) {
    report.warn(node.location(), "every backend of pool " + quoted(pool.name()) + " is a backup",
                "set backup: 0 for those that serve always");
  }
}

bool answers_pass_here(const Site& site, const std::string& pool) {
  const auto& users = site.users_of(pool);
  return std::any_of(users.begin(), users.end(), [](const v1::Service* service) {
    return service->protocol() != v1::Service::UDP &&
           (service->mode() == v1::Service::FULL_NAT || service->mode() == v1::Service::NAT);
  });
}

void check_passive(const Site& site, const Node& node, const v1::Pool& pool, Report& report) {
  if (!pool.has_passive()) return;
  const Location where = node.child("passive").location();
  if (!pool.has_health_check()) {
    report.error(where,
                 "passive takes a backend down and nothing would bring it back: pool " + quoted(pool.name()) +
                     " has no health_check",
                 "add health_check { tcp {} }");
  }
  if (!answers_pass_here(site, pool.name())) {
    report.warn(where, "passive has no effect: no TCP service in mode FULL_NAT or NAT uses pool " + quoted(pool.name()),
                "remove it");
  }
}

void check_slow_start(const Node& node, const v1::Pool& pool, Report& report) {
  if (pool.slow_start_s() == 0) return;
  if (pool.algorithm() == v1::Pool::SOURCE_HASH || pool.algorithm() == v1::Pool::MAGLEV) {
    report.warn(node.location_of("slow_start_s"),
                "with algorithm " + v1::Pool::Algorithm_Name(pool.algorithm()) +
                    " each step of a slow start moves clients to another backend",
                "remove slow_start_s or use ROUND_ROBIN or LEAST_CONNECTIONS");
  }
}

void check_fast_interval(const Node& node, const v1::Pool& pool, Report& report) {
  const v1::HealthCheck& check = pool.health_check();
  const std::uint32_t interval = check.has_interval_ms() ? check.interval_ms() : 2000;
  if (!check.has_fast_interval_ms() || check.fast_interval_ms() <= interval) return;
  report.warn(node.child("health_check").location_of("fast_interval_ms"),
              "fast_interval_ms " + std::to_string(check.fast_interval_ms()) + " is above interval_ms " +
                  std::to_string(interval) + " and has no effect",
              "lower it or remove it");
}

}  // namespace

void check_pool_rules(const Site& site, const Node& node, const v1::Pool& pool, Report& report) {
  check_minimum(node, pool, report);
  check_backups(node, pool, report);
  check_passive(site, node, pool, report);
  check_slow_start(node, pool, report);
  check_fast_interval(node, pool, report);
}

}  // namespace headgate::config
