// Thousands of HTTP backends in one process: it answers on every address of its namespace, and knows each by the
// address it was asked at. For tools/bench control, which says on standard input what they do:
//
//   fail FROM TO   those with numbers FROM..TO-1 answer 503; a number is the low 16 bits of the address
//   well           all answer 200
//   forget         what was seen so far
//   report MS      {"probes", "targets", "deviation_p50", "deviation_p99", "deviation_max"}: how far the time between
//                  two probes of one target is from MS, as a part of it. A probe's time is when its request reached
//                  this machine, by the kernel: not when this program, on a busy processor, came round to it
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <asio/ip/tcp.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/read_until.hpp>
#include <asio/streambuf.hpp>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace {

using asio::ip::tcp;
using Clock = std::chrono::system_clock;  // as the kernel stamps what it receives

constexpr std::size_t kNumbers = 65536;
constexpr int kAcceptedAtOnce = 64;
constexpr const char* kWell = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
constexpr const char* kIll = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

struct Seen {
  std::vector<Clock::time_point> last = std::vector<Clock::time_point>(kNumbers);
  std::vector<double> spacing_ms;
  std::size_t probes = 0;
};

class Targets {
 public:
  Targets(asio::io_context& io, std::uint16_t port)
      : acceptor_(io, tcp::endpoint(tcp::v4(), port)), input_(io, ::dup(0)), ill_(kNumbers, false) {
    acceptor_.listen(4096);
    acceptor_.non_blocking(true);
    const int wait_s = 2;
    ::setsockopt(acceptor_.native_handle(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &wait_s, sizeof wait_s);
    const int on = 1;
    if (::setsockopt(acceptor_.native_handle(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) != 0)
      throw std::system_error(errno, std::generic_category(), "SO_TIMESTAMPNS");
    accept();
    read_command();
  }

 private:
  // What a probe costs here is taken from the processors that the prober is measured on: as few calls and segments as a
  // server can do with. The kernel hands a connection over with its request (one segment), and the answer takes our FIN
  // along.
  void accept() {
    acceptor_.async_wait(tcp::acceptor::wait_read, [this](const asio::error_code& error) {
      for (int i = 0; i < kAcceptedAtOnce && !error; ++i) {
        const int connection = ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (connection < 0) break;
        serve(connection);
        ::close(connection);
      }
      accept();
    });
  }

  void serve(int connection) {
    char request[2048];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(timespec))];
    iovec part{request, sizeof request};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (::recvmsg(connection, &message, 0) <= 0) return;
    const cmsghdr* stamp = CMSG_FIRSTHDR(&message);
    if (stamp == nullptr || stamp->cmsg_type != SCM_TIMESTAMPNS) return;
    timespec received{};
    std::memcpy(&received, CMSG_DATA(stamp), sizeof received);
    sockaddr_in local{};
    socklen_t size = sizeof local;
    if (::getsockname(connection, reinterpret_cast<sockaddr*>(&local), &size) != 0) return;
    const std::size_t number = ntohl(local.sin_addr.s_addr) & 0xffff;
    note(number, Clock::time_point(std::chrono::seconds(received.tv_sec) + std::chrono::nanoseconds(received.tv_nsec)));
    const std::string_view answer = ill_[number] ? kIll : kWell;
    ::send(connection, answer.data(), answer.size(), MSG_MORE | MSG_NOSIGNAL);
  }

  void note(std::size_t number, Clock::time_point now) {
    if (seen_.last[number] != Clock::time_point{})
      seen_.spacing_ms.push_back(std::chrono::duration<double, std::milli>(now - seen_.last[number]).count());
    seen_.last[number] = now;
    ++seen_.probes;
  }

  void read_command() {
    asio::async_read_until(input_, line_, '\n', [this](const asio::error_code& error, std::size_t) {
      if (error) std::exit(0);  // whoever started us is gone
      std::istream in(&line_);
      std::string line;
      std::getline(in, line);
      obey(line);
      read_command();
    });
  }

  void obey(const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    if (verb == "fail") {
      std::size_t from = 0, to = 0;
      words >> from >> to;
      for (std::size_t i = from; i < std::min(to, kNumbers); ++i) ill_[i] = true;
    } else if (verb == "well") {
      ill_.assign(kNumbers, false);
    } else if (verb == "forget") {
      seen_ = {};
    } else if (verb == "report") {
      double interval_ms = 1000;
      words >> interval_ms;
      report(interval_ms);
    }
    std::fflush(stdout);
  }

  void report(double interval_ms) {
    std::vector<double> deviation;
    for (const double ms : seen_.spacing_ms) deviation.push_back(std::abs(ms - interval_ms) / interval_ms);
    std::sort(deviation.begin(), deviation.end());
    const auto at = [&](double share) {
      return deviation.empty() ? 0
                               : deviation[static_cast<std::size_t>(share * static_cast<double>(deviation.size() - 1))];
    };
    const auto targets =
        std::count_if(seen_.last.begin(), seen_.last.end(), [](auto time) { return time != Clock::time_point{}; });
    std::printf(
        "{\"probes\": %zu, \"targets\": %td, \"deviation_p50\": %.4f, \"deviation_p99\": %.4f, \"deviation_max\": "
        "%.4f}\n",
        seen_.probes, targets, at(0.5), at(0.99), at(1));
  }

  tcp::acceptor acceptor_;
  asio::posix::stream_descriptor input_;
  asio::streambuf line_;
  std::vector<bool> ill_;
  Seen seen_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: headgate-bench-targets PORT\n");
    return 1;
  }
  try {
    asio::io_context io(1);
    Targets targets(io, static_cast<std::uint16_t>(std::atoi(argv[1])));
    std::puts("ready");
    std::fflush(stdout);
    io.run();
  } catch (const std::exception& error) {  // asio's, for an address in use and the like
    std::fprintf(stderr, "headgate-bench-targets: %s\n", error.what());
    return 1;
  }
}
