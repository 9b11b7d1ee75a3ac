// Counting flows of a backend over all workers, without a shared written word: every counter has one writer.
//
// LimitBoard is exact: only a backend's home worker grants, so two workers cannot take the last place both. The
// messages between a worker and a home are the worker folder's business. LoadBoard is a view a millisecond old, for
// choosing.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/balance/balancer.h"
#include "dataplane/base/ids.h"
#include "dataplane/snapshot/model.h"

namespace headgate::balance {

// workers x slots counters; a worker's own row is written by it alone and starts on a cache line of its own.
class CounterRows {
 public:
  CounterRows(unsigned workers, std::size_t slots);
  // Requires: called by the row's worker only.
  void add(unsigned worker, Slot slot, std::uint32_t delta, std::memory_order order) {
    std::atomic<std::uint32_t>& counter = at(worker, slot);
    counter.store(counter.load(std::memory_order_relaxed) + delta, order);
  }
  std::uint32_t sum(Slot slot, std::memory_order order) const;
  unsigned workers() const { return workers_; }
  std::size_t slots() const { return slots_; }

 private:
  struct alignas(64) Line {
    std::atomic<std::uint32_t> counters[16]{};
  };
  std::atomic<std::uint32_t>& at(unsigned worker, Slot slot) const {
    return lines_[worker * lines_per_row_ + slot / 16].counters[slot % 16];
  }

  unsigned workers_;
  std::size_t slots_, lines_per_row_;
  std::unique_ptr<Line[]> lines_;
};

class LimitBoard {
 public:
  LimitBoard(unsigned workers, std::size_t backend_slots = snapshot::kBackendSlots);

  // The worker that grants for a backend. It stays while the number of workers does.
  unsigned home_of(Slot backend) const { return backend % released_.workers(); }
  // One more flow of the backend, unless `max` are in use. Requires: called by home_of(backend), `home` says which that
  // is.
  bool try_grant(unsigned home, Slot backend, std::uint32_t max);
  // A granted flow ended. `worker` is the calling worker; whoever was granted the flow need not be the one who ends it.
  void release(unsigned worker, Slot backend) { released_.add(worker, backend, 1, std::memory_order_release); }
  // Any thread; exact on the home worker, elsewhere as of a moment ago.
  std::uint32_t in_use(Slot backend) const;

 private:
  CounterRows granted_;   // one row: each counter is written by its backend's home
  CounterRows released_;  // a row per worker
};

class LoadBoard {
 public:
  explicit LoadBoard(unsigned workers, std::size_t backend_slots = snapshot::kBackendSlots)
      : active_(workers, backend_slots) {}
  // Any thread: active flows of all workers.
  std::uint32_t active(Slot backend) const { return active_.sum(backend, std::memory_order_relaxed); }

 private:
  friend class WorkerLoad;
  CounterRows active_;
};

// One worker's end of the LoadBoard: its own flows at once, the others' as gathered.
class WorkerLoad {
 public:
  static constexpr std::size_t kGatherMax = 1024;  // backends per gather(); more take several rounds

  WorkerLoad(LoadBoard& board, unsigned worker);
  // At a snapshot switch: which backends are worth gathering (those of pools with least_connections).
  void use(const snapshot::Snapshot& snapshot);
  void started(Slot backend) { add(backend, 1); }
  void ended(Slot backend) { add(backend, ~std::uint32_t{0}); }
  // About once a millisecond.
  void gather();
  LoadView view() const { return view_; }

 private:
  void add(Slot backend, std::uint32_t delta) {
    board_.active_.add(worker_, backend, delta, std::memory_order_relaxed);
    view_[backend] += delta;
  }

  LoadBoard& board_;
  unsigned worker_;
  std::size_t next_ = 0;
  std::vector<Slot> gathered_;
  std::vector<std::uint32_t> view_;
};

}  // namespace headgate::balance
