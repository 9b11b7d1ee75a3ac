// The state of one connection. Two lines for what every segment touches, three for the rest; queues and timers are
// indices into the engine's pools, so an idle connection is this and its share of the table. Names are those of RFC
// 9293 3.3.1, RFC 7323 and RFC 6298. There is no SND.MAX: SND.NXT never goes back, what is to be sent again is marked.
//
// Invariants (inspect.cc checks them): snd_una <= snd_nxt <= snd_end + 1; pieces of the send queue cover
// [snd_una, snd_end) without gaps; rcv_nxt <= rcv_adv, which never recedes; a connection with unacknowledged sequence
// numbers has a retransmission deadline.
#pragma once

#include <cstdint>

#include "dataplane/base/ip.h"
#include "dataplane/tcp/piece.h"
#include "dataplane/tcp/seqnum.h"
#include "dataplane/tcp/timers.h"

namespace headgate::tcp {

// Names a connection until closed() was called or the application aborted it. Calls with a stale one do nothing.
struct ConnectionId {
  std::uint32_t index = kNone, generation = 0;
  friend bool operator==(ConnectionId, ConnectionId) = default;
};

enum class State : std::uint8_t {
  closed,  // given up by the engine; its slot is free after the next flush
  syn_sent,
  syn_received,  // simultaneous open only; passive opens wait in the SYN table
  established,
  fin_wait_1,
  fin_wait_2,
  close_wait,
  closing,
  last_ack,
  done,  // ended for the peer (also TIME-WAIT, which is a table of its own): the application reads what is left
};

enum class CloseReason : std::uint8_t {
  normal,
  reset_by_peer,
  refused,      // RST to our SYN
  unreachable,  // ICMP error to our SYN
  timed_out,    // no progress for Profile::give_up, or no answer to our SYN
  keepalive,    // no answer to probes
  half_closed,  // FIN-WAIT-2 for too long
  terminated,   // Engine::terminate()
};

enum Event : std::uint8_t {
  kEventOpen = 1,
  kEventData = 2,
  kEventFin = 4,
  kEventWritable = 8,
  kEventReset = 16,
  kEventFinTold = 32,  // the application knows of the FIN
};

// What the retransmission deadline means.
enum class Rtx : std::uint8_t { timeout, persist, reorder, probe };

struct Cubic {               // RFC 9438; windows in bytes, time in milliseconds
  std::uint32_t w_max = 0;   // window before the last reduction
  std::uint32_t origin = 0;  // window the curve comes to rest at
  std::uint32_t k = 0;       // time to there
  Tick epoch = 0;            // 0 = no epoch
  std::uint32_t w_est = 0;   // what Reno would have
  std::uint32_t credit = 0;  // bytes acknowledged and not yet turned into window
};

struct alignas(64) Connection {
  // -- hot
  std::uint32_t remote_low = 0, local_low = 0;  // last four bytes of the addresses: all of an IPv4 one
  std::uint16_t remote_port = 0, local_port = 0;
  State state = State::closed;
  std::uint8_t profile = 0;
  std::uint16_t mss = 0;  // payload of a full segment: options are off already

  bool v6 : 1 = false;
  bool timestamps : 1 = false, sack : 1 = false, scaling : 1 = false, ecn : 1 = false;
  bool fin_queued : 1 = false, fin_sent : 1 = false, fin_received : 1 = false;
  bool ack_now : 1 = false;
  bool corked : 1 = false;
  bool dirty : 1 = false;
  bool in_table : 1 = false;
  bool cwnd_limited : 1 = false;
  bool want_writable : 1 = false;
  bool active : 1 = false;       // we opened it
  bool quiet : 1 = false;        // the application aborted: no more callbacks
  bool ece : 1 = false;          // echo congestion until CWR comes
  bool cwr : 1 = false;          // tell with the next new data that we reduced
  bool probed : 1 = false;       // a tail loss probe is out (RFC 8985 7.3)
  bool ecn_reduced : 1 = false;  // once; again when ecn_point is acknowledged
  bool reordering : 1 = false;   // a segment sent once arrived behind a later one (RFC 8985 6.2 step 3)
  std::uint8_t events = 0;

  Seq snd_una, snd_nxt, snd_end;  // snd_end: behind the last byte queued; a FIN has this number
  std::uint32_t snd_wnd = 0;
  Seq snd_wl1, snd_wl2;
  Seq rcv_nxt, rcv_adv, last_ack_sent;
  std::uint32_t ts_recent = 0;
  std::uint8_t snd_scale = 0, rcv_scale = 0;
  Rtx rtx_kind = Rtx::timeout;
  std::uint8_t backoff = 0;

  PieceList send;
  std::uint32_t unsent = kNone;  // first piece of `send` that was never sent
  PieceList receive;
  std::uint32_t recovery = kNone;    // slab index, while loss is suspected
  std::uint32_t reassembly = kNone;  // slab index, while data waits out of order
  std::uint32_t dirty_next = kNone;
  WheelNode wheel;
  Tick rtx_deadline = 0, ack_deadline = 0, idle_deadline = 0;  // 0 = none
  std::uint32_t cwnd = 0;

  // -- warm: a segment in order touches one line more
  std::uint64_t user = 0;  // the application's
  std::uint64_t bytes_received = 0;
  std::uint32_t generation = 0;
  std::uint32_t unconsumed = 0;     // bytes received in order and not yet consumed
  std::uint32_t receive_bytes = 0;  // of those, still in `receive`
  std::uint32_t receive_truesize = 0, send_truesize = 0;
  Tick last_received = 0, last_sent = 0;
  Tick progress_at = 0;  // when una last moved, or sending began
  std::uint32_t max_snd_wnd = 0;
  std::uint32_t splice_to = kNone, splice_from = kNone;
  std::uint16_t receive_mss = 0;  // largest segment seen: what "every second full segment" means
  std::uint8_t challenges = 0, probes = 0;

  // -- and an acknowledgment or a timestamp a second
  std::uint64_t bytes_acked = 0;
  std::uint32_t srtt8 = 0;    // smoothed round trip in us, times 8; 0 = no sample yet
  std::uint32_t rttvar4 = 0;  // us, times 4
  std::uint32_t min_rtt = 0;  // us; 0 = no sample
  std::uint32_t ssthresh = 0xffffffff;
  std::uint32_t ts_offset = 0;
  Tick ts_recent_at = 0;
  Tick challenge_at = 0;
  Cubic cubic;
  std::uint32_t retransmitted = 0;  // segments

  IpAddress remote, local;
  Seq iss, irs;
  Seq ecn_point;
  std::uint16_t listener = 0;
  CloseReason reason = CloseReason::normal;
  std::uint8_t timeouts = 0;  // in a row for the same segment
  // The reordering window (RFC 8985 6.2 step 4): how many quarters of the shortest round trip, for how many recoveries
  // yet, and when the next repetition in vain may widen it.
  std::uint8_t reorder_quarters = 1, reorder_recoveries = 0;
  Seq reorder_round;

  std::uint32_t unacknowledged() const { return snd_nxt - snd_una; }
  std::uint32_t queued() const { return snd_end - min(snd_una, snd_end); }  // data bytes sent or not
  bool fin_acked() const { return fin_sent && snd_una == snd_end + 1; }
  bool synchronized() const { return state >= State::established && state <= State::last_ack; }
};
static_assert(sizeof(Connection) == 320);

}  // namespace headgate::tcp
