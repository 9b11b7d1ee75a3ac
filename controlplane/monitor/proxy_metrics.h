// What Prometheus reads of services whose connections end in the dataplane, and of its TCP engine.
#pragma once

#include "controlplane/monitor/page.h"
#include "dataplane/api/dataplane.pb.h"

namespace headgate::monitor {

// Nothing of a service that is forwarded. Requires: service is of stats.
void proxied_service(Page& page, const dataplane::v1::StatsReply& stats, const dataplane::v1::ServiceStats& service);
void tcp_engine(Page& page, const dataplane::v1::WorkerStats& worker);

}  // namespace headgate::monitor
