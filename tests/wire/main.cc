// headgate-wire A B --control PATH [--seed S]: joins two interfaces as a cable would, and spoils what passes as it is
// told by datagrams to PATH (direction.h has the words; "stats" asks for counters). Each is answered: "ok", or what was
// wrong.
//
//   echo 'ab loss 0.3 delay 5' | socat - UNIX-SENDTO:PATH        a cut of one direction: 'ab cut'; the end of it: 'both
//   heal'
//
// It runs with real-time priority where it may, so that a busy machine adds no delay of its own.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <exception>
#include <string>

#include "tests/wire/direction.h"

namespace {

using headgate::ErrorCode;
using headgate::fail;
using headgate::kNever;
using headgate::kSecond;
using headgate::Nanos;
using headgate::Result;
using headgate::wire::Direction;

constexpr std::size_t kFrameMax = 9216;
constexpr int kPriority = 40;  // below the dataplane's threads
constexpr int kBurst = 64;     // frames of one side before the other gets its turn
constexpr int kBufferBytes =
    64 << 20;  // of a socket: the default holds a hundred frames, and more than that come at once

Nanos now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<Nanos>(time.tv_sec) * kSecond + static_cast<Nanos>(time.tv_nsec);
}

std::string reason(const std::string& what) {
  return what + ": " + std::strerror(errno);
}

// Hears every frame that arrives at the interface, and none that leaves by it.
Result<int> open_interface(const std::string& name) {
  const unsigned index = if_nametoindex(name.c_str());
  if (index == 0) return fail(ErrorCode::not_found, "there is no interface " + name);
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(ErrorCode::permission_denied, reason("AF_PACKET"));
  const int yes = 1;
  packet_mreq all{.mr_ifindex = static_cast<int>(index), .mr_type = PACKET_MR_PROMISC, .mr_alen = 0, .mr_address = {}};
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(index);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kBufferBytes, sizeof(kBufferBytes)) != 0 ||
      setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kBufferBytes, sizeof(kBufferBytes)) != 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof(yes)) != 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) != 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return fail(ErrorCode::unavailable, reason(name));
  return fd;
}

Result<int> open_control(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return fail(ErrorCode::invalid_argument, path + " is too long a path");
  std::memcpy(address.sun_path, path.c_str(), path.size());
  unlink(path.c_str());
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return fail(ErrorCode::unavailable, reason(path));
  return fd;
}

class Wire {
 public:
  Wire(std::array<int, 2> ends, int control, std::uint64_t seed)
      : ends_(ends), control_(control), directions_{Direction(seed), Direction(seed + 1)} {}

  void run() {
    for (;;) {
      std::array<pollfd, 3> waiting{{{ends_[0], POLLIN, 0}, {ends_[1], POLLIN, 0}, {control_, POLLIN, 0}}};
      const Nanos due = std::min(directions_[0].next_deadline(), directions_[1].next_deadline());
      const Nanos time = now();
      const Nanos rest = due == kNever ? kSecond : due > time ? std::min(due - time, kSecond) : 0;
      const timespec timeout{static_cast<time_t>(rest / kSecond), static_cast<long>(rest % kSecond)};
      if (ppoll(waiting.data(), waiting.size(), &timeout, nullptr) < 0 && errno != EINTR) return;
      if (waiting[2].revents != 0) obey();
      for (std::size_t side : {0u, 1u}) {
        if (waiting[side].revents != 0) receive(side);
        send(side);
      }
    }
  }

 private:
  // directions_[0] carries what arrives at end 0 to end 1.
  void receive(std::size_t side) {
    std::array<std::uint8_t, kFrameMax> frame;
    for (int i = 0; i < kBurst; ++i) {
      const ssize_t length = recv(ends_[side], frame.data(), frame.size(), 0);
      if (length <= 0) return;
      directions_[side].push({frame.data(), static_cast<std::size_t>(length)}, now());
    }
  }

  void send(std::size_t side) {
    while (const auto frame = directions_[side].pop(now())) {
      if (::send(ends_[1 - side], frame->data(), frame->size(), 0) < 0) ++refused_;
    }
  }

  void obey() {
    std::array<char, 512> text;
    sockaddr_un from{};
    socklen_t length = sizeof(from);
    const ssize_t size = recvfrom(control_, text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (size < 0) return;
    const std::string answer = answer_to({text.data(), static_cast<std::size_t>(size)});
    if (length > sizeof(sa_family_t))  // who has no address of its own wants no answer
      sendto(control_, answer.data(), answer.size(), 0, reinterpret_cast<const sockaddr*>(&from), length);
  }

  std::string answer_to(std::string_view text) {
    if (text.starts_with("stats")) return stats();
    const auto command = headgate::wire::parse_command(text);
    if (!command) return command.error().message;
    for (std::size_t side : {0u, 1u}) {
      if (!(side == 0 ? command->ab : command->ba)) continue;
      const auto impairment = headgate::wire::changed(directions_[side].impairment(), command->words);
      if (!impairment) return impairment.error().message;
      directions_[side].set(*impairment);
    }
    return "ok";
  }

  std::string stats() {
    std::string text;
    for (std::size_t side : {0u, 1u}) {
      tpacket_stats since_last{};
      socklen_t length = sizeof(since_last);
      if (getsockopt(ends_[side], SOL_PACKET, PACKET_STATISTICS, &since_last, &length) == 0)
        missed_ += since_last.tp_drops;
      const auto& seen = directions_[side].counters();
      text += std::string(side == 0 ? "ab" : "ba") + " received " + std::to_string(seen.received) + " sent " +
              std::to_string(seen.sent) + " lost " + std::to_string(seen.lost) + " cut " + std::to_string(seen.cut) +
              " duplicated " + std::to_string(seen.duplicated) + " overflowed " + std::to_string(seen.overflowed) +
              "\n";
    }
    return text + "refused " + std::to_string(refused_) + " missed " + std::to_string(missed_);
  }

  std::array<int, 2> ends_;
  int control_;
  std::array<Direction, 2> directions_;
  std::uint64_t refused_ = 0;  // by the kernel, at sending
  std::uint64_t missed_ = 0;   // no room in a socket's buffer: this program was too slow
};

int complain(const std::string& what) {
  std::fprintf(stderr, "headgate-wire: %s\n", what.c_str());
  return 1;
}

int run(int argc, char** argv) {
  CLI::App app{"joins two interfaces with loss, delay, jitter, duplication and cuts"};
  std::string a, b, control;
  std::uint64_t seed = 1;
  app.add_option("a", a, "interface at one end")->required();
  app.add_option("b", b, "interface at the other")->required();
  app.add_option("--control", control, "unix datagram socket to be told by")->required();
  app.add_option("--seed", seed, "of all chance")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  const auto first = open_interface(a);
  if (!first) return complain(first.error().message);
  const auto second = open_interface(b);
  if (!second) return complain(second.error().message);
  const auto socket = open_control(control);
  if (!socket) return complain(socket.error().message);
  const sched_param priority{.sched_priority = kPriority};
  if (sched_setscheduler(0, SCHED_FIFO, &priority) != 0) std::puts("runs without real-time priority");
  std::printf("joins %s and %s, seed %llu\n", a.c_str(), b.c_str(), static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  Wire({*first, *second}, *socket, seed).run();
  return complain(reason("poll"));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {  // third-party code; our own does not throw
    std::fprintf(stderr, "headgate-wire: %s\n", error.what());
    return 1;
  }
}
