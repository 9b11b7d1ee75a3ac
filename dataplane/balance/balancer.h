// Choosing a backend for a new flow. One Balancer per worker, used by that worker only; no lock, no allocation per
// choice.
//
// peek() answers, take() advances: explain uses peek() alone. All state is keyed by slot, so it survives snapshots. The
// hash algorithms have no state and a fixed key: every worker of every box chooses the same backend for a client.
//
// Call take() when a choice is acted on, also before it is known whether the backend has room (its limit is granted by
// another worker): otherwise the flows that come meanwhile all choose the same one.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/base/keyed_hash.h"
#include "dataplane/snapshot/model.h"

namespace headgate::balance {

struct ClientKey {
  IpAddress address;
  std::uint16_t port = 0;
  std::uint8_t protocol = 0;
};

// Active flows by backend slot, all workers together (WorkerLoad). Slots beyond its end have none.
using LoadView = std::span<const std::uint32_t>;

// Backends of one snapshot that this flow must not get, because they were found full. 2 KiB: keep one per worker and
// clear() it after use, which costs nothing when nothing was added.
class Exclusions {
 public:
  void add(std::uint16_t backend) {
    std::uint64_t& word = words_[backend / 64 % words_.size()];
    const std::uint64_t bit = std::uint64_t{1} << (backend % 64);
    count_ += (word & bit) == 0 ? 1 : 0;
    word |= bit;
  }
  bool contains(std::uint16_t backend) const {
    return count_ != 0 && (words_[backend / 64 % words_.size()] >> (backend % 64) & 1) != 0;
  }
  bool empty() const { return count_ == 0; }
  void clear() {
    if (count_ == 0) return;
    words_.fill(0);
    count_ = 0;
  }

 private:
  std::array<std::uint64_t, snapshot::kBackendsMax / 64> words_{};
  unsigned count_ = 0;
};

enum class Reason : std::uint8_t {
  chosen,
  no_backend,    // none is up, undrained and of weight > 0
  all_excluded,  // all of those are excluded
};

struct Choice {
  std::uint16_t backend = snapshot::kNone;  // index into Snapshot::backends
  Reason reason = Reason::no_backend;
  explicit operator bool() const { return reason == Reason::chosen; }
};

class Balancer {
 public:
  // worker: shifts where round robin starts. seed: of least connections' draws.
  Balancer(unsigned worker, std::uint64_t seed);

  // What to choose now. Changes nothing: the same call answers the same until take().
  Choice peek(const snapshot::Snapshot& snapshot, const snapshot::Pool& pool, const ClientKey& client, LoadView load,
              const Exclusions& excluded) const;
  // Requires: `choice` is what peek() answered last for this snapshot, pool and exclusions.
  void take(const snapshot::Snapshot& snapshot, const snapshot::Pool& pool, const Choice& choice,
            const Exclusions& excluded);

 private:
  using Snapshot = snapshot::Snapshot;
  using Pool = snapshot::Pool;
  struct Turn {
    Slot backend = kNoSlot;      // who had the last turn
    std::uint16_t position = 0;  // where it was in Pool::usable
  };
  struct Credits;  // of one weighted round

  std::uint16_t rotate(const Snapshot& snapshot, const Pool& pool, const Exclusions& excluded) const;
  Credits credits(const Snapshot& snapshot, const Pool& pool, const Exclusions& excluded) const;
  std::int32_t credit(const Credits& round, const snapshot::Backend& backend) const;
  std::uint16_t most_urgent(const Snapshot& snapshot, const Pool& pool, const Exclusions& excluded) const;
  void settle(const Snapshot& snapshot, const Pool& pool, std::uint16_t chosen, const Exclusions& excluded);
  std::uint16_t least_loaded(const Snapshot& snapshot, const Pool& pool, LoadView load,
                             const Exclusions& excluded) const;

  const unsigned worker_;
  const KeyedHash draws_;
  std::uint64_t draw_ = 0;             // counts choices; a draw is a hash of it, so that peek() can foresee it
  std::vector<Turn> turns_;            // by pool slot
  std::vector<std::int32_t> credits_;  // by backend slot
};

}  // namespace headgate::balance
