#include "dataplane/http/routing.h"

#include "dataplane/http/host.h"

namespace headgate::http {

Reason path_of(const Site& site, const RequestHead& head, std::string_view buffer, std::span<char> space,
               NormalPath& out) {
  if (head.form != TargetForm::asterisk) return normalize_path(head.path.of(buffer), site.paths, space, out);
  out = {{}, "*"};
  return Reason::none;
}

Direction direct(const Site& site, const RequestHead& head, std::string_view buffer, const RoutingSpace& space) {
  using To = Direction::To;
  Direction out;
  out.host = head.authority.of(buffer);
  if (const auto authority = parse_authority(out.host)) out.normal_host = normal_host(authority->host, space.host);
  out.reason = path_of(site, head, buffer, space.path, out.path);
  if (out.reason != Reason::none) return out;
  if (head.max_forwards == 0) {
    out.to = To::here;
    return out;
  }
  out.route = site.routes.find(out.normal_host, out.path.match, buffer, head);
  out.pool = out.route != nullptr ? PoolId{out.route->pool_id} : site.pool;
  if (out.route != nullptr && out.route->action == RouteSpec::Action::redirect) {
    out.to = To::redirect;
  } else if (out.route != nullptr && out.route->action == RouteSpec::Action::answer) {
    out.to = To::answer;
  } else {
    out.to = out.pool ? To::pool : To::nowhere;
  }
  return out;
}

std::size_t write_location_of(const Direction& direction, const RequestHead& head, std::string_view buffer,
                              std::span<char> out) {
  return write_location(direction.route->redirect, false, direction.host, direction.path.forward, head.query.of(buffer),
                        out);
}

RequestRewrite rewrite_of(const Site& site, const RouteSpec* route, std::string_view path) {
  RequestRewrite rewrite;
  rewrite.forwarded = &site.forwarded;
  rewrite.rules = &site.request_rules_of(route);
  rewrite.path = path;
  rewrite.cookie = site.cookie;
  rewrite.close = !site.reuse;
  return rewrite;
}

std::optional<CookieSigner::Content> read_cookie(const Site& site, const CookieSigner& signer, PoolId pool,
                                                 const RequestHead& head, std::string_view buffer) {
  if (site.cookie.empty() || !head.fields.has(FieldName::cookie)) return std::nullopt;
  for (const Field& field : head.fields) {
    if (field.name != FieldName::cookie) continue;
    CookieReader reader(field.value_in(buffer));
    for (CookiePair pair; reader.next(pair);) {
      if (pair.name != site.cookie) continue;
      if (const auto content = signer.open(pool.value, pair.value)) return content;
    }
  }
  return std::nullopt;
}

}  // namespace headgate::http
