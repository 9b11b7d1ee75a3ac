// Path MTU discovery (RFC 1191, 8201) and its fallback where ICMP is filtered (RFC 2923 2.1).
#pragma once

#include "dataplane/tcp/core.h"

namespace headgate::tcp {

// `quoted`: of the packet that was too big, src is ours; `seq`: its sequence number. Believed only when that number is
// in flight (RFC 5927 4.1): anybody can send an ICMP error, few know what we sent last.
void path_too_small(Core& k, const Tuple& quoted, Seq seq, std::uint32_t mtu);
// An unreachable error: ends an attempt to connect, and nothing else (RFC 5461, RFC 5927 5.2).
void path_unreachable(Core& k, const Tuple& quoted, Seq seq);
// A full segment has timed out several times in a row: maybe the path drops what does not fit, without a word.
void note_black_hole(Core& k, Connection& c);

}  // namespace headgate::tcp
