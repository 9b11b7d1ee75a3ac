#include "dataplane/tcp/receive.h"

#include <algorithm>
#include <cstring>

#include "dataplane/tcp/acknowledge.h"
#include "dataplane/tcp/emit.h"
#include "dataplane/tcp/reassembly.h"

namespace headgate::tcp {
namespace {

// RFC 7323 5.3. A RST is exempt (5.2): it may come from a host that lost its clock.
bool timestamps_acceptable(Core& k, Connection& c, const Segment& s) {
  if (!c.timestamps || s.has(kRst)) return true;
  if (!s.header.options.has_timestamps) {
    ++k.counters.drop_no_timestamp;  // RFC 7323 3.2: silently
    return false;
  }
  if (!serial_before(s.header.options.ts_value, c.ts_recent)) return true;
  if (tick_of(k.now) - c.ts_recent_at > kTsRecentValid / kTick) return true;
  ++k.counters.drop_paws;
  emit_challenge(k, c);
  return false;
}

// RFC 7323 4.3 (2). last_ack_sent and not rcv_nxt: the echo has to be of the earliest segment not yet acknowledged.
void update_timestamp(Core& k, Connection& c, const Segment& s) {
  if (!c.timestamps || !s.header.options.has_timestamps || s.header.seq > c.last_ack_sent) return;
  if (serial_before(s.header.options.ts_value, c.ts_recent) &&
      tick_of(k.now) - c.ts_recent_at <= kTsRecentValid / kTick) {
    return;
  }
  c.ts_recent = s.header.options.ts_value;
  c.ts_recent_at = tick_of(k.now);
}

// RFC 9293 3.4 table 6, with one thing wider: an empty segment may carry the number of the right edge, as a peer that
// filled the window sends it.
bool sequence_acceptable(const Connection& c, const Segment& s) {
  const Seq seq = s.header.seq;
  const std::uint32_t length = s.length();
  if (length == 0) return c.rcv_nxt <= seq && seq <= c.rcv_adv;
  return seq < c.rcv_adv && seq + length > c.rcv_nxt;
}

// With a window of zero nothing is acceptable, but what comes at the right place may carry a valid ACK or RST, and a
// FIN takes no room (RFC 9293 3.4).
bool at_closed_window(const Connection& c, const Segment& s) {
  return c.rcv_adv == c.rcv_nxt && s.header.seq == c.rcv_nxt;
}

void on_reset(Core& k, Connection& c, const Segment& s) {
  if (s.header.seq != c.rcv_nxt) {  // RFC 5961 3.2
    emit_challenge(k, c);
    return;
  }
  ++k.counters.resets_received;
  // Both sides had said all: a RST instead of the last ACK loses nothing (RFC 9293 3.10.7.4, CLOSING and LAST-ACK).
  if (c.state == State::closing || c.state == State::last_ack) {
    finish(k, c);
  } else {
    break_off(k, c, CloseReason::reset_by_peer);
  }
}

bool receives_data(const Connection& c) {
  return !c.fin_received &&
         (c.state == State::established || c.state == State::fin_wait_1 || c.state == State::fin_wait_2);
}

// Copies a tiny payload behind the last one instead of keeping its whole buffer, when it would wait there anyway.
bool pack(Core& k, Connection& c, const Slice& slice) {
  if (slice.length >= kCopyBreak || c.receive.empty() || slice.buffer->truesize < 4u * slice.length) return false;
  Piece* tail = &k.pieces[c.receive.tail];
  Buffer* buffer = tail->buffer;
  const bool appendable = buffer->packing && buffer->refs == 1 && tail->offset + tail->length == buffer->length &&
                          buffer->tailroom >= slice.length;
  if (!appendable) {
    buffer = k.buffers.allocate();
    if (buffer == nullptr) return false;
    buffer->packing = true;
    const std::uint32_t index = buffer->tailroom < slice.length ? kNone : k.pieces.make({buffer, 0, 0});
    drop_reference(buffer);
    if (index == kNone) return false;
    k.pieces[index].seq = c.rcv_nxt;
    k.pieces.push_back(c.receive, index);
    c.receive_truesize += buffer->truesize;
    tail = &k.pieces[index];
  }
  std::memcpy(buffer->data + buffer->length, slice.bytes().data(), slice.length);
  buffer->length = static_cast<std::uint16_t>(buffer->length + slice.length);
  buffer->tailroom = static_cast<std::uint16_t>(buffer->tailroom - slice.length);
  tail->length = static_cast<std::uint16_t>(tail->length + slice.length);
  ++k.counters.packed;
  return true;
}

bool append(Core& k, Connection& c, const Slice& slice) {
  if (!pack(k, c, slice)) {
    const std::uint32_t index = k.pieces.make(slice);
    if (index == kNone) return false;
    k.pieces[index].seq = c.rcv_nxt;
    k.pieces.push_back(c.receive, index);
    c.receive_truesize += k.pieces[index].charge();
  }
  c.rcv_nxt += slice.length;
  c.receive_bytes += slice.length;
  c.unconsumed += slice.length;
  c.bytes_received += slice.length;
  return true;
}

// The payload's bytes [skip, end). False when pieces ran out on the way: what is kept is acknowledged, no more.
bool append_payload(Core& k, Connection& c, const Segment& s, std::uint32_t skip, std::uint32_t end) {
  std::uint32_t at = 0;
  for (Slice slice : s.payload) {
    const std::uint32_t from = std::max(at, skip), to = std::min(at + slice.length, end);
    const std::uint32_t begin = at;
    at += slice.length;
    if (from >= to) continue;
    if (k.pieces.truesize() >= k.config.memory) {  // windows were offered when there was more: the peer sends it again
      ++k.counters.drop_no_memory;
      return false;
    }
    slice.offset = static_cast<std::uint16_t>(slice.offset + (from - begin));
    slice.length = static_cast<std::uint16_t>(to - from);
    if (!append(k, c, slice)) {
      ++k.counters.drop_no_memory;
      return false;
    }
  }
  return true;
}

void fin_arrives(Core& k, Connection& c) {
  c.rcv_nxt += 1;
  c.rcv_adv = max(c.rcv_adv, c.rcv_nxt);
  c.fin_received = true;
  c.ack_now = true;
  c.events |= kEventFin;
  mark_dirty(k, c);
  switch (c.state) {
    case State::established:
      c.state = State::close_wait;
      break;
    case State::fin_wait_1:
      c.state = State::closing;  // our FIN's ACK would have moved us on before
      break;
    case State::fin_wait_2:
      emit_ack(k, c);
      enter_time_wait(k, c);
      break;
    default:
      break;
  }
}

// RFC 1122 4.2.3.2, RFC 5681 4.2: every second full segment at once, anything else within kDelayedAck.
void schedule_ack(Core& k, Connection& c) {
  if (c.rcv_nxt - c.last_ack_sent >= 2u * std::max<std::uint32_t>(c.receive_mss, 1)) {
    c.ack_now = true;
  } else if (c.ack_deadline == 0 && !c.ack_now) {
    set_deadline(k, c, &Connection::ack_deadline, kDelayedAck);
  }
}

void in_order(Core& k, Connection& c, const Segment& s, std::uint32_t skip, std::uint32_t end, bool fin) {
  // One burst may bring many segments: still an ACK for every two (see schedule_ack), or the sender's window, which
  // grows by ACKs, would suffer from our batching.
  if (c.ack_now && c.reassembly == kNone && c.rcv_nxt - c.last_ack_sent >= 2u * c.receive_mss &&
      c.rcv_nxt != c.last_ack_sent) {
    emit_ack(k, c);
  }
  const bool complete = append_payload(k, c, s, skip, end);
  c.receive_mss = std::max(c.receive_mss, static_cast<std::uint16_t>(std::min<std::uint32_t>(s.payload_length, 65535)));
  if (end > skip) {
    c.events |= kEventData;
    schedule_ack(k, c);
  }
  if (!complete) {
    c.ack_now = true;
  } else if (fin) {
    fin_arrives(k, c);
  }
  if (c.reassembly != kNone && c.synchronized()) {
    c.ack_now = true;  // RFC 5681 4.2: a gap was filled, wholly or partly
    if (join_reassembly(k, c) && !c.fin_received) fin_arrives(k, c);
  }
  mark_dirty(k, c);
}

void data_arrives(Core& k, Connection& c, const Segment& s) {
  if (s.payload_length == 0 && !s.has(kFin)) return;
  const Seq seq = s.header.seq, end = seq + s.payload_length;
  if (!receives_data(c) || end + (s.has(kFin) ? 1u : 0u) <= c.rcv_nxt) {  // seen before, or behind a FIN
    note_duplicate(k, c, seq, end);
    emit_challenge(k, c);
    return;
  }
  const std::uint32_t skip = seq < c.rcv_nxt ? std::min(c.rcv_nxt - seq, s.payload_length) : 0;
  if (skip != 0) note_duplicate(k, c, seq, c.rcv_nxt);
  const Seq edge = min(end, c.rcv_adv);
  const bool fin = s.has(kFin) && edge == end;
  const std::uint32_t keep = seq < edge ? edge - seq : 0;
  if (keep <= skip && !fin) {  // all of it beyond the window: a probe
    ++k.counters.drop_outside_window;
    c.ack_now = true;
    mark_dirty(k, c);
    return;
  }
  if (seq <= c.rcv_nxt) {
    in_order(k, c, s, skip, std::max(keep, skip), fin);
    return;
  }
  keep_early(k, c, s, keep, fin);
  emit_ack(k, c);  // RFC 5681 4.2: each one tells the sender that a segment arrived
}

void note_congestion(Core& k, Connection& c, const Segment& s) {
  if (!c.ecn) return;
  if (s.has(kCwr)) c.ece = false;  // RFC 3168 6.1.3
  if (s.congestion_experienced) {
    c.ece = true;
    if (s.payload_length == 0) return;  // never an ACK for an ACK
    c.ack_now = true;
    mark_dirty(k, c);
  }
}

}  // namespace

void segment_arrives(Core& k, Connection& c, const Segment& s) {
  c.last_received = tick_of(k.now);
  c.probes = 0;
  if (!timestamps_acceptable(k, c, s)) return;
  const bool closed_window = at_closed_window(c, s);
  if (!sequence_acceptable(c, s) && !closed_window) {
    ++k.counters.drop_outside_window;
    if (s.has(kRst)) return;
    if (s.payload_length != 0 && s.header.seq < c.rcv_nxt) {
      note_duplicate(k, c, s.header.seq, min(s.header.seq + s.payload_length, c.rcv_nxt));
    }
    emit_challenge(k, c);
    return;
  }
  if (s.has(kRst)) return on_reset(k, c, s);
  if (s.has(kSyn)) {
    emit_challenge(k, c);  // RFC 5961 4.2
    return;
  }
  if (!s.has(kAck)) {
    ++k.counters.drop_no_ack;
    return;
  }
  const std::uint32_t generation = c.generation;
  if (!acknowledgment_arrives(k, c, s)) return;
  if (c.generation != generation || !c.synchronized()) return;
  update_timestamp(k, c, s);
  note_congestion(k, c, s);
  data_arrives(k, c, s);
}

void consume(Core& k, Connection& c, std::uint32_t bytes) {
  c.unconsumed -= std::min(bytes, c.unconsumed);
  if (!c.synchronized() || c.fin_received) return;
  const std::uint32_t current = c.rcv_adv - c.rcv_nxt, window = offered_window(k, c);
  const std::uint32_t worth = std::min<std::uint32_t>(k.profile(c).receive_buffer / 2, 2u * own_mss(k, c.v6));
  // From nothing to a segment is worth a word, too: the peer may be waiting.
  const bool reopened = current < c.receive_mss && window >= c.receive_mss;
  if (window >= current + worth || (reopened && window > current)) {
    c.ack_now = true;
    mark_dirty(k, c);
  }
}

}  // namespace headgate::tcp
