#include "controlplane/health/checker.h"

#include <spdlog/spdlog.h>

namespace headgate::health {
namespace {

Time now() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

}  // namespace

Checker::Checker(asio::io_context& io, std::uint64_t seed, Scheduler::OnChange on_change)
    : prober_(io,
              [this](std::uint64_t probe, const Outcome& outcome) {
                scheduler_.completed(probe, outcome, now());
                run();
              }),
      scheduler_(prober_, seed, std::move(on_change),
                 [](std::uint64_t probes, const Target& target, const std::string& cause) {
                   spdlog::warn(
                       "health: {} probes could not be made, verdicts stay as they are; last {}: {}. Look at "
                       "this box: its probe device, routes and file descriptors",
                       probes, target.name, cause);
                 }),
      timer_(io) {}

std::int64_t Checker::unix_s(Time moment) {
  if (moment == Time::min()) return 0;
  const auto unix_now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(unix_now - (now() - moment)).count();
}

void Checker::set_targets(const std::vector<Target>& targets, const HealthView& known) {
  scheduler_.set_targets(targets, known, now());
  run();
}

void Checker::pause_path(bool paused) {
  scheduler_.pause_path(paused, now());
  run();
}

void Checker::run() {
  scheduler_.advance(now());
  const Time deadline = scheduler_.next_deadline();
  if (deadline == kNever) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(std::chrono::steady_clock::time_point(deadline));
  timer_.async_wait([this](const asio::error_code& cancelled) {
    if (!cancelled) run();
  });
}

}  // namespace headgate::health
