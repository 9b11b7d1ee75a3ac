#include "tests/bench/probe.h"

#include <arpa/inet.h>
#include <linux/icmp.h>
#include <netdb.h>
#include <netinet/icmp6.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "tests/bench/stamp.h"

namespace headgate::bench {

namespace {

struct Probe {  // on the wire
  std::uint8_t type, code;
  std::uint16_t checksum;
  std::uint16_t id, sequence;
  Nanos sent_at;
};
static_assert(sizeof(Probe) == 16);

std::uint16_t internet_checksum(const void* data, std::size_t size) {
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < size; i += 2) sum += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return htons(static_cast<std::uint16_t>(~sum));
}

std::string failed(std::string_view text) {
  return std::string(text) + ": " + std::strerror(errno);
}

}  // namespace

Result<TargetSpec> parse_target(std::string_view text) {
  const auto refused = [text] {
    return fail(ErrorCode::invalid_argument,
                "\"" + std::string(text) + "\" is neither NAME=icmp:ADDRESS nor NAME=udp:ADDRESS:PORT");
  };
  const std::size_t equals = text.find('='), colon = text.find(':', equals == text.npos ? 0 : equals);
  if (equals == text.npos || colon == text.npos) return refused();
  TargetSpec spec{.name = std::string(text.substr(0, equals))};
  const auto kind = text.substr(equals + 1, colon - equals - 1);
  std::string host(text.substr(colon + 1)), port;
  spec.udp = kind == "udp";
  if (!spec.udp && kind != "icmp") return refused();
  if (spec.udp) {
    const std::size_t last = host.rfind(':');
    if (last == host.npos) return refused();
    port = host.substr(last + 1);
    host.resize(last);
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), port.empty() ? nullptr : port.c_str(), &hints, &found) != 0) return refused();
  std::memcpy(&spec.address, found->ai_addr, found->ai_addrlen);
  spec.length = found->ai_addrlen;
  freeaddrinfo(found);
  return spec;
}

Result<Target> Target::open(const TargetSpec& spec, std::uint16_t id) {
  Target target;
  target.name_ = spec.name;
  target.udp_ = spec.udp;
  target.v6_ = spec.address.ss_family == AF_INET6;
  target.id_ = id;
  const int protocol = spec.udp ? IPPROTO_UDP : target.v6_ ? static_cast<int>(IPPROTO_ICMPV6) : IPPROTO_ICMP;
  const int yes = 1;
  target.fd_ =
      socket(spec.address.ss_family, (spec.udp ? SOCK_DGRAM : SOCK_RAW) | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (target.fd_ < 0 || setsockopt(target.fd_, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof(yes)) != 0 ||
      connect(target.fd_, reinterpret_cast<const sockaddr*>(&spec.address), spec.length) != 0)
    return fail(ErrorCode::unavailable, failed(spec.name));
  return target;
}

void Target::send(Nanos now) {
  Probe probe{};
  probe.type = v6_ ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
  probe.id = htons(id_);
  probe.sequence = htons(sequence_++);
  probe.sent_at = now;
  if (!v6_ && !udp_) probe.checksum = internet_checksum(&probe, sizeof(probe));
  meter_.sent();
  if (::send(fd_, &probe, sizeof(probe), 0) < 0) ++refused_;  // no route, a pending ICMP error: as lost as any
}

void Target::receive() {
  for (;;) {
    std::array<std::uint8_t, 256> packet;
    alignas(cmsghdr) std::array<char, 128> control;
    iovec part{packet.data(), packet.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = recvmsg(fd_, &message, 0);
    if (size < 0 && errno == ECONNREFUSED) continue;  // an ICMP error, and no answer
    if (size < 0) return;
    const std::size_t header = udp_ || v6_ ? 0 : static_cast<std::size_t>(packet[0] & 15) * 4;
    if (static_cast<std::size_t>(size) < header + sizeof(Probe)) continue;
    Probe probe{};
    std::memcpy(&probe, packet.data() + header, sizeof(probe));
    const std::uint8_t reply = udp_ ? probe.type : v6_ ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
    if (probe.type != reply || ntohs(probe.id) != id_) continue;
    meter_.answer(probe.sent_at, stamp_of(message));
  }
}

std::string Target::report(Nanos now) {
  const auto ms = [](Nanos time) {
    return std::to_string(static_cast<double>(time) / static_cast<double>(kMillisecond));
  };
  const Nanos gap = meter_.longest(now);
  return "{\"name\": \"" + name_ + "\", \"sent\": " + std::to_string(meter_.probes()) +
         ", \"answered\": " + std::to_string(meter_.answers()) + ", \"late\": " + std::to_string(meter_.late()) +
         ", \"refused\": " + std::to_string(refused_) + ", \"gap_ms\": " + ms(gap) +
         ", \"gap_at_ms\": " + ms(meter_.longest_at()) + "}";
}

}  // namespace headgate::bench
