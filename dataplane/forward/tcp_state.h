// What a TCP segment does to a flow's state (RFC 5382 section 5, RFC 7857 section 2), watched from the middle.
#pragma once

#include "dataplane/flow/flow_table.h"
#include "dataplane/packet/packet_info.h"

namespace headgate::forward {

// True when a SYN from the client must not continue this flow: it is closed or closing, and the client starts a new
// connection from the same port. The caller erases the flow and admits the SYN anew, at once (no TIME_WAIT stall).
bool must_rebind(const flow::Flow& flow, flow::Direction direction, std::uint8_t tcp_flags);

// Applies the segment. `sequence_after`: its sequence number plus what it occupies.
void track_tcp(flow::FlowTable& table, flow::Flow& flow, flow::Direction direction, std::uint8_t tcp_flags,
               std::uint32_t sequence_after, std::uint32_t now_ms);

}  // namespace headgate::forward
