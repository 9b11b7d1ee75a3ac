// Groups of the configuration as the dataplane runs them on this box, inside of compile().
#pragma once

#include <vector>

#include "controlplane/compile/expand.h"
#include "controlplane/compile/id_table.h"
#include "dataplane/api/dataplane.pb.h"

namespace headgate::compile {

// Of the group that a field `group` means; 0 without groups.
std::uint32_t group_id(const config::v1::Config& config, const std::string& name, const IdTable& ids);

// The Failover message: this side's priorities, and one router for each network and family in which a group has
// addresses. Requires: there is a group, and failover.
void add_failover(const config::v1::Config& config, const IdTable& ids, dataplane::v1::Snapshot& snapshot);

// Local addresses that a service in mode FULL_NAT is to name. None: it takes all of its family, as without groups.
// With groups only those of its own group will do, which are here exactly when the service is; where that has none,
// those that never leave this box.
std::vector<const LocalPart*> local_addresses(const ServicePart& service, const Parts& parts,
                                              const config::v1::Config& config);

}  // namespace headgate::compile
