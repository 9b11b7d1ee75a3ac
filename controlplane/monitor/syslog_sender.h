// Sends messages to a collector over TCP, from the event loop. What cannot be sent waits, up to a bound; beyond it the
// oldest go, are counted, and the collector is told how many once it is back.
//
// TCP says nothing about what the other end did with it: the messages in flight when a connection breaks may be lost or
// come twice (RFC 6587 section 5.1). What was not handed to the kernel is sent again.
#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "controlplane/monitor/syslog_message.h"

namespace headgate::monitor {

// Thread: the io_context's.
class SyslogSender {
 public:
  static constexpr std::size_t kQueueMax = 10'000;
  static constexpr std::chrono::milliseconds kBackoffFirst{200}, kBackoffLast{30'000};

  explicit SyslogSender(asio::io_context& io);
  ~SyslogSender();
  SyslogSender(const SyslogSender&) = delete;
  SyslogSender& operator=(const SyslogSender&) = delete;

  // Another collector; nothing: none, and what waits is forgotten.
  void set_collector(std::optional<asio::ip::tcp::endpoint> collector);
  void send(const SyslogMessage& message);

  bool connected() const;
  std::size_t waiting() const { return queue_.size(); }
  std::uint64_t dropped() const { return dropped_; }

 private:
  struct Connection;
  void connect();
  void write();
  void lost();
  void watch();

  asio::io_context& io_;
  asio::steady_timer retry_;
  std::chrono::milliseconds backoff_ = kBackoffFirst;
  std::optional<asio::ip::tcp::endpoint> collector_;
  std::shared_ptr<Connection> connection_;  // null: none, and none is being made
  std::deque<SyslogMessage> queue_;
  std::uint64_t dropped_ = 0, told_ = 0;
};

}  // namespace headgate::monitor
