// A probe that succeeds when a TCP connection is accepted, and the connection that other probes begin with.
//
// It closes with a reset (SO_LINGER 0), not with a FIN. A FIN would leave a TIME_WAIT here for a minute after every
// probe (30,000 for 1,000 backends probed every 2 s) and keep the probe's flow in the dataplane until both FINs are
// seen; a reset frees all three ends at once. Servers log neither at their default level: to nginx it is an empty
// connection, to sshd "Connection reset" instead of "Connection closed"; MariaDB counts an aborted connect either way.
#pragma once

#include <asio/ip/tcp.hpp>

#include "controlplane/health/attempt.h"

namespace headgate::health {

// Connects, then calls connected().
class TcpAttempt : public Attempt {
 public:
  TcpAttempt(asio::io_context& io, const Done& done, std::uint64_t probe, const Target& target)
      : Attempt(io, done, probe), socket_(io), endpoint_(target.endpoint) {}

 protected:
  void begin() override;
  void close() override;
  Outcome at_deadline() const override { return failure(connected_ ? "no answer in time" : "connection timed out"); }
  virtual void connected() = 0;
  virtual bool speaks_first() const { return false; }  // connected() sends something at once
  asio::ip::tcp::socket& socket() { return socket_; }
  bool is_connected() const { return connected_; }

 private:
  asio::ip::tcp::socket socket_;
  asio::ip::tcp::endpoint endpoint_;
  bool connected_ = false;
};

// Thread: that of the io_context. Must not be destroyed while the io_context still runs handlers.
class TcpProber : public Prober {
 public:
  TcpProber(asio::io_context& io, Done done) : io_(io), done_(std::move(done)) {}
  void start(std::uint64_t probe, const Target& target) override;

 private:
  asio::io_context& io_;
  Done done_;
};

}  // namespace headgate::health
