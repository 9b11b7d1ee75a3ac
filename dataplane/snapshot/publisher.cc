#include "dataplane/snapshot/publisher.h"

#include <algorithm>
#include <thread>

#include "dataplane/base/check.h"

namespace headgate::snapshot {

// Why this is safe. publish() stores the pointer, then its sequence; a reader loads the sequence (acquire), announces
// it, then loads the pointer, which is therefore at least as new as announced. A retired snapshot with sequence s is
// freed when every announcement is above s or offline. A reader that goes online announces before it loads the pointer,
// and the control thread replaces the pointer before it looks at announcements; these four are sequentially consistent,
// so either the control thread sees the announcement or the reader sees the new pointer. Announcing while online needs
// only release: until it is visible, the older announcement protects more.

const Snapshot* Publisher::Reader::quiescent() {
  HEADGATE_CHECK(last_ != kOffline);
  const std::uint64_t sequence = publisher_->sequence_.load(std::memory_order_acquire);
  if (sequence == last_) return snapshot_;
  seen_.store(sequence, std::memory_order_release);
  last_ = sequence;
  snapshot_ = publisher_->newest_.load(std::memory_order_acquire);
  return snapshot_;
}

void Publisher::Reader::offline() {
  seen_.store(kOffline, std::memory_order_release);
  last_ = kOffline;
  snapshot_ = nullptr;
}

const Snapshot* Publisher::Reader::online() {
  last_ = publisher_->sequence_.load(std::memory_order_acquire);
  seen_.store(last_, std::memory_order_seq_cst);
  snapshot_ = publisher_->newest_.load(std::memory_order_seq_cst);
  return snapshot_;
}

Publisher::Publisher(unsigned readers) : readers_(readers) {
  current_.sequence = 1;
  for (Reader& reader : readers_) reader.publisher_ = this;
}

Publisher::~Publisher() = default;

void Publisher::publish(std::shared_ptr<const Snapshot> snapshot) {
  HEADGATE_CHECK(snapshot != nullptr);
  const std::uint64_t sequence = current_.sequence + 1;
  newest_.store(snapshot.get(), std::memory_order_seq_cst);
  sequence_.store(sequence, std::memory_order_release);
  if (current_.snapshot != nullptr) retired_.push_back(std::move(current_));
  current_ = {sequence, std::move(snapshot)};
}

std::uint64_t Publisher::oldest_in_use() const {
  std::uint64_t oldest = current_.sequence;
  for (const Reader& reader : readers_) {
    const std::uint64_t seen = reader.seen_.load(std::memory_order_seq_cst);
    if (seen != Reader::kOffline) oldest = std::min(oldest, seen);
  }
  return oldest;
}

bool Publisher::reclaim() {
  const std::uint64_t oldest = oldest_in_use();
  while (!retired_.empty() && retired_.front().sequence < oldest) retired_.pop_front();
  return retired_.empty();
}

std::uint64_t Publisher::running_generation(unsigned reader) const {
  const std::uint64_t seen = readers_[reader].seen_.load(std::memory_order_acquire);
  if (seen != Reader::kOffline) {
    for (const Publication& old : retired_) {
      if (old.sequence >= seen) return old.snapshot->generation;
    }
    if (seen < current_.sequence && retired_.empty()) return 0;  // from before the first publication
  }
  return current_.snapshot == nullptr ? 0 : current_.snapshot->generation;
}

bool Publisher::wait_until_running(std::uint64_t generation, std::chrono::nanoseconds timeout) {
  if (current_.snapshot == nullptr || current_.snapshot->generation != generation) return false;
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (oldest_in_use() < current_.sequence) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
  reclaim();
  return true;
}

}  // namespace headgate::snapshot
