#include "dataplane/tcp/recovery.h"

#include <algorithm>

#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/core.h"

namespace headgate::tcp {
namespace {

using Mode = Recovery::Mode;

Recovery* ensure(Core& k, Connection& c) {
  if (c.recovery == kNone) c.recovery = k.recoveries.allocate();
  return k.recovery(c);
}

void mark_lost(Recovery& r, Piece& piece) {
  if (piece.is(Piece::kRetransmitted)) {
    r.repeated -= piece.length;
    piece.clear(Piece::kRetransmitted);
  }
  if (piece.is(Piece::kLost)) return;
  piece.set(Piece::kLost);
  r.lost += piece.length;
}

// The segment at the head of the queue, which may be several pieces.
void mark_head_lost(Core& k, Connection& c, Recovery& r) {
  std::uint32_t bytes = 0;
  for (std::uint32_t i = c.send.head; i != kNone && i != c.unsent; i = k.pieces[i].next) {
    bytes += k.pieces[i].length;
    if (bytes > c.mss && i != c.send.head) return;
    if (!k.pieces[i].is(Piece::kLost)) mark_lost(r, k.pieces[i]);
  }
}

// Takes `bytes` of a piece that leave the queue, or all of it that was SACKed, out of the sums.
void uncount(Recovery& r, const Piece& piece, std::uint32_t bytes) {
  if (piece.is(Piece::kSacked)) r.sacked = take_off(r.sacked, bytes);
  if (piece.is(Piece::kLost)) r.lost -= bytes;
  if (piece.is(Piece::kRetransmitted)) r.repeated -= bytes;
}

void note_delivered(Core& k, Connection& c, const Piece& piece, AckSummary& summary) {
  if (Recovery* r = k.recovery(c); r != nullptr && k.profile(c).rack) rack_delivered(k, c, *r, piece);
  if (piece.is(Piece::kEverRepeated)) {
    summary.repeated = true;
    return;
  }
  if (summary.oldest_sent == 0 || piece.sent < summary.oldest_sent) summary.oldest_sent = piece.sent;
  summary.newest_sent = std::max(summary.newest_sent, piece.sent);
}

bool valid_block(const Connection& c, const SackBlock& b) {
  return b.start < b.end && c.snd_una < b.end && c.snd_una <= b.start && b.end <= min(c.snd_nxt, c.snd_end);
}

// RFC 2883 4: the first block repeats what was acknowledged already, or lies within the second.
bool is_dsack(const Options& o, Seq ack) {
  if (o.sacks[0].start < ack) return true;
  return o.sack_count > 1 && o.sacks[1].start <= o.sacks[0].start && o.sacks[0].end <= o.sacks[1].end;
}

void enter(Core& k, Connection& c, Recovery& r, Mode mode) {
  if (r.mode == Mode::disorder || r.mode == Mode::resize) {
    r.prior_cwnd = c.cwnd;
    r.prior_ssthresh = c.ssthresh;
    r.undo_possible = k.profile(c).spurious_undo;
    r.first_repeat_set = false;
    c.ssthresh = reduced_window(k, c);
  }
  r.mode = mode;
  r.point = c.snd_nxt;
  r.prr_delivered = r.prr_out = 0;
  r.prr_flight = std::max<std::uint32_t>(c.unacknowledged(), 1);
}

void enter_fast(Core& k, Connection& c, Recovery& r) {
  ++k.counters.fast_recoveries;
  enter(k, c, r, Mode::fast);
  r.force_one = true;
  if (c.rtx_kind == Rtx::probe) c.rtx_deadline = 0;  // RFC 8985 7.2: no probes in recovery; output() sets a timeout
  if (!k.profile(c).prr) c.cwnd = c.ssthresh;
  c.cwr = c.ecn;
}

// RFC 6675 4 IsLost(): three segments' worth of data above it was SACKed. Without SACK the guesses stand for that. RACK
// does without: a count takes reordering by three segments for a loss.
void detect_losses(Core& k, Connection& c, Recovery& r) {
  if (!c.sack) {
    if (r.duplicates >= kDupThresh && r.mode == Mode::disorder) mark_head_lost(k, c, r);
    return;
  }
  const std::uint32_t threshold = (kDupThresh - 1u) * c.mss;
  std::uint32_t above = r.sacked;
  unsigned runs = 0;
  bool in_run = false;
  for (std::uint32_t i = c.send.head; i != kNone && i != c.unsent && above != 0; i = k.pieces[i].next) {
    const Piece& piece = k.pieces[i];
    runs += piece.is(Piece::kSacked) && !in_run ? 1 : 0;
    in_run = piece.is(Piece::kSacked);
    above -= in_run ? piece.length : 0;
  }
  above = r.sacked;
  in_run = false;
  for (std::uint32_t i = c.send.head; i != kNone && i != c.unsent && (above > threshold || runs >= kDupThresh);
       i = k.pieces[i].next) {
    Piece& piece = k.pieces[i];
    if (piece.is(Piece::kSacked)) {
      above -= piece.length;
      in_run = true;
    } else {
      if (in_run) --runs;
      in_run = false;
      if (!piece.is(Piece::kLost) && (above > threshold || runs >= kDupThresh)) mark_lost(r, piece);
    }
  }
}

// The reduction was wrong: what we repeated had arrived (RFC 5682 3, RFC 4015).
void take_back(Core& k, Connection& c, Recovery& r) {
  ++k.counters.spurious;
  c.cwnd = std::max(c.cwnd, r.prior_cwnd);
  c.ssthresh = std::max(c.ssthresh, r.prior_ssthresh);
  for (std::uint32_t i = c.send.head; i != kNone && i != c.unsent; i = k.pieces[i].next) {
    k.pieces[i].clear(Piece::kLost | Piece::kRetransmitted);
  }
  r.lost = r.repeated = 0;
  if (!c.sack) r.sacked = 0;
  r.mode = Mode::disorder;
  r.frto = 0;
  r.duplicates = 0;
  r.undo_possible = false;
}

// RFC 3522 3.2: the ACK echoes a timestamp older than the first repetition, so the original had arrived.
bool eifel(const Connection& c, const Recovery& r, const Segment& s) {
  return c.timestamps && s.header.options.has_timestamps && r.first_repeat_set &&
         serial_before(s.header.options.ts_echo, r.first_repeat_ts);
}

// RFC 5682 2.1 steps 2 and 3, for the acknowledgment after a timeout's retransmission and the one after that. True when
// the timeout was spurious.
bool forward_rto(Connection& c, Recovery& r, const AckSummary& summary) {
  if (r.frto == 0) return false;
  if (summary.acked == 0) {
    if (summary.duplicate) r.frto = 0;
    return false;
  }
  if (r.frto == 2) return true;
  const bool can_send_new = c.unsent != kNone && c.snd_nxt < c.snd_una + c.snd_wnd && c.snd_una < r.point;
  r.frto = can_send_new ? 2 : 0;
  return false;
}

void leave(Core& k, Connection& c, Recovery& r) {
  if (r.mode == Mode::fast) {
    // RFC 6582 3.2 step 3 (2): no burst when little is in flight.
    c.cwnd = k.profile(c).prr ? c.ssthresh : std::min(c.ssthresh, std::max(flight(k, c), std::uint32_t{c.mss}) + c.mss);
  }
  if (k.profile(c).rack) rack_recovered(c);
  r.hold = !c.sack && c.snd_una == r.point;
  r.mode = Mode::disorder;
  r.frto = 0;
  r.duplicates = 0;
}

// RFC 6937 3: sends in proportion to what is delivered, so that the window is reached at the end and not by silence.
void proportional_rate(const Core& k, Connection& c, Recovery& r, const AckSummary& summary) {
  const std::uint32_t delivered =
      summary.acked + summary.sacked + (summary.duplicate && !c.sack ? std::uint32_t{c.mss} : 0u);
  r.prr_delivered += delivered;
  const std::uint32_t pipe = flight(k, c);
  std::uint32_t credit = 0;
  if (pipe > c.ssthresh) {
    const std::uint64_t share =
        (static_cast<std::uint64_t>(r.prr_delivered) * c.ssthresh + r.prr_flight - 1) / r.prr_flight;
    credit = share > r.prr_out ? static_cast<std::uint32_t>(share) - r.prr_out : 0;
  } else {
    const std::uint32_t limit = std::max(take_off(r.prr_delivered, r.prr_out), delivered) + c.mss;
    credit = std::min(c.ssthresh - pipe, limit);
  }
  c.cwnd = std::max<std::uint32_t>(pipe + credit, c.mss);
}

void count_guesses(Connection& c, Recovery& r, const AckSummary& summary) {
  if (summary.duplicate) {
    const std::uint32_t room = c.unacknowledged() - std::min(c.unacknowledged(), r.lost + r.sacked);
    r.sacked += std::min<std::uint32_t>(c.mss, room);
  } else if (summary.acked != 0) {
    // One segment filled the hole, the others are those that the duplicates stood for (RFC 6582 3.2 step 3).
    r.sacked = take_off(r.sacked, take_off(summary.acked, c.mss));
    const std::uint32_t data = c.snd_una < c.snd_end ? min(c.snd_nxt, c.snd_end) - c.snd_una : 0;
    r.sacked = std::min(r.sacked, take_off(data, r.lost));
  }
}

}  // namespace

std::uint32_t flight(const Core& k, const Connection& c) {
  const Seq data_end = min(c.snd_nxt, c.snd_end);
  const std::uint32_t outstanding = c.snd_una < data_end ? data_end - c.snd_una : 0;
  const Recovery* r = k.recovery(c);
  return r == nullptr ? outstanding : take_off(outstanding + r->repeated, r->sacked + r->lost);
}

void conclude_loss(Core& k, Connection& c, Recovery& r) {
  if (r.mode == Mode::disorder && r.lost != 0) enter_fast(k, c, r);
}

void release_recovery(Core& k, Connection& c) {
  if (c.recovery == kNone) return;
  k.recoveries.free(c.recovery);
  c.recovery = kNone;
}

void advance_una(Core& k, Connection& c, Seq ack, AckSummary& summary) {
  Recovery* r = k.recovery(c);
  const Seq data_end = min(ack, c.snd_end);
  while (!c.send.empty() && k.pieces[c.send.head].seq < data_end) {
    Piece& piece = k.pieces[c.send.head];
    const std::uint32_t bytes = std::min<std::uint32_t>(data_end - piece.seq, piece.length);
    if (r != nullptr && (c.sack || !piece.is(Piece::kSacked))) uncount(*r, piece, bytes);
    summary.acked += bytes;
    if (!piece.is(Piece::kSacked)) note_delivered(k, c, piece, summary);
    if (bytes < piece.length) {
      PiecePool::trim_front(piece, bytes);
      break;
    }
    c.send_truesize -= piece.charge();
    k.pieces.release(k.pieces.pop_front(c.send));
  }
  if (ack > c.snd_end) ++summary.acked;  // the FIN
  c.snd_una = ack;
}

void apply_sacks(Core& k, Connection& c, const Segment& s, AckSummary& summary) {
  const Options& o = s.header.options;
  summary.dsack = is_dsack(o, s.header.ack);
  if (summary.dsack) {
    ++k.counters.dsacks_received;
    if (k.profile(c).rack) rack_repeated_in_vain(c);
  }
  for (std::size_t b = summary.dsack ? 1 : 0; b < o.sack_count; ++b) {
    if (!valid_block(c, o.sacks[b])) continue;
    Recovery* r = ensure(k, c);
    if (r == nullptr) return;
    for (std::uint32_t i = c.send.head; i != kNone && i != c.unsent; i = k.pieces[i].next) {
      Piece& piece = k.pieces[i];
      if (piece.seq >= o.sacks[b].end) break;
      if (piece.is(Piece::kSacked) || piece.seq < o.sacks[b].start || piece.end() > o.sacks[b].end) continue;
      note_delivered(k, c, piece, summary);
      uncount(*r, piece, piece.length);
      piece.clear(Piece::kLost | Piece::kRetransmitted);
      piece.set(Piece::kSacked);
      r->high_sacked = r->sacked == 0 ? piece.end() : max(r->high_sacked, piece.end());
      r->sacked += piece.length;
      summary.sacked += piece.length;
    }
  }
  if (summary.sacked != 0) summary.duplicate = s.header.ack == c.snd_una;
}

void recover(Core& k, Connection& c, const Segment& s, const AckSummary& summary) {
  Recovery* r = k.recovery(c);
  if (r == nullptr) {
    if (!summary.duplicate) return;
    r = ensure(k, c);
    if (r == nullptr) return;
  }
  if (!c.sack) count_guesses(c, *r, summary);
  if (summary.duplicate && r->duplicates < 255) ++r->duplicates;
  if (summary.acked != 0 && r->mode != Mode::disorder && r->undo_possible) {
    const bool spurious = eifel(c, *r, s) || forward_rto(c, *r, summary);
    if (r->frto == 0) r->undo_possible = false;  // the first acknowledgment after the repetition decides
    if (spurious) take_back(k, c, *r);
  } else if (summary.duplicate && r->frto != 0) {
    r->frto = 0;
  }
  if (summary.acked != 0) {
    r->hold = false;
    if (r->mode != Mode::disorder && c.snd_una >= r->point) leave(k, c, *r);
    if (r->mode == Mode::disorder) r->duplicates = 0;
    // RFC 6582 3.2 step 3, partial acknowledgment: the segment behind it is lost, too.
    if (r->mode == Mode::fast && !c.sack) mark_head_lost(k, c, *r);
  }
  if (k.profile(c).rack && c.sack) {
    rack_detect(k, c, *r);
  } else if (!r->hold) {
    detect_losses(k, c, *r);
  }
  conclude_loss(k, c, *r);
  if (r->mode == Mode::fast && k.profile(c).prr) proportional_rate(k, c, *r, summary);
  if (r->mode == Mode::disorder && r->sacked == 0 && r->lost == 0 && r->repeated == 0 && r->duplicates == 0 &&
      !r->hold) {
    release_recovery(k, c);
  }
}

void on_timeout(Core& k, Connection& c) {
  ++k.counters.timeouts;
  Recovery* r = ensure(k, c);
  if (r == nullptr) return;
  const bool first = r->mode != Mode::timeout;
  enter(k, c, *r, Mode::timeout);
  // SACK information is advice that a peer may withdraw (RFC 2018 8): without progress we stop to believe in it.
  r->sacked = r->repeated = r->lost = 0;
  for (std::uint32_t i = c.send.head; i != kNone && i != c.unsent; i = k.pieces[i].next) {
    Piece& piece = k.pieces[i];
    if (piece.is(Piece::kSacked)) piece.set(Piece::kEverRepeated);  // reported once already: no round trip
    piece.clear(Piece::kSacked | Piece::kRetransmitted);
    piece.set(Piece::kLost);
    r->lost += piece.length;
  }
  r->duplicates = 0;
  r->force_one = true;
  r->frto = first && r->undo_possible && c.snd_una < c.snd_end ? 1 : 0;
  if (!first) r->undo_possible = false;
  c.cwnd = c.mss;
  c.cwr = c.ecn;
}

void repeat_oversized(Core& k, Connection& c) {
  if (c.send.empty() || c.send.head == c.unsent) return;
  Recovery* r = ensure(k, c);
  if (r == nullptr) return;  // the timeout will do it
  if (r->mode == Mode::disorder) {
    r->mode = Mode::resize;
    r->point = c.snd_nxt;
    r->undo_possible = false;
  }
  for (std::uint32_t i = c.send.head; i != kNone && i != c.unsent; i = k.pieces[i].next) {
    if (!k.pieces[i].is(Piece::kSacked)) mark_lost(*r, k.pieces[i]);
  }
  r->force_one = true;
}

}  // namespace headgate::tcp
