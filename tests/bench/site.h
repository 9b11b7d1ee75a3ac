// The site a worker is measured in: clients behind a gateway on port 0, backends on port 1, one service, all in memory.
// Workers are real and driven through step(); neighbours answer ARP; time is virtual.
//
//   100.64.0.0/10 clients - 192.0.2.1 - [port 0: 192.0.2.11, service 192.0.2.100:80 | port 1: 10.10.0.11]
//   - 10.10.1.0/24 backends
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/balance/connection_limit.h"
#include "dataplane/snapshot/publisher.h"
#include "dataplane/snapshot/testing.h"
#include "dataplane/worker/worker.h"

namespace headgate::bench {

inline constexpr std::uint16_t kOutside = 0, kInside = 1;
inline constexpr std::uint32_t kClientNet = 0x64400000;  // 100.64.0.0/10
inline constexpr std::uint32_t kService = 0xc0000264;    // 192.0.2.100
inline constexpr std::uint32_t kServerNet =
    0x0a0a0000;  // 10.10.0.0/16: backends from 10.10.1.0, local addresses from 10.10.0.64
inline constexpr std::uint16_t kServicePort = 80;
inline constexpr unsigned kBackends = 64, kLocals = 16;
inline constexpr unsigned kBurst = 32;            // frames per step
inline constexpr unsigned kRing = 2048;           // frames in flight: as much packet data as a NIC ring keeps warm
inline constexpr Nanos kStep = 3 * kMicrosecond;  // virtual time per step

struct SiteOptions {
  snapshot::Mode mode = snapshot::Mode::full_nat;
  unsigned workers = 1;
  std::uint32_t flows = 1 << 20;  // capacity of each worker
};

// Text format of dataplane.v1.Snapshot.
std::string snapshot_text(snapshot::Mode mode);

// Owns EAL; once per process.
void start_eal();
rte_mempool* new_pool(const std::string& name, unsigned frames);

// One worker with the memory ports it reads and writes. Used by one thread at a time.
class Lane {
 public:
  Lane(unsigned index, worker::Worker& worker);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // `count` fresh frames, taken from a pool of exactly kRing so that their memory stays as warm as a ring's.
  // Requires: count <= kRing, frames of the round before were recycled.
  std::span<worker::Frame> take(unsigned count);
  // All steps of a round; returns the cycles of the worker and of taking its output, nothing else. `now` advances.
  // Without frames: one step, which takes mail and runs timers.
  std::uint64_t run(std::span<const worker::Frame> frames, Nanos& now);
  // What the worker sent in this round, in order per port.
  std::span<rte_mbuf* const> sent() const { return {sent_.data(), sent_count_}; }
  // Gives the buffers back; ARP requests among them are answered by frames that take_answers() hands out.
  void recycle();
  std::vector<worker::Frame> take_answers() { return std::exchange(answers_, {}); }

  worker::Worker& worker() { return worker_; }
  unsigned index() const { return index_; }

 private:
  void step(std::span<const worker::Frame> frames, Nanos& now);
  void answer_arp(std::uint16_t port, const std::uint8_t* request);

  const unsigned index_;
  worker::Worker& worker_;
  rte_mempool *ring_pool_, *answer_pool_;
  worker::TxBatch tx_;
  std::array<worker::Frame, kRing> frames_;
  std::vector<rte_mbuf*> bulk_;
  std::vector<rte_mbuf*> sent_;
  std::vector<std::uint16_t> sent_port_;
  std::size_t sent_count_ = 0;
  std::vector<worker::Frame> answers_;
};

class Site {
 public:
  explicit Site(const SiteOptions& options);
  ~Site();

  // Until every backend and the gateway have a hardware address in every worker.
  void resolve_neighbors();
  // Steps every worker so that ARP is answered and mail delivered. Single threaded.
  void settle();

  unsigned owner(const Tuple& request) const;
  Lane& lane(unsigned i) { return *lanes_[i]; }
  unsigned workers() const { return static_cast<unsigned>(lanes_.size()); }
  snapshot::Mode mode() const { return options_.mode; }
  bool replies_pass() const { return mode() == snapshot::Mode::full_nat || mode() == snapshot::Mode::nat; }
  snapshot::Publisher& publisher() { return publisher_; }
  snapshot::testing::Source& source() { return source_; }
  std::string drops() const;  // "reason n, ..." of all workers

  Nanos now = kSecond;

 private:
  const SiteOptions options_;
  worker::Steering steering_;
  worker::Mailboxes mailboxes_;
  balance::LimitBoard limits_;
  balance::LoadBoard loads_;
  snapshot::Publisher publisher_;
  snapshot::testing::Source source_;
  std::vector<std::unique_ptr<worker::Worker>> workers_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

[[noreturn]] void die(const std::string& why);

}  // namespace headgate::bench
