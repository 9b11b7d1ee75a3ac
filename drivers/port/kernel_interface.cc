#include "drivers/port/kernel_interface.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace headgate::port {
namespace {

// One ioctl on a fresh socket, so that it speaks about the network namespace the caller is in now. 0 or errno.
int call(const std::string& name, unsigned long request, ifreq& data) {
  std::strncpy(data.ifr_name, name.c_str(), IFNAMSIZ - 1);
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  const int error = ::ioctl(fd, request, &data) == 0 ? 0 : errno;
  ::close(fd);
  return error;
}

Result<void> outcome(int error, const std::string& what) {
  if (error == 0) return {};
  const ErrorCode code = error == EPERM    ? ErrorCode::permission_denied
                         : error == ENODEV ? ErrorCode::not_found
                                           : ErrorCode::unavailable;
  return fail(code, what + ": " + std::strerror(error));
}

}  // namespace

bool KernelInterface::exists() const {
  return if_nametoindex(name_.c_str()) != 0;
}

bool KernelInterface::running() const {
  ifreq data{};
  if (call(name_, SIOCGIFFLAGS, data) != 0 || (data.ifr_flags & IFF_UP) == 0) return false;
  const bool running = (data.ifr_flags & IFF_RUNNING) != 0;
  // IFF_RUNNING lags behind the carrier by up to a second (the kernel's linkwatch), which is long for a failover.
  ethtool_value carrier{.cmd = ETHTOOL_GLINK, .data = 0};
  ifreq query{};
  query.ifr_data = reinterpret_cast<char*>(&carrier);
  return call(name_, SIOCETHTOOL, query) == 0 ? carrier.data != 0 : running;
}

std::optional<MacAddress> KernelInterface::mac() const {
  ifreq data{};
  if (call(name_, SIOCGIFHWADDR, data) != 0) return std::nullopt;
  MacAddress mac;
  std::memcpy(mac.bytes.data(), data.ifr_hwaddr.sa_data, mac.bytes.size());
  return mac;
}

std::optional<std::uint16_t> KernelInterface::mtu() const {
  ifreq data{};
  if (call(name_, SIOCGIFMTU, data) != 0) return std::nullopt;
  return static_cast<std::uint16_t>(std::min(data.ifr_mtu, 65535));
}

unsigned KernelInterface::rx_queues() const {
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  ifreq data{};
  data.ifr_data = reinterpret_cast<char*>(&channels);
  if (call(name_, SIOCETHTOOL, data) != 0) return 1;
  return std::max(1u, channels.combined_count + channels.rx_count);
}

Result<void> KernelInterface::set_up(bool up) const {
  ifreq data{};
  int error = call(name_, SIOCGIFFLAGS, data);
  if (error == 0 && ((data.ifr_flags & IFF_UP) != 0) != up) {
    data.ifr_flags = static_cast<short>(data.ifr_flags ^ IFF_UP);
    error = call(name_, SIOCSIFFLAGS, data);
  }
  return outcome(error, "cannot bring interface " + name_ + (up ? " up" : " down"));
}

Result<void> KernelInterface::set_mac(const MacAddress& mac) const {
  ifreq data{};
  data.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::memcpy(data.ifr_hwaddr.sa_data, mac.bytes.data(), mac.bytes.size());
  return outcome(call(name_, SIOCSIFHWADDR, data),
                 "cannot set the hardware address of " + name_ + " to " + to_string(mac));
}

Result<void> KernelInterface::set_mtu(std::uint16_t mtu) const {
  ifreq data{};
  data.ifr_mtu = mtu;
  return outcome(call(name_, SIOCSIFMTU, data), "cannot set the MTU of " + name_ + " to " + std::to_string(mtu));
}

}  // namespace headgate::port
