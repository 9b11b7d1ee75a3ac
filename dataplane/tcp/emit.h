// Putting segments on the output list: the only place that knows what an outgoing header carries.
#pragma once

#include <cstdint>

#include "dataplane/tcp/core.h"

namespace headgate::tcp {

// -- of a connection
// A segment without payload: an ACK with all that it can carry, or a probe with an old sequence number.
void emit_ack(Core& k, Connection& c);
void emit_probe(Core& k, Connection& c);  // SEG.SEQ = SND.UNA-1: makes the peer answer
void emit_syn(Core& k, Connection& c);    // SYN, or SYN-ACK in SYN-RECEIVED
void emit_reset(Core& k, Connection& c);
// An ACK that an attacker may have provoked (RFC 5961 7): counted and limited per connection.
void emit_challenge(Core& k, Connection& c);
// `bytes` of the send queue from piece `first` on, cut at that length, and a FIN when `fin`; marks the pieces as sent.
// Returns the bytes that went: fewer when they lie in more than kSlicesMax pieces or pieces run out; 0 with no FIN
// sends nothing.
std::uint32_t emit_data(Core& k, Connection& c, std::uint32_t first, std::uint32_t bytes, bool fin);

// -- of none
void emit_syn_ack(Core& k, const Tuple& tuple, const SynEntry& entry, const Listener& listener);
// RFC 9293 3.10.7.1, limited.
void answer_with_reset(Core& k, const Segment& s);
void emit_time_wait_ack(Core& k, const Segment& s, const TimeWait& entry);

// What we offer now: the right edge never moves back (RFC 9293 3.8.6), nor forward in small steps (3.8.6.2.2). In bytes
// from rcv_nxt, a multiple of 2^rcv_scale.
std::uint32_t offered_window(Core& k, const Connection& c);
// What a connection may hold before it has shown that its bytes go on: a small part of the memory, divided by all that
// there are. Thousands of peers that stop to read at once then leave most of it to others.
std::uint32_t fair_share(const Core& k);
// Bytes that this connection may hold unread now: its fair share, and as many as were taken from it so far, up to the
// profile's. Less under memory pressure.
std::uint32_t receive_limit(Core& k, const Connection& c);
// Our MSS towards a family: what we offer in a SYN.
std::uint16_t own_mss(const Core& k, bool v6);
// The shift that lets `buffer` be offered.
std::uint8_t scale_for(std::uint32_t buffer);

}  // namespace headgate::tcp
