// Sessions and requests of services whose connections end here, inside of compile().
#pragma once

#include <string>

#include "controlplane/compile/expand.h"
#include "controlplane/compile/id_table.h"
#include "dataplane/api/dataplane.pb.h"

namespace headgate::compile {

// What a route's id hangs on.
std::string route_key(const config::v1::Service& service, const config::v1::Http::Route& route);

// What is absent stays so: the defaults are the dataplane's.
dataplane::v1::Proxy compile_proxy(const config::v1::Proxy& proxy);
// Requires: service.service->has_http(), and ids for the routes and pools.
dataplane::v1::Http compile_http(const ServicePart& service, const Parts& parts, const IdTable& ids);

}  // namespace headgate::compile
