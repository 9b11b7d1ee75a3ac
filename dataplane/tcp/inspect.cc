#include "dataplane/tcp/inspect.h"

#include <algorithm>
#include <array>

#include "dataplane/tcp/acknowledge.h"
#include "dataplane/tcp/send.h"

namespace headgate::tcp {
namespace {

const char* recovery_name(const Core& k, const Connection& c) {
  static constexpr std::array<const char*, 4> kNames{"disorder", "fast", "timeout", "resize"};
  const Recovery* r = k.recovery(c);
  return r == nullptr ? "open" : kNames[static_cast<std::size_t>(r->mode)];
}

// The send queue: contiguous from snd_una to snd_end, sums equal to marks.
const char* audit_send(const Core& k, const Connection& c) {
  Seq at = c.snd_una;
  std::uint32_t truesize = 0, sacked = 0, lost = 0, repeated = 0;
  bool unsent_seen = c.unsent == kNone, any_unsent = false;
  for (std::uint32_t i = c.send.head; i != kNone; i = k.pieces[i].next) {
    const Piece& p = k.pieces[i];
    if (p.length == 0) return "an empty piece in the send queue";
    if (p.seq != at) return "a gap in the send queue";
    if (i == c.unsent) unsent_seen = any_unsent = true;
    if (p.is(Piece::kSent) == any_unsent) return "a sent piece behind an unsent one";
    if (p.is(Piece::kSacked) && p.is(Piece::kLost)) return "a piece both SACKed and lost";
    truesize += p.charge();
    sacked += p.is(Piece::kSacked) ? p.length : 0;
    lost += p.is(Piece::kLost) ? p.length : 0;
    repeated += p.is(Piece::kRetransmitted) ? p.length : 0;
    at = p.end();
    if (p.next == kNone && c.send.tail != i) return "the send queue's tail is not its last piece";
  }
  if (!unsent_seen) return "the first unsent piece is not in the queue";
  if (c.snd_una <= c.snd_end && at != c.snd_end) return "the send queue does not end at snd_end";
  if (any_unsent && k.pieces[c.unsent].seq != c.snd_nxt) return "snd_nxt is not at the first unsent piece";
  if (truesize != c.send_truesize) return "the send queue's true size is wrong";
  const Recovery* r = k.recovery(c);
  if (r == nullptr) return sacked + lost + repeated == 0 ? nullptr : "marks without a recovery block";
  if (c.sack && sacked != r->sacked) return "the sum of SACKed bytes is wrong";
  if (lost != r->lost) return "the sum of lost bytes is wrong";
  return repeated == r->repeated ? nullptr : "the sum of repeated bytes is wrong";
}

const char* audit_receive(const Core& k, const Connection& c) {
  std::uint32_t bytes = 0, truesize = 0;
  for (std::uint32_t i = c.receive.head; i != kNone; i = k.pieces[i].next) {
    bytes += k.pieces[i].length;
    truesize += k.pieces[i].charge();
  }
  if (bytes != c.receive_bytes) return "the receive queue's length is wrong";
  if (bytes > c.unconsumed) return "more in the receive queue than unconsumed";
  if (c.reassembly != kNone) {
    const Reassembly& r = k.reassemblies[c.reassembly];
    Seq at = c.rcv_nxt;
    std::uint32_t pieces = 0;
    for (std::uint32_t i = r.list.head; i != kNone; i = k.pieces[i].next, ++pieces) {
      const Piece& p = k.pieces[i];
      if (p.length == 0 || p.seq < at || (pieces == 0 && p.seq == c.rcv_nxt)) return "early data overlaps";
      at = p.end();
      truesize += p.charge();
    }
    if (at > c.rcv_adv) return "early data beyond the window";
    if (pieces != r.pieces) return "the number of early pieces is wrong";
    if (pieces == 0 && !r.has_fin && !r.has_duplicate) return "an empty reassembly block";
  }
  return truesize == c.receive_truesize ? nullptr : "the receive queue's true size is wrong";
}

const char* audit_timers(const Connection& c) {
  if (!c.synchronized()) return nullptr;
  if (c.unacknowledged() != 0 && c.rtx_deadline == 0) return "unacknowledged data without a timer";
  if (c.unacknowledged() != 0 && c.rtx_kind == Rtx::persist) return "unacknowledged data with a persist timer";
  if (has_unsent(c) && c.unacknowledged() == 0 && c.rtx_deadline == 0 && !c.corked)
    return "unsent data without a timer";
  for (const Tick deadline : {c.rtx_deadline, c.ack_deadline, c.idle_deadline}) {
    if (deadline == 0) continue;
    if (!c.wheel.armed()) return "a deadline that is not in the wheel";
    if (serial_before(deadline, c.wheel.tick)) return "a deadline before its wheel node";
  }
  return nullptr;
}

const char* audit_connection(const Core& k, const Connection& c) {
  if (c.dirty) return "dirty after flush";
  if (c.state == State::done) return c.in_table ? "a connection that ended is in the table" : audit_receive(k, c);
  if (!c.in_table) return "a live connection is not in the table";
  if (c.state == State::syn_sent || c.state == State::syn_received) {
    return c.rtx_deadline != 0 ? nullptr : "a handshake without a timer";
  }
  if (c.snd_nxt < c.snd_una || c.snd_end + 1 < c.snd_nxt) return "snd_una <= snd_nxt <= snd_end + 1";
  if (c.rcv_adv < c.rcv_nxt) return "rcv_nxt <= rcv_adv";
  if (c.fin_sent != (c.snd_nxt == c.snd_end + 1)) return "snd_nxt does not say whether the FIN was sent";
  if (c.mss == 0 || c.cwnd < c.mss) return "cwnd below a segment";
  if (c.ack_now) return "an ACK that was due was not sent";
  if (const char* broken = audit_send(k, c)) return broken;
  if (const char* broken = audit_receive(k, c)) return broken;
  return audit_timers(c);
}

}  // namespace

Info inspect(const Core& k, const Connection& c) {
  Info i;
  i.tuple = tuple_of(c);
  i.state = c.state;
  i.snd_una = c.snd_una;
  i.snd_nxt = c.snd_nxt;
  i.rcv_nxt = c.rcv_nxt;
  i.fin_received = c.fin_received;
  i.mss = c.mss;
  i.snd_scale = c.snd_scale;
  i.rcv_scale = c.rcv_scale;
  i.timestamps = c.timestamps;
  i.sack = c.sack;
  i.ecn = c.ecn;
  i.unacknowledged = c.unacknowledged();
  i.unsent = c.snd_nxt < c.snd_end ? c.snd_end - c.snd_nxt : 0;
  i.received = c.receive_bytes;
  i.unconsumed = c.unconsumed;
  i.truesize = c.send_truesize + c.receive_truesize;
  i.snd_wnd = c.snd_wnd;
  i.rcv_wnd = c.rcv_adv - c.rcv_nxt;
  i.cwnd = c.cwnd;
  i.ssthresh = c.ssthresh;
  i.flight = flight(k, c);
  i.srtt_us = c.srtt8 / 8;
  i.rttvar_us = c.rttvar4 / 4;
  i.min_rtt_us = c.min_rtt;
  i.timeout_ms = static_cast<std::uint32_t>(timeout_of(c) / kMillisecond);
  i.retransmitted = c.retransmitted;
  i.bytes_received = c.bytes_received;
  i.bytes_acked = c.bytes_acked;
  i.backoff = c.backoff;
  i.recovery = recovery_name(k, c);
  return i;
}

std::string audit(Core& k) {
  std::uint32_t live = 0, in_table = 0;
  for (std::uint32_t i = 0; i < k.connections.touched(); ++i) {
    const Connection& c = k.connections[i];
    if (c.generation == 0) continue;
    ++live;
    in_table += c.in_table ? 1 : 0;
    if (const char* broken = audit_connection(k, c)) {
      return to_string(tuple_of(c)) + " in " + name_of(c.state) + ": " + broken;
    }
  }
  if (live != k.connections.used()) return "connections leak";
  if (in_table != k.table.used()) return "the table has other connections";
  return {};
}

const char* name_of(State state) {
  static constexpr std::array<const char*, 10> kNames{"CLOSED",     "SYN-SENT",   "SYN-RECEIVED", "ESTABLISHED",
                                                      "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT",   "CLOSING",
                                                      "LAST-ACK",   "DONE"};
  return kNames[static_cast<std::size_t>(state)];
}

const char* name_of(CloseReason reason) {
  static constexpr std::array<const char*, 8> kNames{"normal",    "reset by peer", "refused",     "unreachable",
                                                     "timed out", "keepalive",     "half-closed", "terminated"};
  return kNames[static_cast<std::size_t>(reason)];
}

}  // namespace headgate::tcp
