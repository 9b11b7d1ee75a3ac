// Health checks and agents of the configuration as what a prober takes.
#pragma once

#include "controlplane/api/config.pb.h"
#include "controlplane/health/check.h"

namespace headgate::compile {

// Requires: pool.has_health_check(), and the configuration passed validate().
health::SharedCheck check_of(const config::v1::Pool& pool);
// Requires: pool.has_agent().
health::SharedCheck agent_check_of(const config::v1::Pool& pool);

}  // namespace headgate::compile
