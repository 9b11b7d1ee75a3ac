#include "dataplane/tcp/emit.h"

#include <algorithm>

#include "dataplane/tcp/receive.h"

namespace headgate::tcp {
namespace {

OutSegment& begin(Core& k, const Tuple& tuple) {
  ++k.counters.segments_out;
  OutSegment& out = k.out.emplace_back();
  out.tuple = tuple;
  return out;
}

OutSegment& begin(Core& k, const Connection& c) {
  OutSegment& out = begin(k, tuple_of(c).reversed());
  out.connection = k.id_of(c);
  return out;
}

Header header_to(const Tuple& tuple, Seq seq, Seq ack, std::uint8_t flags) {
  Header h;
  h.src_port = tuple.src_port;
  h.dst_port = tuple.dst_port;
  h.seq = seq;
  h.ack = ack;
  h.flags = flags;
  return h;
}

void seal(OutSegment& out, const Header& h) {
  out.header_length = static_cast<std::uint8_t>(write_header(out.header.data(), h));
}

// Everything an established connection says about what it received, and the consequences of having said it.
void acknowledge(Core& k, Connection& c, Header& h) {
  h.ack = c.rcv_nxt;
  h.flags |= kAck;
  if (c.ece) h.flags |= kEce;
  if (c.timestamps) {
    h.options.has_timestamps = true;
    h.options.ts_value = k.timestamp(c);
    h.options.ts_echo = c.ts_recent;
  }
  const std::uint32_t window = offered_window(k, c);
  h.window = static_cast<std::uint16_t>(window >> c.rcv_scale);
  c.rcv_adv = max(c.rcv_adv, c.rcv_nxt + window);
  c.last_ack_sent = c.rcv_nxt;
  c.ack_now = false;
  c.ack_deadline = 0;
}

void note_repeated(Core& k, Connection& c, Piece& piece) {
  piece.set(Piece::kEverRepeated);
  Recovery* r = k.recovery(c);
  if (r == nullptr) return;
  if (!piece.is(Piece::kRetransmitted)) r->repeated += piece.length;
  piece.set(Piece::kRetransmitted);
  if (r->first_repeat_set) return;
  r->first_repeat_set = true;
  r->first_repeat_ts = k.timestamp(c);
}

void emit_bare(Core& k, Connection& c, Seq seq) {
  OutSegment& out = begin(k, c);
  Header h = header_to(out.tuple, seq, {}, 0);
  acknowledge(k, c, h);
  report_reassembly(k, c, h.options);
  seal(out, h);
}

}  // namespace

std::uint16_t own_mss(const Core& k, bool v6) {
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(k.config.mtu - (v6 ? 60 : 40), 65535 - 60));
}

std::uint8_t scale_for(std::uint32_t buffer) {
  std::uint8_t scale = 0;
  while (scale < kScaleMax && (buffer >> scale) > 65535) ++scale;
  return scale;
}

std::uint32_t fair_share(const Core& k) {
  const std::uint64_t share = k.config.memory / kFairShares / std::max(1u, k.connections.used());
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(share, 2u * k.config.mtu, 1u << 30));
}

std::uint32_t receive_limit(Core& k, const Connection& c) {
  const std::uint64_t proven = fair_share(k) + c.bytes_received - c.unconsumed;
  const auto buffer =
      static_cast<std::uint32_t>(std::min<std::uint64_t>({k.profile(c).receive_buffer, 65535u << c.rcv_scale, proven}));
  switch (k.pressure()) {
    case Pressure::none:
      break;
    case Pressure::refuse:
      return 0;
    default:
      return buffer / 2;
  }
  // Small segments in large buffers: what they really occupy counts, with room for the usual half-filled ones.
  return c.receive_truesize > 2 * buffer + 65536 ? 0 : buffer;
}

std::uint32_t offered_window(Core& k, const Connection& c) {
  const std::uint32_t limit = receive_limit(k, c);
  const std::uint32_t current = c.rcv_adv - c.rcv_nxt;
  const std::uint32_t free = take_off(limit, c.unconsumed);
  const std::uint32_t step = std::min<std::uint32_t>(limit / 2, own_mss(k, c.v6));
  const std::uint32_t unit = 1u << c.rcv_scale;
  if (free >= current + step && free > current) return free & ~(unit - 1);
  // The old edge, rounded up to what the scale can say unless that has crept a whole unit beyond the buffer: then the
  // offer may fall short of it (RFC 7323 2.4), rcv_adv does not.
  const std::uint32_t up = (current + unit - 1) & ~(unit - 1);
  if ((up >> c.rcv_scale) <= 65535 && up + c.unconsumed <= k.profile(c).receive_buffer + unit) return up;
  return std::min(current, 65535u << c.rcv_scale) & ~(unit - 1);
}

void emit_ack(Core& k, Connection& c) {
  emit_bare(k, c, c.snd_nxt);
}

void emit_probe(Core& k, Connection& c) {
  emit_bare(k, c, c.snd_una - 1);
}

void emit_challenge(Core& k, Connection& c) {
  const Tick now = tick_of(k.now);
  if (now - c.challenge_at >= kChallengeWindow / kTick) {
    c.challenge_at = now;
    c.challenges = 0;
  }
  if (c.challenges >= kChallengesMax) {
    ++k.counters.challenges_limited;
    return;
  }
  ++c.challenges;
  ++k.counters.challenges;
  emit_ack(k, c);
}

void emit_syn(Core& k, Connection& c) {
  const Profile& profile = k.profile(c);
  const bool answer = c.state == State::syn_received;
  OutSegment& out = begin(k, c);
  Header h = header_to(out.tuple, c.iss, answer ? c.rcv_nxt : Seq{}, kSyn);
  if (answer) h.flags |= kAck;
  h.options.has_mss = true;
  h.options.mss = own_mss(k, c.v6);
  h.options.sack_permitted = answer ? c.sack : profile.sack;
  h.options.has_timestamps = answer ? c.timestamps : profile.timestamps;
  if (h.options.has_timestamps) {
    h.options.ts_value = k.timestamp(c);
    h.options.ts_echo = answer ? c.ts_recent : 0;
  }
  h.options.has_scale = answer ? c.scaling : profile.window_scaling;
  h.options.scale = scale_for(profile.receive_buffer);
  // RFC 3168 6.1.1; a SYN sent again asks for no ECN, in case that is why it was lost (6.1.1.1).
  if (profile.ecn && c.backoff == 0 && !answer) h.flags |= kEce | kCwr;
  if (answer && c.ecn) h.flags |= kEce;
  // RFC 7323 2.2: the window of a SYN is never scaled.
  h.window = static_cast<std::uint16_t>(std::min({profile.receive_buffer, fair_share(k), 65535u}));
  c.rcv_adv = max(c.rcv_adv, c.rcv_nxt + h.window);
  if (answer) c.last_ack_sent = c.rcv_nxt;
  seal(out, h);
}

void emit_reset(Core& k, Connection& c) {
  OutSegment& out = begin(k, c);
  seal(out, header_to(out.tuple, c.snd_nxt, c.rcv_nxt, kRst | kAck));
  ++k.counters.resets_sent;
}

std::uint32_t emit_data(Core& k, Connection& c, std::uint32_t first, std::uint32_t bytes, bool fin) {
  OutSegment& out = begin(k, c);
  const Seq seq = first == kNone ? c.snd_end : k.pieces[first].seq;
  std::uint32_t taken = 0;
  for (std::uint32_t i = first; i != kNone && taken < bytes && out.slice_count < kSlicesMax;) {
    if (k.pieces[i].length > bytes - taken && !k.pieces.split(c.send, i, static_cast<std::uint16_t>(bytes - taken))) {
      break;
    }
    Piece& piece = k.pieces[i];
    out.slices[out.slice_count++] = piece.slice();
    add_reference(piece.buffer);
    taken += piece.length;
    if (piece.is(Piece::kSent)) note_repeated(k, c, piece);
    piece.set(Piece::kSent);
    piece.sent = k.now;
    i = piece.next;
  }
  if (taken == 0 && !fin) {
    k.out.pop_back();
    --k.counters.segments_out;
    return 0;
  }
  const Seq end = seq + taken;
  const bool fresh = end > c.snd_nxt || (taken == 0 && !c.fin_sent);
  // A FIN belongs to the last byte: never before it, and again with it.
  const bool with_fin = end == c.snd_end && (fin || c.fin_sent);
  Header h = header_to(out.tuple, seq, {}, 0);
  if (with_fin) h.flags |= kFin;
  if (taken != 0 && end == c.snd_end) h.flags |= kPsh;
  if (c.ecn && fresh && taken != 0) {
    out.ecn = 2;
    if (c.cwr) h.flags |= kCwr;
    c.cwr = false;
  }
  acknowledge(k, c, h);
  out.payload_length = static_cast<std::uint16_t>(taken);
  seal(out, h);
  c.last_sent = tick_of(k.now);
  if (!fresh) {
    ++c.retransmitted;
    ++k.counters.retransmitted;
  }
  if (Recovery* r = k.recovery(c)) r->prr_out += taken;
  return taken;
}

void emit_syn_ack(Core& k, const Tuple& tuple, const SynEntry& entry, const Listener& listener) {
  const Profile& profile = k.config.profiles[listener.profile];
  OutSegment& out = begin(k, tuple);
  Header h = header_to(tuple, entry.iss, entry.irs + 1, kSyn | kAck);
  h.options.has_mss = true;
  h.options.mss = own_mss(k, !tuple.src.is_v4());
  h.options.sack_permitted = entry.sack;
  h.options.has_scale = entry.scaling;
  h.options.scale = scale_for(profile.receive_buffer);
  h.options.has_timestamps = entry.timestamps;
  if (entry.timestamps) {
    h.options.ts_value = tick_of(k.now) + k.secrets.timestamp_offset(tuple);
    h.options.ts_echo = entry.ts_recent;
  }
  if (entry.ecn) h.flags |= kEce;
  h.window = static_cast<std::uint16_t>(std::min<std::uint32_t>(profile.receive_buffer, 65535));
  seal(out, h);
}

void answer_with_reset(Core& k, const Segment& s) {
  if (s.has(kRst)) return;
  if (!k.resets.take(k.now)) {
    ++k.counters.resets_limited;
    return;
  }
  ++k.counters.resets_sent;
  OutSegment& out = begin(k, s.tuple.reversed());
  seal(out, s.has(kAck) ? header_to(out.tuple, s.header.ack, {}, kRst)
                        : header_to(out.tuple, {}, s.header.seq + s.length(), kRst | kAck));
}

void emit_time_wait_ack(Core& k, const Segment& s, const TimeWait& entry) {
  OutSegment& out = begin(k, s.tuple.reversed());
  Header h = header_to(out.tuple, entry.snd_nxt, entry.rcv_nxt, kAck);
  if (entry.timestamps) {
    h.options.has_timestamps = true;
    h.options.ts_value = tick_of(k.now) + k.secrets.timestamp_offset(out.tuple);
    h.options.ts_echo = entry.ts_recent;
  }
  seal(out, h);
}

}  // namespace headgate::tcp
