// Runs one worker on one thread: clock, port calls, sleep. The worker itself knows none of these.
//
// poll: spins. adaptive: after kSpin without work the worker goes RCU-offline and sleeps on its queues'
// descriptors and a wake event, until the worker's next deadline at most; ports without a descriptor make it nap 100
// us, growing to 1 ms.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "dataplane/base/time.h"
#include "dataplane/snapshot/publisher.h"
#include "dataplane/worker/worker.h"

namespace headgate::port {
class Port;
}

namespace headgate::worker {

enum class Idle : std::uint8_t { poll, adaptive };

// TSC, scaled once. Requires EAL.
class TscClock final : public Clock {
 public:
  TscClock();
  Nanos now() const override;

 private:
  std::uint64_t start_;
  double nanos_per_cycle_;
};

// Wakes a sleeping worker. Any thread may wake(); only the sleeper uses the rest.
class Waker {
 public:
  Waker();
  ~Waker();
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;
  void wake() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (asleep_.load(std::memory_order_relaxed)) signal();
  }
  void prepare() {
    asleep_.store(true, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  void awake();
  int fd() const { return fd_; }

 private:
  void signal();
  int fd_;
  std::atomic<bool> asleep_{false};
};

class Runner {
 public:
  // ports by index; a port whose queue count is not above the worker's index is not received from by this worker.
  Runner(Worker& worker, snapshot::Publisher::Reader& reader, std::vector<port::Port*> ports,
         std::vector<Waker*> wakers, Idle idle, const Clock& clock, FailoverLink* failover = nullptr,
         Waker* election = nullptr);  // election: woken when an advert came in or was taken by the driver

  // Until stop() from any thread.
  void run();
  void stop();

 private:
  // A poll of an empty AF_XDP queue costs a system call: counted in rounds, spinning cost more than the work between.
  static constexpr Nanos kSpin = 20 * kMicrosecond;
  static constexpr Nanos kNapMin = 100 * kMicrosecond, kNapMax = kMillisecond, kSleepMax = 500 * kMillisecond;

  std::size_t receive(std::vector<Frame>& frames);
  bool transmit(TxBatch& tx);  // whether there was anything
  void transmit_adverts(TxBatch& tx);
  std::span<rte_mbuf*> within_lease(TxBatch& tx, std::uint16_t port);
  bool adverts_wait() const { return failover_ != nullptr && worker_.index() == 0 && !failover_->out.empty(); }
  void wake_others();
  void arm();  // from here on a frame or a message wakes us
  void disarm();
  void sleep();

  Worker& worker_;
  snapshot::Publisher::Reader& reader_;
  std::vector<port::Port*> ports_;
  std::vector<Waker*> wakers_;
  const Idle idle_;
  const Clock& clock_;
  FailoverLink* const failover_;
  Waker* const election_;
  AdvertIn advert_accepted_;
  std::vector<int> fds_;
  Nanos next_unix_time_ = 0;
  bool all_have_fds_ = true;
  std::uint64_t woken_by_ = 0;  // bit i: fds_[i] ended the last sleep
  std::uint64_t muted_ = 0;     // fds_ that woke us in vain: a nap without them
  Nanos nap_ = kNapMin;
  std::atomic<bool> stop_{false};
};

}  // namespace headgate::worker
