#include "controlplane/health/icmp_prober.h"

#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "controlplane/health/datagram_attempt.h"

namespace headgate::health {
namespace {

struct Echo {  // the same for both versions, RFC 792 and RFC 4443 4.1
  std::uint8_t type, code;
  std::uint16_t checksum, id, sequence;
  std::uint64_t cookie;
};
static_assert(sizeof(Echo) == 16);

std::uint16_t checksum_of(const Echo& echo) {  // RFC 1071
  std::uint16_t words[sizeof echo / 2];
  std::memcpy(words, &echo, sizeof echo);
  std::uint32_t sum = 0;
  for (const std::uint16_t word : words) sum += word;
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~(sum + (sum >> 16)));
}

class IcmpAttempt : public DatagramAttempt {
 public:
  IcmpAttempt(asio::io_context& io, const Done& done, std::uint64_t probe, const Target& target, Random& random)
      : DatagramAttempt(io, done, probe, target), v4_(target.endpoint.address().is_v4()) {
    const std::uint64_t bits = random.next();
    echo_ = {.type = v4_ ? std::uint8_t{ICMP_ECHO} : std::uint8_t{ICMP6_ECHO_REQUEST},
             .code = 0,
             .checksum = 0,
             .id = static_cast<std::uint16_t>(bits),
             .sequence = static_cast<std::uint16_t>(bits >> 16),
             .cookie = random.next()};
  }

 protected:
  int open(int family) override {
    const int protocol = v4_ ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6};
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (fd >= 0 || (errno != EACCES && errno != EPERM)) return fd;
    fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    raw_ = fd >= 0;
    return fd;
  }

  std::string request() override {
    if (raw_ && v4_) echo_.checksum = checksum_of(echo_);  // otherwise the kernel fills it in
    return {reinterpret_cast<const char*>(&echo_), sizeof echo_};
  }

  std::optional<Outcome> judge(std::span<const std::uint8_t> answer) override {
    if (raw_ && v4_) {  // with its IP header
      const std::size_t header = answer.empty() ? 0 : (answer[0] & 0xfu) * 4;
      answer = answer.subspan(std::min(header, answer.size()));
    }
    if (answer.size() < sizeof(Echo)) return std::nullopt;
    Echo reply;
    std::memcpy(&reply, answer.data(), sizeof reply);
    const std::uint8_t type = v4_ ? std::uint8_t{ICMP_ECHOREPLY} : std::uint8_t{ICMP6_ECHO_REPLY};
    // A ping socket has an identifier of its own, and is handed nothing else.
    const bool ours = reply.type == type && (!raw_ || reply.id == echo_.id) && reply.sequence == echo_.sequence &&
                      reply.cookie == echo_.cookie;
    return ours ? std::optional(success()) : std::nullopt;
  }

 private:
  const bool v4_;
  bool raw_ = false;
  Echo echo_{};
};

}  // namespace

void IcmpProber::start(std::uint64_t probe, const Target& target) {
  std::make_shared<IcmpAttempt>(io_, done_, probe, target, random_)->start(target.timeout);
}

}  // namespace headgate::health
