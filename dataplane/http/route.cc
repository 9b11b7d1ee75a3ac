#include "dataplane/http/route.h"

#include <algorithm>
#include <array>

#include "dataplane/http/chars.h"
#include "dataplane/http/error_page.h"
#include "dataplane/http/host.h"
#include "dataplane/http/text_writer.h"

namespace headgate::http {
namespace {

using Path = RouteSpec::Path;
using Action = RouteSpec::Action;

tl::unexpected<Error> wrong(const RouteSpec& spec, const std::string& what) {
  return fail(ErrorCode::invalid_argument, "route " + std::to_string(spec.id) + ": " + what);
}

unsigned depth_of(std::string_view text, char separator) {
  return static_cast<unsigned>(std::ranges::count(text, separator));
}

Result<void> check_host(RouteSpec& spec) {
  if (spec.host.empty()) return {};
  const bool wildcard = spec.host.starts_with("*.");
  const std::string name = wildcard ? spec.host.substr(2) : spec.host;
  const auto authority = parse_authority(name);
  if (!authority || authority->port != 0) return wrong(spec, "host " + spec.host + " is not a name without port");
  std::array<char, kHostMax> space;
  const std::string normal(normal_host(authority->host, space));
  if (wildcard && depth_of(normal, '.') + 1 > kWildcardDepthMax) {
    return wrong(spec, "host " + spec.host + " has more than " + std::to_string(kWildcardDepthMax) + " labels");
  }
  spec.host = wildcard ? "." + normal : normal;
  return {};
}

Result<void> check_path(RouteSpec& spec, const PathOptions& options) {
  if (spec.path_kind == Path::any) return {};
  if (!spec.path.starts_with('/') || !all(spec.path, kTarget) || spec.path.find_first_of("?;") != std::string::npos) {
    return wrong(spec, "path " + spec.path + " has to begin with / and have neither ? nor ; nor bytes to be encoded");
  }
  std::vector<char> space(2 * spec.path.size());
  NormalPath normal;
  const Reason reason = normalize_path(spec.path, options, space, normal);
  if (reason != Reason::none) return wrong(spec, "path " + spec.path + ": " + describe(reason));
  std::string path(normal.match);
  if (spec.path_kind == Path::prefix) {
    if (path.ends_with('/')) path.pop_back();
    if (path.empty()) spec.path_kind = Path::any;
    if (depth_of(path, '/') > kPrefixDepthMax) {
      return wrong(spec, "prefix " + spec.path + " has more than " + std::to_string(kPrefixDepthMax) + " segments");
    }
  }
  spec.path = path;
  return {};
}

Result<void> check_redirect(const RouteSpec& spec) {
  constexpr std::array<std::uint16_t, 5> kStatuses{301, 302, 303, 307, 308};
  const Redirect& redirect = spec.redirect;
  if (std::ranges::find(kStatuses, redirect.status) == kStatuses.end()) {
    return wrong(spec, "a redirect has status 301, 302, 303, 307 or 308");
  }
  if (!redirect.scheme.empty() && redirect.scheme != "http" && redirect.scheme != "https") {
    return wrong(spec, "a redirect goes to http or https");
  }
  if (!redirect.host.empty() && !parse_authority(redirect.host)) {
    return wrong(spec, "redirect host " + redirect.host + " is not a name with an optional port");
  }
  if (!redirect.path.empty() && (redirect.path[0] != '/' || !all(redirect.path, kTarget))) {
    return wrong(spec, "redirect path " + redirect.path + " has to begin with / and have no bytes to be encoded");
  }
  return {};
}

Result<void> check_rest(const RouteSpec& spec) {
  if (!all(spec.method, kToken)) return wrong(spec, "method " + spec.method + " is none");
  for (const HeaderCondition& condition : spec.headers) {
    if (condition.name.empty() || !all(condition.name, kToken) || !all(condition.value, kValue)) {
      return wrong(spec, "header condition " + condition.name + " is not a name and a value");
    }
  }
  if (spec.action == Action::redirect) return check_redirect(spec);
  if (spec.action == Action::answer && error_phrase(spec.status) == nullptr) {
    return wrong(spec, "there is no page for status " + std::to_string(spec.status));
  }
  return {};
}

bool has_field(const HeaderCondition& condition, std::string_view buffer, const RequestHead& head) {
  return std::ranges::any_of(head.fields, [&](const Field& field) {
    return same_ignoring_case(field.name_in(buffer), condition.name) &&
           (condition.value.empty() || field.value_in(buffer) == condition.value);
  });
}

bool same_conditions(const RouteSpec& a, const RouteSpec& b) {
  return a.method == b.method && std::ranges::equal(a.headers, b.headers, [](const auto& x, const auto& y) {
           return x.name == y.name && x.value == y.value;
         });
}

}  // namespace

Result<RouteSpec> RouteTable::normalize(const RouteSpec& spec, const PathOptions& options) {
  RouteSpec normal = spec;
  Result<void> result = check_host(normal);
  if (result) result = check_path(normal, options);
  if (result) result = check_rest(normal);
  if (!result) return tl::unexpected(result.error());
  return normal;
}

Result<RouteTable> RouteTable::compile(std::span<const RouteSpec> specs, const PathOptions& options) {
  RouteTable table;
  if (specs.size() > kRoutesMax) {
    return fail(ErrorCode::exhausted, "more than " + std::to_string(kRoutesMax) + " routes");
  }
  for (const RouteSpec& spec : specs) {
    auto normal = normalize(spec, options);
    if (!normal) return tl::unexpected(normal.error());
    table.routes_.push_back(std::move(*normal));
  }
  for (std::uint32_t place = 0; place < table.routes_.size(); ++place) {
    const auto inserted = table.insert(place);
    if (!inserted) return tl::unexpected(inserted.error());
  }
  return table;
}

Result<void> RouteTable::insert(std::uint32_t place) {
  const RouteSpec& spec = routes_[place];
  if (spec.host.starts_with('.')) wildcard_depths_ |= 1u << depth_of(spec.host, '.');
  Host& host = hosts_[spec.host];
  Candidates* candidates = &host.any;
  if (spec.path_kind == Path::exact) candidates = &host.exact[spec.path];
  if (spec.path_kind == Path::prefix) {
    host.prefix_depths |= 1u << depth_of(spec.path, '/');
    candidates = &host.prefix[spec.path];
  }
  for (const std::uint32_t other : *candidates) {
    if (!same_conditions(routes_[other], spec)) continue;
    return wrong(spec, "is never reached: route " + std::to_string(routes_[other].id) + " has the same conditions");
  }
  if (candidates->size() >= kRoutesOfPathMax) {
    return wrong(spec, "more than " + std::to_string(kRoutesOfPathMax) + " routes for one host and path");
  }
  candidates->push_back(place);
  std::ranges::sort(*candidates, [this](std::uint32_t a, std::uint32_t b) {
    const RouteSpec &x = routes_[a], &y = routes_[b];
    if (x.method.empty() != y.method.empty()) return y.method.empty();
    if (x.headers.size() != y.headers.size()) return x.headers.size() > y.headers.size();
    return a < b;
  });
  return {};
}

const RouteSpec* RouteTable::find(std::string_view host, std::string_view path, std::string_view buffer,
                                  const RequestHead& head) const {
  const auto look = [&](std::string_view name) -> const RouteSpec* {
    const auto found = hosts_.find(name);
    return found != hosts_.end() ? find_in(found->second, path, buffer, head) : nullptr;
  };
  if (!host.empty()) {
    if (const RouteSpec* route = look(host)) return route;
  }
  unsigned depth = depth_of(host, '.');
  for (std::size_t dot = host.find('.'); wildcard_depths_ != 0 && dot != std::string_view::npos; --depth) {
    if (depth <= kWildcardDepthMax && (wildcard_depths_ >> depth & 1) != 0) {
      if (const RouteSpec* route = look(host.substr(dot))) return route;
    }
    dot = host.find('.', dot + 1);
  }
  return look("");
}

const RouteSpec* RouteTable::find_in(const Host& host, std::string_view path, std::string_view buffer,
                                     const RequestHead& head) const {
  if (!host.exact.empty()) {
    const auto found = host.exact.find(path);
    if (found != host.exact.end()) {
      if (const RouteSpec* route = first_match(found->second, buffer, head)) return route;
    }
  }
  if (host.prefix_depths != 0) {
    if (const RouteSpec* route = find_prefix(host, path, buffer, head)) return route;
  }
  return first_match(host.any, buffer, head);
}

const RouteSpec* RouteTable::find_prefix(const Host& host, std::string_view path, std::string_view buffer,
                                         const RequestHead& head) const {
  // ends[d]: where the first d segments end.
  std::array<std::size_t, kPrefixDepthMax + 1> ends;
  std::size_t depth = 0;
  for (std::size_t at = 0; at < path.size() && path[at] == '/' && depth < kPrefixDepthMax;) {
    at = std::min(path.find('/', at + 1), path.size());
    ends[++depth] = at;
  }
  for (; depth > 0; --depth) {
    if ((host.prefix_depths >> depth & 1) == 0) continue;
    const auto found = host.prefix.find(path.substr(0, ends[depth]));
    if (found == host.prefix.end()) continue;
    if (const RouteSpec* route = first_match(found->second, buffer, head)) return route;
  }
  return nullptr;
}

const RouteSpec* RouteTable::first_match(const Candidates& candidates, std::string_view buffer,
                                         const RequestHead& head) const {
  for (const std::uint32_t place : candidates) {
    const RouteSpec& spec = routes_[place];
    if (!spec.method.empty() && spec.method != head.method_text.of(buffer)) continue;
    const bool matches = std::ranges::all_of(
        spec.headers, [&](const HeaderCondition& condition) { return has_field(condition, buffer, head); });
    if (matches) return &spec;
  }
  return nullptr;
}

std::size_t write_location(const Redirect& redirect, bool secure, std::string_view host, std::string_view path,
                           std::string_view query, std::span<char> out) {
  const std::string_view old_scheme = secure ? "https" : "http";
  const std::string_view scheme = redirect.scheme.empty() ? old_scheme : redirect.scheme;
  std::string_view target = redirect.host;
  if (target.empty()) {
    const auto authority = parse_authority(host);
    if (!authority) return 0;
    // The port of the one scheme does not serve the other.
    target = scheme == old_scheme ? host : authority->host;
  }
  TextWriter writer(out);
  writer.text(scheme).text("://").text(target);
  if (!redirect.path.empty()) {
    writer.text(redirect.path);
  } else if (path.empty() || path == "*") {
    writer.text("/");
  } else {
    if (!all(path, kTarget) || !all(query, kTarget)) return 0;
    writer.text(path).text(query);
  }
  return writer.fits() ? writer.written().size() : 0;
}

}  // namespace headgate::http
