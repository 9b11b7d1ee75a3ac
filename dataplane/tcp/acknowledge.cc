#include "dataplane/tcp/acknowledge.h"

#include <algorithm>

#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/deadlines.h"
#include "dataplane/tcp/emit.h"

namespace headgate::tcp {
namespace {

// RFC 5961 5.2: older than anything the peer can have seen of us in one window is an attacker's guess.
bool acknowledgment_acceptable(Core& k, Connection& c, Seq ack) {
  if (ack <= c.snd_nxt && c.snd_una <= ack + c.max_snd_wnd) return true;
  ++k.counters.drop_bad_ack;
  emit_challenge(k, c);
  return false;
}

// The state changes that an ACK of our FIN brings. False when the connection is over.
bool fin_acknowledged(Core& k, Connection& c) {
  switch (c.state) {
    case State::fin_wait_1:
      c.state = State::fin_wait_2;
      if (k.profile(c).half_closed != 0) set_deadline(k, c, &Connection::idle_deadline, k.profile(c).half_closed);
      return true;
    case State::closing:
      enter_time_wait(k, c);
      return false;
    case State::last_ack:
      finish(k, c);
      return false;
    default:
      return true;
  }
}

void wake_writer(Core& k, Connection& c) {
  const std::uint32_t half = k.profile(c).send_buffer / 2;
  if (c.queued() > half) return;
  if (c.want_writable) {
    c.want_writable = false;
    c.events |= kEventWritable;
  }
  if (c.splice_from != kNone) mark_dirty(k, k.connections[c.splice_from]);
}

void leave_syn_received(Core& k, Connection& c) {
  c.state = c.fin_queued ? State::fin_wait_1 : State::established;
  c.events |= kEventOpen;
  c.backoff = 0;
  start_idle_timer(k, c);
  ++k.counters.connected;
}

void on_progress(Core& k, Connection& c, const AckSummary& summary) {
  c.backoff = 0;
  c.timeouts = 0;
  c.probed = false;
  c.progress_at = tick_of(k.now);
  if (summary.repeated) return;  // Karn's algorithm
  if (summary.oldest_sent != 0) sample_rtt(c, k.now - summary.oldest_sent);
  if (summary.newest_sent != 0) {
    const auto rtt = static_cast<std::uint32_t>(std::clamp<Nanos>((k.now - summary.newest_sent) / 1000, 1, 1u << 30));
    if (c.min_rtt == 0 || rtt < c.min_rtt) c.min_rtt = rtt;
  }
}

}  // namespace

void sample_rtt(Connection& c, Nanos rtt) {
  // Microseconds, never 0: a smoothed time of 0 would mean "no sample".
  const auto r = static_cast<std::uint32_t>(std::clamp<Nanos>(rtt / 1000, 1, 60'000'000));
  if (c.srtt8 == 0) {
    c.srtt8 = r * 8;
    c.rttvar4 = r * 2;
    return;
  }
  const std::uint32_t srtt = c.srtt8 / 8, error = r > srtt ? r - srtt : srtt - r;
  c.rttvar4 = c.rttvar4 - c.rttvar4 / 4 + error;
  c.srtt8 = std::max(8u, c.srtt8 - srtt + r);
}

Nanos timeout_of(const Connection& c) {
  Nanos timeout = kRtoInitial;
  if (c.srtt8 != 0) {
    // RFC 6298 2.3 with the floor on the variance and not on the sum, so that a long path keeps a margin.
    const Nanos variance = std::max<Nanos>(c.rttvar4 * kMicrosecond, kRtoMin);
    timeout = c.srtt8 / 8 * kMicrosecond + variance;
  }
  return std::min(timeout << std::min<unsigned>(c.backoff, kBackoffMax), kRtoMax);
}

void take_window(Connection& c, const Segment& s) {
  c.snd_wnd = static_cast<std::uint32_t>(s.header.window) << (s.has(kSyn) ? 0 : c.snd_scale);
  c.max_snd_wnd = std::max(c.max_snd_wnd, c.snd_wnd);
  c.snd_wl1 = s.header.seq;
  c.snd_wl2 = s.header.ack;
}

bool acknowledgment_arrives(Core& k, Connection& c, const Segment& s) {
  const Seq ack = s.header.ack;
  if (c.state == State::syn_received) {
    if (ack != c.snd_nxt) {
      answer_with_reset(k, s);
      return false;
    }
    c.snd_una = ack;
    c.snd_wl1 = s.header.seq;
    take_window(c, s);
    leave_syn_received(k, c);
    mark_dirty(k, c);
    return true;
  }
  if (!acknowledgment_acceptable(k, c, ack)) return false;
  if (ack < c.snd_una) return true;  // late; its data may still be of use

  const std::uint32_t window_before = c.snd_wnd;
  // RFC 9293 3.10.7.4, and whenever something new is acknowledged: a repeated segment has an old number, but its window
  // belongs to its acknowledgment, and the old window from a new snd_una would reach beyond what was ever offered.
  if (ack > c.snd_una || c.snd_wl1 < s.header.seq || (c.snd_wl1 == s.header.seq && c.snd_wl2 <= ack)) take_window(c, s);
  // A peer that answers with a closed window is alive, however long it stays so (RFC 9293 MUST-37).
  if (c.snd_wnd == 0) c.progress_at = tick_of(k.now);

  AckSummary summary;
  summary.duplicate = ack == c.snd_una && c.unacknowledged() != 0 && s.length() == 0 && c.snd_wnd == window_before;
  if (s.header.options.sack_count != 0 && c.sack) apply_sacks(k, c, s, summary);
  if (ack > c.snd_una) {
    advance_una(k, c, ack, summary);
    c.bytes_acked += summary.acked;
    on_progress(k, c, summary);
  }
  if (summary.duplicate) ++k.counters.duplicate_acks;
  on_ecn_echo(k, c, s);
  recover(k, c, s, summary);
  grow_window(k, c, summary);
  if (summary.acked != 0 || ack == c.snd_nxt) restart_retransmission(k, c);
  if (summary.acked != 0 && c.fin_acked() && !fin_acknowledged(k, c)) return false;
  if (summary.acked != 0) wake_writer(k, c);
  if (summary.acked != 0 || c.unsent != kNone || c.recovery != kNone || c.fin_queued) mark_dirty(k, c);
  return true;
}

}  // namespace headgate::tcp
