// One connection of the HA link: TCP, the TLS handshake, frames both ways. Judges nothing: who the other end is and
// what it says is its owner's business.
//
// Everything is bounded: the handshake in time, what waits to be sent in bytes, a frame in size, and the time for which
// the other end may take nothing of what waits. Whoever exceeds a bound is cut off, with the reason.
//
// Thread rule: that of the io_context. Handlers are called from it, never from inside send() or start_*(); they may
// drop the owner's pointer. After `closed`, which comes once, none is called.
#pragma once

#include <array>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ssl/stream.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "controlplane/failover/identity.h"
#include "controlplane/failover/link_frame.h"

namespace headgate::failover {

class LinkStream : public std::enable_shared_from_this<LinkStream> {
 public:
  // A SYN that a cut swallowed is sent again after a second: a connection made anew is there sooner.
  static constexpr std::chrono::milliseconds kConnectLimit{500};
  static constexpr std::chrono::milliseconds kHandshakeLimit{3000};  // TLS
  static constexpr std::chrono::milliseconds kSendLimit{5000};       // without any progress
  static constexpr std::size_t kQueueBytesMax = 2 * kFrameMax;

  enum class Kind { link, pair };  // by ALPN
  struct Handlers {
    std::function<void()> ready;  // TLS is done: fingerprint() and kind() are known
    std::function<void(ha::v1::Envelope)> message;
    std::function<void(const std::string& why)> closed;
  };

  LinkStream(asio::io_context& io, std::shared_ptr<asio::ssl::context> context, Handlers handlers);
  LinkStream(const LinkStream&) = delete;
  LinkStream& operator=(const LinkStream&) = delete;

  // For the rest of the connection; may be called from a handler.
  void set_handlers(Handlers handlers) { handlers_ = std::make_shared<const Handlers>(std::move(handlers)); }

  // Connects from `own` (its port is ignored) to `peer`.
  void start_client(const asio::ip::tcp::endpoint& own, const asio::ip::tcp::endpoint& peer, Kind kind);
  // A connection that was accepted into socket().
  asio::ip::tcp::socket::lowest_layer_type& socket() { return tls_.lowest_layer(); }
  void start_server();

  Kind kind() const { return kind_; }
  bool is_client() const { return client_; }
  const Fingerprint& fingerprint() const { return fingerprint_; }  // of the other end
  SSL* native() { return tls_.native_handle(); }
  void set_frame_max(std::size_t size) { decoder_.set_frame_max(size); }

  // False: too much waits already, and the connection ends.
  bool send(const ha::v1::Envelope& envelope);
  // Takes the place of the last message that was given by this and has not begun to leave: for states of which only the
  // newest counts.
  bool send_newest(const ha::v1::Envelope& envelope);
  // Sent, then closed; nothing more is read. `closed` comes with `why`.
  void send_last(const ha::v1::Envelope& envelope, const std::string& why);
  void close(const std::string& why);
  // After send_last() that is waited for.
  void close_unless_last(const std::string& why) {
    if (!last_) close(why);
  }

 private:
  struct Waiting {
    std::string frame;
    bool newest = false;
  };
  void handshake(asio::ssl::stream_base::handshake_type side);
  void established();
  void read();
  void received(std::size_t size);
  bool enqueue(const ha::v1::Envelope& envelope, bool newest);
  void write();
  void drain();
  void limit(std::chrono::milliseconds time, const char* why);

  std::shared_ptr<asio::ssl::context> context_;
  asio::ssl::stream<asio::ip::tcp::socket> tls_;
  asio::steady_timer limit_, send_limit_;
  std::shared_ptr<const Handlers> handlers_;  // held by each call, so that a handler may replace it
  Kind kind_ = Kind::link;
  bool client_ = false, established_ = false, closed_ = false, writing_ = false, last_ = false;
  std::string last_why_;
  Fingerprint fingerprint_{};
  FrameDecoder decoder_{kFirstFrameMax};
  std::array<std::uint8_t, 16384> buffer_;
  std::deque<Waiting> queue_;
  std::size_t queued_ = 0;   // bytes in queue_
  std::size_t written_ = 0;  // of its first
};

}  // namespace headgate::failover
