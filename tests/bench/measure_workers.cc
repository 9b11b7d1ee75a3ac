#include <pthread.h>

#include <atomic>
#include <cstdio>
#include <thread>

#include "tests/bench/load.h"
#include "tests/bench/measure.h"

namespace headgate::bench {
namespace {

// Two threads meet before and after every timed part, so that they are inside it at the same time or not at all.
class Barrier {
 public:
  void wait() {
    const unsigned turn = turn_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) == 1) {
      arrived_.store(0, std::memory_order_relaxed);
      turn_.store(turn + 1, std::memory_order_release);
    } else {
      while (turn_.load(std::memory_order_acquire) == turn) rte_pause();
    }
  }

 private:
  std::atomic<unsigned> arrived_{0}, turn_{0};
};

void pin(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) die("no processor " + std::to_string(cpu));
}

}  // namespace

void measure_workers(bool quick) {
  const std::uint32_t flows = quick ? 200'000 : 1'000'000;
  const unsigned rounds = quick ? 150 : 600;
  Site site({.workers = 2});
  site.resolve_neighbors();
  std::vector<std::unique_ptr<Load>> loads;
  for (unsigned i = 0; i < 2; ++i) {
    loads.push_back(std::make_unique<Load>(site, i, i * 30'000'000));
    loads[i]->grow(flows);
  }
  Barrier barrier;
  // [worker][0: alone, 1: together]
  std::array<std::array<std::vector<double>, 2>, 2> cycles;
  const auto body = [&](unsigned i) {
    pin(i);
    Rng rng(20 + i);
    Lane& lane = site.lane(i);
    Nanos now = site.now;
    for (unsigned round = 0; round < 4 * rounds; ++round) {
      const bool together = (round & 1) != 0, mine = together || (round / 2) % 2 == i;
      std::span<worker::Frame> frames;
      if (mine) {
        frames = lane.take(kRing);
        loads[i]->write_data(frames, rng);
      }
      barrier.wait();
      if (mine) cycles[i][together].push_back(static_cast<double>(lane.run(frames, now)) / kRing);
      barrier.wait();
      lane.recycle();
    }
  };
  std::thread second(body, 1);
  body(0);
  second.join();
  for (unsigned i = 0; i < 2; ++i) {
    const double alone = median(cycles[i][0]), together = median(cycles[i][1]);
    std::printf("worker %u, full_nat, %u flows each: %.1f cycles per packet alone, %.1f beside the other (%+.1f %%)\n",
                i, flows, alone, together, 100 * (together / alone - 1));
  }
}

}  // namespace headgate::bench
