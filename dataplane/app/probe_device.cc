#include "dataplane/app/probe_device.h"

#include <arpa/inet.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "dataplane/base/ip.h"

namespace headgate::app {
namespace {

// The last host of the prefix: backend ids count from its start.
IpAddress last_host(const IpPrefix& prefix) {
  IpAddress address = prefix.network().address;
  const unsigned family_bits = address.is_v4() ? 32 : 128;
  const unsigned skipped = address.is_v4() ? 96 : 0;
  for (unsigned bit = prefix.length; bit + 1 < family_bits; ++bit) {
    address.bytes[(skipped + bit) / 8] |= static_cast<std::uint8_t>(0x80 >> ((skipped + bit) % 8));
  }
  return address;
}

class Socket {
 public:
  explicit Socket(int family) : fd_(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}
  ~Socket() { close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

Result<void> complain(const std::string& interface, const char* what) {
  return fail(ErrorCode::unavailable, interface + ": cannot " + what + ": " + std::strerror(errno));
}

}  // namespace

Result<void> set_up_probe_device(const std::string& interface, const std::string& prefix_v4,
                                 const std::string& prefix_v6) {
  ifreq request{};
  if (interface.size() >= sizeof request.ifr_name)
    return fail(ErrorCode::invalid_argument, interface + ": interface name too long");
  std::memcpy(request.ifr_name, interface.data(), interface.size());
  const Socket v4(AF_INET);
  if (ioctl(v4.fd(), SIOCGIFFLAGS, &request) != 0) return complain(interface, "read its flags");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP | IFF_NOARP);
  if (ioctl(v4.fd(), SIOCSIFFLAGS, &request) != 0) return complain(interface, "bring it up");

  if (const auto prefix = parse_prefix(prefix_v4); prefix && !prefix_v4.empty()) {
    auto* address = reinterpret_cast<sockaddr_in*>(&request.ifr_addr);
    *address = sockaddr_in{};
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(last_host(*prefix).v4());
    if (ioctl(v4.fd(), SIOCSIFADDR, &request) != 0) return complain(interface, "give it an IPv4 address");
    address->sin_addr.s_addr = htonl(prefix->length == 0 ? 0 : ~0u << (32 - prefix->length));
    if (ioctl(v4.fd(), SIOCSIFNETMASK, &request) != 0) return complain(interface, "give it a netmask");
  }
  if (const auto prefix = parse_prefix(prefix_v6); prefix && !prefix_v6.empty()) {
    // No duplicate address detection: nobody else is on this link, and probes should not wait two seconds for it.
    std::ofstream("/proc/sys/net/ipv6/conf/" + interface + "/accept_dad") << "0";
    std::ofstream("/proc/sys/net/ipv6/conf/" + interface + "/disable_ipv6") << "0";
    const Socket v6(AF_INET6);
    in6_ifreq add{};
    const IpAddress host = last_host(*prefix);
    std::memcpy(&add.ifr6_addr, host.bytes.data(), 16);
    add.ifr6_prefixlen = prefix->length;
    add.ifr6_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    if (ioctl(v6.fd(), SIOCSIFADDR, &add) != 0 && errno != EEXIST)
      return complain(interface, "give it an IPv6 address");
  }
  return {};
}

}  // namespace headgate::app
