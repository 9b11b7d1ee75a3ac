// What became of a proxied service's sessions, and of the requests on those of an HTTP service. By slot of the service.
#pragma once

#include "dataplane/telemetry/counter.h"

namespace headgate::telemetry {

// Besides flows_started and flows_ended of the service's Traffic. HTTP: of requests, where clients wait or are told no.
struct SessionConduct {
  Counter queued;  // had to wait because every backend was at its limit
  Counter queue_full, queue_timeouts;
  Counter connect_failures;                     // of one backend: refused, unreachable
  Counter connect_timeouts;                     // of one backend
  Counter unserved;                             // were told no: no backend could be reached, or none had room in time
  Counter idle_timeouts, half_closed_timeouts;  // TCP_PROXY
  Counter client_resets, backend_resets;
  Counter bad_headers;  // clients that began without the PROXY protocol header that they must send
  Counter waiting_now;
  Histogram connect;     // of one backend, when it answered
  Histogram first_byte;  // HTTP: from the first byte of a request to that of its response
  Histogram total;       // of a session that had a backend; HTTP: of a request that had one, tunnels apart

  // All but what is a number of now.
  template <class Visit>
  void each(Visit&& visit) const {
    for (const Counter* one : {&queued, &queue_full, &queue_timeouts, &connect_failures, &connect_timeouts, &unserved,
                               &idle_timeouts, &half_closed_timeouts, &client_resets, &backend_resets, &bad_headers})
      visit(one->read());
    for (const Histogram* one : {&connect, &first_byte, &total}) one->each(visit);
  }
};

// clang-format off
#define HEADGATE_HTTP_COUNTERS(X) \
  X(sessions,           "client connections") \
  X(sessions_refused,   "client connections reset: no room") \
  X(sessions_shed,      "idle client connections that made room for new ones") \
  X(requests,           "requests whose head was complete and sound") \
  X(dials,              "connections opened to backends") \
  X(reuses,             "requests on a backend connection that had served before") \
  X(retries,            "requests tried again, with another backend or on a fresh connection") \
  X(stale,              "idle backend connections that had ended when they were looked at") \
  X(head_timeouts,      "clients too slow with a request") \
  X(keepalive_timeouts, "client connections closed for want of another request") \
  X(response_timeouts,  "backends too slow with a response") \
  X(client_stalls,      "clients that did not read their response") \
  X(tunnel_timeouts,    "upgraded connections idle for too long") \
  X(interim,            "interim responses (1xx)") \
  X(tunnels,            "connections upgraded") \
  X(bytes_up,           "bytes of requests' bodies") \
  X(bytes_down,         "bytes of responses' bodies") \
  X(shed,               "requests given up: memory was short")
// clang-format on

enum class HttpCounter : unsigned {
#define X(name, text) name,
  HEADGATE_HTTP_COUNTERS(X)
#undef X
      count
};
inline constexpr unsigned kHttpCounters = static_cast<unsigned>(HttpCounter::count);

inline constexpr std::array<CounterText, kHttpCounters> kHttpCounterTexts{{
#define X(name, text) {#name, text},
    HEADGATE_HTTP_COUNTERS(X)
#undef X
}};

// Room for http::Termination and http::Reason, which are not known here.
inline constexpr std::size_t kHttpEndsMax = 24, kHttpReasonsMax = 80;

struct HttpConduct {
  std::array<Counter, kHttpCounters> counters;
  std::array<Counter, 6> responses;  // final ones by class of status, our own included; [0]: requests that got none
  std::array<Counter, kHttpEndsMax> ends;
  std::array<Counter, kHttpReasonsMax> refusals;          // requests, by what was wrong with them
  std::array<Counter, kHttpReasonsMax> backend_failures;  // responses, likewise

  Counter& of(HttpCounter counter) { return counters[static_cast<unsigned>(counter)]; }
  template <class Visit>
  void each(Visit&& visit) const {
    for (const Counter& one : counters) visit(one.read());
    for (const Counter& one : responses) visit(one.read());
    for (const Counter& one : ends) visit(one.read());
    for (const Counter& one : refusals) visit(one.read());
    for (const Counter& one : backend_failures) visit(one.read());
  }
};

}  // namespace headgate::telemetry
