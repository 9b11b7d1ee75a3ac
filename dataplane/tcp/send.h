// The writing side: the send queue, what of it may go now, and when it goes again.
#pragma once

#include "dataplane/tcp/core.h"

namespace headgate::tcp {

// Everything that a connection has to send now: what was lost, new data as far as both windows allow, a FIN, an ACK
// that nothing carried. Sets the retransmission timer.
void output(Core& k, Connection& c);
// Data that the window's size or Nagle holds back goes, as much as the peer's window takes (RFC 9293 3.8.6.2.1 (4)).
void output_forced(Core& k, Connection& c);
// One segment of new data regardless of the congestion window (RFC 8985 7.3).
void send_probe_of_new_data(Core& k, Connection& c);
// Puts a chain at the end of the send queue; small pieces are packed together.
void enqueue(Core& k, Connection& c, Chain&& chain);
void shut_down(Core& k, Connection& c);
inline bool fin_due(const Connection& c) {
  return c.fin_queued && !c.fin_sent;
}
// New data or a FIN that was never sent.
inline bool has_unsent(const Connection& c) {
  return c.unsent != kNone || fin_due(c);
}
bool sends_data(const Connection& c);
// Bytes that the connection may have queued: less when memory is short, so that readers who stall do not keep it all.
std::uint32_t send_limit(const Core& k, const Connection& c);

}  // namespace headgate::tcp
