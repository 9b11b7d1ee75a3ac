// Source hash and Maglev: pure functions of client and snapshot, equal on every worker and box.
#pragma once

#include "dataplane/balance/balancer.h"

namespace headgate::balance {

// kNone when every usable backend is excluded. Requires: pool.usable is not empty, the pool has the algorithm.
std::uint16_t by_source(const snapshot::Snapshot& snapshot, const snapshot::Pool& pool, const ClientKey& client,
                        const Exclusions& excluded);
std::uint16_t by_maglev(const snapshot::Snapshot& snapshot, const snapshot::Pool& pool, const ClientKey& client,
                        const Exclusions& excluded);

// The first of pool.usable at or after `position`, cyclically, that is not excluded; kNone when all are.
std::uint16_t next_usable(const snapshot::Pool& pool, std::size_t position, const Exclusions& excluded);

}  // namespace headgate::balance
