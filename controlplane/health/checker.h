// The scheduler on an event loop of its own, with real sockets: thousands of probes a second make nobody else wait, and
// nobody's commit or table makes a probe late.
//
//   caller's thread --targets, pauses--> Scheduler (one lock) <--outcomes-- probing loop --> sockets
//   caller's loop  <--changes, agents' words-----------------------------------/
#pragma once

#include <asio/executor_work_guard.hpp>
#include <asio/steady_timer.hpp>
#include <mutex>
#include <thread>

#include "controlplane/health/prober_set.h"

namespace headgate::health {

// Runs a loop until it is destroyed. Declared after what has handlers there, so that these are at rest when they go.
class LoopThread {
 public:
  explicit LoopThread(asio::io_context& io);
  ~LoopThread();
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

 private:
  asio::io_context& io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread thread_;
};

// Thread: any, but one at a time changes targets. What was found out is told on the caller's loop, a moment later: what
// the functions here say is newer. Must not be destroyed while one of the loops runs.
class Checker {
 public:
  // Both loops may be the same one.
  Checker(asio::io_context& probing, asio::io_context& caller, std::uint64_t seed, Scheduler::OnChange on_change);

  void set_on_answer(Scheduler::OnAnswer on_answer);  // before there are targets
  void set_targets(const std::vector<Target>& targets, const KnownHealth& known);
  void pause_path(bool paused);
  void take_down(std::uint32_t backend_id, const std::string& cause, Time hold);
  Health health(std::uint32_t backend_id) const;
  std::map<std::uint32_t, Detail> details() const;
  // As Scheduler's. Probing waits meanwhile, and nothing that `see` is given outlives the call.
  template <class See>
  void each_detail(See see) const {
    const std::lock_guard lock(mutex_);
    scheduler_.each_detail(see);
  }
  Counters counters() const;
  std::size_t in_flight() const;
  static Time now();
  // Unix time, in seconds, of a moment of Detail; 0 for Time::min().
  static std::int64_t unix_s(Time moment);

 private:
  void tell(const Change& change);
  void run_soon();
  void run();  // starts what is due, and arms; on the probing loop, locked
  void arm();  // the timer for the next

  asio::io_context& probing_;
  asio::io_context& caller_;
  Scheduler::OnChange on_change_;
  mutable std::mutex mutex_;  // of all that follows
  ProberSet prober_;
  Scheduler scheduler_;
  asio::steady_timer timer_;
  Time armed_ = kNever;  // when the timer goes off
};

}  // namespace headgate::health
