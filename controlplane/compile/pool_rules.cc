#include "controlplane/compile/compile.h"
#include "controlplane/compile/expand.h"

namespace headgate::compile {
namespace {

// The enumerations agree in order.
static_assert(static_cast<int>(health::BelowMinimum::keep) == config::v1::Pool::GO_ON);
static_assert(static_cast<int>(health::BelowMinimum::fail) == config::v1::Pool::FAIL);
static_assert(static_cast<int>(health::BelowMinimum::use_all) == config::v1::Pool::USE_ALL);

}  // namespace

std::vector<health::PoolRules> pool_rules(const config::v1::Config& config, const IdTable& ids) {
  std::vector<health::PoolRules> all;
  for (const PoolPart& part : expand(config).pools) {
    health::PoolRules rules;
    rules.name = part.name;
    rules.probed = part.pool->has_health_check();
    rules.minimum_healthy = part.pool->minimum_healthy();
    rules.below_minimum = static_cast<health::BelowMinimum>(part.pool->below_minimum());
    rules.slow_start = std::chrono::seconds(part.pool->slow_start_s());
    for (const BackendPart& backend : part.backends) {
      rules.backends.push_back({.id = ids.find(Kind::backend, backend.key),
                                .weight = backend.backend->has_weight() ? backend.backend->weight() : 1,
                                .drain = backend.backend->drain(),
                                .backup = backend.backend->backup()});
    }
    all.push_back(std::move(rules));
  }
  return all;
}

std::vector<health::PassiveRule> passive_rules(const config::v1::Config& config, const IdTable& ids) {
  std::vector<health::PassiveRule> all;
  for (const PoolPart& part : expand(config).pools) {
    if (!part.pool->has_passive()) continue;
    const config::v1::Passive& passive = part.pool->passive();
    for (const BackendPart& backend : part.backends) {
      all.push_back({.backend_id = ids.find(Kind::backend, backend.key),
                     .failures = passive.has_failures() ? passive.failures() : 10,
                     .hold = std::chrono::seconds(passive.has_hold_s() ? passive.hold_s() : 10)});
    }
  }
  return all;
}

}  // namespace headgate::compile
