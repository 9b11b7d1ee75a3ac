// What a service whose connections end here was configured to do: messages Proxy and Http of the contract as plain
// structs, defaults filled in. A decoder fills them, dataplane/http compiles them (site.h), and neither knows the
// other. Whether the values make sense together is for the compiler to say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "dataplane/base/ids.h"
#include "dataplane/base/ip.h"
#include "dataplane/base/time.h"

namespace headgate::snapshot {

enum class ProxyHeader : std::uint8_t { none, v1, v2 };

// Message Proxy.
struct ProxySpec {
  Nanos connect_timeout = 5 * kSecond;       // for one backend
  std::uint32_t connect_attempts = 3;        // backends that are tried for one client
  Nanos idle_timeout = 300 * kSecond;        // no byte in either direction (HTTP: of an upgraded connection)
  Nanos half_closed_timeout = 60 * kSecond;  // no byte after one side has ended
  std::uint32_t queue_limit = 0;             // clients that wait for a backend below its limit; 0: none may
  Nanos queue_timeout = 5 * kSecond;
  std::vector<IpPrefix> header_from;  // clients that must begin with a PROXY protocol header
  ProxyHeader send_header = ProxyHeader::none;
};

struct HttpHeaderRule {
  enum class Action : std::uint8_t { add, set, remove };
  Action action = Action::add;
  std::string name, value;  // value: with variables, see dataplane/http/header_rules.h
};

struct HttpRedirect {
  std::uint16_t status = 301;
  std::string scheme, host, path;  // empty: the request's
};

struct HttpCondition {
  std::string name, value;  // value empty: the field is there
};

struct HttpRoute {
  std::uint32_t id = 0;
  std::string name;
  std::string host;               // "a.test", "*.a.test"; empty: any
  std::string path, path_prefix;  // at most one of the two
  std::string method;             // empty: any
  std::vector<HttpCondition> headers;
  struct ServicePool {};         // the service's
  using Status = std::uint16_t;  // an answer of our own
  std::variant<ServicePool, PoolId, HttpRedirect, Status> action;
  std::vector<HttpHeaderRule> request_headers, response_headers;  // in place of the service's, when there is one
};

struct HttpCookie {
  std::string name;
  std::uint32_t max_age_s = 0;  // 0: until the browser ends
};

// Message Http.
struct HttpSpec {
  Nanos request_timeout = 10 * kSecond;       // for a whole request head
  Nanos keepalive_timeout = 60 * kSecond;     // between requests
  Nanos response_timeout = 60 * kSecond;      // until the backend's head, and between parts of a body
  std::uint32_t requests_per_connection = 0;  // 0: no bound
  bool reuse = true;                          // false: a connection to the backend for each request
  bool x_forwarded_for = true, x_forwarded_proto = true, x_forwarded_port = false, x_forwarded_host = false;
  bool forwarded = false;         // RFC 7239
  std::vector<IpPrefix> trusted;  // proxies whose word on the client is believed
  std::vector<HttpHeaderRule> request_headers, response_headers;
  std::vector<HttpRoute> routes;  // none matches: the service's pool
  std::optional<HttpCookie> cookie;
  bool access_log = false;
};

}  // namespace headgate::snapshot
