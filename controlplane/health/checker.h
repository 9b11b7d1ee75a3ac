// The scheduler on a real event loop: one timer, real sockets, changes logged and handed on.
#pragma once

#include <asio/steady_timer.hpp>

#include "controlplane/health/prober_set.h"

namespace headgate::health {

// Thread: that of the io_context.
class Checker {
 public:
  Checker(asio::io_context& io, std::uint64_t seed, Scheduler::OnChange on_change);

  void set_on_answer(Scheduler::OnAnswer on_answer) { scheduler_.set_on_answer(std::move(on_answer)); }
  void set_targets(const std::vector<Target>& targets, const KnownHealth& known);
  void pause_path(bool paused);
  void take_down(std::uint32_t backend_id, const std::string& cause, Time hold);
  Health health(std::uint32_t backend_id) const { return scheduler_.health(backend_id); }
  std::map<std::uint32_t, Detail> details() const { return scheduler_.details(); }
  template <class See>
  void each_detail(See see) const {  // as Scheduler's
    scheduler_.each_detail(see);
  }
  const Counters& counters() const { return scheduler_.counters(); }
  std::size_t in_flight() const { return scheduler_.in_flight(); }
  static Time now();
  // Unix time, in seconds, of a moment of Detail; 0 for Time::min().
  static std::int64_t unix_s(Time moment);

 private:
  void run();  // starts what is due and arms the timer for the next

  ProberSet prober_;
  Scheduler scheduler_;
  asio::steady_timer timer_;
  Time armed_ = kNever;  // when the timer goes off
};

}  // namespace headgate::health
