// The hosts around a simulated box: they answer ARP and neighbor discovery with fixed hardware addresses and do nothing
// else.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/base/ip.h"
#include "dataplane/base/mac.h"
#include "dataplane/packet/testing.h"

namespace headgate::sim {

using packet::testing::Frame;

class Lan {
 public:
  struct Host {
    IpAddress address;
    MacAddress mac;
    std::uint16_t port = 0;  // the box's port it is behind
    std::uint16_t vlan = 0;
    bool silent = false;
  };

  // The hardware address is made from the IP address: same host, same bytes, in every run.
  const Host& add(std::string_view address, std::uint16_t port, std::uint16_t vlan = 0);
  void set_silent(const IpAddress& address, bool silent);
  const Host* find(const IpAddress& address) const;
  MacAddress mac(std::string_view address) const;  // aborts when there is no such host

  // A frame that left the box: true when it was ARP, neighbor discovery or MLD, with the answer if a host has one.
  bool is_neighbor_traffic(std::span<const std::uint8_t> frame, std::uint16_t port, std::optional<Frame>& answer) const;

 private:
  std::vector<Host> hosts_;
};

}  // namespace headgate::sim
