#include "controlplane/supervisor/death_notice.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <sstream>

namespace headgate::supervisor {
namespace {

constexpr std::size_t kSigned = 32;

template <class Number>
bool parse(const std::string& text, Number& out, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc{} && end == text.data() + text.size();
}

void put(std::uint64_t value, std::uint8_t* at) {
  for (int i = 0; i < 8; ++i) at[i] = static_cast<std::uint8_t>(value >> (56 - 8 * i));
}

bool address_of(const std::string& text, std::uint16_t port, sockaddr_storage& out, socklen_t& size) {
  out = {};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out);
  if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    size = sizeof *v4;
    return true;
  }
  if (::inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) != 1) return false;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  size = sizeof *v6;
  return true;
}

// -1 with errno.
int connected_socket(const NoticeOrder& order) {
  sockaddr_storage from{}, to{};
  socklen_t from_size = 0, to_size = 0;
  if (!address_of(order.from, 0, from, from_size) || !address_of(order.to, order.port, to, to_size)) {
    errno = EINVAL;
    return -1;
  }
  const int descriptor = ::socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return -1;
  if (::bind(descriptor, reinterpret_cast<sockaddr*>(&from), from_size) == 0 &&
      ::connect(descriptor, reinterpret_cast<sockaddr*>(&to), to_size) == 0)
    return descriptor;
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return -1;
}

}  // namespace

std::string parse_notice_order(const std::string& text, NoticeOrder& order) {
  std::istringstream words(text);
  std::string port, id, key, epoch, counter, more;
  words >> order.from >> order.to >> port >> id >> key >> epoch >> counter;
  bool good = static_cast<bool>(words) && !(words >> more) && parse(port, order.port) && order.port != 0 &&
              parse(id, order.id, 16) && parse(epoch, order.epoch) && parse(counter, order.counter) &&
              key.size() == 2 * order.key.size();
  for (std::size_t i = 0; good && i < order.key.size(); ++i) good = parse(key.substr(2 * i, 2), order.key[i], 16);
  ::OPENSSL_cleanse(key.data(), key.size());
  return good ? "" : "a notice takes: FROM TO PORT ID KEY EPOCH COUNTER";
}

std::array<std::uint8_t, kNoticeBytes> make_notice(const NoticeOrder& order, std::uint64_t counter) {
  std::array<std::uint8_t, kNoticeBytes> out{'H', 'G', 'D', 'N', 1};
  put(order.id, &out[8]);
  put(order.epoch, &out[16]);
  put(counter, &out[24]);
  unsigned size = 0;
  if (::HMAC(::EVP_sha256(), order.key.data(), static_cast<int>(order.key.size()), out.data(), kSigned, &out[kSigned],
             &size) == nullptr)
    std::abort();  // made when it is armed, never when it is needed
  return out;
}

DeathNotice::~DeathNotice() {
  disarm();
}

void DeathNotice::disarm() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
  ::OPENSSL_cleanse(order_.key.data(), order_.key.size());
  order_ = {};
  sent_ = kCopies.size();
}

std::string DeathNotice::arm(const NoticeOrder& order) {
  const int descriptor = connected_socket(order);
  if (descriptor < 0) return "cannot reach " + order.to + " from " + order.from + ": " + std::strerror(errno);
  const std::uint64_t counter = order.id == order_.id ? std::max(order.counter, order_.counter) : order.counter;
  // Copies of an earlier notice that still wait are worth more than their order: a dead dataplane is no news soon.
  if (next_due() != Time::max()) transmit();
  disarm();
  order_ = order;
  order_.counter = counter;
  socket_ = descriptor;
  datagram_ = make_notice(order_, counter + 1);
  return "";
}

bool DeathNotice::send(Time now) {
  if (socket_ < 0) return false;
  if (sent_ < kCopies.size()) datagram_ = make_notice(order_, order_.counter + 1);  // it died twice within 10 ms
  reaped_ = now;
  ++order_.counter;
  sent_ = 1;
  transmit();
  return true;
}

void DeathNotice::send_due(Time now) {
  while (next_due() <= now) {
    transmit();
    if (++sent_ == kCopies.size()) datagram_ = make_notice(order_, order_.counter + 1);
  }
}

Time DeathNotice::next_due() const {
  return socket_ < 0 || sent_ >= kCopies.size() ? Time::max() : reaped_ + kCopies[sent_];
}

// What fails is no news here: the peer's control plane may be down (ICMP says so), and the link with it.
void DeathNotice::transmit() const {
  static_cast<void>(::send(socket_, datagram_.data(), datagram_.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
}

}  // namespace headgate::supervisor
