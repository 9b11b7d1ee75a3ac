// One probe under way. It ends exactly once: by finish(), or at its deadline, whichever comes first.
//
// A kind of probe derives from it, starts something asynchronous in begin(), and keeps itself alive by
// shared_from_this() in its handlers; a handler that comes after the end sees finished(). Thread: that of the
// io_context.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "controlplane/health/scheduler.h"

namespace headgate::health {

using Done = std::function<void(std::uint64_t probe, const Outcome& outcome)>;

// "Connection refused" reads better inside a sentence without its capital.
std::string cause_of(const asio::error_code& error);
// What the kernel refuses on this box (no descriptor, no route, no address, no permission) is no failure of the
// backend: unknown. ENETUNREACH and EACCES may also come from a router's ICMP error; a backend behind such a router
// stays as it was, and the log says so. EHOSTUNREACH is a failure: nobody answered ARP for the backend.
Outcome failed(const asio::error_code& error);
Outcome failed(int system_error);
inline Outcome failure(std::string cause) {
  return {Result::failure, std::move(cause), {}};
}
inline Outcome unknown(std::string cause) {
  return {Result::unknown, std::move(cause), {}};
}
inline Outcome success() {
  return {Result::success, {}, {}};
}
// What a server sent, in a form for logs: its first line, printable, at most `bytes_max` of it.
std::string excerpt(std::string_view sent, std::size_t bytes_max = 80);

class Attempt : public std::enable_shared_from_this<Attempt> {
 public:
  Attempt(asio::io_context& io, const Done& done, std::uint64_t probe)
      : io_(io), done_(done), probe_(probe), timer_(io) {}
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;
  virtual ~Attempt() = default;

  // The outcome comes later, never from inside this call.
  void start(Time timeout);

 protected:
  virtual void begin() = 0;
  virtual void close() = 0;  // gives everything back; what was asked of the kernel is answered with an error
  virtual Outcome at_deadline() const { return failure("no answer in time"); }

  void finish(Outcome outcome);
  bool finished() const { return finished_; }
  asio::io_context& io() { return io_; }
  // This, as what it is, for a handler to hold.
  template <class Self>
  std::shared_ptr<Self> self(Self* me) {
    return std::static_pointer_cast<Self>(me->shared_from_this());
  }

 private:
  asio::io_context& io_;
  const Done& done_;
  std::uint64_t probe_;
  asio::steady_timer timer_;
  bool beginning_ = false, finished_ = false;
};

}  // namespace headgate::health
