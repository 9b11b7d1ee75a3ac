// Data out of order, and what SACK says about it.
#pragma once

#include "dataplane/tcp/core.h"

namespace headgate::tcp {

// Keeps the first `keep` bytes of the payload, less what is here already, and the FIN's place. Under memory pressure
// nothing is kept: the peer sends it again. Requires: s.header.seq > rcv_nxt.
void keep_early(Core& k, Connection& c, const Segment& s, std::uint32_t keep, bool fin);
// Moves what is now in order to the receive queue. True when the FIN follows. Frees the block when nothing is left.
bool join_reassembly(Core& k, Connection& c);
// [start, end) came although it was here: the next ACK says so (RFC 2883).
void note_duplicate(Core& k, Connection& c, Seq start, Seq end);

}  // namespace headgate::tcp
