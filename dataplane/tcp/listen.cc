#include "dataplane/tcp/listen.h"

#include <algorithm>

#include "dataplane/tcp/acknowledge.h"
#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/connect.h"
#include "dataplane/tcp/deadlines.h"
#include "dataplane/tcp/emit.h"
#include "dataplane/tcp/receive.h"
#include "dataplane/tcp/syn_cookie.h"

namespace headgate::tcp {
namespace {

constexpr unsigned kTimeWaitAnswersMax = 100;  // of one entry

Listener* find_listener(Core& k, const Tuple& tuple, std::uint16_t& number) {
  const auto found = k.listener_numbers.find(k.listener_name(tuple.dst, tuple.dst_port));
  if (found == k.listener_numbers.end() || !k.listeners[found->second].open) return nullptr;
  number = found->second;
  return &k.listeners[number];
}

Tuple tuple_of_entry(const SynEntry& entry, const Listener& listener) {
  return {entry.remote, listener.address, entry.remote_port, listener.port, kProtocolTcp};
}

PeerOffer offer_of(const SynEntry& e) {
  return {.mss = e.mss,
          .scaling = e.scaling != 0,
          .timestamps = e.timestamps != 0,
          .sack = e.sack != 0,
          .ecn = e.ecn != 0,
          .scale = e.scale,
          .ts_value = e.ts_recent};
}

// The handshake is complete: `s` is its last ACK and may carry data already.
void promote(Core& k, const Segment& s, std::uint16_t number, Seq iss, const PeerOffer& offer, bool repeated) {
  Connection* c = k.pressure() >= Pressure::refuse ? nullptr : create(k, s.tuple, k.listeners[number].profile);
  if (c == nullptr) {
    ++k.counters.drop_no_room;
    return;  // the entry stays, the client tries again
  }
  c->listener = number;
  c->iss = iss;
  c->snd_una = c->snd_nxt = c->snd_end = iss + 1;
  c->irs = s.header.seq - 1;
  c->rcv_nxt = c->last_ack_sent = s.header.seq;
  agree(k, *c, offer);
  c->rcv_adv = c->rcv_nxt + std::min<std::uint32_t>(k.profile(*c).receive_buffer, 65535);
  if (repeated) c->cwnd = c->mss;  // RFC 6928 2
  c->state = State::established;
  take_window(*c, s);
  c->events |= kEventOpen;
  ++k.counters.accepted;
  start_idle_timer(k, *c);
  mark_dirty(k, *c);
  segment_arrives(k, *c, s);
}

void send_cookie(Core& k, const Segment& s, const Listener& listener) {
  const Profile& profile = k.config.profiles[listener.profile];
  const PeerOffer offer = offer_of(s);
  SynEntry entry;
  entry.irs = s.header.seq;
  entry.scaling = offer.scaling && profile.window_scaling;
  entry.sack = offer.sack && profile.sack;
  entry.timestamps = offer.timestamps && profile.timestamps;
  entry.ts_recent = offer.ts_value;
  const Tuple ours = s.tuple.reversed();
  const std::uint16_t mss = offer.mss != 0 ? offer.mss : s.tuple.src.is_v4() ? kMssDefaultV4 : kMssDefaultV6;
  entry.iss =
      make_cookie(k.secrets.cookies(), ours, entry.irs,
                  {.mss = mss, .scale = offer.scale, .scaling = entry.scaling != 0, .sack = entry.sack != 0}, k.now);
  k.cookies_until = k.now + 2 * kCookieEpoch;
  ++k.counters.cookies_sent;
  emit_syn_ack(k, ours, entry, listener);
}

bool wants_cookies(Core& k, const Listener& listener) {
  if (k.config.profiles[listener.profile].real_entries) return false;
  return k.pressure() >= Pressure::cookies ||
         k.syns.used() >= std::uint64_t{k.syns.capacity()} * k.config.cookies_above_percent / 100;
}

std::uint64_t hash_of(const Core& k, const SynEntry& e) {
  return k.hash(tuple_of_entry(e, k.listeners[e.listener]));
}

// `above`: our number has to be beyond that of the connection whose TIME-WAIT ended for this one (RFC 6191).
void syn_arrives(Core& k, const Segment& s, std::uint16_t number, std::uint64_t hash, const Seq* above) {
  const Listener& listener = k.listeners[number];
  const Profile& profile = k.config.profiles[listener.profile];
  ++k.counters.syns;
  if (k.pressure() >= Pressure::refuse) {
    ++k.counters.syns_refused;
    return;
  }
  if (wants_cookies(k, listener)) return send_cookie(k, s, listener);
  SynEntry* entry = k.syns.insert(hash, s.tuple.src, s.tuple.src_port, number, k.now);
  if (entry == nullptr) {
    // Only with real_entries: the one that waits longest makes room.
    SynEntry* oldest = k.syns.oldest();
    if (oldest == nullptr) return;
    ++k.counters.syns_evicted;
    k.syns.erase(hash_of(k, *oldest), oldest);
    entry = k.syns.insert(hash, s.tuple.src, s.tuple.src_port, number, k.now);
  }
  const PeerOffer offer = offer_of(s);
  const Tuple ours = s.tuple.reversed();
  entry->irs = s.header.seq;
  entry->iss = k.secrets.initial_sequence(ours, k.now);
  if (above != nullptr && entry->iss <= *above) entry->iss = *above + 65536;
  entry->mss = offer.mss;
  entry->scale = offer.scale;
  entry->scaling = offer.scaling && profile.window_scaling;
  entry->sack = offer.sack && profile.sack;
  entry->timestamps = offer.timestamps && profile.timestamps;
  entry->ts_recent = offer.ts_value;
  entry->ecn = offer.ecn && profile.ecn;
  emit_syn_ack(k, ours, *entry, listener);
}

// A segment for a half-open connection (RFC 9293 3.10.7.4, SYN-RECEIVED).
void half_open(Core& k, const Segment& s, SynEntry& entry, std::uint64_t hash) {
  const Listener& listener = k.listeners[entry.listener];
  if (s.has(kRst)) {
    if (s.header.seq == entry.irs + 1) {
      ++k.counters.resets_received;
      k.syns.erase(hash, &entry);
    } else {
      ++k.counters.drop_bad_reset;
    }
    return;
  }
  // The SYN again, or another one (RFC 5961 4: the SYN-ACK is the challenge; a peer that does not know it resets).
  if (s.has(kSyn)) return emit_syn_ack(k, s.tuple.reversed(), entry, listener);
  if (!s.has(kAck)) {
    ++k.counters.drop_no_ack;
    return;
  }
  if (s.header.ack != entry.iss + 1) {
    ++k.counters.drop_bad_ack;
    answer_with_reset(k, s);
    return;
  }
  // Data may have overtaken the bare ACK; anything else than the next number is for the time after it.
  if (s.header.seq != entry.irs + 1) {
    ++k.counters.drop_outside_window;
    return;
  }
  if (entry.timestamps && s.header.options.has_timestamps &&
      serial_before(s.header.options.ts_value, entry.ts_recent)) {
    ++k.counters.drop_paws;
    return;
  }
  if (k.connections.used() == k.connections.capacity()) {
    ++k.counters.drop_no_room;
    return;
  }
  PeerOffer offer = offer_of(entry);
  if (s.header.options.has_timestamps) offer.ts_value = s.header.options.ts_value;
  const std::uint16_t number = entry.listener;
  const Seq iss = entry.iss;
  const bool repeated = entry.retries != 0;
  k.syns.erase(hash, &entry);
  promote(k, s, number, iss, offer, repeated);
}

void maybe_cookie(Core& k, const Segment& s, std::uint16_t number) {
  const Seq cookie = s.header.ack - 1, irs = s.header.seq - 1;
  if (k.now >= k.cookies_until) {  // without attack nobody tries cookies, and a flood of ACKs costs no hash
    ++k.counters.drop_no_connection;
    return answer_with_reset(k, s);
  }
  const auto values = read_cookie(k.secrets.cookies(), s.tuple.reversed(), irs, cookie, k.now);
  if (!values) {
    // No reset: the first data may have overtaken the ACK that the cookie is in, and is sent again behind it.
    ++k.counters.cookies_bad;
    return;
  }
  ++k.counters.cookies_accepted;
  const Options& o = s.header.options;
  promote(k, s, number, cookie,
          {.mss = values->mss,
           .scaling = values->scaling,
           .timestamps = o.has_timestamps,
           .sack = values->sack,
           .scale = values->scale,
           .ts_value = o.ts_value},
          false);
}

// RFC 6191 2, RFC 9293 3.10.7.4: a SYN newer than the old connection opens a new one.
bool newer_than(const TimeWait& entry, const Segment& s) {
  const Options& o = s.header.options;
  if (entry.timestamps && o.has_timestamps && o.ts_value != entry.ts_recent) {
    return serial_before(entry.ts_recent, o.ts_value);
  }
  return s.header.seq > entry.rcv_nxt;
}

// True when the segment is dealt with.
bool in_time_wait(Core& k, const Segment& s, TimeWait& entry, bool listening, Seq& above) {
  if (s.has(kRst)) {  // RFC 1337: no RST ends TIME-WAIT early
    ++k.counters.drop_time_wait;
    return true;
  }
  if (s.has(kSyn) && !s.has(kAck) && listening && newer_than(entry, s)) {
    above = entry.snd_nxt;
    k.time_waits.erase(&entry);
    ++k.counters.time_wait_reused;
    return false;
  }
  ++k.counters.drop_time_wait;
  if (s.length() == 0 && s.header.seq == entry.rcv_nxt) return true;
  if (entry.challenges >= kTimeWaitAnswersMax) return true;
  entry.challenges = static_cast<std::uint8_t>(entry.challenges + 1) & 127;
  emit_time_wait_ack(k, s, entry);
  if (s.has(kFin) && s.header.seq + s.length() == entry.rcv_nxt)
    k.time_waits.restart(&entry, k.now, k.config.time_wait);
  return true;
}

}  // namespace

void segment_without_connection(Core& k, const Segment& s) {
  std::uint16_t number = 0;
  const Listener* listener = find_listener(k, s.tuple, number);
  Seq above;
  const Seq* floor = nullptr;
  if (k.time_waits.used() != 0) {
    if (TimeWait* entry = k.time_waits.find(k.secrets.name(s.tuple)); entry != nullptr) {
      if (in_time_wait(k, s, *entry, listener != nullptr, above)) return;
      floor = &above;
    }
  }
  if (listener == nullptr) {
    ++k.counters.drop_no_connection;
    answer_with_reset(k, s);
    return;
  }
  const std::uint64_t hash = k.hash(s.tuple);
  if (SynEntry* entry = k.syns.find(hash, s.tuple.src, s.tuple.src_port, number); entry != nullptr) {
    return half_open(k, s, *entry, hash);
  }
  if (s.has(kRst)) {
    ++k.counters.drop_no_connection;
  } else if (s.has(kAck)) {
    maybe_cookie(k, s, number);
  } else if (s.has(kSyn)) {
    syn_arrives(k, s, number, hash, floor);
  } else {
    ++k.counters.drop_no_ack;
  }
}

void advance_half_open(Core& k) {
  while (SynEntry* entry = k.syns.due(k.now)) {
    const Listener& listener = k.listeners[entry->listener];
    if (!listener.open || entry->retries >= kSynAckRetriesMax) {
      k.syns.erase(hash_of(k, *entry), entry);
      continue;
    }
    k.syns.again(entry, k.now);
    entry->ecn = 0;  // RFC 3168 6.1.1.1, for SYN-ACKs
    emit_syn_ack(k, tuple_of_entry(*entry, listener).reversed(), *entry, listener);
  }
}

}  // namespace headgate::tcp
