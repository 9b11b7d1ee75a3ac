// The carrier of the HA link's interface: without one nobody can be heard there, which is known at once and not after
// three heartbeats; and people are told of a cable instead of a silence.
//
// The kernel says when a link or an address changes (rtnetlink(7)); what it is then is looked up, so a message that was
// lost costs nothing. A lost carrier is no death of the peer's dataplane: a pulled cable looks the same.
//
// Thread rule: that of the io_context.
#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/address.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <optional>
#include <string>

#include "controlplane/failover/link.h"

namespace headgate::failover {

class CarrierWatch final : public LinkPart {
 public:
  static constexpr std::chrono::milliseconds kAgain{1000};  // when the kernel gives no socket: looks, and tries anew
  static constexpr int kMessagesPerTurn = 64;

  struct Carrier {
    std::string interface;  // the one that has the address; empty: none has it, and nothing is known
    bool up = false;        // and its other end, too (IFF_RUNNING)
    friend bool operator==(const Carrier&, const Carrier&) = default;
  };
  using Look = std::function<Carrier(const asio::ip::address&)>;
  static Carrier look_at_kernel(const asio::ip::address& address);

  CarrierWatch(asio::io_context& io, HaLink::Log log, Look look = look_at_kernel);

  void configured(Wire& wire, const std::optional<LinkSettings>& settings) override;
  void contribute(PeerView& view) const override;

  void look();  // the kernel said that something changed

 private:
  void listen();
  void wait();

  const HaLink::Log log_;
  const Look look_;
  Wire* wire_ = nullptr;
  std::optional<LinkSettings> settings_;
  std::optional<Carrier> carrier_;
  asio::posix::stream_descriptor socket_;
  asio::steady_timer again_;
};

}  // namespace headgate::failover
