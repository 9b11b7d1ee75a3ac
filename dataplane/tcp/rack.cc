// RACK-TLP (RFC 8985): a segment is lost when one sent later was delivered and more than a reordering window has
// passed. Segments delivered in order leave no holes, so RACK works only while a recovery block exists.
#include <algorithm>

#include "dataplane/tcp/acknowledge.h"
#include "dataplane/tcp/core.h"
#include "dataplane/tcp/emit.h"
#include "dataplane/tcp/send.h"

namespace headgate::tcp {
namespace {

constexpr Nanos kProbeMin = 2 * kMillisecond;           // two ticks: a timer cannot be more precise
constexpr Nanos kWorstDelayedAck = 200 * kMillisecond;  // RFC 8985 7.2 WCDelAckT
constexpr std::uint8_t kRecoveriesWide = 16;            // RFC 8985 6.2 step 4 RACK.reo_wnd_persist

// RFC 8985 6.2 step 4: quarters of the shortest round trip, at most the smoothed one. A path that was never seen to
// reorder has none once enough was SACKed to conclude loss by count, or in recovery.
Nanos reordering_window(const Connection& c, const Recovery& r) {
  if (!c.reordering && (r.mode != Recovery::Mode::disorder || r.sacked >= kDupThresh * c.mss)) return 0;
  return std::min<Nanos>(Nanos{c.reorder_quarters} * c.min_rtt / 4, c.srtt8 / 8) * kMicrosecond;
}

bool sent_after(Nanos a, Seq a_end, Nanos b, Seq b_end) {
  return a > b || (a == b && a_end > b_end);
}

}  // namespace

void rack_delivered(Core& k, Connection& c, Recovery& r, const Piece& piece) {
  if (!piece.is(Piece::kEverRepeated) && r.sacked != 0 && piece.end() < r.high_sacked) c.reordering = true;
  const Nanos rtt = k.now - piece.sent;
  // An answer faster than any before is to the original, not to its repetition (RFC 8985 6.2 step 2).
  if (piece.is(Piece::kEverRepeated) && rtt < c.min_rtt * kMicrosecond) return;
  if (!sent_after(piece.sent, piece.end(), r.rack_sent, r.rack_end)) return;
  r.rack_sent = piece.sent;
  r.rack_end = piece.end();
  r.rack_rtt = static_cast<std::uint32_t>(std::min<Nanos>(rtt / 1000, 1u << 30));
}

void rack_detect(Core& k, Connection& c, Recovery& r) {
  if (r.rack_sent == 0) return;
  const Nanos window = reordering_window(c, r), limit = r.rack_rtt * kMicrosecond + window;
  Nanos wait = 0;
  for (std::uint32_t i = c.send.head; i != kNone && i != c.unsent; i = k.pieces[i].next) {
    Piece& piece = k.pieces[i];
    const bool settled = piece.is(Piece::kSacked) || (piece.is(Piece::kLost) && !piece.is(Piece::kRetransmitted));
    if (settled || !sent_after(r.rack_sent, r.rack_end, piece.sent, piece.end())) continue;
    if (k.now - piece.sent >= limit) {
      if (piece.is(Piece::kRetransmitted)) {
        r.repeated -= piece.length;
        piece.clear(Piece::kRetransmitted);
      }
      if (!piece.is(Piece::kLost)) r.lost += piece.length;
      piece.set(Piece::kLost);
    } else {
      wait = std::max(wait, limit - (k.now - piece.sent));
    }
  }
  if (wait == 0 || (c.rtx_deadline != 0 && c.rtx_kind == Rtx::reorder)) return;
  c.rtx_kind = Rtx::reorder;
  set_deadline(k, c, &Connection::rtx_deadline, wait);
}

void rack_repeated_in_vain(Connection& c) {
  if (c.reorder_recoveries != 0 && c.snd_una < c.reorder_round) return;
  if (c.reorder_quarters != 0xff) ++c.reorder_quarters;
  c.reorder_recoveries = kRecoveriesWide;
  c.reorder_round = c.snd_nxt;
}

void rack_recovered(Connection& c) {
  if (c.reorder_recoveries != 0) --c.reorder_recoveries;
  if (c.reorder_recoveries == 0) c.reorder_quarters = 1;
}

void rack_timer(Core& k, Connection& c, Recovery& r) {
  rack_detect(k, c, r);
  conclude_loss(k, c, r);
}

Nanos tail_probe_after(const Core& k, const Connection& c) {
  const Recovery* r = k.recovery(c);
  if (!k.profile(c).rack || !c.sack || c.probed || c.srtt8 == 0 || c.backoff != 0 || c.send.empty() ||
      (r != nullptr && (r->mode != Recovery::Mode::disorder || r->sacked != 0))) {
    return 0;
  }
  const Nanos twice = 2 * (c.srtt8 / 8) * kMicrosecond;
  const bool alone = flight(k, c) <= c.mss;  // a single segment may meet a delayed ACK
  return std::max(twice + (alone ? kWorstDelayedAck : kProbeMin), kProbeMin);
}

void send_tail_probe(Core& k, Connection& c) {
  if (c.snd_una == c.snd_nxt) return;
  c.probed = true;
  ++k.counters.tail_probes;
  const Seq right = c.snd_una + c.snd_wnd;
  if (c.unsent != kNone && c.snd_nxt < right) {
    send_probe_of_new_data(k, c);
    return;
  }
  // The last segment, which may be several pieces: `first` follows at most a segment behind the end.
  std::uint32_t first = c.send.head, bytes = 0;
  for (std::uint32_t i = c.send.head; i != kNone && i != c.unsent; i = k.pieces[i].next) {
    bytes += k.pieces[i].length;
    for (; bytes > c.mss && first != i; first = k.pieces[first].next) bytes -= k.pieces[first].length;
  }
  const bool data = first != kNone && first != c.unsent;
  emit_data(k, c, data ? first : kNone, data ? std::min<std::uint32_t>(bytes, c.mss) : 0, !data);
}

}  // namespace headgate::tcp
