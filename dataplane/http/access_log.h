// One line per request: the combined format that every tool reads, and behind it what only the proxy knows. Formatting
// alone; where the line goes is somebody else's business.
//
//   198.51.100.7 - - [29/Nov/2026:13:05:09 +0000] "GET /p?q HTTP/1.1" 200 512 "http://a.test/" "curl/7.88.1"
//       web/pool-a/server-1 0/1/12/15 complete 0 a.test 00000042
//
// service/pool/backend, then milliseconds (queued/connect/first byte/total, "-" for what did not happen), how it ended,
// retries, host, request id. Bytes that came from outside and are not visible ASCII, quotes and backslashes are written
// as \xNN: a line is one line whatever a client sends, and no terminal is told anything.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/base/ip.h"
#include "dataplane/base/time.h"

namespace headgate::http {

// clang-format off
#define HEADGATE_HTTP_TERMINATIONS(X) \
  X(complete,           "the response went to the client to its end") \
  X(refused,            "the request was refused, see its reason") \
  X(answered,           "the proxy answered itself: a redirect or a configured status") \
  X(client_closed,      "the client left before the end") \
  X(client_timeout,     "the client was too slow to send its request") \
  X(client_stalled,     "the client did not read the response") \
  X(no_route,           "no route for this request") \
  X(no_backend,         "no backend serves") \
  X(queue_full,         "every backend is at its limit, and so is the queue") \
  X(queue_timeout,      "it waited too long for a backend") \
  X(connect_failed,     "no backend could be connected to") \
  X(backend_closed,     "the backend closed before the end of its response") \
  X(backend_timeout,    "the backend did not answer in time") \
  X(backend_malformed,  "the backend's response was malformed") \
  X(upgraded,           "it became a tunnel, which has ended") \
  X(shed,               "memory or connections were short") \
  X(shutdown,           "the service went away")
// clang-format on

enum class Termination : std::uint8_t {
#define X(name, text) name,
  HEADGATE_HTTP_TERMINATIONS(X)
#undef X
      count
};
inline constexpr unsigned kTerminations = static_cast<unsigned>(Termination::count);
const char* to_string(Termination termination);
const char* describe(Termination termination);

struct AccessRecord {
  IpAddress client;
  std::int64_t unix_s = 0;              // when the request began
  std::string_view method{}, target{};  // as received; empty: none was read
  std::uint8_t minor_version = 1;
  unsigned status = 0;           // sent to the client; 0: none
  std::uint64_t bytes_sent = 0;  // of the body
  std::string_view referer{}, user_agent{}, host{};
  std::string_view service{}, pool{}, backend{};
  Nanos queued = kNever, connect = kNever, first_byte = kNever, total = kNever;  // kNever: did not happen
  Termination termination = Termination::complete;
  const char* reason = nullptr;  // of a refusal: follows the termination after a ":"
  unsigned retries = 0;
  std::string_view request_id{};
};

inline constexpr std::size_t kAccessLineMax = 3072;
inline constexpr std::size_t kLoggedTextMax = 512;  // of each field that came from outside, as written; the rest is cut

// The line with "\n". Its length; never more than kAccessLineMax, which `out` has to have room for.
std::size_t write_access_line(const AccessRecord& record, std::span<char> out);

// "Sun, 06 Nov 1994 08:49:37 GMT" (IMF-fixdate, RFC 9110 5.6.7), 29 bytes, for Date.
std::size_t write_http_date(std::int64_t unix_s, std::span<char> out);

}  // namespace headgate::http
