// Who owns a packet: bucket = toeplitz(key, tuple) & 127, worker = map[bucket] (design section 3). One pure function
// for every kind of traffic, such that both directions of a flow, its ICMP errors and its fragments give the same
// worker.
#pragma once

#include "dataplane/base/toeplitz.h"
#include "dataplane/packet/packet_info.h"
#include "dataplane/snapshot/model.h"

namespace headgate::worker {

class Steering {
 public:
  Steering(const RssKey& key, const BucketMap& map);

  // Requires: tuple's ports known (not a later fragment). `port`: index of the arrival port.
  unsigned bucket(const snapshot::Snapshot& snapshot, const Tuple& tuple, std::uint16_t port) const;
  unsigned fragment_bucket(const packet::PacketInfo& info) const;
  unsigned worker_of(unsigned bucket) const { return map_.worker[bucket]; }

  const Toeplitz& toeplitz() const { return toeplitz_; }
  const PortClasses& classes(bool v4) const { return v4 ? v4_ : v6_; }
  // The class a local port must have so that `reply` (its dst_port still 0) lands in `bucket`.
  unsigned port_class(const Tuple& reply, unsigned bucket) const { return toeplitz_.bucket(reply) ^ bucket; }

 private:
  Toeplitz toeplitz_;
  PortClasses v4_, v6_;
  BucketMap map_;
};

}  // namespace headgate::worker
