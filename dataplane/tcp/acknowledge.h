// The fifth check of RFC 9293 3.10.7.4: what an acknowledgment acknowledges.
#pragma once

#include "dataplane/tcp/core.h"

namespace headgate::tcp {

// False when the segment has to be dropped or the connection ended by it.
bool acknowledgment_arrives(Core& k, Connection& c, const Segment& s);
// A round-trip time in nanoseconds (RFC 6298 2.2, 2.3).
void sample_rtt(Connection& c, Nanos rtt);
// The retransmission timeout with its backoff.
Nanos timeout_of(const Connection& c);
// The window that a peer offers in a segment of a synchronized connection.
void take_window(Connection& c, const Segment& s);

}  // namespace headgate::tcp
