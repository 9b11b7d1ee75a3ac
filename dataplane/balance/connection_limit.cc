#include "dataplane/balance/connection_limit.h"

#include <algorithm>

#include "dataplane/base/check.h"

namespace headgate::balance {

CounterRows::CounterRows(unsigned workers, std::size_t slots)
    : workers_(workers), slots_(slots), lines_per_row_((slots + 15) / 16), lines_(new Line[workers * lines_per_row_]) {
  HEADGATE_CHECK(workers > 0);
}

std::uint32_t CounterRows::sum(Slot slot, std::memory_order order) const {
  std::uint32_t total = 0;  // wraps, and so do the counters: differences stay right
  for (unsigned worker = 0; worker < workers_; ++worker) total += at(worker, slot).load(order);
  return total;
}

LimitBoard::LimitBoard(unsigned workers, std::size_t backend_slots)
    : granted_(1, backend_slots), released_(workers, backend_slots) {}

bool LimitBoard::try_grant(unsigned home, Slot backend, std::uint32_t max) {
  HEADGATE_CHECK(home == home_of(backend) && backend < granted_.slots());
  if (in_use(backend) >= max) return false;
  granted_.add(0, backend, 1, std::memory_order_relaxed);
  return true;
}

// Released first: a release happens after its grant (the grant's message lies between), so whoever sees a release
// (acquire) sees its grant, and the difference is never negative.
std::uint32_t LimitBoard::in_use(Slot backend) const {
  const std::uint32_t released = released_.sum(backend, std::memory_order_acquire);
  return granted_.sum(backend, std::memory_order_relaxed) - released;
}

WorkerLoad::WorkerLoad(LoadBoard& board, unsigned worker)
    : board_(board), worker_(worker), view_(board.active_.slots()) {
  gathered_.reserve(snapshot::kBackendsMax);
}

void WorkerLoad::use(const snapshot::Snapshot& snapshot) {
  gathered_.clear();
  next_ = 0;
  for (const snapshot::Pool& pool : snapshot.pools) {
    if (pool.algorithm != snapshot::Algorithm::least_connections) continue;
    for (unsigned i = 0; i < pool.backend_count; ++i) {
      gathered_.push_back(snapshot.backends[pool.first_backend + i].slot);
    }
  }
}

void WorkerLoad::gather() {
  const std::size_t rounds = std::min(gathered_.size(), kGatherMax);
  for (std::size_t i = 0; i < rounds; ++i) {
    if (next_ >= gathered_.size()) next_ = 0;
    const Slot slot = gathered_[next_++];
    view_[slot] = board_.active(slot);
  }
}

}  // namespace headgate::balance
