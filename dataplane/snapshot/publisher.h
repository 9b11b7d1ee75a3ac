// Hands the newest snapshot to the workers and frees old ones when every worker has passed a quiescent point (QSBR).
//
// Our own few lines instead of rte_rcu_qsbr: this runs in tests on spans without DPDK, and ThreadSanitizer understands
// std::atomic but not the library's fences, so the one place where memory is freed under readers can be checked.
//
// Threads: one control thread calls publish(), reclaim(), wait_until_running(), running_generation(); each Reader is
// used by one thread at a time. A reader's pointer is good until its next quiescent() or offline().
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "dataplane/snapshot/model.h"

namespace headgate::snapshot {

class Publisher {
 public:
  // One reader's token: written by its reader, read by the control thread.
  class alignas(64) Reader {
   public:
    Reader() = default;
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    // Between two batches: nothing of an older snapshot is referred to any more. What to use until the next call; null
    // before the first publication. Requires: online. One load of a shared line when nothing changed.
    const Snapshot* quiescent();
    // Before sleeping: the reader refers to no snapshot until online().
    void offline();
    // Readers start offline. Returns what quiescent() would.
    const Snapshot* online();
    // Which publication the last call returned. Pointers do not tell: a new snapshot may lie where a freed one was.
    std::uint64_t sequence() const { return last_; }

   private:
    friend class Publisher;
    static constexpr std::uint64_t kOffline = 0;
    // The reader uses no snapshot older than this publication.
    std::atomic<std::uint64_t> seen_{kOffline};
    std::uint64_t last_ = kOffline;  // the reader's own copy
    const Snapshot* snapshot_ = nullptr;
    const Publisher* publisher_ = nullptr;
  };

  explicit Publisher(unsigned readers);
  ~Publisher();  // Requires: every reader is offline or its thread has ended

  Reader& reader(unsigned index) { return readers_[index]; }

  void publish(std::shared_ptr<const Snapshot> snapshot);
  // Frees what no reader can refer to any more; true when only the current snapshot is left.
  bool reclaim();
  const std::shared_ptr<const Snapshot>& current() const { return current_.snapshot; }

  // The generation a reader runs; a sleeping reader counts as running the current one, which it will find on waking.
  std::uint64_t running_generation(unsigned reader) const;
  // True when every reader runs the current snapshot and that has this generation; false after the timeout.
  // Reclaims on the way.
  bool wait_until_running(std::uint64_t generation, std::chrono::nanoseconds timeout);

 private:
  struct Publication {
    std::uint64_t sequence = 0;
    std::shared_ptr<const Snapshot> snapshot;
  };
  std::uint64_t oldest_in_use() const;

  std::atomic<const Snapshot*> newest_{nullptr};
  std::atomic<std::uint64_t> sequence_{1};  // of newest_; 1 = nothing published yet
  Publication current_;
  std::deque<Publication> retired_;  // oldest first
  std::vector<Reader> readers_;
};

}  // namespace headgate::snapshot
