// What proxied services count, summed over the workers, as the API shows it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/api/dataplane.pb.h"
#include "dataplane/app/fleet.h"

namespace headgate::app {

// All counters of a service in the order of each() of telemetry::SessionConduct and telemetry::HttpConduct. Empty:
// nothing was counted.
struct SessionTotals {
  std::vector<std::uint64_t> sessions, http;
};
SessionTotals session_totals(const Fleet& fleet, Slot service);

// What was counted since `base`.
void fill_sessions(const Fleet& fleet, const snapshot::Service& service, const SessionTotals& base,
                   dataplane::v1::ServiceStats* out);

void add_count(google::protobuf::RepeatedPtrField<dataplane::v1::Count>* out, const std::string& name,
               std::uint64_t count, const char* meaning);

}  // namespace headgate::app
