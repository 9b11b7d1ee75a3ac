#include <algorithm>
#include <map>

#include "controlplane/compile/compile.h"
#include "controlplane/compile/expand.h"
#include "controlplane/config/validate.h"

namespace headgate::compile {
namespace {

using config::Address;
using config::Prefix;

struct ProbePrefixes {
  Prefix v4, v6;
};

ProbePrefixes prefixes_of(const config::v1::Probe& probe) {
  return {*config::parse_prefix(probe.has_prefix_v4() ? probe.prefix_v4() : config::kProbePrefixV4),
          *config::parse_prefix(probe.has_prefix_v6() ? probe.prefix_v6() : config::kProbePrefixV6)};
}

// Port to probe; validation made sure that there is exactly one answer.
unsigned port_of(const config::v1::HealthCheck& check, const config::v1::Backend& backend, unsigned service_port) {
  if (check.tcp().has_port()) return check.tcp().port();
  return backend.has_port() ? backend.port() : service_port;
}

health::Target make_target(const config::v1::HealthCheck& check) {
  health::Target target;
  target.via_path = check.via() == config::v1::HealthCheck::PATH;
  target.interval = std::chrono::milliseconds(check.has_interval_ms() ? check.interval_ms() : 2000);
  target.fast_interval = std::chrono::milliseconds(check.has_fast_interval_ms() ? check.fast_interval_ms() : 500);
  target.timeout = std::chrono::milliseconds(check.has_timeout_ms() ? check.timeout_ms() : 1000);
  target.rise = check.has_rise() ? check.rise() : 2;
  target.fall = check.has_fall() ? check.fall() : 3;
  return target;
}

}  // namespace

std::string probe_prefix_problem(const config::v1::Config& config, const IdTable& ids) {
  if (!config.has_probe()) return {};
  std::uint32_t highest = 0;
  for (const PoolPart& pool : expand(config).pools) {
    for (const BackendPart& backend : pool.backends) highest = std::max(highest, ids.find(Kind::backend, backend.key));
  }
  const ProbePrefixes prefixes = prefixes_of(config.probe());
  for (const Prefix& prefix : {prefixes.v4, prefixes.v6}) {
    if (highest < prefix.size()) continue;
    return "probe prefix " + prefix.to_string() + " has no address for backend id " + std::to_string(highest) +
           "; use a shorter prefix";
  }
  return {};
}

std::vector<health::Target> probe_targets(const config::v1::Config& config, const IdTable& ids) {
  const Parts parts = expand(config);
  std::map<std::string, unsigned> service_port;
  for (const config::v1::Service& service : config.service()) service_port.emplace(service.pool(), service.port());
  const ProbePrefixes prefixes = prefixes_of(config.probe());
  // The dataplane probes a pool as its first service: with that one's packets, so in that one's family (a tunnel may
  // lead to backends of the other).
  std::vector<const ServicePart*> first_service(parts.pools.size(), nullptr);
  for (const ServicePart& service : parts.services) {
    if (first_service[service.pool] == nullptr) first_service[service.pool] = &service;
  }
  std::vector<health::Target> targets;
  for (std::size_t i = 0; i < parts.pools.size(); ++i) {
    const PoolPart& pool = parts.pools[i];
    if (!pool.pool->has_health_check()) continue;
    const config::v1::HealthCheck& check = pool.pool->health_check();
    const bool v4 =
        first_service[i] != nullptr ? first_service[i]->address.is_v4() : pool.backends.front().address.is_v4();
    for (const BackendPart& backend : pool.backends) {
      health::Target target = make_target(check);
      const unsigned port = port_of(check, *backend.backend, service_port[pool.pool->name()]);
      target.backend_id = ids.find(Kind::backend, backend.key);
      target.name =
          backend.backend->name() + " (pool " + pool.name + ", " + config::endpoint_text(backend.address, port) + ")";
      const Prefix& prefix = v4 ? prefixes.v4 : prefixes.v6;
      const Address address = target.via_path ? *prefix.at(target.backend_id) : backend.address;
      target.endpoint = {address, static_cast<std::uint16_t>(port)};
      targets.push_back(std::move(target));
    }
  }
  return targets;
}

}  // namespace headgate::compile
