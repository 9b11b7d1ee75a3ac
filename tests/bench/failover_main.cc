// headgate-bench-failover: what tools/bench failover and the system tests measure a failover with.
//
//   probe TARGET...                     echo requests every millisecond; on stdin: mark, report
//   echo ADDRESS PORT                   sends each UDP datagram back
//   claims ADDRESS BRIDGE ASKER PORT... who claims an address at the ports of a bridge; mark, report, ignore PORT, heed
//   PORT
//
// One answer per line of stdin: "ok", or JSON. It ends with its stdin. Real-time priority and locked memory where
// allowed: what is measured is the boxes, not how the machine schedules the measuring.
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "tests/bench/claims_watch.h"
#include "tests/bench/probe.h"
#include "tests/bench/stamp.h"

namespace {

using headgate::kMillisecond;
using headgate::kSecond;
using headgate::Nanos;
using headgate::Result;
using headgate::bench::ClaimsWatch;
using headgate::bench::Target;
using headgate::bench::wall_clock;

constexpr int kPriority = 45;
constexpr Nanos kProbeSpacing = kMillisecond;
constexpr Nanos kQuestionSpacing = 5 * kMillisecond;

int complain(const std::string& what) {
  std::fprintf(stderr, "headgate-bench-failover: %s\n", what.c_str());
  return 1;
}

void favour_us() {
  const sched_param priority{.sched_priority = kPriority};
  if (sched_setscheduler(0, SCHED_FIFO, &priority) != 0)
    std::fputs("headgate-bench-failover: runs without real-time priority\n", stderr);
  mlockall(MCL_CURRENT | MCL_FUTURE);
}

// A timer, sockets, and the lines of stdin; run() ends with stdin.
class Loop {
 public:
  Loop(Nanos spacing, std::function<void()> tick, std::function<std::string(const std::string&)> obey)
      : tick_(std::move(tick)), obey_(std::move(obey)) {
    timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    const timespec every{static_cast<time_t>(spacing / kSecond), static_cast<long>(spacing % kSecond)};
    const itimerspec setting{every, every};
    timerfd_settime(timer_, 0, &setting, nullptr);
    waiting_ = {{timer_, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  }

  void add(int fd, std::function<void()> receive) {
    waiting_.push_back({fd, POLLIN, 0});
    receive_.push_back(std::move(receive));
  }

  void run() {
    for (;;) {
      if (poll(waiting_.data(), waiting_.size(), -1) < 0 && errno != EINTR) return;
      for (std::size_t i = 0; i < receive_.size(); ++i)
        if (waiting_[i + 2].revents != 0) receive_[i]();
      std::uint64_t expirations = 0;
      if (waiting_[0].revents != 0 && read(timer_, &expirations, sizeof(expirations)) > 0) tick_();
      if (waiting_[1].revents != 0 && !read_lines()) return;
    }
  }

 private:
  bool read_lines() {
    std::array<char, 512> bytes;
    const ssize_t size = read(STDIN_FILENO, bytes.data(), bytes.size());
    if (size <= 0) return false;
    text_.append(bytes.data(), static_cast<std::size_t>(size));
    for (std::size_t end = text_.find('\n'); end != text_.npos; end = text_.find('\n')) {
      std::printf("%s\n", obey_(text_.substr(0, end)).c_str());
      std::fflush(stdout);
      text_.erase(0, end + 1);
    }
    return true;
  }

  int timer_;
  std::vector<pollfd> waiting_;
  std::vector<std::function<void()>> receive_;
  std::function<void()> tick_;
  std::function<std::string(const std::string&)> obey_;
  std::string text_;
};

int probe(const std::vector<std::string>& texts) {
  std::vector<Target> targets;
  for (const std::string& text : texts) {
    const auto spec = headgate::bench::parse_target(text);
    if (!spec) return complain(spec.error().message);
    auto target = Target::open(*spec, static_cast<std::uint16_t>(getpid() + static_cast<int>(targets.size()) * 4096));
    if (!target) return complain(target.error().message);
    targets.push_back(*target);
  }
  const auto tick = [&] {
    for (Target& target : targets) target.send(wall_clock());
  };
  const auto obey = [&](const std::string& words) -> std::string {
    if (words == "mark") {
      for (Target& target : targets) target.mark(wall_clock());
      return "ok";
    }
    if (words != "report") return "mark or report";
    std::string text;
    for (Target& target : targets) text += (text.empty() ? "" : ", ") + target.report(wall_clock());
    return "[" + text + "]";
  };
  Loop loop(kProbeSpacing, tick, obey);
  for (Target& target : targets) loop.add(target.fd(), [&target] { target.receive(); });
  favour_us();
  loop.run();
  return 0;
}

int echo(const std::string& address, const std::string& port) {
  const auto spec = headgate::bench::parse_target("echo=udp:" + address + ":" + port);
  if (!spec) return complain(spec.error().message);
  const int fd = socket(spec->address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&spec->address), spec->length) != 0)
    return complain(address + ": " + std::strerror(errno));
  favour_us();
  std::puts("ok");
  std::fflush(stdout);
  for (;;) {
    std::array<char, 2048> bytes;
    sockaddr_storage from{};
    socklen_t length = sizeof(from);
    const ssize_t size = recvfrom(fd, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (size >= 0)
      sendto(fd, bytes.data(), static_cast<std::size_t>(size), 0, reinterpret_cast<const sockaddr*>(&from), length);
  }
}

int claims(const std::vector<std::string>& words) {
  in_addr address{}, asker{};
  if (words.size() < 4 || inet_pton(AF_INET, words[0].c_str(), &address) != 1 ||
      inet_pton(AF_INET, words[2].c_str(), &asker) != 1)
    return complain("claims ADDRESS BRIDGE ASKER PORT...");
  const std::vector<std::string> ports(words.begin() + 3, words.end());
  auto watch = ClaimsWatch::open(ports, words[1], ntohl(address.s_addr), ntohl(asker.s_addr));
  if (!watch) return complain(watch.error().message);
  const auto obey = [&](const std::string& line) -> std::string {
    if (line == "report") return watch->report();
    std::string wrong;
    if (line.starts_with("ignore ")) {
      wrong = watch->ignore(line.substr(7), true);
    } else if (line.starts_with("heed ")) {
      wrong = watch->ignore(line.substr(5), false);
    } else if (line == "mark") {
      watch->mark(wall_clock());
    } else {
      wrong = "mark, report, ignore PORT or heed PORT";
    }
    return wrong.empty() ? "ok" : wrong;
  };
  Loop loop(kQuestionSpacing, [&] { watch->ask(); }, obey);
  for (std::size_t i = 0; i < ports.size(); ++i) loop.add(watch->sockets()[i], [&watch, i] { watch->receive(i); });
  favour_us();
  loop.run();
  return 0;
}

int run(int argc, char** argv) {
  CLI::App app{"measures a failover: see the head of tests/bench/failover_main.cc"};
  std::vector<std::string> targets, words;
  std::string address, port;
  auto* probing = app.add_subcommand("probe", "echo requests every millisecond, and the longest silence");
  probing->add_option("target", targets, "NAME=icmp:ADDRESS or NAME=udp:ADDRESS:PORT")->required();
  auto* echoing = app.add_subcommand("echo", "sends UDP datagrams back");
  echoing->add_option("address", address)->required();
  echoing->add_option("port", port)->required();
  auto* claiming = app.add_subcommand("claims", "who claims an address: ADDRESS BRIDGE ASKER PORT...");
  claiming->add_option("words", words)->required();
  app.require_subcommand(1);
  CLI11_PARSE(app, argc, argv);
  if (probing->parsed()) return probe(targets);
  return echoing->parsed() ? echo(address, port) : claims(words);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {  // third-party code; our own does not throw
    std::fprintf(stderr, "headgate-bench-failover: %s\n", error.what());
    return 1;
  }
}
