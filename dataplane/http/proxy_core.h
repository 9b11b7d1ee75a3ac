// What the roles of the proxy share, as tcp/core.h does for the engine: a file for each role, functions over Core and a
// Session. A session goes through phases; drive() asks the role of its phase what comes next until there is nothing to
// do. A role that ends the session says so (Step::gone), and nobody touches it after that.
//
//   idle -> head -> [queued ->] [asking ->] [dialing ->] relay -> idle ...   proxy_request, proxy_backend,
//   proxy_response
//                                              relay -> tunnel        101
//   any -> closing                                                    proxy_answer: FIN, then read on for a while
//
// What a request needs is a Transaction, taken with its first byte and given back with the end of its response; a
// session without one is 120 bytes. Head buffers are held while a head is incomplete or may have to be sent again.
#pragma once

#include <deque>
#include <optional>

#include "dataplane/base/check.h"
#include "dataplane/http/body_relay.h"
#include "dataplane/http/link_table.h"
#include "dataplane/http/proxy.h"
#include "dataplane/http/response_parser.h"
#include "dataplane/http/rewrite.h"
#include "dataplane/http/site_table.h"
#include "dataplane/tcp/timers.h"

namespace headgate::http {

using tcp::kNone;
using telemetry::HttpCounter;

// -- limits
inline constexpr std::size_t kHeadBuffer = Limits{}.head_bytes;
inline constexpr unsigned kTimersPerTurn = 64;              // next_deadline() says when some are left
inline constexpr unsigned kRequestsPerTurn = 16;            // of one session: pipelined ones do not hold up others
inline constexpr std::uint32_t kLingerBytesMax = 4u << 20;  // read from a client that was told to stop
inline constexpr Nanos kLingerTime = 5 * kSecond;           // for a client to close after it has all
inline constexpr Nanos kFlushTime = 30 * kSecond;  // without progress, for what is queued: repetitions may be needed
inline constexpr Nanos kLinkCloseTime = 30 * kSecond;    // for a backend to take what is queued and close
inline constexpr Nanos kQueueSweep = 10 * kMillisecond;  // limits are the box's: other workers give back, too
inline constexpr std::uint64_t kProgressMin = 512;       // bytes a timeout; a client that takes less is stalled
inline constexpr std::size_t kTriedMax = kConnectAttemptsMax + 8;  // backends avoided in one choice
inline constexpr unsigned kAsksMax =
    16;  // of one request outside of the queue, kDialAgain apart: then it is at its limit
inline constexpr std::size_t kPoolsOfSweepMax = 16;  // found at their limit in one sweep
inline constexpr std::size_t kSetCookieMax = 256;
inline constexpr std::size_t kUpgradeNameMax = 32;
inline constexpr std::size_t kRequestIdBytes = 16;

enum class Phase : std::uint8_t { idle, head, queued, asking, dialing, relay, tunnel, closing };
enum class Step : std::uint8_t { again, wait, gone };

struct Session {
  tcp::WheelNode wheel;
  tcp::ConnectionId client;
  Client who;
  Nanos since = 0;                // what the phase's timeout counts from
  std::uint64_t seen = 0;         // progress when the timer last looked
  std::uint32_t service = kNone;  // place in SiteTable
  std::uint32_t transaction = kNone;
  std::uint32_t requests = 0;
  std::uint32_t next_ready = kNone;
  std::uint32_t previous = kNone, next = kNone;  // in the list of its phase: queued ones, or idle ones
  std::uint32_t lingered = 0;                    // bytes read while closing
  std::uint32_t turn = 0;                        // the last one in which a request began
  std::uint16_t in_turn = 0;                     // requests begun in it
  Phase phase = Phase::idle;
  bool fin = false;  // the client will send no more
  bool ready = false;
  bool listed = false;    // as idle
  bool flushing = false;  // closing, and the client does not have everything after a first look
};
static_assert(sizeof(Session) <= 120);

struct SessionList {
  std::uint32_t head = kNone, tail = kNone, size = 0;
};

struct HeadBuffer {
  std::array<char, kHeadBuffer> bytes;
};

// Text of a request that outlives its buffer, for the log: each cut to what a line shows.
class LogText {
 public:
  enum Part : std::uint8_t { method, target, referer, user_agent, host, count };
  void clear() { ends_.fill(0); }
  void add(Part part, std::string_view text);  // in this order
  std::string_view of(Part part) const;

 private:
  std::array<char, kMethodMax + 3 * kLoggedTextMax + kHostMax + 7> bytes_;
  std::array<std::uint16_t, count> ends_{};
};

// What of a transaction is set anew for each request.
struct TransactionState {
  std::uint32_t link = kNone;
  std::uint32_t version = kNone;                              // of the site
  std::uint32_t request_head = kNone, response_head = kNone;  // buffers
  std::uint32_t request_bytes = 0, response_bytes = 0;        // in them
  const RouteSpec* route = nullptr;
  PoolId pool;
  BackendId backend;
  std::optional<CookieSigner::Content> cookie;  // what the client brought
  std::array<BackendId, kConnectAttemptsMax> tried{};
  std::uint8_t tried_count = 0;
  bool parsed = false;  // the request's head is complete and sound
  bool reused = false;  // the link has carried requests before
  bool heard = false;   // the backend said something
  bool asked = false;   // whether `backend` may have one more connection: dial it again
  std::uint8_t asks = 0;
  bool replayed = false;                          // sent a second time, after an idle connection turned out to be dead
  bool answered = false;                          // the final response's head went to the client
  bool up_blocked = false, down_blocked = false;  // waits for writable(), which comes when half of the buffer is free
  bool keep_client = false, keep_link = false;
  Method method = Method::other;
  std::uint8_t client_minor_version = 1;
  std::uint16_t status = 0;
  std::uint32_t page_bytes = 0;  // of an answer of our own
  std::uint8_t retries = 0;
  std::uint8_t upgrade_length = 0;
  std::array<char, kUpgradeNameMax> upgrade{};
  std::array<char, kRequestIdBytes> id{};
  IpAddress client;  // as far as trust reaches
  std::int64_t unix_s = 0;
  Nanos begun = 0, queued_at = 0, dialed_at = 0;
  Nanos queued_for = kNever, dialed_for = kNever, first_byte = kNever;

  std::string_view upgrade_text() const { return {upgrade.data(), upgrade_length}; }
};

struct Transaction : TransactionState {
  static const RequestOptions kNoOptions;
  RequestParser request{kNoOptions};
  ResponseParser response{Limits{}, best_scanner()};
  BodyRelay up, down;
  LogText text;
};

// A fixed number of large objects, made when first needed and kept.
template <class T>
class Pool {
 public:
  explicit Pool(std::uint32_t capacity) : capacity_(capacity) { free_.reserve(capacity); }
  std::uint32_t allocate() {
    if (!free_.empty()) {
      const std::uint32_t index = free_.back();
      free_.pop_back();
      return index;
    }
    if (items_.size() == capacity_) return kNone;
    items_.emplace_back();
    return static_cast<std::uint32_t>(items_.size() - 1);
  }
  void free(std::uint32_t index) { free_.push_back(index); }
  T& operator[](std::uint32_t index) { return items_[index]; }
  std::uint32_t used() const { return static_cast<std::uint32_t>(items_.size() - free_.size()); }

 private:
  std::uint32_t capacity_;
  std::deque<T> items_;
  std::vector<std::uint32_t> free_;
};

struct Scratch {                                    // for one head at a time
  std::array<char, kHeadBuffer + 48 * 1024> space;  // what is written of it
  std::array<char, 2 * kHeadBuffer + 48 * 1024> out;
  std::array<char, 2 * kHeadBuffer> path;
  std::array<char, kHeadBuffer + 1024> location;
  std::array<char, kHostMax> host;
  std::array<char, kSetCookieMax> cookie;
};

struct Core {
  Core(const ProxyConfig& configuration, tcp::Engine& tcp_engine, tcp::Dialer& tcp_dialer,
       const ProxyCounters& worker_counters, AccessSink* sink, Nanos start);

  ProxyConfig config;
  tcp::Engine& engine;
  tcp::Dialer& dialer;
  AccessSink* log;
  Nanos now;
  std::int64_t unix_s = -1;
  std::array<char, 32> date{};
  std::size_t date_length = 0;
  std::uint32_t turn = 0;
  std::uint64_t requests = 0;  // numbered
  tcp::Slab<Session> sessions;
  tcp::TimerWheel wheel;
  LinkTable links;
  Pool<Transaction> transactions;
  Pool<HeadBuffer> heads;
  SiteTable sites;
  CookieSigner signer;
  std::unique_ptr<Scratch> scratch;
  const ProxyCounters counters;
  std::uint32_t ready_head = kNone, ready_tail = kNone;  // sessions with work left for the next turn
  SessionList queue, idle;  // oldest first; idle: between requests, not before the first one
  Nanos sweep_at = kNever;  // when to look at the queue

  std::uint32_t index_of(const Session& s) { return static_cast<std::uint32_t>(&s - &sessions[0]); }
  Transaction& transaction_of(const Session& s) { return transactions[s.transaction]; }
  const Site& site_of(const Transaction& t) const { return sites.of(t.version); }
  std::string_view request_text(const Transaction& t) { return {heads[t.request_head].bytes.data(), t.request_bytes}; }
  std::string_view response_text(const Transaction& t) {
    return {heads[t.response_head].bytes.data(), t.response_bytes};
  }
  std::string_view date_text() const { return {date.data(), date_length}; }
  telemetry::SessionConduct& sessions_of(const Session& s) { return counters.sessions[sites.slot(s.service)]; }
  telemetry::HttpConduct& http_of(const Session& s) { return counters.http[sites.slot(s.service)]; }
  void count(const Session& s, telemetry::HttpCounter counter, std::uint64_t n = 1) { http_of(s).of(counter).add(n); }
};

// User words of connections: the kind, one bit for the side, the index of the session or link.
inline constexpr std::uint64_t kLinkBit = std::uint64_t{1} << 32;

// -- sessions (proxy.cc, proxy_time.cc)
void drive(Core& k, Session& s);
// Looks at the session again in the next turn.
void defer(Core& k, Session& s);
void set_phase(Core& k, Session& s, Phase phase);
void append(Core& k, SessionList& list, Session& s);
void remove(Core& k, SessionList& list, Session& s);
Nanos timeout_of(Core& k, const Session& s);
void arm(Core& k, Session& s);  // after `since` or what its timeout depends on came nearer
void advance(Core& k);
Nanos next_deadline(const Core& k, Nanos now);

// -- requests (proxy_request.cc)
Step begin_request(Core& k, Session& s);
Step read_request(Core& k, Session& s);
RequestContext context_of(Core& k, const Session& s, const Transaction& t);
// The whole head towards the link, or why not.
Reason send_request(Core& k, const Session& s, Transaction& t, bool& no_memory);

// -- backends (proxy_backend.cc)
Step assign(Core& k, Session& s);       // a backend and a link for the request, or a place in the queue
Step start_relay(Core& k, Session& s);  // the link is open: the request goes
Step link_broke(Core& k, Session& s, tcp::Dialer::Ending ending);  // before the response's head was complete
Step dial_failed(Core& k, Session& s, bool timed_out);             // its link is given back already
void sweep_queue(Core& k);
void leave_queue(Core& k, Session& s);
// The link is not the session's any more: kept for the next request when that may be, else closed in order.
void release_link(Core& k, Transaction& t, bool keep);
void abort_link(Core& k, Transaction& t, tcp::Dialer::Ending ending = tcp::Dialer::Ending::closed);
void close_link(Core& k, std::uint32_t index);                            // FIN
void end_link(Core& k, std::uint32_t index, tcp::Dialer::Ending ending);  // after the engine's last word, or abort

// -- responses and tunnels (proxy_response.cc)
Step relay(Core& k, Session& s);
void tunnel_ended(Core& k, Session& s, bool client);  // one side's FIN
Step tunnel_closed(Core& k, Session& s, bool client, bool broken);

// -- answers of our own and ends (proxy_answer.cc)
struct Answer {
  unsigned status = 500;
  Termination termination = Termination::answered;
  Reason reason = Reason::none;
  std::string_view location{};
  std::uint32_t retry_after_s = 0;
};
// In place of a response. Requires: a transaction whose response has not begun. The link is given up.
Step answer(Core& k, Session& s, const Answer& answer);
Step refuse(Core& k, Session& s, Reason reason);
Step shed(Core& k, Session& s);         // memory or connections are short
Step shed_unread(Core& k, Session& s);  // before there was a transaction
// Ends the transaction in the log and counters. Requires: no link.
void finish(Core& k, Session& s, Termination termination, Reason reason = Reason::none);
// Resets the client, ends the transaction if there is one.
Step abort_session(Core& k, Session& s, Termination termination, Reason reason = Reason::none);
// FIN behind what is queued; what still comes is read and forgotten, so that no reset takes the answer away.
Step close_client(Core& k, Session& s);
Step linger(Core& k, Session& s);
void free_session(Core& k, Session& s);

inline std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace headgate::http
