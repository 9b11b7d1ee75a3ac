#include "tests/bench/http_load.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <ctime>

#include "dataplane/base/check.h"

namespace headgate::bench {

namespace {

constexpr Nanos kPatience =
    4 * kSecond;  // after the end, for answers that are due: a lost SYN is repeated after 1 s, and 3 s
constexpr std::size_t kReadAtOnce = 64 * 1024, kSkipAtOnce = 4 << 20;

Nanos monotonic() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<Nanos>(time.tv_sec) * kSecond + static_cast<Nanos>(time.tv_nsec);
}

std::string error_text() {
  return std::strerror(errno);
}

}  // namespace

Result<HttpTarget> parse_http_target(std::string_view text) {
  const auto refused = [text] {
    return fail(ErrorCode::invalid_argument, "\"" + std::string(text) + "\" is not ADDRESS:PORT or [ADDRESS]:PORT");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return refused();
  std::string host(text.substr(0, colon));
  const std::string port(text.substr(colon + 1));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{}, *found = nullptr;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return refused();
  HttpTarget target;
  std::memcpy(&target.address, found->ai_addr, found->ai_addrlen);
  target.length = found->ai_addrlen;
  freeaddrinfo(found);
  return target;
}

Nanos LoadResult::percentile(double share) const {
  if (latencies.empty()) return 0;
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(latencies.size())));
  return latencies[std::clamp<std::size_t>(rank, 1, latencies.size()) - 1];
}

HttpLoad::HttpLoad(const LoadOptions& options, std::function<void(bool)> mark)
    : options_(options),
      mark_(std::move(mark)),
      request_("GET " + options.path + " HTTP/1.1\r\nHost: bench\r\n" +
               (options.close ? "Connection: close\r\n\r\n" : "\r\n")),
      connections_(options.connections),
      bytes_(kReadAtOnce),
      rng_(options.seed),
      epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  HEADGATE_CHECK(epoll_ >= 0 && options.connections != 0);
  for (std::size_t i = connections_.size(); i-- > 0;) free_.push_back(i);
  const double expected = options.rate * static_cast<double>(options.duration) / static_cast<double>(kSecond);
  result_.latencies.reserve(static_cast<std::size_t>(expected * 1.1) + 1'000'000);
}

HttpLoad::~HttpLoad() {
  for (std::size_t i = 0; i < connections_.size(); ++i) close(i);
  ::close(epoll_);
}

LoadResult HttpLoad::run() {
  const Nanos start = monotonic();
  begin_ = start + options_.warm_up;
  end_ = begin_ + options_.duration;
  next_due_ = start;
  bool begun = false;
  for (Nanos now = start; now < end_; now = monotonic()) {
    if (!begun && now >= begin_) {
      begun = true;
      mark_(true);
    }
    issue(now);
    const Nanos boundary = begun ? end_ : begin_;
    wait(options_.rate > 0 ? std::min(next_due_, boundary) : boundary);
  }
  result_.time = monotonic() - begin_;
  mark_(false);
  next_due_ = kNever;  // no more of them; those that are due still count
  const Nanos limit = end_ + kPatience;
  for (Nanos now = end_; now < limit && (free_.size() < connections_.size() || !waiting_.empty()); now = monotonic()) {
    if (options_.rate > 0) issue(now);
    wait(limit);
  }
  count_unanswered();
  std::sort(result_.latencies.begin(), result_.latencies.end());
  return std::move(result_);
}

Nanos HttpLoad::draw_gap() {
  const double uniform = (static_cast<double>(rng_.next() >> 11) + 1) * 0x1.0p-53;  // (0, 1]
  return static_cast<Nanos>(-std::log(uniform) / options_.rate * static_cast<double>(kSecond));
}

// Everything that is due by now.
void HttpLoad::issue(Nanos now) {
  if (options_.rate > 0) {
    for (; next_due_ <= now; next_due_ += draw_gap()) waiting_.push_back(next_due_);
  }
  while (!free_.empty() && (options_.rate == 0 || !waiting_.empty())) {
    const std::size_t index = free_.back();
    free_.pop_back();
    Nanos due = now;
    if (options_.rate > 0) {
      due = waiting_.front();
      waiting_.pop_front();
    }
    assign(index, due);
  }
}

void HttpLoad::assign(std::size_t index, Nanos due) {
  connections_[index].due = due;
  connections_[index].reply.reset();
  connections_[index].stage == Stage::idle ? ask(index) : open(index);
}

void HttpLoad::open(std::size_t index) {
  Connection& connection = connections_[index];
  const auto* address = reinterpret_cast<const sockaddr*>(&options_.target.address);
  connection.fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (connection.fd < 0) return failed(index, "socket: " + error_text());
  const int yes = 1;
  setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  connection.stage = Stage::connecting;
  if (connect(connection.fd, address, options_.target.length) != 0 && errno != EINPROGRESS)
    return failed(index, "connect: " + error_text());
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = index;
  HEADGATE_CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event) == 0);
}

void HttpLoad::ask(std::size_t index) {
  Connection& connection = connections_[index];
  connection.stage = Stage::asking;
  const ssize_t sent = send(connection.fd, request_.data(), request_.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(request_.size())) failed(index, "send: " + error_text());
}

void HttpLoad::handle(std::size_t index, std::uint32_t events) {
  Connection& connection = connections_[index];
  switch (connection.stage) {
    case Stage::closed:
      return;  // by an event before this one
    case Stage::connecting:
      if ((events & (EPOLLERR | EPOLLHUP)) != 0) return failed(index, "refused");
      if ((events & EPOLLOUT) != 0) ask(index);
      return;
    case Stage::idle:
      if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) == 0) return;
      if (measuring(monotonic())) ++result_.reopened;
      return close(index);  // it stays free: the next request opens it anew
    case Stage::asking:
    case Stage::ending:
      if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) receive(index);
      return;
  }
}

void HttpLoad::receive(std::size_t index) {
  Connection& connection = connections_[index];
  while (connection.stage == Stage::asking || connection.stage == Stage::ending) {
    const std::uint64_t missing = connection.reply.missing();
    const bool skips = missing > bytes_.size();  // a large body is thrown away where it lies
    const ssize_t size = skips ? recv(connection.fd, nullptr, std::min<std::size_t>(missing, kSkipAtOnce), MSG_TRUNC)
                               : recv(connection.fd, bytes_.data(), bytes_.size(), 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size < 0) return failed(index, "recv: " + error_text());
    if (size == 0) {
      if (connection.stage != Stage::ending) return failed(index, "closed without an answer");
      close(index);
      return release(index);
    }
    const auto count = static_cast<std::size_t>(size);
    const auto state = skips ? connection.reply.skip(count) : connection.reply.feed({bytes_.data(), count});
    if (measuring(monotonic())) result_.bytes += count;
    if (state == ReplyReader::State::broken) return failed(index, "an answer that is none");
    if (state == ReplyReader::State::complete && connection.stage == Stage::asking) answered(index);
    if (connection.stage == Stage::asking && count < bytes_.size() && !skips) return;  // the socket is empty
  }
}

void HttpLoad::answered(std::size_t index) {
  Connection& connection = connections_[index];
  if (connection.reply.status() != 200) return failed(index, "status " + std::to_string(connection.reply.status()));
  const Nanos now = monotonic();
  if (measuring(now)) ++result_.requests;
  if (measuring(connection.due)) result_.latencies.push_back(now - connection.due);
  if (options_.close) {
    connection.stage = Stage::ending;  // until its FIN: whoever closes first keeps the port
  } else {
    connection.stage = Stage::idle;
    release(index);
  }
}

void HttpLoad::failed(std::size_t index, const std::string& why) {
  if (measuring(connections_[index].due)) {
    ++result_.failed;
    if (result_.failure.empty()) result_.failure = why;
  }
  close(index);
  release(index);
}

// It is free for the next request; who waits gets it in issue().
void HttpLoad::release(std::size_t index) {
  free_.push_back(index);
}

void HttpLoad::close(std::size_t index) {
  Connection& connection = connections_[index];
  if (connection.fd >= 0) ::close(connection.fd);
  connection.fd = -1;
  connection.stage = Stage::closed;
}

void HttpLoad::wait(Nanos until) {
  std::array<epoll_event, 64> events;
  const Nanos now = monotonic(), span = until > now ? until - now : 0;
  const timespec timeout{static_cast<time_t>(span / kSecond), static_cast<long>(span % kSecond)};
  const int count = epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    handle(event.data.u64, event.events);
  }
}

void HttpLoad::count_unanswered() {
  const auto count = [this](Nanos due) {
    if (!measuring(due)) return;
    ++result_.failed;
    if (result_.failure.empty()) result_.failure = "not answered in time";
  };
  if (options_.rate > 0) {
    for (const Nanos due : waiting_) count(due);
    for (const Connection& connection : connections_) {
      if (connection.stage == Stage::connecting || connection.stage == Stage::asking) count(connection.due);
    }
  }
}

}  // namespace headgate::bench
