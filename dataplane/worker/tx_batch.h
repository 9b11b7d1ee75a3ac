// What a step sends: frames per port, in order. The runner empties it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/worker/limits.h"

struct rte_mbuf;

namespace headgate::worker {

class TxBatch {
 public:
  explicit TxBatch(std::size_t ports) : ports_(ports) {}
  bool push(std::uint16_t port, rte_mbuf* mbuf) {
    Port& p = ports_[port];
    if (p.count == kTxBatch) return false;
    p.frames[p.count++] = mbuf;
    return true;
  }
  std::size_t room(std::uint16_t port) const { return kTxBatch - ports_[port].count; }
  std::span<rte_mbuf*> of(std::uint16_t port) { return {ports_[port].frames.data(), ports_[port].count}; }
  void clear(std::uint16_t port) { ports_[port].count = 0; }
  std::size_t ports() const { return ports_.size(); }

 private:
  struct Port {
    std::size_t count = 0;
    std::array<rte_mbuf*, kTxBatch> frames;
  };
  std::vector<Port> ports_;
};

}  // namespace headgate::worker
