#include "dataplane/http/site.h"

#include <algorithm>
#include <unordered_set>

#include "dataplane/http/chars.h"

namespace headgate::http {
namespace {

tl::unexpected<Error> wrong(const std::string& what) {
  return fail(ErrorCode::invalid_argument, what);
}

std::string name_of(const snapshot::HttpRoute& route) {
  return "route " + std::to_string(route.id) + (route.name.empty() ? "" : " (" + route.name + ")") + ": ";
}

Result<HeaderRules> compile_rules(const std::vector<snapshot::HttpHeaderRule>& rules, const std::string& where) {
  std::vector<HeaderRuleSpec> specs;
  specs.reserve(rules.size());
  for (const snapshot::HttpHeaderRule& rule : rules) {
    using From = snapshot::HttpHeaderRule::Action;
    const auto action = rule.action == From::add   ? HeaderRuleSpec::Action::add
                        : rule.action == From::set ? HeaderRuleSpec::Action::set
                                                   : HeaderRuleSpec::Action::remove;
    specs.push_back({action, rule.name, rule.value});
  }
  auto compiled = HeaderRules::compile(specs);
  if (!compiled) return wrong(where + compiled.error().message);
  return compiled;
}

Result<std::unique_ptr<const HeaderRules>> compile_own_rules(const std::vector<snapshot::HttpHeaderRule>& rules,
                                                             const std::string& where) {
  if (rules.empty()) return std::unique_ptr<const HeaderRules>();
  auto compiled = compile_rules(rules, where);
  if (!compiled) return tl::unexpected(compiled.error());
  return std::make_unique<const HeaderRules>(std::move(*compiled));
}

Result<RouteSpec> to_route(const snapshot::HttpRoute& route, PoolId pool) {
  RouteSpec spec;
  spec.id = route.id;
  spec.name = route.name;
  spec.host = route.host;
  spec.method = route.method;
  if (!route.path.empty() && !route.path_prefix.empty()) {
    return wrong(name_of(route) + "has both path and path_prefix; leave one of them out");
  }
  if (!route.path.empty()) spec.path_kind = RouteSpec::Path::exact;
  if (!route.path_prefix.empty()) spec.path_kind = RouteSpec::Path::prefix;
  spec.path = route.path + route.path_prefix;
  for (const snapshot::HttpCondition& condition : route.headers) {
    spec.headers.push_back({condition.name, condition.value});
  }
  spec.pool_id = pool.value;
  if (const auto* other = std::get_if<PoolId>(&route.action)) {
    spec.pool_id = other->value;
  } else if (const auto* redirect = std::get_if<snapshot::HttpRedirect>(&route.action)) {
    spec.action = RouteSpec::Action::redirect;
    spec.redirect = {redirect->status, redirect->scheme, redirect->host, redirect->path};
  } else if (const auto* status = std::get_if<snapshot::HttpRoute::Status>(&route.action)) {
    spec.action = RouteSpec::Action::answer;
    spec.status = *status;
  }
  if (spec.action == RouteSpec::Action::pool && spec.pool_id == 0) {
    return wrong(name_of(route) + "has no pool, and neither has the service; name one");
  }
  return spec;
}

Result<void> compile_routes(const SiteSpec& spec, Site& site) {
  std::vector<RouteSpec> routes;
  std::unordered_set<std::uint32_t> ids;
  for (const snapshot::HttpRoute& route : spec.http.routes) {
    if (!ids.insert(route.id).second) return wrong(name_of(route) + "another route has this id; ids are unique");
    auto converted = to_route(route, spec.pool);
    if (!converted) return tl::unexpected(converted.error());
    routes.push_back(std::move(*converted));
    auto request = compile_own_rules(route.request_headers, name_of(route) + "request ");
    if (!request) return tl::unexpected(request.error());
    auto response = compile_own_rules(route.response_headers, name_of(route) + "response ");
    if (!response) return tl::unexpected(response.error());
    if (*request != nullptr || *response != nullptr) {
      site.rules_of_routes[route.id] = {std::move(*request), std::move(*response)};
    }
  }
  auto table = RouteTable::compile(routes, site.paths);
  if (!table) return tl::unexpected(table.error());
  site.routes = std::move(*table);
  return {};
}

Result<void> check_times(const SiteSpec& spec) {
  const struct {
    const char* name;
    Nanos value;
  } times[] = {
      {"connect_timeout", spec.proxy.connect_timeout},         {"idle_timeout", spec.proxy.idle_timeout},
      {"half_closed_timeout", spec.proxy.half_closed_timeout}, {"queue_timeout", spec.proxy.queue_timeout},
      {"request_timeout", spec.http.request_timeout},          {"keepalive_timeout", spec.http.keepalive_timeout},
      {"response_timeout", spec.http.response_timeout},
  };
  for (const auto& time : times) {
    if (time.value < kMillisecond || time.value > kSiteTimeoutMax) {
      return wrong(std::string(time.name) + " has to be between 1 ms and 7 days");
    }
  }
  return {};
}

Result<void> check_rest(const SiteSpec& spec) {
  if (spec.proxy.connect_attempts == 0 || spec.proxy.connect_attempts > kConnectAttemptsMax) {
    return wrong("connect_attempts has to be between 1 and " + std::to_string(kConnectAttemptsMax));
  }
  if (spec.proxy.queue_limit > kQueueLimitMax) {
    return wrong("queue_limit has to be at most " + std::to_string(kQueueLimitMax));
  }
  // A backend connection carries the requests of many clients.
  if (spec.proxy.send_header != snapshot::ProxyHeader::none) {
    return wrong("send_header is not for HTTP; X-Forwarded-For or Forwarded tell the backend who the client is");
  }
  if (!spec.proxy.header_from.empty()) {
    return wrong("header_from is not served for HTTP; leave it out, and put the proxies before this one into trusted");
  }
  if (!spec.http.cookie) return {};
  const std::string& cookie = spec.http.cookie->name;
  if (cookie.empty() || cookie.size() > kCookieNameMax || !all(cookie, kToken)) {
    return wrong("cookie name \"" + cookie + "\" is not one; use at most " + std::to_string(kCookieNameMax) +
                 " letters, digits, - and _");
  }
  return {};
}

}  // namespace

const HeaderRules& Site::request_rules_of(const RouteSpec* route) const {
  if (route == nullptr || rules_of_routes.empty()) return request_rules;
  const auto found = rules_of_routes.find(route->id);
  return found != rules_of_routes.end() && found->second.request != nullptr ? *found->second.request : request_rules;
}

const HeaderRules& Site::response_rules_of(const RouteSpec* route) const {
  if (route == nullptr || rules_of_routes.empty()) return response_rules;
  const auto found = rules_of_routes.find(route->id);
  return found != rules_of_routes.end() && found->second.response != nullptr ? *found->second.response : response_rules;
}

Result<std::shared_ptr<const Site>> compile_site(const SiteSpec& spec) {
  Result<void> good = check_times(spec);
  if (good) good = check_rest(spec);
  if (!good) return tl::unexpected(good.error());
  auto site = std::make_shared<Site>();
  site->service = spec.service;
  site->pool = spec.pool;
  site->connect_timeout = spec.proxy.connect_timeout;
  site->idle_timeout = spec.proxy.idle_timeout;
  site->half_closed_timeout = spec.proxy.half_closed_timeout;
  site->queue_timeout = spec.proxy.queue_timeout;
  site->request_timeout = spec.http.request_timeout;
  site->keepalive_timeout = spec.http.keepalive_timeout;
  site->response_timeout = spec.http.response_timeout;
  site->connect_attempts = spec.proxy.connect_attempts;
  site->queue_limit = spec.proxy.queue_limit;
  site->requests_per_connection = spec.http.requests_per_connection;
  site->reuse = spec.http.reuse;
  site->access_log = spec.http.access_log;
  site->requests.scanner = &best_scanner();
  site->forwarded = {spec.http.x_forwarded_for,  spec.http.x_forwarded_proto, spec.http.x_forwarded_port,
                     spec.http.x_forwarded_host, spec.http.forwarded,         spec.http.trusted};
  if (spec.http.cookie) {
    site->cookie = spec.http.cookie->name;
    site->cookie_max_age_s = spec.http.cookie->max_age_s;
  }
  auto request_rules = compile_rules(spec.http.request_headers, "request ");
  if (!request_rules) return tl::unexpected(request_rules.error());
  site->request_rules = std::move(*request_rules);
  auto response_rules = compile_rules(spec.http.response_headers, "response ");
  if (!response_rules) return tl::unexpected(response_rules.error());
  site->response_rules = std::move(*response_rules);
  good = compile_routes(spec, *site);
  if (!good) return tl::unexpected(good.error());
  return std::shared_ptr<const Site>(std::move(site));
}

}  // namespace headgate::http
