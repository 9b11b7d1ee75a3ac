// Services as operators ask for them: what is wanted of the dataplane beside what it counts. Pure.
#pragma once

#include "controlplane/api/management.pb.h"
#include "dataplane/api/dataplane.pb.h"

namespace headgate::app {

// `stats`: null while the dataplane does not answer.
void describe_services(const dataplane::v1::Snapshot& wanted, const dataplane::v1::StatsReply* stats,
                       management::v1::ServicesReply& reply);

}  // namespace headgate::app
