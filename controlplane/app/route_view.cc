#include "controlplane/app/route_view.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

namespace headgate::app {
namespace {

namespace pb = management::v1;
namespace dp = dataplane::v1;

using Pools = std::map<std::uint32_t, const std::string*>;

// Smaller is tried first: an exact host, then wildcards with more labels, then any; an exact path, then longer
// prefixes, then any; a method; more headers. What is equal keeps its order.
auto rank(const dp::HttpRoute& route) {
  const auto labels = std::count(route.host().begin(), route.host().end(), '.');
  const long host = route.host().empty() ? 1 : route.host().starts_with("*.") ? -labels : -1000;
  const long path = !route.path().empty()          ? -100'000
                    : !route.path_prefix().empty() ? -static_cast<long>(route.path_prefix().size())
                                                   : 1;
  return std::tuple(host, path, route.method().empty() ? 1 : 0, -route.header_size());
}

std::string pool_text(const Pools& pools, std::uint32_t id) {
  const auto found = pools.find(id);
  return "pool " + (found == pools.end() ? std::to_string(id) : *found->second);
}

std::string redirect_text(const dp::HttpRedirect& to) {
  const std::string scheme = to.scheme().empty() ? "" : to.scheme() + "://";
  const std::string host = !to.host().empty() ? to.host() : scheme.empty() ? "" : "HOST";
  const std::string path = !to.path().empty() ? to.path() : "PATH";
  const bool bare = scheme.empty() && !host.empty();
  return std::to_string(to.status() == 0 ? 301 : to.status()) + " to " + (bare ? "//" : scheme) + host +
         (path == "PATH" && !host.empty() ? "/PATH" : path);
}

std::string action_of(const dp::HttpRoute& route, const Pools& pools, std::uint32_t service_pool) {
  switch (route.action_case()) {
    case dp::HttpRoute::kRedirect:
      return redirect_text(route.redirect());
    case dp::HttpRoute::kStatus:
      return std::to_string(route.status());
    case dp::HttpRoute::kPoolId:
      return pool_text(pools, route.pool_id());
    case dp::HttpRoute::ACTION_NOT_SET:
      break;
  }
  return pool_text(pools, service_pool);
}

std::string path_of(const dp::HttpRoute& route) {
  if (route.path_prefix().empty()) return route.path();
  return route.path_prefix() + (route.path_prefix().ends_with('/') ? "*" : "/*");
}

}  // namespace

void describe_routes(const dp::Snapshot& wanted, pb::HttpRoutesReply& reply) {
  Pools pools;
  for (const auto& pool : wanted.pool()) pools[pool.id()] = &pool.name();
  for (const auto& service : wanted.service()) {
    if (service.protocol() != dp::HTTP) continue;
    // Of one rank in their order. std::stable_sort of libstdc++ 12 does not compile cleanly under clang 19.
    std::multimap<decltype(rank(dp::HttpRoute())), const dp::HttpRoute*> routes;
    for (const auto& route : service.http().route()) routes.emplace(rank(route), &route);
    for (const auto& [rank_of_it, route] : routes) {
      pb::HttpRouteState& out = *reply.add_route();
      out.set_service(service.name());
      out.set_name(route->name());
      out.set_host(route->host());
      out.set_path(path_of(*route));
      out.set_method(route->method());
      for (const auto& header : route->header())
        out.add_header(header.name() + (header.value().empty() ? "" : ": " + header.value()));
      out.set_action(action_of(*route, pools, service.pool_id()));
    }
    pb::HttpRouteState& rest = *reply.add_route();
    rest.set_service(service.name());
    rest.set_action(pool_text(pools, service.pool_id()));
  }
}

}  // namespace headgate::app
