// What an HTTP service does with requests: its routes, header rules and cookie.
#include <algorithm>

#include "controlplane/config/checks.h"
#include "controlplane/config/http_text.h"

namespace headgate::config {
namespace {

using Route = v1::Http::Route;
using Rule = v1::Http::HeaderRule;

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return text;
}

std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// The names of a list that differ in case alone: headers have no case. Equal ones are the schema's to report.
template <class Entries>
void check_names(const Node& node, const char* list, const Entries& entries, Report& report) {
  std::map<std::string, std::string> seen;
  for (int i = 0; i < entries.size(); ++i) {
    const std::string& name = entries[i].name();
    const auto [other, fresh] = seen.emplace(lower(name), name);
    if (fresh || other->second == name) continue;
    report.error(
        node.child(list, i).location(),
        std::string("headers have no case: ") + list + " " + quoted(other->second) + " is the same as " + quoted(name),
        "name each header once");
  }
}

void check_rule(const Node& node, const Rule& rule, Report& report) {
  if (!is_http_token(rule.name())) return;  // reported by the schema
  if (const auto problem = header_name_problem(rule)) {
    report.error(node.location(), problem->what, problem->action);
    return;
  }
  if (const auto problem = header_value_problem(rule.value()))
    report.error(node.location_of("value"), problem->what, problem->action);
  if (const std::size_t bytes = rule.name().size() + rule.value().size(); bytes > kHttpTextMax) {
    report.error(node.location(), "name and value have " + std::to_string(bytes) + " bytes",
                 "use at most " + std::to_string(kHttpTextMax));
  }
  if (rule.action() == Rule::REMOVE && rule.has_value()) {
    report.warn(node.location_of("value"), "value has no effect with action REMOVE", "remove it or use action: SET");
  }
  if (rule.action() != Rule::REMOVE && !rule.has_value()) {
    report.warn(node.location(), "header " + quoted(rule.name()) + " has no value and is sent empty",
                "set value, or use action: REMOVE");
  }
}

template <class Rules>
void check_rules(const Node& node, const char* list, const Rules& rules, Report& report) {
  if (static_cast<std::size_t>(rules.size()) > kHttpHeaderRulesMax) {
    report.error(node.location_of(list, 0), std::to_string(rules.size()) + " times " + list,
                 "use at most " + std::to_string(kHttpHeaderRulesMax));
  }
  check_names(node, list, rules, report);
  std::size_t bytes = 0;
  for (int i = 0; i < rules.size(); ++i) {
    bytes += rules[i].name().size() + rules[i].value().size();
    check_rule(node.child(list, i), rules[i], report);
  }
  if (bytes > kHttpHeaderRulesBytesMax) {
    report.error(node.location_of(list, 0), "all " + std::string(list) + " have " + std::to_string(bytes) + " bytes",
                 "use at most " + std::to_string(kHttpHeaderRulesBytesMax) + " for names and values");
  }
}

void check_cookie(const Node& node, const v1::Http::Cookie& cookie, Report& report) {
  if (cookie.name().size() > kHttpCookieNameMax) {
    report.error(node.location_of("name"), "the name has " + std::to_string(cookie.name().size()) + " bytes",
                 "use at most " + std::to_string(kHttpCookieNameMax));
  }
  // RFC 6265bis 4.1.3.
  for (const char* prefix : {"__secure-", "__host-"}) {
    if (!lower(cookie.name()).starts_with(prefix)) continue;
    report.warn(node.location_of("name"), "browsers take a cookie named " + quoted(cookie.name()) + " by https alone",
                "choose another name");
  }
}

// A route's conditions as requests are compared with them.
struct Conditions {
  std::string host;
  enum class Path { any, exact, prefix } kind = Path::any;
  std::string path, method;
  std::map<std::string, std::string> headers;  // value empty: any

  auto key() const {
    std::vector<std::string> names;
    for (const auto& [name, value] : headers) names.push_back(name);
    return std::tuple(host, kind, path, method, names);
  }
  // Requires: the same key. Every request that `other` takes, this one takes too.
  bool covers(const Conditions& other) const {
    return std::equal(headers.begin(), headers.end(), other.headers.begin(),
                      [](const auto& a, const auto& b) { return a.second.empty() || a.second == b.second; });
  }
};

class RouteCheck {
 public:
  RouteCheck(const Node& node, const Route& route, Report& report) : node_(node), route_(route), report_(report) {}

  // Nothing when they are refused.
  std::optional<Conditions> conditions() {
    Conditions out;
    bool good = check_host(out);
    good = check_path(out) && good;
    good = check_method(out) && good;
    good = check_headers(out) && good;
    return good ? std::optional(std::move(out)) : std::nullopt;
  }

  void check_action() {
    std::vector<std::string> actions;
    for (const char* name : {"pool", "redirect", "status"}) {
      const auto* field = Route::descriptor()->FindFieldByName(name);
      if (Route::GetReflection()->HasField(route_, field)) actions.emplace_back(name);
    }
    if (actions.size() > 1) {
      report_.error(node_.location_of(actions.back().c_str()), label() + " has several actions: " + listed(actions),
                    "keep one of them");
    }
    if (route_.has_redirect()) check_redirect(node_.child("redirect"), route_.redirect());
    if (route_.has_status()) check_status();
    check_rules(node_, "request_header", route_.request_header(), report_);
    check_rules(node_, "response_header", route_.response_header(), report_);
    check_effect("request_header", route_.request_header_size());
    check_effect("response_header", route_.response_header_size());
  }

 private:
  std::string label() const { return "route " + quoted(route_.name()); }

  void report(const char* field, const FormatProblem& problem) {
    report_.error(node_.location_of(field), problem.what, problem.action);
  }

  bool check_host(Conditions& out) {
    if (!route_.has_host()) return true;
    const auto host = normal_route_host(route_.host());
    if (host) {
      out.host = *host;
    } else {
      report("host", host.error());
    }
    return host.has_value();
  }

  bool check_path(Conditions& out) {
    if (route_.has_path() && route_.has_path_prefix()) {
      report_.error(node_.location_of("path_prefix"), label() + " has path and path_prefix", "keep one of them");
      return false;
    }
    if (!route_.has_path() && !route_.has_path_prefix()) return true;
    const bool exact = route_.has_path();
    const auto path = exact ? normal_route_path(route_.path(), HttpPath::exact)
                            : normal_route_path(route_.path_prefix(), HttpPath::prefix);
    if (!path) {
      report(exact ? "path" : "path_prefix", path.error());
      return false;
    }
    out.path = *path;
    out.kind = exact ? Conditions::Path::exact : path->empty() ? Conditions::Path::any : Conditions::Path::prefix;
    return true;
  }

  bool check_method(Conditions& out) {
    if (!route_.has_method()) return true;
    out.method = route_.method();
    if (!is_http_token(out.method)) return false;  // reported by the schema
    if (out.method.size() > kHttpMethodMax) {
      report_.error(node_.location_of("method"), "the method has " + std::to_string(out.method.size()) + " bytes",
                    "use at most " + std::to_string(kHttpMethodMax));
      return false;
    }
    const bool small = std::any_of(out.method.begin(), out.method.end(), [](char c) { return c >= 'a' && c <= 'z'; });
    if (small)
      never("method", "methods have a case, and " + quoted(out.method) + " is none that clients use",
            "write it in capitals");
    if (out.method == "CONNECT") never("method", "requests with method CONNECT are refused", "remove the route");
    return true;
  }

  bool check_headers(Conditions& out) {
    bool good = true;
    if (static_cast<std::size_t>(route_.header_size()) > kHttpConditionsMax) {
      report_.error(node_.location_of("header", 0), std::to_string(route_.header_size()) + " times header",
                    "use at most " + std::to_string(kHttpConditionsMax));
      good = false;
    }
    check_names(node_, "header", route_.header(), report_);
    for (int i = 0; i < route_.header_size(); ++i) {
      const v1::Http::Condition& condition = route_.header(i);
      good = is_http_token(condition.name()) && good;  // reported by the schema
      const Node node = node_.child("header", i);
      const std::string& value = condition.value();
      const std::size_t bytes = condition.name().size() + value.size();
      if (!is_http_header_value(value) || bytes > kHttpTextMax) {
        report_.error(node.location_of("value"), quoted(condition.name()) + " has no header's value",
                      "leave out control bytes, and use at most " + std::to_string(kHttpTextMax) + " bytes");
        good = false;
      }
      const auto blank = [](char c) { return c == ' ' || c == '\t'; };
      if (!value.empty() && (blank(value.front()) || blank(value.back()))) {
        never(node.location_of("value"), "values are compared without the blanks around them", "remove those here");
      }
      good = out.headers.emplace(lower(condition.name()), value).second && good;
    }
    return good;
  }

  // Rules are for what comes from and goes to a backend; this box's own answers are as they are.
  void check_effect(const char* list, int rules) {
    if (rules == 0 || (!route_.has_redirect() && !route_.has_status())) return;
    report_.warn(node_.location_of(list, 0),
                 std::string(list) + " has no effect: this box answers " + label() + " itself", "remove it");
  }

  void check_redirect(const Node& node, const v1::Http::Redirect& redirect) {
    if (redirect.has_status() && redirect.status() > 303 && redirect.status() < 307) {
      report_.error(node.location_of("status"), "status " + std::to_string(redirect.status()) + " is no redirect",
                    "use 301, 302, 303, 307 or 308");
    }
    if (redirect.has_host() && !parse_http_authority(redirect.host())) {
      report_.error(node.location_of("host"), quoted(redirect.host()) + " is no host to redirect to",
                    "write it like www.example.com or www.example.com:8080");
    }
    if (redirect.has_path()) {
      if (const auto problem = redirect_path_problem(redirect.path()))
        report_.error(node.location_of("path"), problem->what, problem->action);
    }
    if (redirect.scheme() != v1::Http::Redirect::HTTPS && !redirect.has_host() && !redirect.has_path()) {
      report_.error(node.location(), "the redirect leads where the client came from", "set scheme, host or path");
    }
  }

  // Statuses that dataplane/http has a page for.
  void check_status() {
    static const std::set<std::uint32_t> kStatuses{200, 400, 403, 404, 405, 408, 413, 414, 417,
                                                   421, 429, 431, 500, 501, 502, 503, 504, 505};
    if (kStatuses.contains(route_.status())) return;
    if (route_.status() > 300 && route_.status() < 309) {
      report_.error(node_.location_of("status"),
                    "status " + std::to_string(route_.status()) + " needs a place to go to", "use redirect { ... }");
      return;
    }
    std::string all;
    for (const std::uint32_t status : kStatuses) all += (all.empty() ? "" : ", ") + std::to_string(status);
    report_.error(node_.location_of("status"), "there is no page for status " + std::to_string(route_.status()),
                  "possible are " + all);
  }

  void never(Location where, const std::string& why, const std::string& action) {
    report_.warn(where, label() + " never matches: " + why, action);
  }
  void never(const char* field, const std::string& why, const std::string& action) {
    never(node_.location_of(field), why, action);
  }

  const Node node_;
  const Route& route_;
  Report& report_;
};

// Routes that no request can reach, because one before takes all of theirs.
class Reach {
 public:
  explicit Reach(Report& report) : report_(report) {}

  void add(Location where, const std::string& name, Conditions conditions) {
    const auto path = std::tuple(conditions.host, conditions.kind, conditions.path);
    if (++of_path_[path] == kHttpRoutesOfPathMax + 1) {
      report_.error(where, "more than " + std::to_string(kHttpRoutesOfPathMax) + " routes have this host and path",
                    "tell them apart by path");
    }
    auto& alike = alike_[conditions.key()];
    for (const auto& [earlier, other] : alike) {
      if (!other.covers(conditions)) continue;
      if (other.headers == conditions.headers) {
        report_.error(
            where, "route " + quoted(name) + " is never reached: route " + quoted(earlier) + " has the same conditions",
            "remove one of the two");
      } else {
        report_.warn(where,
                     "route " + quoted(name) + " never matches: route " + quoted(earlier) +
                         " before it takes all of its requests",
                     "write it before that one");
      }
      return;
    }
    if (alike.size() <= kHttpRoutesOfPathMax) alike.emplace_back(name, std::move(conditions));
  }

 private:
  Report& report_;
  std::map<std::tuple<std::string, Conditions::Path, std::string>, std::size_t> of_path_;
  std::map<decltype(Conditions().key()), std::vector<std::pair<std::string, Conditions>>> alike_;
};

}  // namespace

void check_http(const Node& node, const v1::Http& http, Report& report) {
  check_prefix_count(node, "trusted_proxy", http.trusted_proxy_size(), report);
  for (int i = 0; i < http.trusted_proxy_size(); ++i) {
    const auto prefix = parse_prefix(http.trusted_proxy(i));
    if (!prefix || prefix->length != 0) continue;
    report.warn(node.location_of("trusted_proxy", i), "every client is believed what it says of who it is",
                "name only the proxies before this box");
  }
  check_rules(node, "request_header", http.request_header(), report);
  check_rules(node, "response_header", http.response_header(), report);
  if (http.has_cookie()) check_cookie(node.child("cookie"), http.cookie(), report);
  if (static_cast<std::size_t>(http.route_size()) > kHttpRoutesMax) {
    report.error(node.location(), std::to_string(http.route_size()) + " routes",
                 "use at most " + std::to_string(kHttpRoutesMax));
    return;
  }
  Reach reach(report);
  for (int i = 0; i < http.route_size(); ++i) {
    const Node child = node.child("route", i);
    RouteCheck check(child, http.route(i), report);
    auto conditions = check.conditions();
    check.check_action();
    if (conditions) reach.add(child.location(), http.route(i).name(), std::move(*conditions));
  }
}

}  // namespace headgate::config
