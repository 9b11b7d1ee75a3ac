// Segments of a synchronized connection (RFC 9293 3.10.7.4): acceptance, PAWS, RST and SYN after RFC 5961, data in and
// out of order, FIN; and the reading side of the application.
#pragma once

#include "dataplane/tcp/core.h"

namespace headgate::tcp {

void segment_arrives(Core& k, Connection& c, const Segment& s);
// SACK and DSACK blocks for an ACK, as many as fit beside its other options (RFC 2018 4, RFC 2883 4).
void report_reassembly(Core& k, Connection& c, Options& options);
// The application took `bytes` out of its sight: the window may open, and an update goes out when it is worth one.
void consume(Core& k, Connection& c, std::uint32_t bytes);

}  // namespace headgate::tcp
