// The measurements, one file each. All print as they go and return what --json wants.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/snapshot/model.h"

namespace headgate::bench {

double tsc_hz();
const char* name_of(snapshot::Mode mode);

inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct ForwardResult {
  snapshot::Mode mode{};
  std::uint32_t flows = 0;
  double cycles_per_packet = 0, mpps = 0;
};
// Established flows, a random one per packet, both directions where both pass. quick: more than 1 M flows, whose set-up
// takes longest, in the first mode only.
std::vector<ForwardResult> measure_forward(std::span<const snapshot::Mode> modes, std::span<const std::uint32_t> flows,
                                           unsigned rounds, bool quick);
// New flows per second of one core: SYN, SYN-ACK, ACK, FIN, FIN, ACK each, expiry included.
// `capacity`: of the flow table; closed flows stay in it for 4 s.
double measure_connections(bool quick, std::uint32_t capacity);
// One worker beside none and beside another one.
void measure_workers(bool quick);
// What 1 M flows and their worker keep resident.
void measure_memory();
// 1,000 services with 10,000 backends applied under traffic.
void measure_snapshot(bool quick);

}  // namespace headgate::bench
