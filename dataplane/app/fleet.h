// The workers of a box, their threads and what they share. Built in order, torn down in reverse.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "dataplane/balance/connection_limit.h"
#include "dataplane/base/result.h"
#include "dataplane/snapshot/publisher.h"
#include "dataplane/worker/runner.h"
#include "dataplane/worker/worker.h"
#include "drivers/port/port.h"

namespace headgate::app {

struct FleetOptions {
  unsigned workers = 1;
  std::uint32_t flows = 1 << 20;   // per worker
  std::vector<worker::Idle> idle;  // of each worker
  std::uint64_t seed = 1;
  worker::ProxyConfig proxy{};  // of each worker; their secrets are made from it
};

class Fleet {
 public:
  // `ports`: all ports of the box by index; `facts` the same for workers. `pool` serves what workers say themselves.
  Fleet(const FleetOptions& options, const std::vector<port::Port*>& ports, const std::vector<worker::PortFacts>& facts,
        rte_mempool* pool, const worker::Steering& steering);
  ~Fleet();

  void start();  // on EAL's worker lcores, one each
  void stop();

  snapshot::Publisher& publisher() { return publisher_; }
  unsigned size() const { return static_cast<unsigned>(workers_.size()); }
  worker::Worker& at(unsigned i) { return *workers_[i]; }
  const worker::Worker& at(unsigned i) const { return *workers_[i]; }
  const worker::TscClock& clock() const { return clock_; }
  void wake_all();
  // SCHED_FIFO for workers that sleep when idle; those that poll want a core of their own instead. 0, or errno.
  int raise_workers(int priority);
  // For the election's thread: its rings, and what wakes it.
  worker::FailoverLink& failover() { return failover_; }
  worker::Waker& election() { return election_; }
  void wake(unsigned i) { wakers_[i]->wake(); }

  // Runs `task` on worker i's thread between two packets and waits for it. False when the worker does not come round
  // within two seconds; then the task has not run and will not.
  bool run(unsigned i, const std::function<void(worker::Worker&)>& task);

 private:
  const FleetOptions options_;
  worker::TscClock clock_;
  worker::Mailboxes mailboxes_;
  balance::LimitBoard limits_;
  balance::LoadBoard loads_;
  worker::FailoverLink failover_;
  worker::Waker election_;
  snapshot::Publisher publisher_;
  std::vector<std::unique_ptr<worker::Waker>> wakers_;
  std::vector<std::unique_ptr<worker::Worker>> workers_;
  std::vector<std::unique_ptr<worker::Runner>> runners_;
  std::vector<std::unique_ptr<std::mutex>> task_mutexes_;
  std::vector<unsigned> lcores_;
  bool running_ = false;
};

}  // namespace headgate::app
