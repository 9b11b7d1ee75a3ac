#include "controlplane/compile/http.h"

namespace headgate::compile {
namespace {

namespace in = config::v1;
namespace out = dataplane::v1;

static_assert(static_cast<int>(out::PROXY_HEADER_V2) == static_cast<int>(in::Proxy::V2));

out::HttpHeaderRule::Action action_of(in::Http::HeaderRule::Action action) {
  switch (action) {
    case in::Http::HeaderRule::ADD:
      return out::HttpHeaderRule::ADD;
    case in::Http::HeaderRule::REMOVE:
      return out::HttpHeaderRule::REMOVE;
    default:
      return out::HttpHeaderRule::SET;
  }
}

template <class From, class To>
void add_rules(const From& from, To& to) {
  for (const in::Http::HeaderRule& rule : from) {
    out::HttpHeaderRule& copy = *to.Add();
    copy.set_action(action_of(rule.action()));
    copy.set_name(rule.name());
    if (rule.action() != in::Http::HeaderRule::REMOVE) copy.set_value(rule.value());
  }
}

out::HttpRedirect compile_redirect(const in::Http::Redirect& from) {
  out::HttpRedirect to;
  to.set_status(from.status());
  if (from.scheme() != in::Http::Redirect::SAME)
    to.set_scheme(from.scheme() == in::Http::Redirect::HTTPS ? "https" : "http");
  to.set_host(from.host());
  to.set_path(from.path());
  return to;
}

// Without its pool.
out::HttpRoute compile_route(const in::Http::Route& from) {
  out::HttpRoute to;
  to.set_name(from.name());
  to.set_host(from.host());
  to.set_path(from.path());
  to.set_path_prefix(from.path_prefix());
  to.set_method(from.method());
  for (const in::Http::Condition& condition : from.header()) {
    out::HttpCondition& copy = *to.add_header();
    copy.set_name(condition.name());
    copy.set_value(condition.value());
  }
  if (from.has_redirect()) *to.mutable_redirect() = compile_redirect(from.redirect());
  if (from.has_status()) to.set_status(from.status());
  add_rules(from.request_header(), *to.mutable_request_header());
  add_rules(from.response_header(), *to.mutable_response_header());
  return to;
}

}  // namespace

std::string route_key(const in::Service& service, const in::Http::Route& route) {
  return service.name() + "/" + route.name();
}

out::Proxy compile_proxy(const in::Proxy& from) {
  out::Proxy to;
  to.set_connect_timeout_ms(from.connect_timeout_ms());
  to.set_connect_attempts(from.connect_attempts());
  to.set_idle_timeout_s(from.idle_timeout_s());
  to.set_half_closed_timeout_s(from.half_closed_timeout_s());
  to.set_queue_limit(from.queue_limit());
  to.set_queue_timeout_ms(from.queue_timeout_ms());
  *to.mutable_header_from() = from.accept_proxy_from();
  to.set_send_header(static_cast<out::ProxyHeader>(from.send_proxy()));
  return to;
}

out::Http compile_http(const ServicePart& service, const Parts& parts, const IdTable& ids) {
  const in::Http& from = service.service->http();
  out::Http to;
  to.set_request_timeout_ms(from.request_timeout_ms());
  to.set_keepalive_timeout_s(from.keepalive_timeout_s());
  to.set_response_timeout_s(from.response_timeout_s());
  to.set_requests_per_connection(from.requests_per_connection());
  to.set_no_reuse(from.has_reuse_connections() && !from.reuse_connections());
  to.set_no_x_forwarded_for(from.has_x_forwarded_for() && !from.x_forwarded_for());
  to.set_no_x_forwarded_proto(from.has_x_forwarded_proto() && !from.x_forwarded_proto());
  to.set_x_forwarded_port(from.x_forwarded_port());
  to.set_x_forwarded_host(from.x_forwarded_host());
  to.set_forwarded(from.forwarded());
  *to.mutable_trusted() = from.trusted_proxy();
  add_rules(from.request_header(), *to.mutable_request_header());
  add_rules(from.response_header(), *to.mutable_response_header());
  auto pool = service.route_pools.begin();
  for (const in::Http::Route& route : from.route()) {
    out::HttpRoute& copy = *to.add_route();
    copy = compile_route(route);
    copy.set_id(ids.find(Kind::route, route_key(*service.service, route)));
    if (route.has_pool()) copy.set_pool_id(ids.find(Kind::pool, parts.pools[*pool++].key));
  }
  if (from.has_cookie()) {
    to.mutable_cookie()->set_name(from.cookie().name());
    to.mutable_cookie()->set_max_age_s(from.cookie().max_age_s());
  }
  to.set_access_log(from.access_log());
  return to;
}

}  // namespace headgate::compile
