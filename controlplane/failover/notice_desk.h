// Death notices both ways. To the peer: a fresh key over the HA link for each connection, then, once the peer has it,
// an order to our supervisor, which sends the notice when our dataplane ends. From the peer: its supervisor's datagrams
// on the HA link's port; a true one makes the peer dead at once, until its control plane says that its dataplane runs
// again.
//
// The control plane need not live for any of it but to give the orders. Without a supervisor there is no notice, and
// the peer waits for our adverts as it would anyway.
//
// Thread rule: that of the io_context.
#pragma once

#include <array>
#include <asio/io_context.hpp>
#include <asio/ip/udp.hpp>
#include <asio/local/datagram_protocol.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <optional>
#include <string>

#include "controlplane/failover/link.h"
#include "controlplane/failover/link_timing.h"
#include "controlplane/failover/notice.h"
#include "controlplane/failover/peer_life.h"

namespace headgate::failover {

// One request to the supervisor and its answer, without waiting for it.
class SupervisorOrder {
 public:
  using Done = std::function<void(const std::string& problem)>;  // empty: it said ok
  static constexpr std::chrono::milliseconds kLimit{1000};

  SupervisorOrder(asio::io_context& io, std::string path) : io_(io), path_(std::move(path)), socket_(io), limit_(io) {}
  // Takes the place of one that was not answered yet.
  void send(std::string text, Done done);

 private:
  void finish(const std::string& problem);

  asio::io_context& io_;
  const std::string path_;
  asio::local::datagram_protocol::socket socket_;
  asio::steady_timer limit_;
  std::string text_;
  std::array<char, 1024> answer_;
  std::uint64_t round_ = 0;
  Done done_;
};

class NoticeDesk final : public LinkPart {
 public:
  static constexpr std::chrono::milliseconds kPaceEvery{100};
  static constexpr std::chrono::milliseconds kAgain{1000};  // after a failure, of the supervisor or of the port
  static constexpr const char* kProcess = "dataplane";      // in the supervisor's file

  // supervisor: path of its socket; empty: there is none. log: what people should know.
  NoticeDesk(asio::io_context& io, std::string supervisor, HaLink::Log log);

  void configured(Wire& wire, const std::optional<LinkSettings>& settings) override;
  void told(const Word& word) override;
  void began(Wire& wire, const ha::v1::Hello& peer) override;
  void forgotten() override;
  bool message(const ha::v1::Envelope& envelope) override;
  void heard(const ha::v1::Heartbeat& heartbeat) override;
  void speak(ha::v1::Heartbeat& heartbeat) const override;
  void contribute(PeerView& view) const override;

  const NoticeGuard& guard() const { return guard_; }

 private:
  void listen();
  void keep_pace();
  void receive();
  void received(std::size_t size);
  void order();
  void order_later();

  const HaLink::Log log_;
  const bool supervised_;
  Wire* wire_ = nullptr;
  std::optional<LinkSettings> settings_;

  asio::ip::udp::socket socket_;
  asio::ip::udp::endpoint from_;
  std::array<std::uint8_t, 256> buffer_;
  asio::steady_timer listen_timer_, pace_timer_;
  Pace pace_;
  std::uint64_t old_ = 0;        // datagrams that may have waited while this process stood still
  std::uint64_t strangers_ = 0;  // datagrams from other addresses
  NoticeGuard guard_;

  PeerLife peer_;

  // Of ours: the key that the peer has, and what the supervisor holds of it.
  SupervisorOrder supervisor_;
  asio::steady_timer order_timer_;
  std::uint64_t key_id_ = 0, epoch_ = 0;
  Secret key_{};
  bool acknowledged_ = false;
  std::uint64_t armed_id_ = 0, armed_epoch_ = 0;
  std::string order_problem_;
};

}  // namespace headgate::failover
