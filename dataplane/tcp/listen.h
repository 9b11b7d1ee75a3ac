// Passive open (RFC 9293 3.10.7.2): half-open connections in the SYN table or in cookies, and TIME-WAIT, which a new
// SYN may replace (RFC 6191).
#pragma once

#include "dataplane/tcp/core.h"

namespace headgate::tcp {

// A segment that belongs to no connection.
void segment_without_connection(Core& k, const Segment& s);
// SYN-ACKs that were not answered, again, or no more.
void advance_half_open(Core& k);

}  // namespace headgate::tcp
