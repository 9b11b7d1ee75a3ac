// show services NAME, show http, show tcp: services whose connections end in the dataplane, and its TCP engine.
#pragma once

#include <string>

#include "controlplane/console/client.h"
#include "controlplane/console/table.h"

namespace headgate::console {

// All that is counted of the services that the name means (names.h).
int show_service(Client& client, const std::string& name);
// A row for each HTTP service.
int show_http(Client& client);
// Of all HTTP services, or of those that the name means, in the order in which they are tried.
int show_http_routes(Client& client, const std::string& service);
int show_tcp(Client& client);

// What fills those pages; pure.
std::string service_text(const management::v1::ServiceState& service, const management::v1::ServicesReply& reply,
                         const Look& look);
Table http_table(const pb::StatsReply& reply);
Table routes_table(const management::v1::HttpRoutesReply& reply);
std::string tcp_text(const pb::StatsReply& reply, const Look& look);

// The bound that `share` of what was timed did not exceed: "2.5ms"; ">300s" beyond all; "-" when nothing was timed.
std::string within(const pb::TimeHistogram& times, const google::protobuf::RepeatedField<std::uint32_t>& bounds_us,
                   double share);

}  // namespace headgate::console
