// Routes of HTTP services as operators ask for them. Pure.
#pragma once

#include "controlplane/api/management.pb.h"
#include "dataplane/api/dataplane.pb.h"

namespace headgate::app {

// Every route of every HTTP service in the order in which they are tried (dataplane/http/route.h), and behind them,
// without a name, what is done with the rest.
void describe_routes(const dataplane::v1::Snapshot& wanted, management::v1::HttpRoutesReply& reply);

}  // namespace headgate::app
