#include "dataplane/tcp/deadlines.h"

#include <algorithm>

#include "dataplane/tcp/acknowledge.h"
#include "dataplane/tcp/emit.h"
#include "dataplane/tcp/path_mtu.h"
#include "dataplane/tcp/send.h"

namespace headgate::tcp {
namespace {

void start(Core& k, Connection& c, Rtx kind, Nanos after) {
  c.rtx_kind = kind;
  set_deadline(k, c, &Connection::rtx_deadline, after);
}

bool out_of_patience(Core& k, const Connection& c) {
  return tick_of(k.now) - c.progress_at >= k.profile(c).give_up / kTick;
}

void give_up(Core& k, Connection& c, CloseReason reason) {
  if (c.synchronized()) emit_reset(k, c);
  break_off(k, c, reason);
}

void back_off(Connection& c) {
  c.backoff = static_cast<std::uint8_t>(std::min<unsigned>(c.backoff + 1u, kBackoffMax));
}

void handshake_timer(Core& k, Connection& c) {
  if (c.backoff >= kSynRetriesMax) {
    ++k.counters.failed_connects;
    break_off(k, c, CloseReason::timed_out);
    return;
  }
  back_off(c);
  emit_syn(k, c);
  start(k, c, Rtx::timeout, timeout_of(c));
}

void persist_timer(Core& k, Connection& c) {
  if (out_of_patience(k, c)) return give_up(k, c, CloseReason::timed_out);
  if (c.snd_wnd != 0) {
    output_forced(k, c);
    return;
  }
  ++k.counters.window_probes;
  emit_probe(k, c);
  back_off(c);
  start(k, c, Rtx::persist, timeout_of(c));
}

// The segment, or the bare FIN, at snd_una, for a connection that found no room for a recovery block.
void repeat_head(Core& k, Connection& c) {
  const bool data = !c.send.empty() && c.send.head != c.unsent;
  const std::uint32_t sent = data ? min(c.snd_nxt, c.snd_end) - c.snd_una : 0;
  emit_data(k, c, data ? c.send.head : kNone, std::min({sent, std::uint32_t{c.mss}, c.snd_wnd}), !data);
}

void timeout_timer(Core& k, Connection& c) {
  if (c.snd_una == c.snd_nxt) return;
  if (out_of_patience(k, c)) return give_up(k, c, CloseReason::timed_out);
  if (c.timeouts < 255) ++c.timeouts;
  back_off(c);
  if (c.snd_wnd != 0) note_black_hole(k, c);
  on_timeout(k, c);
  if (c.snd_wnd == 0) {  // RFC 9293 MUST-35: the peer took its window back; what is lost goes when it opens
    ++k.counters.window_probes;
    emit_probe(k, c);
  } else if (c.recovery == kNone || c.send.empty() || c.send.head == c.unsent) {
    repeat_head(k, c);
  }
  start(k, c, Rtx::timeout, timeout_of(c));
  mark_dirty(k, c);
}

void retransmission_timer(Core& k, Connection& c) {
  if (c.state == State::syn_sent || c.state == State::syn_received) return handshake_timer(k, c);
  switch (c.rtx_kind) {
    case Rtx::timeout:
      return timeout_timer(k, c);
    case Rtx::persist:
      return persist_timer(k, c);
    case Rtx::reorder:
      if (Recovery* r = k.recovery(c)) rack_timer(k, c, *r);
      break;
    case Rtx::probe:
      send_tail_probe(k, c);
      start(k, c, Rtx::timeout, timeout_of(c));
      break;
  }
  mark_dirty(k, c);
}

void idle_timer(Core& k, Connection& c) {
  const Profile& profile = k.profile(c);
  const Nanos idle = static_cast<Nanos>(tick_of(k.now) - c.last_received) * kTick;
  if (c.state == State::fin_wait_2 && profile.half_closed != 0) {
    if (idle >= profile.half_closed) return give_up(k, c, CloseReason::half_closed);
    set_deadline(k, c, &Connection::idle_deadline, profile.half_closed - idle);
    return;
  }
  if (profile.keepalive_idle == 0) return;
  if (idle < profile.keepalive_idle || c.unacknowledged() != 0) {
    set_deadline(k, c, &Connection::idle_deadline,
                 std::max(idle < profile.keepalive_idle ? profile.keepalive_idle - idle : 0, kSecond));
    return;
  }
  if (c.probes >= profile.keepalive_probes) return give_up(k, c, CloseReason::keepalive);
  ++c.probes;
  ++k.counters.keepalives;
  emit_probe(k, c);
  set_deadline(k, c, &Connection::idle_deadline, profile.keepalive_interval);
}

}  // namespace

void on_timer(Core& k, Connection& c) {
  const Tick now = tick_of(k.now);
  const auto due = [&](Tick Connection::* deadline) {
    if (c.*deadline == 0 || serial_before(now, c.*deadline)) return false;
    c.*deadline = 0;
    return true;
  };
  if (due(&Connection::ack_deadline)) {
    // At once where nothing waits that could carry it: thousands are due in one tick, and until flush() comes to this
    // one it would have left the cache again.
    if (!c.dirty && c.unsent == kNone && c.recovery == kNone && !(c.fin_queued && !c.fin_sent)) {
      emit_ack(k, c);
    } else {
      c.ack_now = true;
      mark_dirty(k, c);
    }
  }
  if (due(&Connection::rtx_deadline)) retransmission_timer(k, c);
  if (due(&Connection::idle_deadline)) idle_timer(k, c);
  for (const Tick deadline : {c.rtx_deadline, c.ack_deadline, c.idle_deadline}) {
    if (deadline != 0) k.wheel.arm(k.index_of(c), deadline);
  }
}

void restart_retransmission(Core& k, Connection& c) {
  c.rtx_deadline = 0;
  arm_retransmission(k, c);
}

void arm_retransmission(Core& k, Connection& c) {
  if (!c.synchronized()) return;
  if (c.snd_una != c.snd_nxt) {
    if (c.rtx_deadline != 0 && c.rtx_kind != Rtx::persist) return;
    if (c.rtx_kind == Rtx::persist) c.backoff = 0;
    const Nanos timeout = timeout_of(c), probe = tail_probe_after(k, c);
    if (probe != 0 && probe < timeout) {
      start(k, c, Rtx::probe, probe);
    } else {
      start(k, c, Rtx::timeout, timeout);
    }
  } else if (has_unsent(c) && !c.corked) {
    if (c.rtx_deadline == 0 || c.rtx_kind != Rtx::persist) {
      c.progress_at = tick_of(k.now);
      start(k, c, Rtx::persist, timeout_of(c));
    }
  } else {
    c.rtx_deadline = 0;
  }
}

void start_idle_timer(Core& k, Connection& c) {
  if (k.profile(c).keepalive_idle != 0) set_deadline(k, c, &Connection::idle_deadline, k.profile(c).keepalive_idle);
}

}  // namespace headgate::tcp
