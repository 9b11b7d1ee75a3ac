// What a TCP segment does to a flow's state (RFC 5382 section 5, RFC 7857 section 2), watched from the middle.
//
// A flow remembers for each side the number it expects next, as far as the other side's segments and its own
// acknowledgments tell. Segments far from it are forwarded, for their receiver to judge, and change nothing here: who
// cannot see a connection cannot end it by guessing (RFC 5961).
#pragma once

#include "dataplane/flow/flow_table.h"
#include "dataplane/packet/packet_info.h"

namespace headgate::forward {

struct Segment {
  std::uint8_t flags = 0;
  std::uint32_t sequence = 0;
  std::uint32_t after = 0;  // sequence plus what the segment occupies
  std::uint32_t acknowledgment = 0;
};

// True when a SYN from the client must not continue this flow: it is closed or closing, and the client starts a new
// connection from the same port. The caller erases the flow and admits the SYN anew, at once (no TIME_WAIT stall).
bool must_rebind(const flow::Flow& flow, flow::Direction direction, std::uint8_t tcp_flags);

void track_tcp(flow::FlowTable& table, flow::Flow& flow, flow::Direction direction, const Segment& segment,
               std::uint32_t now_ms);

}  // namespace headgate::forward
