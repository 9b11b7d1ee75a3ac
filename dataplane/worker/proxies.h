// The half of a worker in which connections end: its TCP engine, the sessions on it, and what they need of the rest.
// It listens for the services that are proxied, hands the engine's events to who speaks on a connection, and is the
// Dialer behind which sessions get backends: the worker's balancer, limits and local ports, shared with its flows.
//
// A connection has a Leg beside it, by the engine's index: what is given back when the connection ends, whoever ended
// it, and where its frames go. Runs on the worker's thread, as everything of a worker.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/balance/balancer.h"
#include "dataplane/balance/connection_limit.h"
#include "dataplane/balance/persistence.h"
#include "dataplane/flow/flow_table.h"
#include "dataplane/flow/port_allocator.h"
#include "dataplane/http/proxy.h"
#include "dataplane/neighbor/neighbor_table.h"
#include "dataplane/proxy/frames.h"
#include "dataplane/proxy/relay.h"
#include "dataplane/snapshot/model.h"
#include "dataplane/tcp/dialer.h"
#include "dataplane/tcp/engine.h"
#include "dataplane/telemetry/counters.h"
#include "dataplane/worker/access_log.h"
#include "dataplane/worker/mailbox.h"
#include "dataplane/worker/steering.h"

namespace headgate::worker {

// Sizes of one worker. connections 0: nothing is proxied here.
struct ProxyConfig {
  std::uint32_t connections = 0;        // both legs of a session count
  std::uint64_t memory = 32ull << 20;   // true size of the buffers its queues may hold
  std::uint32_t own_buffers = 1 << 14;  // of the worker's own pool, that heads, answers and packed payload may hold
  SipKey secret{};                      // random per boot, and each worker's own
  SipKey cookie_key{};                  // of persistence cookies: random per boot, the same on all workers
};

// What it uses of the worker. Borrowed; outlives it.
struct ProxyParts {
  unsigned worker = 0;
  const Steering& steering;
  Mailboxes& mailboxes;
  balance::LimitBoard& limits;
  const flow::FlowTable& flows;
  flow::PortAllocator& ports;
  balance::Balancer& balancer;
  balance::PersistenceTable& persistence;
  balance::WorkerLoad& load;
  telemetry::WorkerCounters& counters;
  rte_mempool* pool = nullptr;
};

struct Leg {
  std::uint32_t generation = 0;  // of the connection; 0: none
  std::uint32_t hop_epoch = 0;   // of `hop`; 0: not known yet
  neighbor::NeighborRef hop = neighbor::kNoNeighbor;
  std::uint32_t endpoint = 0;                 // the backend's, as local ports are counted by
  Slot service = kNoSlot, backend = kNoSlot;  // backend: kNoSlot on the client's side
  Slot local = kNoSlot;
  std::uint16_t local_port = 0;
  tcp::Tick began = 0;
  snapshot::GroupSlot group = snapshot::kNoGroup;
  bool limited = false;  // holds a token of its backend's connection limit
  bool v4 = true;
};
static_assert(sizeof(Leg) <= 32);

class Proxies final : private tcp::Events, public tcp::Dialer {
 public:
  Proxies(const ProxyConfig& config, const ProxyParts& parts, Nanos now);
  ~Proxies() override;

  // Each step, before packets. `layout`: listeners may have changed, not only states.
  void begin(Nanos now, const snapshot::Snapshot* snapshot, bool layout);
  // Takes the frame over when it answers `taken`. Requires: see proxy::Burst::add.
  proxy::Added take(rte_mbuf* mbuf, const packet::PacketInfo& info);
  // What came goes through the engine, timers run, sessions are told. Then there may be output().
  void settle(Nanos now);
  // Seconds since 1970, for Date, cookies and access lines: told by whoever has a clock, once a second or so.
  void set_unix_time(std::int64_t unix_s) { unix_s_ = unix_s; }
  // Segments to send, in order; sent(n) takes n of them off.
  std::span<const tcp::OutSegment> output() { return engine_.output(); }
  void sent(std::size_t count);
  Nanos next_deadline(Nanos now) const;

  // -- for those who ask on behalf of packets and operators
  struct WouldChoose {
    BackendId backend{};   // 0: none
    const char* why = "";  // how it is chosen; or why none
  };
  WouldChoose would_choose(const tcp::Wish& wish);
  tcp::Engine& engine() { return engine_; }
  const tcp::Engine& engine() const { return engine_; }
  const proxy::Relay& relay() const { return relay_; }
  const http::Proxy& http() const { return http_; }
  AccessLog& access_log() { return access_log_; }
  proxy::MbufPool& buffers() { return buffers_; }
  // Null: no connection of ours, or one that ended.
  Leg* leg(tcp::ConnectionId id) {
    Leg& leg = legs_[id.index % legs_.size()];
    return id.generation != 0 && leg.generation == id.generation ? &leg : nullptr;
  }
  const Leg* leg(tcp::ConnectionId id) const { return const_cast<Proxies*>(this)->leg(id); }
  std::uint32_t capacity() const { return static_cast<std::uint32_t>(legs_.size()); }
  std::uint64_t memory_max() const { return memory_max_; }

  // -- ends of many
  // Ends connections for which over(leg) is true, a slice at a time from position `at` on, which it moves. True when
  // all were looked at.
  template <class Over>
  bool sweep(std::uint32_t& at, unsigned most, Over&& over) {
    for (unsigned i = 0; i < most && at < legs_.size(); ++i, ++at) {
      if (legs_[at].generation != 0 && over(std::as_const(legs_[at]))) engine_.terminate({at, legs_[at].generation});
    }
    return at >= legs_.size();
  }

  // -- places below a limit, between workers
  void place_given(Slot backend);
  void place_denied(Slot backend);

 private:
  struct Listening {
    IpAddress address;
    std::uint16_t port = 0;
    bool open = false;
    ServiceId service;
  };
  enum class Place : std::uint8_t { given, asked, full };

  void sync_listeners();
  void sync_sites();
  void sync_cookie_keys();
  void feed();
  bool has_news() const;
  void publish_counters();
  proxy::Plan plan_of(const snapshot::Service& service, const IpAddress& client) const;

  // tcp::Events
  void accepted(tcp::ConnectionId id, std::uint16_t listener) override;
  void connected(tcp::ConnectionId id) override;
  void data(tcp::ConnectionId id) override;
  void writable(tcp::ConnectionId id) override;
  void fin(tcp::ConnectionId id) override;
  void reset(tcp::ConnectionId id, tcp::CloseReason reason) override;
  void closed(tcp::ConnectionId id, tcp::CloseReason reason) override;
  void released(tcp::ConnectionId id) override;

  // tcp::Dialer
  Chosen choose(const tcp::Wish& wish) override;
  Dialed dial(ServiceId service, BackendId backend, std::uint64_t user) override;
  void ended(tcp::ConnectionId connection, BackendId backend, Ending ending) override;
  bool usable(BackendId backend) const override;
  bool may_keep(BackendId backend) const override;

  // What choose() would answer, and why; changes nothing that lasts.
  struct Pick {
    tcp::DialFailure failure = tcp::DialFailure::none;
    std::uint16_t backend = snapshot::kNone;  // index into Snapshot::backends
    const snapshot::Pool* pool = nullptr;
    balance::Choice choice{};  // of the balancer's, where it was asked
    const char* by = "";
  };
  Pick pick(const tcp::Wish& wish);
  bool exclude(const tcp::Wish& wish, const snapshot::Pool& pool);
  Place take_place(const snapshot::Backend& backend);
  void give_place_back(Slot backend);
  void drop_spare_places();
  std::optional<tcp::ConnectionId> connect(const snapshot::Service& service, const snapshot::Backend& backend,
                                           Leg& leg);
  flow::PortPair port_pair(const Leg& leg) const { return {leg.local, leg.endpoint, kProtocolTcp, leg.v4}; }

  const ProxyParts parts_;
  proxy::MbufPool buffers_;
  std::vector<Leg> legs_;              // by connection index
  std::vector<Listening> listening_;   // by listener number
  std::vector<std::uint8_t> buckets_;  // that this worker owns
  unsigned next_bucket_ = 0;
  balance::Exclusions excluded_;
  // Places granted by another worker that wait for the session that asked.
  struct Spare {
    Slot backend;
    Nanos until;
  };
  std::deque<Spare> spares_;
  // Questions under way, by backend slot. Answers can be lost: after a while nobody waits for them.
  struct Asked {
    std::uint8_t count = 0;
    Nanos last = 0;
  };
  std::vector<Asked> asked_;
  const snapshot::Snapshot* snapshot_ = nullptr;
  std::uint64_t generation_ = 0;          // of it
  std::vector<ServiceId> http_services_;  // of the last layout
  const SipKey own_cookie_key_;           // where a snapshot has none
  std::vector<SipKey> cookie_keys_;       // in force
  std::int64_t unix_s_ = 0;
  Nanos now_;
  Nanos published_ = 0;
  std::uint64_t published_segments_ = 0;  // in and out, when the counters were published
  const std::uint64_t memory_max_;
  // Last: it gives back to all of the above.
  tcp::Engine engine_;
  AccessLog access_log_;
  proxy::Relay relay_;
  http::Proxy http_;
  proxy::Burst burst_;
};

}  // namespace headgate::worker
