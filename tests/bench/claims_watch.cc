#include "tests/bench/claims_watch.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tests/bench/stamp.h"

namespace headgate::bench {

namespace {

std::string failed(const std::string& what) {
  return what + ": " + std::strerror(errno);
}

Result<int> open_port(const std::string& name) {
  const unsigned index = if_nametoindex(name.c_str());
  if (index == 0) return fail(ErrorCode::not_found, "there is no interface " + name);
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int yes = 1;
  packet_mreq all{.mr_ifindex = static_cast<int>(index), .mr_type = PACKET_MR_PROMISC, .mr_alen = 0, .mr_address = {}};
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(index);
  if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof(yes)) != 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) != 0 ||
      setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof(yes)) != 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return fail(ErrorCode::unavailable, failed(name));
  return fd;
}

Result<std::array<std::uint8_t, 6>> mac_of(const std::string& interface) {
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int done = ioctl(fd, SIOCGIFHWADDR, &request);
  close(fd);
  if (done != 0) return fail(ErrorCode::not_found, failed(interface));
  std::array<std::uint8_t, 6> mac;
  std::memcpy(mac.data(), request.ifr_hwaddr.sa_data, mac.size());
  return mac;
}

std::array<std::uint8_t, 42> arp_question(const std::array<std::uint8_t, 6>& mac, std::uint32_t asker,
                                          std::uint32_t address) {
  std::array<std::uint8_t, 42> frame{};
  constexpr std::array<std::uint8_t, 10> kTypeAndHeader{0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1};
  std::fill_n(frame.begin(), 6, std::uint8_t{0xff});
  std::copy(mac.begin(), mac.end(), frame.begin() + 6);
  std::copy(kTypeAndHeader.begin(), kTypeAndHeader.end(), frame.begin() + 12);
  std::copy(mac.begin(), mac.end(), frame.begin() + 22);
  const std::uint32_t from = htonl(asker), to = htonl(address);
  std::memcpy(frame.data() + 28, &from, 4);
  std::memcpy(frame.data() + 38, &to, 4);
  return frame;
}

std::string ms_or_null(Nanos time) {
  return time == kNever ? "null" : std::to_string(static_cast<double>(time) / static_cast<double>(kMillisecond));
}

}  // namespace

Result<ClaimsWatch> ClaimsWatch::open(const std::vector<std::string>& ports, const std::string& bridge,
                                      std::uint32_t address, std::uint32_t asker) {
  ClaimsWatch watch(ports);
  const auto mac = mac_of(bridge);
  if (!mac) return tl::unexpected(mac.error());
  watch.address_ = address;
  watch.question_ = arp_question(*mac, asker, address);
  for (const std::string& port : ports) {
    const auto fd = open_port(port);
    if (!fd) return tl::unexpected(fd.error());
    watch.sockets_.push_back(*fd);
  }
  return watch;
}

void ClaimsWatch::receive(std::size_t port) {
  for (;;) {
    std::array<std::uint8_t, 128> frame;
    alignas(cmsghdr) std::array<char, 128> control;
    iovec part{frame.data(), frame.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = recvmsg(sockets_[port], &message, 0);
    if (size < 0) return;
    if (is_claim({frame.data(), static_cast<std::size_t>(size)}, address_)) claims_.claim(port, stamp_of(message));
  }
}

void ClaimsWatch::ask() {
  for (const int fd : sockets_) {
    // A port that is down takes nothing, and then there is nobody to ask.
    [[maybe_unused]] const ssize_t sent = send(fd, question_.data(), question_.size(), 0);
  }
}

std::string ClaimsWatch::ignore(const std::string& port, bool ignored) {
  const auto found = std::find(ports_.begin(), ports_.end(), port);
  if (found == ports_.end()) return "there is no port " + port;
  claims_.ignore(static_cast<std::size_t>(found - ports_.begin()), ignored);
  return "";
}

std::string ClaimsWatch::report() const {
  std::string text = "{\"overlap_ms\": " + ms_or_null(claims_.overlap()) + ", \"ports\": {";
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    text += std::string(i == 0 ? "" : ", ") + "\"" + ports_[i] +
            "\": {\"claims\": " + std::to_string(claims_.count(i)) + ", \"first_ms\": " + ms_or_null(claims_.first(i)) +
            ", \"last_ms\": " + ms_or_null(claims_.last(i)) + "}";
  }
  return text + "}}";
}

}  // namespace headgate::bench
