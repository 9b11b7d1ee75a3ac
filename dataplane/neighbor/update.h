// What the resolver tells every worker's replica.
#pragma once

#include <cstdint>

#include "dataplane/base/ids.h"
#include "dataplane/base/ip.h"
#include "dataplane/base/mac.h"

namespace headgate::neighbor {

// stale: the hardware address is usable but unconfirmed.
enum class NeighborState : std::uint8_t { free, incomplete, reachable, stale, failed };

struct NeighborUpdate {
  IpAddress address;
  InterfaceId interface;
  MacAddress mac;                                   // reachable, stale
  NeighborState state = NeighborState::incomplete;  // reachable, stale or failed
  bool standing = false;                            // a backend or gateway: replicas keep it whether used or not
};
static_assert(sizeof(NeighborUpdate) == 28);  // it travels by value through mailboxes

constexpr const char* to_string(NeighborState state) {
  switch (state) {
    case NeighborState::free:
      return "free";
    case NeighborState::incomplete:
      return "incomplete";
    case NeighborState::reachable:
      return "reachable";
    case NeighborState::stale:
      return "stale";
    case NeighborState::failed:
      return "failed";
  }
  return "?";
}

}  // namespace headgate::neighbor
