// Sessions of TCP_PROXY services: a client's connection and one to a backend, spliced both ways. What one side sends,
// its end and its breaking off are carried over to the other; a slow reader slows the writer by the engine's windows.
//
//   reading header -> seeking (asking, queued) -> connecting -> relaying -> ended
//
// Seeking and connecting repeat with another backend when one does not answer. Nothing of a client's bytes is taken
// before a backend answered, so the next one gets them all. A session copies what its service said when it began, and
// outlives the service.
//
// The worker hands the engine's events on for connections whose user word says Speaker::relay. Single threaded; memory
// is reserved at construction.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/proxy/limits.h"
#include "dataplane/snapshot/http_spec.h"
#include "dataplane/tcp/dialer.h"
#include "dataplane/tcp/engine.h"
#include "dataplane/tcp/slab.h"
#include "dataplane/tcp/timers.h"
#include "dataplane/telemetry/counters.h"

namespace headgate::proxy {

// What a service asks of its sessions.
struct Plan {
  ServiceId service;
  PoolId pool;
  Slot slot = kNoSlot;  // the service's, for counters and its queue
  std::uint32_t connect_timeout_ms = 5000, queue_timeout_ms = 5000;
  std::uint32_t idle_timeout_ms = 300'000, half_closed_timeout_ms = 60'000;
  std::uint32_t queue_limit = 0;  // of this worker
  std::uint8_t attempts = 3;      // 1..kConnectAttemptsMax
  snapshot::ProxyHeader send_header = snapshot::ProxyHeader::none;
  bool expects_header = false;  // this client has to begin with a PROXY protocol header
};

enum class Stage : std::uint8_t { free, reading_header, asking, queued, connecting, relaying };
const char* to_string(Stage stage);

struct Session {
  std::uint32_t reserved = 0;  // the free list's
  Stage stage = Stage::free;
  bool client_ended = false, server_ended = false;  // a FIN was told
  std::uint8_t tried_count = 0, asks = 0;
  std::uint16_t client_port = 0;
  tcp::ConnectionId client, server;
  BackendId backend;
  Plan plan;
  IpAddress client_address;  // as a PROXY protocol header names it, where one came; so is the address that was called
  IpAddress called_address;
  std::uint16_t called_port = 0;
  Nanos started = 0, dialed = 0;
  tcp::Tick deadline = 0;
  tcp::Tick queued = 0;        // when it first had to wait; 0: never
  tcp::Tick moved = 0;         // when bytes moved last, as far as anybody looked
  std::uint64_t progress = 0;  // the bytes then
  std::uint32_t queue_previous = tcp::kNone, queue_next = tcp::kNone;
  tcp::WheelNode wheel;
  std::array<BackendId, kConnectAttemptsMax> tried{};
};

class Relay {
 public:
  // All references outlive it. `sessions`: how many at once; `counters`: by service slot.
  Relay(std::uint32_t sessions, tcp::Engine& engine, tcp::Dialer& dialer,
        telemetry::SparseCounters<telemetry::SessionConduct>& counters, Nanos now);

  // A client was accepted; its connection is the relay's from now on, and is reset when there is no room. The plan's
  // slot is below the counters' size.
  void start(tcp::ConnectionId client, const Plan& plan, Nanos now);
  // The engine's events; `now` is that of the flush they come from.
  void connected(tcp::ConnectionId id, Nanos now);
  void data(tcp::ConnectionId id, Nanos now);
  void fin(tcp::ConnectionId id, Nanos now);
  void reset(tcp::ConnectionId id, tcp::CloseReason reason, Nanos now);
  void closed(tcp::ConnectionId id, Nanos now);
  void advance(Nanos now);
  Nanos next_deadline(Nanos now) const;

  std::uint32_t sessions() const { return sessions_.used(); }
  std::uint32_t waiting() const { return waiting_; }
  // Positions of sessions: for those who look at them in slices. Null: none there.
  std::uint32_t touched() const { return sessions_.touched(); }
  const Session* at(std::uint32_t position) const;
  // Until it ends or tries something else, if nothing happens.
  std::uint32_t expires_in_ms(const Session& s, Nanos now) const;

 private:
  struct Queue {
    std::uint32_t first = tcp::kNone, last = tcp::kNone, count = 0;
  };
  struct Found {
    Session* session = nullptr;
    bool is_client = false;
  };
  Found find(tcp::ConnectionId id);
  std::uint32_t index_of(const Session& s) { return static_cast<std::uint32_t>(&s - &sessions_[0]); }
  telemetry::SessionConduct& counters(const Session& s) { return counters_[s.plan.slot]; }

  void read_header(Session& s);
  void begin(Session& s);
  void seek(Session& s);
  bool dial(Session& s);
  void failed(Session& s);
  void give_up(Session& s);
  void established(Session& s);
  void enqueue(Session& s);
  void dequeue(Session& s);
  void pump_queues();
  void set_deadline(Session& s, std::uint32_t after_ms);
  void on_deadline(Session& s);
  void look_at_progress(Session& s);
  void drop_server(Session& s, tcp::Dialer::Ending ending);
  void end(Session& s);
  void end_if_over(Session& s);

  tcp::Engine& engine_;
  tcp::Dialer& dialer_;
  telemetry::SparseCounters<telemetry::SessionConduct>& counters_;
  tcp::Slab<Session> sessions_;
  tcp::TimerWheel wheel_;
  std::vector<Queue> queues_;   // by service slot
  std::vector<Slot> queueing_;  // those that are not empty
  std::uint32_t waiting_ = 0;
  Nanos now_, pump_at_ = 0;
};

}  // namespace headgate::proxy
