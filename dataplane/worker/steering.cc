#include "dataplane/worker/steering.h"

#include "dataplane/base/check.h"

namespace headgate::worker {

using snapshot::Egress;
using snapshot::Interface;
using snapshot::Mode;

Steering::Steering(const RssKey& key, const BucketMap& map)
    : toeplitz_(key), v4_(toeplitz_, true), v6_(toeplitz_, false), map_(map) {
  HEADGATE_CHECK(v4_.complete() && v6_.complete());
}

unsigned Steering::bucket(const snapshot::Snapshot& snapshot, const Tuple& t, std::uint16_t port) const {
  if (port == snapshot.probe_port) return toeplitz_.bucket(t);
  if (snapshot.own_addresses.find(t.dst) != nullptr) {
    const snapshot::Service* service = snapshot.find_service(t.dst, t.dst_port, t.protocol);
    if (service != nullptr && service->mode != Mode::full_nat) return toeplitz_.bucket_of_endpoint(t.src, t.src_port);
    return toeplitz_.bucket(t);
  }
  if (snapshot.nat_endpoints.find({t.src, t.src_port, t.protocol}) != nullptr) {
    return toeplitz_.bucket_of_endpoint(t.dst, t.dst_port);
  }
  for (const Interface& interface : snapshot.interfaces) {
    if (interface.egress != Egress::route) continue;
    for (const IpPrefix& prefix : interface.prefixes) {
      if (prefix.contains(t.src)) return toeplitz_.bucket_of_endpoint(t.src, t.src_port);
      if (prefix.contains(t.dst)) return toeplitz_.bucket_of_endpoint(t.dst, t.dst_port);
    }
  }
  return toeplitz_.bucket(t);
}

unsigned Steering::fragment_bucket(const packet::PacketInfo& info) const {
  return toeplitz_.bucket({info.tuple.src, info.tuple.dst, static_cast<std::uint16_t>(info.fragment_id >> 16),
                           static_cast<std::uint16_t>(info.fragment_id), 0});
}

}  // namespace headgate::worker
