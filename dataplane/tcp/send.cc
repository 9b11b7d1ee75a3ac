#include "dataplane/tcp/send.h"

#include <algorithm>
#include <cstring>

#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/deadlines.h"
#include "dataplane/tcp/emit.h"

namespace headgate::tcp {
namespace {

// RFC 6675 5 (C), NextSeg() rule 1. Inside of the peer's window: what lies beyond after it shrank would be refused (RFC
// 9293 3.8.6 SHLD-15).
void repeat_lost(Core& k, Connection& c) {
  Recovery* r = k.recovery(c);
  if (r == nullptr || r->lost == 0 || r->frto == 2) return;
  const Seq right = c.snd_una + c.snd_wnd;
  for (std::uint32_t i = c.send.head; i != kNone && i != c.unsent;) {
    if (!k.pieces[i].is(Piece::kLost) || k.pieces[i].is(Piece::kRetransmitted)) {
      i = k.pieces[i].next;
      continue;
    }
    if (k.pieces[i].seq >= right || (r->frto == 1 && !r->force_one)) return;
    std::uint32_t length = 0;  // neighbours that are lost, too
    for (std::uint32_t j = i; j != kNone && j != c.unsent && length < c.mss; j = k.pieces[j].next) {
      if (!k.pieces[j].is(Piece::kLost) || k.pieces[j].is(Piece::kRetransmitted)) break;
      length += k.pieces[j].length;
    }
    length = std::min({length, std::uint32_t{c.mss}, right - k.pieces[i].seq});
    const std::uint32_t pipe = flight(k, c);
    if (!r->force_one && pipe != 0 && pipe + length > c.cwnd) {
      c.cwnd_limited = true;
      return;
    }
    r->force_one = false;
    if (emit_data(k, c, i, length, false) == 0) return;
    while (i != kNone && k.pieces[i].is(Piece::kRetransmitted)) i = k.pieces[i].next;
  }
}

// RFC 9293 3.8.6.2.1 and 3.7.4 for a segment that is not full. `all`: nothing remains behind it.
bool worth_sending(const Core& k, const Connection& c, std::uint32_t length, bool all) {
  if (!all) return length >= std::max(c.max_snd_wnd / 2, 1u);
  if (fin_due(c)) return true;
  if (c.corked) return false;
  return k.profile(c).nodelay || c.snd_una == c.snd_nxt;
}

// One segment of what was never sent. False when there is none to send now.
bool send_one(Core& k, Connection& c, bool forced, bool probe = false) {
  const std::uint32_t unsent = c.fin_sent ? 0 : c.snd_end - c.snd_nxt;
  const Seq right = c.snd_una + c.snd_wnd;
  const std::uint32_t window = c.snd_nxt < right ? right - c.snd_nxt : 0;
  if (window == 0) return false;
  const std::uint32_t length = std::min({unsent, std::uint32_t{c.mss}, window});
  const bool all = length == unsent;
  if (length < c.mss && !forced && !worth_sending(k, c, length, all)) return false;
  const std::uint32_t pipe = flight(k, c);
  if (pipe != 0 && pipe + length > c.cwnd && !probe) {
    c.cwnd_limited = true;
    return false;
  }
  if (c.snd_una == c.snd_nxt) c.progress_at = tick_of(k.now);
  const std::uint32_t sent = emit_data(k, c, c.unsent, length, fin_due(c) && all);
  if (sent == 0 && length != 0) return false;
  while (c.unsent != kNone && k.pieces[c.unsent].is(Piece::kSent)) c.unsent = k.pieces[c.unsent].next;
  c.snd_nxt += sent;
  if (fin_due(c) && sent == unsent) {
    c.fin_sent = true;
    c.snd_nxt += 1;
  }
  return true;
}

void send_new(Core& k, Connection& c, bool forced) {
  if (has_unsent(c) && c.snd_una == c.snd_nxt) restart_after_idle(k, c);
  while (has_unsent(c) && send_one(k, c, forced)) {
  }
}

bool small(const Slice& slice) {
  return slice.length < kCopyBreak && slice.buffer->truesize >= 4u * slice.length;
}

// Appends a small slice to the packing buffer at the end of the queue, when that was not sent yet.
bool pack(Core& k, Connection& c, const Slice& slice) {
  if (c.unsent == kNone || !small(slice)) return false;
  Piece& tail = k.pieces[c.send.tail];
  Buffer* buffer = tail.buffer;
  if (!buffer->packing || buffer->refs != 1 || tail.offset + tail.length != buffer->length ||
      buffer->tailroom < slice.length || tail.is(Piece::kSent)) {
    return false;
  }
  std::memcpy(buffer->data + buffer->length, slice.bytes().data(), slice.length);
  buffer->length = static_cast<std::uint16_t>(buffer->length + slice.length);
  buffer->tailroom = static_cast<std::uint16_t>(buffer->tailroom - slice.length);
  tail.length = static_cast<std::uint16_t>(tail.length + slice.length);
  ++k.counters.packed;
  return true;
}

}  // namespace

std::uint32_t send_limit(const Core& k, const Connection& c) {
  // As for what is received: more than a fair share is for those who have taken as much before.
  const auto most =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(k.profile(c).send_buffer, fair_share(k) + c.bytes_acked));
  const auto step = static_cast<unsigned>(k.pressure());
  return std::min(k.profile(c).send_buffer, std::max(most >> (2 * step), kSendMin));
}

bool sends_data(const Connection& c) {
  return !c.fin_queued && (c.state == State::syn_sent || c.state == State::syn_received ||
                           c.state == State::established || c.state == State::close_wait);
}

void enqueue(Core& k, Connection& c, Chain&& chain) {
  PieceList list = chain.release();
  while (!list.empty()) {
    const std::uint32_t index = k.pieces.pop_front(list);
    Piece& piece = k.pieces[index];
    c.snd_end += piece.length;
    if (pack(k, c, piece.slice())) {
      k.pieces.release(index);
      continue;
    }
    piece.seq = c.snd_end - piece.length;
    piece.marks &= Piece::kCharged;
    c.send_truesize += piece.charge();
    k.pieces.push_back(c.send, index);
    if (c.unsent == kNone) c.unsent = index;
  }
  mark_dirty(k, c);
}

void shut_down(Core& k, Connection& c) {
  if (c.fin_queued) return;
  c.fin_queued = true;
  c.corked = false;
  if (c.state == State::established) c.state = State::fin_wait_1;
  if (c.state == State::close_wait) c.state = State::last_ack;
  mark_dirty(k, c);
}

void send_probe_of_new_data(Core& k, Connection& c) {
  send_one(k, c, true, true);
}

void output(Core& k, Connection& c) {
  if (!c.synchronized()) return;
  // SACK blocks have no room beside full segments.
  if (c.ack_now && c.reassembly != kNone) emit_ack(k, c);
  c.cwnd_limited = false;
  repeat_lost(k, c);
  send_new(k, c, false);
  if (c.ack_now) emit_ack(k, c);
  arm_retransmission(k, c);
}

void output_forced(Core& k, Connection& c) {
  send_new(k, c, true);
  arm_retransmission(k, c);
}

}  // namespace headgate::tcp
