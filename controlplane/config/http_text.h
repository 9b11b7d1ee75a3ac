// What HTTP lets the texts of a configuration be: hosts, paths, names and values of headers. A copy of the rules of
// dataplane/http, which checks again (README: Decisions); http_text_test.cc has the cases of its tests. RFC 9110 5.1,
// 5.5, 7.2; RFC 3986 6.2.2; RFC 9112 5.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "controlplane/api/config.pb.h"
#include "controlplane/config/format.h"

namespace headgate::config {

// Limits of the dataplane (snapshot/model.h, http/route.h, http/limits.h).
inline constexpr std::size_t kProxyPrefixesMax = 256;    // accept_proxy_from, or trusted_proxy, of one service
inline constexpr std::size_t kHttpRoutesMax = 1024;      // of one service
inline constexpr std::size_t kHttpRoutesOfPathMax = 64;  // of one host and path
inline constexpr std::size_t kHttpPrefixDepthMax = 16;   // segments of a path prefix
inline constexpr std::size_t kHttpWildcardDepthMax = 8;  // labels behind "*."
inline constexpr std::size_t kHttpHostMax = 255;         // bytes
inline constexpr std::size_t kHttpMethodMax = 32;        // bytes
inline constexpr std::size_t kHttpTextMax = 4096;        // bytes of a path; of a header's name and value together
// Of ours: what a head is written with stays well inside of what backends take, and of a session's buffers.
inline constexpr std::size_t kHttpHeaderRulesMax = 32;              // of one list
inline constexpr std::size_t kHttpHeaderRulesBytesMax = 16 * 1024;  // names and values of one list
inline constexpr std::size_t kHttpConditionsMax = 16;               // headers of one route
inline constexpr std::size_t kHttpCookieNameMax = 64;               // bytes

template <class T>
using HttpText = tl::expected<T, FormatProblem>;

bool is_http_token(std::string_view text);         // names of headers and cookies, methods; not empty
bool is_http_header_value(std::string_view text);  // no control bytes but tab; may be empty

struct HttpAuthority {
  std::string host;        // in lower case, without the dot at the end of a full name; IPv6 in brackets
  std::uint16_t port = 0;  // 0: none was written
};
// "www.example.com", "192.0.2.1:8080", "[2001:db8::1]:80"; nothing else, as the dataplane reads requests.
std::optional<HttpAuthority> parse_http_authority(std::string_view text);

// Of a route's host, as requests' are compared with it: ".example.com" for "*.example.com".
HttpText<std::string> normal_route_host(const std::string& host);

enum class HttpPath { exact, prefix };
// Of a route's path, as requests' are compared with it: decoded, without dot segments and empty ones; a prefix without
// the slash at its end, and empty when that leaves nothing: every path begins so.
HttpText<std::string> normal_route_path(const std::string& path, HttpPath kind);

// What a redirect may send clients to: a path, and a query.
std::optional<FormatProblem> redirect_path_problem(const std::string& path);

// Why a rule may not touch a header, or write such a value. Requires: is_http_token(rule.name()).
std::optional<FormatProblem> header_name_problem(const v1::Http::HeaderRule& rule);
std::optional<FormatProblem> header_value_problem(const std::string& value);

}  // namespace headgate::config
