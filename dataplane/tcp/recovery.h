// Loss recovery: RFC 6675 with SACK, RFC 6582 without, RFC 6298 timeouts, RFC 5682 F-RTO and RFC 3522 Eifel detection
// to take back what was spurious, RFC 6937 PRR and RFC 8985 RACK-TLP behind switches. Marks are on the pieces of the
// send queue (piece.h); this block has their sums and exists only while loss is suspected.
#pragma once

#include <cstdint>

#include "dataplane/base/time.h"
#include "dataplane/tcp/seqnum.h"

namespace headgate::tcp {

struct Core;
struct Connection;
struct Segment;
struct Piece;

struct Recovery {
  enum class Mode : std::uint8_t {
    disorder,  // duplicates or SACK blocks came, no loss concluded
    fast,      // RFC 6675 section 5, RFC 6582
    timeout,   // after a retransmission timeout
    resize,    // the path takes smaller segments only: what is under way is sent again, the window stays
  };
  // Bytes of the send queue by mark. Without SACK, `sacked` is a guess of one segment per duplicate ACK.
  std::uint32_t sacked = 0, lost = 0, repeated = 0;
  Mode mode = Mode::disorder;
  std::uint8_t duplicates = 0;
  std::uint8_t frto = 0;       // RFC 5682 2.1: 1 after the first retransmission, 2 when new data went out instead
  bool undo_possible = false;  // nothing has shown yet that the reduction was right
  bool force_one = false;      // the first retransmission of fast recovery waits for no window (RFC 6675 5, step 4.3)
  bool first_repeat_set = false;
  bool hold = false;  // recovery has ended at `point` exactly: duplicates may be our own doing (RFC 6582 3.2 step 1)
  Seq point;          // recovery ends when snd_una reaches it
  Seq high_sacked;    // end of the highest SACKed piece, valid while sacked > 0
  std::uint32_t first_repeat_ts = 0;  // our timestamp on the first retransmission
  std::uint32_t prior_cwnd = 0, prior_ssthresh = 0;
  std::uint32_t prr_delivered = 0, prr_out = 0, prr_flight = 0;  // RFC 6937
  Nanos rack_sent = 0;                                           // RFC 8985 6.2 RACK.xmit_ts
  Seq rack_end;
  std::uint32_t rack_rtt = 0;  // us
};

// What one acknowledgment brought.
struct AckSummary {
  std::uint32_t acked = 0;   // bytes by which snd_una moved
  std::uint32_t sacked = 0;  // bytes newly SACKed
  bool duplicate = false;    // RFC 5681 section 2, or new SACK information
  bool dsack = false;
  Nanos oldest_sent = 0, newest_sent = 0;  // of what was acknowledged for the first time and sent once; 0 = none
  bool repeated = false;  // some of it was sent twice: the rest waited for that, and no time is a round trip's
};

// Bytes of data believed to be in the network (RFC 6675 "pipe").
std::uint32_t flight(const Core& k, const Connection& c);
inline std::uint32_t take_off(std::uint32_t from, std::uint32_t bytes) {
  return from > bytes ? from - bytes : 0;
}

// Removes acknowledged pieces from the send queue. Requires: snd_una < ack <= snd_nxt.
void advance_una(Core& k, Connection& c, Seq ack, AckSummary& summary);
// Marks what SACK blocks cover (RFC 2018 5.1, 6675 4 Update()), recognises DSACK (RFC 2883).
void apply_sacks(Core& k, Connection& c, const Segment& s, AckSummary& summary);
// After both of these: concludes losses, enters and leaves recovery, takes back.
void recover(Core& k, Connection& c, const Segment& s, const AckSummary& summary);
// The retransmission timer expired (RFC 6298 5.4 to 5.7). Marks everything lost; output() sends.
void on_timeout(Core& k, Connection& c);
// The path takes smaller segments than those under way: sends them again without touching the window (RFC 1191 6.5).
void repeat_oversized(Core& k, Connection& c);
void release_recovery(Core& k, Connection& c);

// Enters fast recovery when a loss was concluded since the last look.
void conclude_loss(Core& k, Connection& c, Recovery& r);

// RACK-TLP (rack.cc).
void rack_delivered(Core& k, Connection& c, Recovery& r, const Piece& piece);
void rack_detect(Core& k, Connection& c, Recovery& r);
// A DSACK says that a repetition was one too many: the window was too narrow, once in a round trip.
void rack_repeated_in_vain(Connection& c);
void rack_recovered(Connection& c);  // recovery has ended: after some of them the window is narrow again
void rack_timer(Core& k, Connection& c, Recovery& r);
// The probe of RFC 8985 7.3: new data when there is some, else the last segment again.
void send_tail_probe(Core& k, Connection& c);
// When a probe is due, from now; 0 when there is to be none.
Nanos tail_probe_after(const Core& k, const Connection& c);

}  // namespace headgate::tcp
