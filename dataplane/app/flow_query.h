// Filters over flows, as the API words them.
#pragma once

#include <optional>

#include "dataplane/api/dataplane.pb.h"
#include "dataplane/app/box.h"

namespace headgate::app {

struct FlowQuery {
  std::optional<IpPrefix> client;
  std::uint16_t client_port = 0;
  std::uint8_t protocol = 0;
  std::optional<snapshot::Ends> ends;  // of sessions: those of this protocol alone
  Slot service = kNoSlot, backend = kNoSlot;
  bool impossible = false;  // names a service or backend that does not run
  std::uint32_t limit = 100;

  bool matches(const flow::Flow& flow) const;
};

Result<FlowQuery> parse_flow_query(const dataplane::v1::FlowFilter& filter, const snapshot::Snapshot* snapshot);
std::string endpoint_text(const IpAddress& address, std::uint16_t port);  // "10.0.0.1:80", IPv6 in brackets
void describe_flow(const worker::Worker& worker, const flow::Flow& flow, dataplane::v1::FlowInfo* out);

}  // namespace headgate::app
