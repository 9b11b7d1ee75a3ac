// What the box knows of itself, as Prometheus reads it (text exposition format 0.0.4). A pure function.
//
// Names and units follow Prometheus' conventions: base units, _total for what only grows. Labels are names an operator
// wrote, so they are stable over restarts; a counter starts again at 0 when its process does.
#pragma once

#include <optional>
#include <string>

#include "controlplane/api/management.pb.h"
#include "dataplane/api/dataplane.pb.h"

namespace headgate::monitor {

struct Sample {
  management::v1::SystemReply system;
  management::v1::BackendsReply backends;
  management::v1::FailoverReply failover;
  management::v1::ServicesReply services;          // without what is counted
  std::optional<dataplane::v1::StatsReply> stats;  // nothing while the dataplane does not answer
};

std::string render(const Sample& sample);

}  // namespace headgate::monitor
