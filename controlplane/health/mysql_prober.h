// A probe that logs in to a MySQL or MariaDB server, asks a query when there is one, and leaves with COM_QUIT, so that
// the server counts no aborted client. A query that gives rows must give one at least.
//
// The protocol is libmariadb's, by its non-blocking calls. These go on reading as long as a server sends, so the
// library never holds the server's socket: it talks to a relay of ours over loopback, which passes on kMysqlBytesMax at
// most and ends when the probe does. Connecting, time limit and causes are those of every other probe for the same
// reason. The password is in no cause and no log.
#pragma once

#include <asio/ip/tcp.hpp>
#include <map>
#include <memory>

#include "controlplane/health/attempt.h"

namespace headgate::health {

inline constexpr std::size_t kMysqlBytesMax = 256 * 1024;  // received for one probe

class MysqlAttempt;

// Thread: that of the io_context. Must not be destroyed while the io_context still runs handlers.
class MysqlProber : public Prober {
 public:
  MysqlProber(asio::io_context& io, Done done) : io_(io), done_(std::move(done)), relay_(io), pause_(io) {}
  void start(std::uint64_t probe, const Target& target) override;  // Requires: a MysqlCheck

 private:
  friend class MysqlAttempt;
  bool open_relay(asio::error_code& error);  // once, at the first probe
  void accept();

  asio::io_context& io_;
  Done done_;
  asio::ip::tcp::acceptor relay_;
  asio::steady_timer pause_;
  std::map<std::uint16_t, std::weak_ptr<MysqlAttempt>> expected_;  // by the library's local port
};

}  // namespace headgate::health
