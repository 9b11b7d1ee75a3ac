// The kernel's side of an interface, by ioctl: no dependence on /sys, which shows another network namespace's
// interfaces.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "dataplane/base/mac.h"
#include "dataplane/base/result.h"

namespace headgate::port {

class KernelInterface {
 public:
  explicit KernelInterface(std::string name) : name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  bool exists() const;
  bool running() const;  // up and with carrier
  std::optional<MacAddress> mac() const;
  std::optional<std::uint16_t> mtu() const;
  // How many receive queues the kernel spreads frames over now (ethtool -l); 1 for devices that do not say.
  unsigned rx_queues() const;

  Result<void> set_up(bool up) const;
  Result<void> set_mac(const MacAddress& mac) const;
  Result<void> set_mtu(std::uint16_t mtu) const;

 private:
  std::string name_;
};

}  // namespace headgate::port
