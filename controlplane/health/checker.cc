#include "controlplane/health/checker.h"

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <asio/post.hpp>

namespace headgate::health {
namespace {

// Of two that could run, what an operator or a push waits for comes first.
constexpr int kProbesNicer = 4;
// What is due within this much starts together: thousands of probes a second wake this thread some hundred times.
constexpr Time kTogether = std::chrono::milliseconds(2);

// Half of what this process may open: the rest is for its clients, and a probe may need two.
std::size_t probes_at_once() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
  return std::clamp<std::size_t>(limit.rlim_max / 2, 64, kProbesInFlightMax);
}

}  // namespace

LoopThread::LoopThread(asio::io_context& io)
    : io_(io), work_(asio::make_work_guard(io)), thread_([&io] {
        ::pthread_setname_np(::pthread_self(), "probes");
        const auto self = static_cast<id_t>(::gettid());
        ::setpriority(PRIO_PROCESS, self, ::getpriority(PRIO_PROCESS, self) + kProbesNicer);
        io.run();
      }) {}

LoopThread::~LoopThread() {
  io_.stop();
  thread_.join();
}

Checker::Checker(asio::io_context& probing, asio::io_context& caller, std::uint64_t seed, Scheduler::OnChange on_change)
    : probing_(probing),
      caller_(caller),
      on_change_(std::move(on_change)),
      prober_(probing, seed,
              [this](std::uint64_t probe, const Outcome& outcome) {
                const std::lock_guard lock(mutex_);
                scheduler_.completed(probe, outcome, now());
                arm();
              }),
      scheduler_(
          prober_, seed, [this](const Change& change) { tell(change); },
          [](std::uint64_t probes, const Target& target, const std::string& cause) {
            spdlog::warn(
                "health: {} probes could not be made, verdicts stay as they are; last {}: {}. Look at "
                "this box: its probe device, routes and file descriptors",
                probes, target.name, cause);
          },
          probes_at_once()),
      timer_(probing) {}

void Checker::tell(const Change& change) {
  asio::post(caller_, [this, change] { on_change_(change); });
}

void Checker::set_on_answer(Scheduler::OnAnswer on_answer) {
  scheduler_.set_on_answer([this, on_answer = std::move(on_answer)](const Target& target, const std::string& answer) {
    asio::post(caller_, [target, answer, on_answer] { on_answer(target, answer); });
  });
}

Time Checker::now() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

std::int64_t Checker::unix_s(Time moment) {
  if (moment == Time::min()) return 0;
  const auto unix_now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(unix_now - (now() - moment)).count();
}

void Checker::set_targets(const std::vector<Target>& targets, const KnownHealth& known) {
  const std::lock_guard lock(mutex_);
  scheduler_.set_targets(targets, known, now());
  run_soon();
}

void Checker::pause_path(bool paused) {
  const std::lock_guard lock(mutex_);
  scheduler_.pause_path(paused, now());
  run_soon();
}

void Checker::take_down(std::uint32_t backend_id, const std::string& cause, Time hold) {
  const std::lock_guard lock(mutex_);
  scheduler_.take_down(backend_id, cause, hold, now());
}

Health Checker::health(std::uint32_t backend_id) const {
  const std::lock_guard lock(mutex_);
  return scheduler_.health(backend_id);
}

std::map<std::uint32_t, Detail> Checker::details() const {
  const std::lock_guard lock(mutex_);
  return scheduler_.details();
}

Counters Checker::counters() const {
  const std::lock_guard lock(mutex_);
  return scheduler_.counters();
}

std::size_t Checker::in_flight() const {
  const std::lock_guard lock(mutex_);
  return scheduler_.in_flight();
}

void Checker::run_soon() {
  asio::post(probing_, [this] {
    const std::lock_guard lock(mutex_);
    run();
  });
}

void Checker::run() {
  scheduler_.advance(now());
  arm();
}

void Checker::arm() {
  Time deadline = scheduler_.next_deadline();
  if (deadline != kNever) deadline += kTogether - Time(1) - (deadline - Time(1)) % kTogether;
  if (deadline >= armed_) return;  // the timer comes round before, and looks again
  armed_ = deadline;
  timer_.expires_at(std::chrono::steady_clock::time_point(deadline));
  timer_.async_wait([this](const asio::error_code& cancelled) {
    if (cancelled) return;
    const std::lock_guard lock(mutex_);
    armed_ = kNever;
    run();
  });
}

}  // namespace headgate::health
