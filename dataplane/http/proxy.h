// HTTP/1.1 sessions of one worker: client connections of its TCP engine, requests one after another on each, and
// backend connections that are shared by them. What messages mean is in the pure files of this folder; here is when.
//
// A worker's turn: tick() first, engine input, advance(), Engine::flush(), which calls the events below for connections
// whose user word says Speaker::http. A pure function of these calls: no clock, no system call, no allocation for a
// request once the pools have grown. Single threaded.
//
// Invariants: a request is answered once, in order, or its client connection is reset; a response that can not be
// completed is never ended as if it were whole; nothing of a refused request reaches a backend, but for a body that
// turns out malformed behind a good head: then the backend connection is aborted. Every connection that Dialer::dial()
// gave is ended() once.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/http/access_log.h"
#include "dataplane/http/cookie.h"
#include "dataplane/http/explain.h"
#include "dataplane/http/session_view.h"
#include "dataplane/http/site.h"
#include "dataplane/tcp/dialer.h"
#include "dataplane/tcp/engine.h"
#include "dataplane/telemetry/session_counters.h"

namespace headgate::http {

// Memory is a sum of these: sessions x 120 B, links x 48 B, and, grown as needed and kept, transactions x 9.3 KiB,
// heads x 16 KiB. 100,000 sessions of which 1,000 have a request: 12 MB and 25 MB.
struct ProxyConfig {
  std::uint32_t sessions = 4096;      // client connections
  std::uint32_t links = 4096;         // backend connections, idle ones included
  std::uint32_t transactions = 1024;  // requests under way, from their first byte to the end of the response
  std::uint32_t heads = 1024;         // buffers: one for each request until its response begins, one for that's head
  std::uint32_t idle_links = 1024;    // kept for later requests; the oldest gives way
  std::uint32_t idle_links_per_backend = 64;  // of one service
  Nanos idle_link_timeout = 30 * kSecond;     // below what servers allow: the one who closes first loses no request
  std::uint32_t queue = 4096;                 // requests that wait for a backend, of all services
  unsigned workers = 1;                       // that share a service's queue_limit
  std::uint64_t seed = 0;                     // differs between workers and boots: request ids begin with it
  std::vector<SipKey> cookie_keys{SipKey{}};  // until set_cookie_keys()
};

// What there is now. What happened is counted by service (telemetry/session_counters.h).
struct ProxyGauges {
  std::uint32_t sessions_now = 0, transactions_now = 0, links_now = 0, idle_links_now = 0, queued_now = 0,
                heads_now = 0;
};

// One writer: the proxy's worker. By slot of the service.
struct ProxyCounters {
  telemetry::SparseCounters<telemetry::SessionConduct>& sessions;
  telemetry::SparseCounters<telemetry::HttpConduct>& http;
};

// Where finished requests are told. Text is valid during the call only.
class AccessSink {
 public:
  virtual ~AccessSink() = default;
  // service, pool and backend of the record are left empty: whoever knows their names fills them in.
  virtual void request(const AccessRecord& record, ServiceId service, PoolId pool, BackendId backend) = 0;
};

struct Client {
  IpAddress address, service_address;
  std::uint16_t port = 0, service_port = 0;
};

struct Core;

class Proxy {
 public:
  // engine, dialer, counters and log outlive the proxy; log may be null. Requires: engine and proxy see the same `now`.
  Proxy(const ProxyConfig& config, tcp::Engine& engine, tcp::Dialer& dialer, const ProxyCounters& counters,
        AccessSink* log, Nanos now);
  ~Proxy();

  // Once a turn, before everything else. unix_s: seconds since 1970, for Date, log and cookies.
  void tick(Nanos now, std::int64_t unix_s);

  // A client of a service, whose slot is its own as long as it has sessions. False: there is no room, and the
  // connection was aborted.
  bool accepted(tcp::ConnectionId id, ServiceId service, Slot slot, const std::shared_ptr<const Site>& site,
                const Client& client);
  // As tcp::Events has them.
  void connected(tcp::ConnectionId id);
  void data(tcp::ConnectionId id);
  void writable(tcp::ConnectionId id);
  void fin(tcp::ConnectionId id);
  void reset(tcp::ConnectionId id, tcp::CloseReason reason);
  void closed(tcp::ConnectionId id, tcp::CloseReason reason);

  void advance(Nanos now);
  Nanos next_deadline(Nanos now) const;  // `now` itself: there is work left from this turn

  // The service was configured anew: requests that begin from here follow `site`. Null: it is gone, or to be drained;
  // each session ends with its next response.
  void update(ServiceId service, const std::shared_ptr<const Site>& site);
  // The first signs persistence cookies from here on, all are believed. Requires: 1 to CookieSigner::kKeysMax.
  void set_cookie_keys(std::span<const SipKey> keys);
  // Backends' states changed: idle connections to those that are not usable any more are closed.
  void close_unusable();

  ProxyGauges gauges() const;
  // What would happen to a request that came by such a connection (explain.h).
  ExplainedRequest explain(const Site& site, const RequestContext& context, std::string_view text) const;
  // For those who look at all of it in slices: what is at each position below touched(), if anything is. A session that
  // is to end is told by Engine::terminate() of its client.
  std::uint32_t sessions_touched() const;
  std::optional<SessionView> session_at(std::uint32_t position) const;
  std::uint32_t links_touched() const;
  std::optional<SessionView> unused_link_at(std::uint32_t position) const;  // idle, or closing
  // The first broken invariant, or an empty string. Walks everything: for tests.
  std::string audit() const;

 private:
  std::unique_ptr<Core> core_;
};

}  // namespace headgate::http
