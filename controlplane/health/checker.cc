#include "controlplane/health/checker.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>

namespace headgate::health {
namespace {

// Half of what this process may open: the rest is for its clients, and a probe may need two.
std::size_t probes_at_once() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
  return std::clamp<std::size_t>(limit.rlim_max / 2, 64, kProbesInFlightMax);
}

}  // namespace

Time Checker::now() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

Checker::Checker(asio::io_context& io, std::uint64_t seed, Scheduler::OnChange on_change)
    : prober_(io, seed,
              [this](std::uint64_t probe, const Outcome& outcome) {
                scheduler_.completed(probe, outcome, now());
                run();
              }),
      scheduler_(
          prober_, seed, std::move(on_change),
          [](std::uint64_t probes, const Target& target, const std::string& cause) {
            spdlog::warn(
                "health: {} probes could not be made, verdicts stay as they are; last {}: {}. Look at "
                "this box: its probe device, routes and file descriptors",
                probes, target.name, cause);
          },
          probes_at_once()),
      timer_(io) {}

std::int64_t Checker::unix_s(Time moment) {
  if (moment == Time::min()) return 0;
  const auto unix_now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(unix_now - (now() - moment)).count();
}

void Checker::set_targets(const std::vector<Target>& targets, const KnownHealth& known) {
  scheduler_.set_targets(targets, known, now());
  run();
}

void Checker::pause_path(bool paused) {
  scheduler_.pause_path(paused, now());
  run();
}

void Checker::take_down(std::uint32_t backend_id, const std::string& cause, Time hold) {
  scheduler_.take_down(backend_id, cause, hold, now());
}

void Checker::run() {
  scheduler_.advance(now());
  const Time deadline = scheduler_.next_deadline();
  if (deadline >= armed_) return;  // the timer comes round before, and looks again
  armed_ = deadline;
  timer_.expires_at(std::chrono::steady_clock::time_point(deadline));
  timer_.async_wait([this](const asio::error_code& cancelled) {
    if (cancelled) return;
    armed_ = kNever;
    run();
  });
}

}  // namespace headgate::health
