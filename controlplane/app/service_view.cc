#include "controlplane/app/service_view.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "controlplane/config/address.h"

namespace headgate::app {
namespace {

namespace pb = management::v1;
namespace dp = dataplane::v1;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](const unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool is_proxied(const dp::Service& service) {
  return service.protocol() == dp::TCP_PROXY || service.protocol() == dp::HTTP;
}

}  // namespace

void describe_services(const dp::Snapshot& wanted, const dp::StatsReply* stats, pb::ServicesReply& reply) {
  std::map<std::uint32_t, const std::string*> pools;
  for (const auto& pool : wanted.pool()) pools[pool.id()] = &pool.name();
  std::map<std::uint32_t, const dp::ServiceStats*> counted;
  if (stats != nullptr) {
    *reply.mutable_time_bound_us() = stats->time_bound_us();
    for (const auto& service : stats->service()) counted[service.id()] = &service;
  }
  for (const auto& service : wanted.service()) {
    auto& out = *reply.add_service();
    out.set_name(service.name());
    const auto address = config::parse_address(service.address());
    if (address) out.set_address(config::endpoint_text(*address, service.port()));
    out.set_protocol(lower(dp::Protocol_Name(service.protocol())));
    out.set_mode(is_proxied(service) ? "proxy" : lower(dp::Mode_Name(service.mode())));
    const auto pool = pools.find(service.pool_id());
    if (pool != pools.end()) out.set_pool(*pool->second);
    out.set_routes(static_cast<std::uint32_t>(service.http().route_size()));
    const auto found = counted.find(service.id());
    if (found != counted.end()) *out.mutable_stats() = *found->second;
  }
}

}  // namespace headgate::app
