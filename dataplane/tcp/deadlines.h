// What happens when time passes: retransmission, window and keepalive probes, delayed ACKs, giving up.
#pragma once

#include "dataplane/tcp/core.h"

namespace headgate::tcp {

// The wheel says that one of the connection's deadlines may have come.
void on_timer(Core& k, Connection& c);
// Sees to it that a retransmission or window probe timer runs when one is needed (RFC 6298 5.1, RFC 9293 3.8.6.1).
void arm_retransmission(Core& k, Connection& c);
// After an acknowledgment of new data (RFC 6298 5.2, 5.3).
void restart_retransmission(Core& k, Connection& c);
void start_idle_timer(Core& k, Connection& c);

}  // namespace headgate::tcp
