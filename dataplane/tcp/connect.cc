#include "dataplane/tcp/connect.h"

#include <algorithm>

#include "dataplane/tcp/acknowledge.h"
#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/deadlines.h"
#include "dataplane/tcp/emit.h"

namespace headgate::tcp {
namespace {

void start_syn_timer(Core& k, Connection& c) {
  c.rtx_kind = Rtx::timeout;
  set_deadline(k, c, &Connection::rtx_deadline, timeout_of(c));
}

// Our SYN crossed theirs (RFC 9293 3.5, figure 8).
void simultaneous_open(Core& k, Connection& c) {
  c.state = State::syn_received;
  c.backoff = 0;
  emit_syn(k, c);
  start_syn_timer(k, c);
}

void established(Core& k, Connection& c, const Segment& s) {
  c.snd_una = s.header.ack;
  take_window(c, s);
  // A SYN that was repeated says nothing about time (Karn), and that the path is bad (RFC 6928 2).
  if (c.backoff == 0) {
    sample_rtt(c, static_cast<Nanos>(tick_of(k.now) - c.progress_at) * kTick);
  } else {
    c.cwnd = c.mss;
  }
  c.backoff = 0;
  c.rtx_deadline = 0;
  c.state = c.fin_queued ? State::fin_wait_1 : State::established;
  c.events |= kEventOpen;
  c.ack_now = true;
  ++k.counters.connected;
  start_idle_timer(k, c);
  mark_dirty(k, c);
}

}  // namespace

PeerOffer offer_of(const Segment& s) {
  const Options& o = s.header.options;
  return {.mss = o.has_mss ? o.mss : std::uint16_t{0},
          .scaling = o.has_scale,
          .timestamps = o.has_timestamps,
          .sack = o.sack_permitted,
          // RFC 3168 6.1.1: both flags in a SYN, ECE alone in a SYN-ACK.
          .ecn = s.has(kEce) && s.has(kCwr) != s.has(kAck),
          .scale = o.scale,
          .ts_value = o.ts_value};
}

void agree(Core& k, Connection& c, const PeerOffer& offer) {
  const Profile& profile = k.profile(c);
  c.sack = profile.sack && offer.sack;
  c.ecn = profile.ecn && offer.ecn;
  c.timestamps = profile.timestamps && offer.timestamps;
  if (c.timestamps) {
    c.ts_recent = offer.ts_value;
    c.ts_recent_at = tick_of(k.now);
  }
  c.scaling = profile.window_scaling && offer.scaling;
  if (c.scaling) {
    c.snd_scale = std::min(offer.scale, kScaleMax);
    c.rcv_scale = scale_for(profile.receive_buffer);
  }
  const std::uint16_t fallback = c.v6 ? kMssDefaultV6 : kMssDefaultV4;
  const std::uint16_t believed = std::max(offer.mss == 0 ? fallback : offer.mss, kMssMin);
  c.mss = std::min(believed, own_mss(k, c.v6));
  // RFC 6691 2: an MSS option does not count other options.
  if (c.timestamps) c.mss = static_cast<std::uint16_t>(c.mss - kTimestampsLength);
  c.cwnd = initial_window(c);
}

Connection* connect(Core& k, const IpAddress& local, const IpAddress& remote, std::uint16_t remote_port,
                    std::uint8_t profile, const PortSet& ports) {
  if (k.pressure() >= Pressure::refuse) {
    ++k.counters.drop_no_memory;
    return nullptr;
  }
  Tuple tuple{remote, local, remote_port, 0, kProtocolTcp};
  const auto port = k.ports.pick(tuple.reversed(), ports, [&](std::uint16_t candidate) {
    tuple.dst_port = candidate;
    return k.find(tuple, k.hash(tuple)) == nullptr &&
           (k.time_waits.used() == 0 || k.time_waits.find(k.secrets.name(tuple)) == nullptr);
  });
  if (!port) return nullptr;
  tuple.dst_port = *port;
  Connection* c = create(k, tuple, profile);
  if (c == nullptr) {
    ++k.counters.drop_no_room;
    return nullptr;
  }
  c->active = true;
  c->state = State::syn_sent;
  c->iss = k.secrets.initial_sequence(tuple.reversed(), k.now);
  c->snd_una = c->iss;
  c->snd_nxt = c->snd_end = c->iss + 1;
  emit_syn(k, *c);
  start_syn_timer(k, *c);
  return c;
}

void answer_to_syn(Core& k, Connection& c, const Segment& s) {
  const bool acceptable = s.has(kAck) && s.header.ack == c.snd_nxt;
  if (s.has(kAck) && !acceptable) {
    ++k.counters.drop_bad_ack;
    answer_with_reset(k, s);
    return;
  }
  if (s.has(kRst)) {
    if (!acceptable) {
      ++k.counters.drop_bad_reset;
      return;
    }
    ++k.counters.resets_received;
    ++k.counters.failed_connects;
    break_off(k, c, CloseReason::refused);
    return;
  }
  if (!s.has(kSyn)) {
    ++k.counters.drop_no_ack;
    return;
  }
  agree(k, c, offer_of(s));
  const std::uint32_t offered = c.rcv_adv - c.rcv_nxt;  // by our SYN
  c.irs = s.header.seq;
  c.rcv_nxt = c.last_ack_sent = c.irs + 1;
  c.rcv_adv = c.rcv_nxt + offered;
  c.last_received = tick_of(k.now);
  acceptable ? established(k, c, s) : simultaneous_open(k, c);
}

}  // namespace headgate::tcp
