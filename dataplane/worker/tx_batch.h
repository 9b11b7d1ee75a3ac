// What a step sends: frames per port, in order, each with the group that it is sent for. The runner empties it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/base/time.h"
#include "dataplane/snapshot/model.h"
#include "dataplane/worker/failover_link.h"
#include "dataplane/worker/limits.h"

struct rte_mbuf;

namespace headgate::worker {

// An advert of the election: when the driver takes it, the lease grows. One frame in thousands has one.
struct AdvertMark {
  std::uint16_t port = 0, position = 0;
  RouterRef router;
  Nanos interval = 0, valid_until = 0;
};
inline constexpr std::size_t kAdvertsPerStep = 64;

class TxBatch {
 public:
  explicit TxBatch(std::size_t ports) : ports_(ports) {}
  bool push(std::uint16_t port, rte_mbuf* mbuf, snapshot::GroupSlot group = snapshot::kNoGroup) {
    Port& p = ports_[port];
    if (p.count == kTxBatch) return false;
    p.groups[p.count] = group;
    p.frames[p.count++] = mbuf;
    return true;
  }
  // Before anything else of the step: adverts are first in their port's burst.
  bool push_advert(std::uint16_t port, rte_mbuf* mbuf, AdvertMark mark) {
    if (adverts_ == kAdvertsPerStep || !push(port, mbuf)) return false;
    mark.port = port;
    mark.position = static_cast<std::uint16_t>(ports_[port].count - 1);
    marks_[adverts_++] = mark;
    return true;
  }
  std::size_t room(std::uint16_t port) const { return kTxBatch - ports_[port].count; }
  std::span<rte_mbuf*> of(std::uint16_t port) { return {ports_[port].frames.data(), ports_[port].count}; }
  std::span<const snapshot::GroupSlot> groups_of(std::uint16_t port) const {
    return {ports_[port].groups.data(), ports_[port].count};
  }
  std::span<const AdvertMark> adverts() const { return {marks_.data(), adverts_}; }
  void clear_adverts() { adverts_ = 0; }
  // An advert that has been dealt with: the rest moves up. Requires: not empty.
  void drop_first(std::uint16_t port) {
    Port& p = ports_[port];
    --p.count;
    std::copy_n(p.frames.begin() + 1, p.count, p.frames.begin());
    std::copy_n(p.groups.begin() + 1, p.count, p.groups.begin());
  }
  void clear(std::uint16_t port) { ports_[port].count = 0; }
  std::size_t ports() const { return ports_.size(); }

 private:
  struct Port {
    std::size_t count = 0;
    std::array<rte_mbuf*, kTxBatch> frames;
    std::array<snapshot::GroupSlot, kTxBatch> groups;
  };
  std::vector<Port> ports_;
  std::size_t adverts_ = 0;
  std::array<AdvertMark, kAdvertsPerStep> marks_;
};

}  // namespace headgate::worker
