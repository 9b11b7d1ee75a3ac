// Interfaces and routes as operators ask for them: what is configured beside what the dataplane sees. Pure.
#pragma once

#include "controlplane/api/config.pb.h"
#include "controlplane/api/management.pb.h"
#include "dataplane/api/dataplane.pb.h"

namespace headgate::app {

// `stats`, `neighbors`: null while the dataplane does not answer.
void describe_interfaces(const config::v1::Config& config, const dataplane::v1::StatsReply* stats,
                         management::v1::InterfacesReply& reply);
void describe_routes(const config::v1::Config& config, const dataplane::v1::NeighborsReply* neighbors,
                     management::v1::RoutesReply& reply);

}  // namespace headgate::app
