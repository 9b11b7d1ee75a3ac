// What becomes of a packet that no live flow takes as it is: the words between decide(), which answers and changes
// nothing, execute(), which does it, and explain(), which says it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/ids.h"
#include "dataplane/flow/flow.h"
#include "dataplane/flow/flow_table.h"
#include "dataplane/snapshot/model.h"
#include "dataplane/telemetry/drop_reasons.h"
#include "dataplane/telemetry/exits.h"
#include "dataplane/worker/limits.h"

namespace headgate::worker {

struct Fate {
  telemetry::Exit exit = telemetry::Exit::forwarded;
  telemetry::DropReason reason = telemetry::DropReason::count;  // when dropped; also why an answer was sent
};

// What becomes of a packet that is not part of a live flow, or is: the outcome of decide().
struct Decision {
  enum class Action : std::uint8_t {
    drop,
    reject,
    forward,
    start_service,
    start_probe,
    start_snat,
    start_route,
    ping,
    icmp_error,
    proxy,       // to the TCP engine
    proxy_icmp,  // an ICMP error about a segment of it
    to_kernel,
    from_kernel,
    neighbor,
    advert,
    hand_over
  };
  Action action = Action::drop;
  telemetry::DropReason reason = telemetry::DropReason::count;
  telemetry::Handover handover = telemetry::Handover::steering;
  bool existing_flow = false;
  std::uint8_t owner = 0;  // worker
  std::uint16_t bucket = 0;
  flow::Flow* flow = nullptr;  // forward, icmp_error; also an expired or closed one to replace
  flow::Direction direction = flow::Direction::forward;
  const snapshot::Service* service = nullptr;
  std::uint16_t backend = snapshot::kNone;         // start_service, start_probe: index into backends
  bool balanced = false;                           // chosen by the balancer, which must be told when it is used
  const snapshot::Interface* interface = nullptr;  // start_snat, start_route: where the servers are
};

// For new flows that travel between workers (persistence, connection limits).
struct Visit {
  bool owner_known = false;
  bool persistence_done = false;
  Slot persisted = kNoSlot;
  Slot granted = kNoSlot;
  std::array<Slot, kDenialsMax> denied{kNoSlot, kNoSlot, kNoSlot, kNoSlot};
  const flow::Flow* replaced = nullptr;  // the stale flow that ends when this one starts
};

// Outlives the snapshot it was made with: nothing in it points anywhere.
struct Explanation {
  Fate fate;
  Decision decision;  // its pointers are null, its positions are of a snapshot that may be gone
  struct Step {
    std::string stage, text;
  };
  std::vector<Step> steps;
  ServiceId service;  // if there is one
  PoolId pool;        // of the service
  BackendId backend;  // of the flow that exists or would start
};

// A request of a client's to an HTTP service.
struct RequestQuestion {
  ServiceId service;
  IpAddress client;
  std::uint16_t client_port = 0;
  std::string text{};  // the whole head
};

}  // namespace headgate::worker
