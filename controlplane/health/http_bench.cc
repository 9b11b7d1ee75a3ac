// What an http probe costs: 10,000 targets probed every second for ten, against a server given as ADDRESS PORT.
// Prints processor time of this process per probe and as a share of one core. Says nothing unless all were probed and
// none failed: on a busy machine the server is what fails.
#include <sys/resource.h>

#include <asio/signal_set.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "controlplane/health/checker.h"

namespace {

int run(int argc, char** argv) {
  using namespace headgate::health;
  using namespace std::chrono_literals;
  if (argc != 3) return std::fprintf(stderr, "usage: health_http_bench ADDRESS PORT\n"), 2;
  constexpr std::uint32_t kTargets = 10'000;
  constexpr int kSeconds = 10;
  asio::io_context io;
  Checker checker(io, io, 1, [](const Change&) {});
  HttpCheck http;
  http.host = "www.example.test";
  http.body = "ok";
  const SharedCheck check{Check(http)};
  std::vector<Target> targets(kTargets);
  for (std::uint32_t i = 0; i < kTargets; ++i) {
    targets[i].backend_id = i + 1;
    targets[i].name = "web" + std::to_string(i);
    targets[i].endpoint = {asio::ip::make_address(argv[1]), static_cast<std::uint16_t>(std::atoi(argv[2]))};
    targets[i].via_path = false;
    targets[i].interval = 1s;
    targets[i].timeout = 1s;
    targets[i].check = check;
  }
  checker.set_targets(targets, {});
  io.run_for(2s);  // settled
  const auto processor_us = [] {
    rusage use{};
    getrusage(RUSAGE_SELF, &use);
    return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1'000'000 + use.ru_utime.tv_usec + use.ru_stime.tv_usec;
  };
  const auto before = processor_us();
  const std::uint64_t started = checker.counters().started;
  io.restart();
  io.run_for(std::chrono::seconds(kSeconds));
  const double used_us = static_cast<double>(processor_us() - before);
  const auto probes = static_cast<double>(checker.counters().started - started);
  std::size_t fresh = 0, failed = 0;
  const Time now = std::chrono::steady_clock::now().time_since_epoch();
  for (const auto& [id, detail] : checker.details()) {
    fresh += now - detail.last < 1200ms ? 1 : 0;
    failed += detail.last_result == Result::success ? 0 : 1;
  }
  std::printf("%.1f us per probe, %.0f %% of a core; %zu of %u probed in the last 1.2 s, %zu failed\n",
              used_us / probes, used_us / (kSeconds * 10'000.0), fresh, kTargets, failed);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {  // third-party code; our own does not throw
    std::fprintf(stderr, "health_http_bench: %s\n", error.what());
    return 1;
  }
}
