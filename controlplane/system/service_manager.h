// What this daemon tells the service manager that started it, systemd or headgate-supervisor: that it is ready, and
// that its event loops turn. The pings are a timer of the first and go round the others: when one hangs, they end, and
// so does the daemon.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <vector>

namespace headgate::system {

// Thread: the io_context's.
class ServiceManager {
 public:
  // Reads WATCHDOG_USEC (sd_watchdog_enabled(3)); without a manager everything here does nothing.
  explicit ServiceManager(asio::io_context& io);
  // A loop that turns in a thread of its own, and ends before this does.
  void watch(asio::io_context& loop) { others_.push_back(&loop); }
  void ready();  // and from now on the pings
  void stopping();
  bool watched() const { return every_.count() > 0; }

 private:
  void ping(std::size_t passed);  // the loops that it has been through
  asio::io_context& io_;
  std::vector<asio::io_context*> others_;
  asio::steady_timer timer_;
  std::chrono::microseconds every_{0};
};

// True when standard error is the journal's (JOURNAL_STREAM): lines want a priority and no time of their own.
bool stderr_is_journal();

}  // namespace headgate::system
