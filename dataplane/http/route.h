// Which route a request takes, and what a route does with it: a pool, a redirect or an answer of our own.
//
// A route matches when all of its conditions do. Among those that match, one wins by these rules, the first that makes
// a difference: a host named exactly, then a wildcard (more labels first), then any host; a path named exactly, then a
// prefix (longer first), then any path; a method; more header conditions; the earlier route in the configuration. A
// host with no matching route falls through to wildcards and to routes for any host.
//
// Hosts are compared in normal form (host.h), paths as NormalPath::match (path.h). A prefix ends at a segment: "/api"
// and "/api/" are one prefix, which matches "/api" and "/api/x" but not "/apix". "*.a.test" matches any number of
// labels in front of ".a.test", but not "a.test" itself.
//
// The table is immutable. A look-up hashes each suffix of the host that may be a wildcard and each prefix of the path
// that may be one, so it costs the same with ten routes and with ten thousand; only routes of one host and path that
// differ in method and headers are tried one after another.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/http/message.h"
#include "dataplane/http/path.h"

namespace headgate::http {

inline constexpr std::size_t kRoutesMax = 65'536;
inline constexpr std::size_t kRoutesOfPathMax = 64;  // of one host and path: tried one after another
inline constexpr std::size_t kPrefixDepthMax = 16;   // segments of a path prefix
inline constexpr std::size_t kWildcardDepthMax = 8;  // labels behind "*."

struct Redirect {
  std::uint16_t status = 301;  // 301, 302, 303, 307 or 308
  std::string scheme;          // http or https; empty: as the request's
  std::string host;            // with its port; empty: as the request's
  std::string path;            // begins with "/"; empty: as the request's, with its query
};

struct HeaderCondition {
  std::string name, value;  // value: as it stands, with case; empty: the field is there
};

struct RouteSpec {
  enum class Path : std::uint8_t { any, exact, prefix };
  enum class Action : std::uint8_t { pool, redirect, answer };

  std::uint32_t id = 0;  // stable
  std::string name{};    // for people
  std::string host;      // "a.test", "*.a.test"; empty: any
  Path path_kind = Path::any;
  std::string path;
  std::string method;  // empty: any
  std::vector<HeaderCondition> headers;
  Action action = Action::pool;
  std::uint32_t pool_id = 0;
  Redirect redirect;
  std::uint16_t status = 404;  // of an answer: one that error_page.h has
};

class RouteTable {
 public:
  // options: as for the paths of requests. The error names the route by its id and says what to do.
  static Result<RouteTable> compile(std::span<const RouteSpec> specs, const PathOptions& options = {});

  // host: normal form without port, may be empty. path: NormalPath::match; "*" for the asterisk form, which only routes
  // for any path take. Null: no route.
  const RouteSpec* find(std::string_view host, std::string_view path, std::string_view buffer,
                        const RequestHead& head) const;
  std::size_t size() const { return routes_.size(); }

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  template <class Value>
  using TextMap = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;
  // Places in routes_ of those that share host and path, best first.
  using Candidates = std::vector<std::uint32_t>;
  struct Host {
    TextMap<Candidates> exact, prefix;  // prefixes without the slash at their end
    Candidates any;
    std::uint32_t prefix_depths = 0;  // bit d: there is a prefix of d segments
  };

  static Result<RouteSpec> normalize(const RouteSpec& spec, const PathOptions& options);
  Result<void> insert(std::uint32_t place);
  const RouteSpec* find_in(const Host& host, std::string_view path, std::string_view buffer,
                           const RequestHead& head) const;
  const RouteSpec* find_prefix(const Host& host, std::string_view path, std::string_view buffer,
                               const RequestHead& head) const;
  const RouteSpec* first_match(const Candidates& candidates, std::string_view buffer, const RequestHead& head) const;

  std::vector<RouteSpec> routes_;
  TextMap<Host> hosts_;                // "a.test"; ".a.test" for "*.a.test"; "" for any
  std::uint32_t wildcard_depths_ = 0;  // bit d: there is a wildcard with d labels behind its "*."
};

// The value of Location: an absolute URI, of parts that were validated. Its length; 0 when it does not fit, or when
// neither the redirect nor the request names a host. host: with its port, as the client named it. path and query: as
// they would be forwarded.
std::size_t write_location(const Redirect& redirect, bool secure, std::string_view host, std::string_view path,
                           std::string_view query, std::span<char> out);

}  // namespace headgate::http
