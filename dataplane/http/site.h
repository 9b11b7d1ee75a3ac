// One HTTP service, compiled: what the sessions of all workers share. Made off the workers from a plain description,
// immutable, held by shared_ptr; a worker's sessions take the one that is current when a request begins.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "dataplane/base/ids.h"
#include "dataplane/base/result.h"
#include "dataplane/base/time.h"
#include "dataplane/http/forwarded.h"
#include "dataplane/http/header_rules.h"
#include "dataplane/http/request_parser.h"
#include "dataplane/http/route.h"
#include "dataplane/snapshot/http_spec.h"

namespace headgate::http {

inline constexpr std::uint32_t kConnectAttemptsMax = 8;  // backends tried for one request
inline constexpr std::uint32_t kQueueLimitMax = 65'536;  // of one service and worker
inline constexpr std::size_t kCookieNameMax = 64;        // bytes
inline constexpr Nanos kSiteTimeoutMax = 7 * 24 * 3600 * kSecond;

struct SiteSpec {
  ServiceId service;
  PoolId pool;  // of requests that no route takes
  snapshot::ProxySpec proxy;
  snapshot::HttpSpec http;
};

struct Site {
  // What a route has besides its conditions and action. Null: the service's.
  struct RouteRules {
    std::unique_ptr<const HeaderRules> request, response;
  };

  ServiceId service;
  PoolId pool;
  Nanos connect_timeout, idle_timeout, half_closed_timeout, queue_timeout;
  Nanos request_timeout, keepalive_timeout, response_timeout;
  std::uint32_t connect_attempts, queue_limit, requests_per_connection;
  bool reuse, access_log;
  RequestOptions requests;
  PathOptions paths;
  ForwardedOptions forwarded;
  HeaderRules request_rules, response_rules;
  RouteTable routes;
  std::unordered_map<std::uint32_t, RouteRules> rules_of_routes;  // by id; only routes that have some
  std::string cookie;                                             // empty: none
  std::uint32_t cookie_max_age_s = 0;

  // route: of `routes`, or null.
  const HeaderRules& request_rules_of(const RouteSpec* route) const;
  const HeaderRules& response_rules_of(const RouteSpec* route) const;
};

// The error says which route or rule it is about, and what to do.
Result<std::shared_ptr<const Site>> compile_site(const SiteSpec& spec);

}  // namespace headgate::http
