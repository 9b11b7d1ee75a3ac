// The congestion window in bytes: slow start and congestion avoidance (RFC 5681, byte counting of RFC 3465), IW10 (RFC
// 6928), restart after idle time (RFC 5681 4.1), CUBIC in integers (RFC 9438) and ECN (RFC 3168) behind switches.
#pragma once

#include "dataplane/tcp/core.h"

namespace headgate::tcp {

std::uint32_t initial_window(const Connection& c);
// Called when data is about to be sent and nothing is in flight.
void restart_after_idle(Core& k, Connection& c);
// After an acknowledgment of new data, outside of fast recovery, and only if the window was what held us back.
void grow_window(Core& k, Connection& c, const AckSummary& summary);
// The slow start threshold after a loss, from what was in flight (RFC 5681 equation 4, RFC 9438 4.6); remembers what
// CUBIC needs.
std::uint32_t reduced_window(Core& k, Connection& c);
void on_ecn_echo(Core& k, Connection& c, const Segment& s);

// floor(cube root), for CUBIC.
std::uint32_t cube_root(std::uint64_t value);

}  // namespace headgate::tcp
