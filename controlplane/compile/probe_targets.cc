#include <algorithm>
#include <map>

#include "controlplane/compile/checks.h"
#include "controlplane/compile/compile.h"
#include "controlplane/compile/expand.h"
#include "controlplane/config/health_check.h"
#include "controlplane/config/pool_use.h"
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

// Port to probe; validation made sure that there is exactly one answer. 0: there are no ports (icmp).
unsigned port_of(const config::v1::HealthCheck& check, const config::v1::Backend& backend, unsigned service_port) {
  if (check.has_icmp()) return 0;
  if (const auto port = config::port_of(check)) return *port;
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

health::Target make_target(const config::v1::Agent& agent) {
  health::Target target;
  target.via_path = agent.via() == config::v1::HealthCheck::PATH;
  target.interval = std::chrono::milliseconds(agent.has_interval_ms() ? agent.interval_ms() : 2000);
  target.timeout = std::chrono::milliseconds(agent.has_timeout_ms() ? agent.timeout_ms() : 1000);
  return target;
}

// Gives targets their backend: its id, names and addresses.
class Addressing {
 public:
  Addressing(const config::v1::Config& config, const IdTable& ids)
      : parts_(expand(config)), prefixes_(prefixes_of(config.probe())), ids_(ids), first_service_(parts_.pools.size()) {
    for (const ServicePart& service : parts_.services) {
      if (first_service_[service.pool] == nullptr) first_service_[service.pool] = &service;
    }
  }

  const std::vector<PoolPart>& pools() const { return parts_.pools; }

  // Requires: target.via_path is set. `pool` is one of pools().
  void fill(health::Target& target, const PoolPart& pool, const BackendPart& backend, unsigned port) const {
    const bool v4 = family_of(pool);
    target.backend_id = ids_.find(Kind::backend, backend.key);
    target.name = backend.backend->name() + " (pool " + pool.name + ", " +
                  (port != 0 ? config::endpoint_text(backend.address, port) : backend.address.to_string()) + ")";
    target.backend = backend.backend->name();
    target.address = backend.address;
    const Prefix& prefix = v4 ? prefixes_.v4 : prefixes_.v6;
    const Address address = target.via_path ? *prefix.at(target.backend_id) : backend.address;
    target.endpoint = {address, static_cast<std::uint16_t>(port)};
  }

 private:
  // The dataplane probes a pool as its first service: with that one's packets, so in that one's family (a tunnel may
  // lead to backends of the other). A pool of routes alone has one family.
  bool family_of(const PoolPart& pool) const {
    const ServicePart* service = first_service_[static_cast<std::size_t>(&pool - parts_.pools.data())];
    return service != nullptr ? service->address.is_v4() : pool.backends.front().address.is_v4();
  }

  const Parts parts_;
  const ProbePrefixes prefixes_;
  const IdTable& ids_;
  std::vector<const ServicePart*> first_service_;  // by pool
};

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
  const Addressing addressing(config, ids);
  std::map<std::string, unsigned> service_port;
  for (const config::v1::Service& service : config.service()) {
    for (const std::string& pool : config::pools_of(service)) service_port.emplace(pool, service.port());
  }
  std::vector<health::Target> targets;
  for (const PoolPart& pool : addressing.pools()) {
    if (!pool.pool->has_health_check()) continue;
    health::Target common = make_target(pool.pool->health_check());
    common.check = check_of(*pool.pool);
    for (const BackendPart& backend : pool.backends) {
      health::Target& target = targets.emplace_back(common);
      addressing.fill(target, pool, backend,
                      port_of(pool.pool->health_check(), *backend.backend, service_port[pool.pool->name()]));
    }
  }
  return targets;
}

std::vector<health::Target> agent_targets(const config::v1::Config& config, const IdTable& ids) {
  const Addressing addressing(config, ids);
  std::vector<health::Target> targets;
  for (const PoolPart& pool : addressing.pools()) {
    if (!pool.pool->has_agent()) continue;
    health::Target common = make_target(pool.pool->agent());
    common.check = agent_check_of(*pool.pool);
    for (const BackendPart& backend : pool.backends) {
      addressing.fill(targets.emplace_back(common), pool, backend, pool.pool->agent().port());
    }
  }
  return targets;
}

}  // namespace headgate::compile
