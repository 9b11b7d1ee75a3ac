// What this daemon tells the service manager that started it, systemd or headgate-supervisor: that it is ready, and
// that its event loop turns. The pings are a timer of that loop: when the loop hangs, they end, and so does the daemon.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>

namespace headgate::system {

// Thread: the io_context's.
class ServiceManager {
 public:
  // Reads WATCHDOG_USEC (sd_watchdog_enabled(3)); without a manager everything here does nothing.
  explicit ServiceManager(asio::io_context& io);
  void ready();  // and from now on the pings
  void stopping();
  bool watched() const { return every_.count() > 0; }

 private:
  void ping();
  asio::steady_timer timer_;
  std::chrono::microseconds every_{0};
};

// True when standard error is the journal's (JOURNAL_STREAM): lines want a priority and no time of their own.
bool stderr_is_journal();

}  // namespace headgate::system
