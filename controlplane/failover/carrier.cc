#include "controlplane/failover/carrier.h"

#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

namespace headgate::failover {
namespace {

constexpr const char* kNoCarrier = "has no carrier; look at the cable and at the peer's power";
constexpr const char* kVanished = "is gone, or its address is";

bool has(const sockaddr* socket_address, const asio::ip::address& address) {
  if (socket_address == nullptr) return false;
  if (socket_address->sa_family == AF_INET && address.is_v4()) {
    sockaddr_in in;
    std::memcpy(&in, socket_address, sizeof in);
    return ntohl(in.sin_addr.s_addr) == address.to_v4().to_uint();
  }
  if (socket_address->sa_family == AF_INET6 && address.is_v6()) {
    sockaddr_in6 in;
    std::memcpy(&in, socket_address, sizeof in);
    const auto bytes = address.to_v6().to_bytes();
    return std::memcmp(in.sin6_addr.s6_addr, bytes.data(), bytes.size()) == 0;
  }
  return false;
}

int rtnetlink_socket() {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  if (fd < 0) return -1;
  sockaddr_nl here{};
  here.nl_family = AF_NETLINK;
  here.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0) return fd;
  ::close(fd);
  return -1;
}

}  // namespace

CarrierWatch::Carrier CarrierWatch::look_at_kernel(const asio::ip::address& address) {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(all, ::freeifaddrs);
  for (const ifaddrs* entry = all; entry != nullptr; entry = entry->ifa_next) {
    if (has(entry->ifa_addr, address))
      return {.interface = entry->ifa_name, .up = (entry->ifa_flags & IFF_RUNNING) != 0};
  }
  return {};
}

CarrierWatch::CarrierWatch(asio::io_context& io, HaLink::Log log, Look look)
    : log_(std::move(log)), look_(std::move(look)), socket_(io), again_(io) {}

void CarrierWatch::configured(Wire& wire, const std::optional<LinkSettings>& settings) {
  wire_ = &wire;
  settings_ = settings;
  carrier_.reset();
  asio::error_code ignored;
  socket_.close(ignored);
  again_.cancel();
  if (settings_) listen();
}

// First the ear, then a look: what happens in between is heard.
void CarrierWatch::listen() {
  const int fd = rtnetlink_socket();
  if (fd >= 0) {
    socket_.assign(fd);
    wait();
    return look();
  }
  look();
  again_.expires_after(kAgain);
  again_.async_wait([this](const asio::error_code& cancelled) {
    if (!cancelled && settings_ && !socket_.is_open()) listen();
  });
}

void CarrierWatch::wait() {
  socket_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const asio::error_code& error) {
    if (error || !socket_.is_open()) return;
    std::array<char, 8192> ignored;
    for (int i = 0; i < kMessagesPerTurn; ++i) {
      if (::recv(socket_.native_handle(), ignored.data(), ignored.size(), 0) < 0 && errno != ENOBUFS) break;
    }
    look();
    wait();
  });
}

void CarrierWatch::look() {
  if (!settings_) return;
  Carrier now = look_(settings_->own);
  const bool vanished = now.interface.empty() && carrier_ && !carrier_->interface.empty();
  if (vanished) now = {.interface = carrier_->interface, .up = false};
  if (carrier_ == now) return;
  const std::optional<Carrier> before = std::exchange(carrier_, now);
  wire_->changed();  // first of all: somebody decides by it
  if (!now.interface.empty() && !now.up) {
    log_(HaLink::Weight::warning, "interface " + now.interface + " " + (vanished ? kVanished : kNoCarrier));
  } else if (before && !before->interface.empty() && !before->up) {
    log_(HaLink::Weight::notice, "interface " + now.interface + " has its carrier again");
  }
}

void CarrierWatch::contribute(PeerView& view) const {
  if (!settings_ || !carrier_) return;
  if (carrier_->interface.empty()) {
    view.detail.push_back("carrier: not known, no interface has the address " + settings_->own.to_string());
    return;
  }
  view.detail.push_back("carrier: interface " + carrier_->interface + (carrier_->up ? " has one" : " has NONE"));
  if (carrier_->up) return;
  view.link_up = false;
  view.problem = "its interface " + carrier_->interface + " " + kNoCarrier;
}

}  // namespace headgate::failover
