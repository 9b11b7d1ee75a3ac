// The scheduler on a real event loop: one timer, real sockets, changes logged and handed on.
#pragma once

#include <asio/steady_timer.hpp>

#include "controlplane/health/tcp_prober.h"

namespace headgate::health {

// Thread: that of the io_context.
class Checker {
 public:
  Checker(asio::io_context& io, std::uint64_t seed, std::function<void()> on_change);

  void set_targets(const std::vector<Target>& targets, const HealthView& known);
  void pause_path(bool paused);
  HealthView view() const { return scheduler_.view(); }

 private:
  void run();  // starts what is due and arms the timer for the next

  std::function<void()> on_change_;
  TcpProber prober_;
  Scheduler scheduler_;
  asio::steady_timer timer_;
};

}  // namespace headgate::health
