// A simulated box: real workers over one set of mailboxes and boards, in one thread, in virtual time. Frames in as
// bytes, frames out as bytes; between them everything is what the product runs. Test-only.
//
//   Box box({.workers = 2});
//   box.apply(site());
//   auto out = box.exchange(kOutside, tcp_frame({.src = "192.0.2.10", .dst = "192.0.2.100"}));
//
// When a Box ends it fails the running test if a packet buffer is missing.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "dataplane/balance/connection_limit.h"
#include "dataplane/snapshot/publisher.h"
#include "dataplane/snapshot/testing.h"
#include "dataplane/worker/worker.h"
#include "tests/sim/lan.h"

struct rte_mempool;

namespace headgate::sim {

// The ports of every simulated box, by index.
inline constexpr std::uint16_t kOutside = 0, kInside = 1, kProbe = 2, kOutsideKernel = 3, kInsideKernel = 4;

struct Out {
  std::uint16_t port = 0;
  Frame frame;
  friend bool operator==(const Out&, const Out&) = default;
};

inline constexpr int kByHash = -1;  // the queue a NIC with our key and map would choose

class Box {
 public:
  struct Options {
    unsigned workers = 1;
    std::uint32_t flows = 4096;  // per worker
    std::uint64_t seed = 1;
    unsigned buffers = 2047;  // per worker
    bool exceptions = false;  // outside and inside have a way to the kernel
    std::uint32_t flow_limit = 0;
    unsigned outside_tx_queues = 16;
    std::uint32_t connections = 0;  // of the TCP engine, per worker; 0: none
    bool chains = true;             // ports send frames of several buffers
  };

  Box() : Box(Options{}) {}
  explicit Box(const Options& options);
  ~Box();
  Box(const Box&) = delete;
  Box& operator=(const Box&) = delete;

  Lan& lan() { return lan_; }

  // Publishes a snapshot (text format) and frees what nobody uses; workers switch at their next step. settle() lets
  // neighbor resolution finish.
  void publish(std::string_view snapshot);
  void apply(std::string_view snapshot) {
    publish(snapshot);
    settle();
  }
  // The same for a StateUpdate on top of the last snapshot.
  void update(std::string_view states);
  // Frames that leave meanwhile are forgotten.
  void settle(Nanos time = 500 * kMillisecond);

  void inject(std::uint16_t port, const Frame& frame, int queue = kByHash);
  // In buffers of these lengths and one for the rest, on worker 0, as a NIC with scattered receive delivers it.
  void inject_in_segments(std::uint16_t port, const Frame& frame, const std::vector<std::size_t>& lengths);
  // Frames of packet/testing.h that say nothing else are for the port they arrive on: inject() sees to it.
  static Frame addressed(std::uint16_t port, Frame frame);
  // Steps all workers round robin until nothing moves. Time stands still, unless packets wait for a hardware address.
  std::vector<Out> run();
  std::vector<Out> exchange(std::uint16_t port, const Frame& frame, int queue = kByHash) {
    inject(port, frame, queue);
    return run();
  }
  // Runs through everything that is due until `time` later.
  std::vector<Out> advance(Nanos time);
  // As a runner does around a sleep. Requires: a sleeping worker is not stepped.
  void sleep(unsigned worker) { publisher_.reader(worker).offline(); }
  void wake(unsigned worker) { publisher_.reader(worker).online(); }
  // One step of one worker with what is queued for it.
  void step(unsigned worker);
  // ARP and neighbor discovery that left since the last call, which everything else here leaves out.
  std::vector<Out> take_said() { return std::exchange(said_, {}); }
  std::vector<Out> take_sent() { return std::exchange(sent_, {}); }

  Nanos now() const { return now_; }
  void tick(Nanos time) { now_ += time; }

  worker::Worker& worker(unsigned i = 0) { return *workers_[i]; }
  unsigned workers() const { return static_cast<unsigned>(workers_.size()); }
  const worker::Steering& steering() const { return steering_; }
  balance::LimitBoard& limits() { return limits_; }
  worker::FailoverLink& failover() { return failover_; }  // leases, adverts: the election's end of it
  const snapshot::Snapshot& snapshot() const { return *source_.last(); }
  static MacAddress mac(std::uint16_t port);

  // Sums over the workers.
  std::uint64_t exits(telemetry::Exit exit) const;
  std::uint64_t drops(telemetry::DropReason reason) const;
  std::uint64_t handovers(telemetry::Handover reason) const;
  std::uint64_t dropped() const;
  std::uint32_t flows() const;
  std::uint32_t local_ports() const;
  std::size_t held() const;
  unsigned buffers_in_use() const;

 private:
  struct Queue {
    std::vector<worker::Frame> frames;
  };
  unsigned queue_of(std::uint16_t port, const Frame& frame) const;
  void collect(worker::TxBatch& tx);
  bool idle() const;
  std::vector<Out> run_at_this_time();
  std::size_t waiting_for_neighbors() const;

  const Options options_;
  Lan lan_;
  snapshot::testing::Source source_;
  worker::Steering steering_;
  worker::Mailboxes mailboxes_;
  balance::LimitBoard limits_;
  balance::LoadBoard loads_;
  worker::FailoverLink failover_;
  snapshot::Publisher publisher_;
  std::vector<rte_mempool*> pools_;
  std::vector<std::unique_ptr<worker::Worker>> workers_;
  std::vector<Queue> queues_;
  std::vector<worker::TxBatch> tx_;
  std::vector<Out> sent_;
  std::vector<Out> said_;
  Nanos now_ = 10 * kSecond;
};

}  // namespace headgate::sim
