#include "dataplane/tcp/reassembly.h"

#include <algorithm>

#include "dataplane/tcp/receive.h"

namespace headgate::tcp {
namespace {

Reassembly* ensure(Core& k, Connection& c) {
  if (c.reassembly == kNone) c.reassembly = k.reassemblies.allocate();
  return k.reassembly(c);
}

void free_if_empty(Core& k, Connection& c) {
  const Reassembly* r = k.reassembly(c);
  if (r == nullptr || !r->list.empty() || r->has_fin || r->has_duplicate) return;
  k.reassemblies.free(c.reassembly);
  c.reassembly = kNone;
}

void note_recent(Reassembly& r, Seq seq) {
  r.recent_count = static_cast<std::uint8_t>(std::min<std::size_t>(r.recent_count + 1u, r.recent.size()));
  for (std::size_t i = r.recent_count; i-- > 1;) r.recent[i] = r.recent[i - 1];
  r.recent[0] = seq;
}

// Puts a piece of [seq, seq + length) of one slice behind `after` (kNone = in front).
bool insert_piece(Core& k, Connection& c, Reassembly& r, std::uint32_t after, Seq seq, const Slice& slice) {
  if (r.pieces >= kReassemblyPiecesMax) return false;
  const std::uint32_t index = k.pieces.make(slice);
  if (index == kNone) return false;
  Piece& piece = k.pieces[index];
  piece.seq = seq;
  std::uint32_t& link = after == kNone ? r.list.head : k.pieces[after].next;
  piece.next = link;
  link = index;
  if (piece.next == kNone) r.list.tail = index;
  ++r.pieces;
  c.receive_truesize += piece.charge();
  return true;
}

// Keeps the parts of one slice that are not here yet.
bool keep_slice(Core& k, Connection& c, Reassembly& r, Seq seq, Slice slice) {
  std::uint32_t after = kNone, next = r.list.head;
  while (slice.length != 0) {
    while (next != kNone && k.pieces[next].end() <= seq) {
      after = next;
      next = k.pieces[next].next;
    }
    const Seq end = seq + slice.length;
    std::uint32_t fresh = slice.length;  // up to the next piece
    if (next != kNone && k.pieces[next].seq < end) fresh = k.pieces[next].seq - seq;
    if (next != kNone && k.pieces[next].seq <= seq) fresh = 0;
    if (fresh != 0 &&
        !insert_piece(k, c, r, after, seq, {slice.buffer, slice.offset, static_cast<std::uint16_t>(fresh)})) {
      return false;
    }
    const std::uint32_t here =
        next == kNone || fresh == slice.length ? 0 : min(k.pieces[next].end(), end) - (seq + fresh);
    const std::uint32_t done = fresh + here;
    slice.offset = static_cast<std::uint16_t>(slice.offset + done);
    slice.length = static_cast<std::uint16_t>(slice.length - done);
    seq += done;
  }
  return true;
}

// The whole run of neighbouring pieces around seq; nothing when seq is not here.
bool run_around(const Core& k, const Reassembly& r, Seq seq, SackBlock& block) {
  bool inside = false;
  for (std::uint32_t i = r.list.head; i != kNone; i = k.pieces[i].next) {
    const Piece& piece = k.pieces[i];
    if (piece.seq != block.end || i == r.list.head) {
      if (inside) return true;
      block.start = piece.seq;
    }
    block.end = piece.end();
    inside |= piece.seq <= seq && seq < piece.end();
  }
  return inside;
}

// `first`: index of the first block that is not a DSACK, which may repeat another (RFC 2883 4).
void add_block(Options& options, const SackBlock& block, std::size_t first) {
  for (std::size_t i = first; i < options.sack_count; ++i) {
    if (options.sacks[i] == block) return;
  }
  if (options.sack_count < kSackBlocksMax) options.sacks[options.sack_count++] = block;
}

}  // namespace

void keep_early(Core& k, Connection& c, const Segment& s, std::uint32_t keep, bool fin) {
  const bool hoarding = c.receive_truesize > 2 * k.profile(c).receive_buffer + 65536;
  Reassembly* r = k.pressure() >= Pressure::drop_early || hoarding ? nullptr : ensure(k, c);
  if (r == nullptr) {
    ++k.counters.drop_early;
    return;
  }
  Seq seq = s.header.seq;
  const Seq edge = seq + keep;
  SackBlock known;
  if (c.sack && keep != 0 && run_around(k, *r, seq, known) && known.end >= edge) note_duplicate(k, c, seq, edge);
  bool complete = true;
  for (const Slice& slice : s.payload) {
    if (seq >= edge) break;
    const auto length = static_cast<std::uint16_t>(std::min<std::uint32_t>(slice.length, edge - seq));
    complete = keep_slice(k, c, *r, seq, {slice.buffer, slice.offset, length});
    if (!complete) break;
    seq += length;
  }
  if (!complete) ++k.counters.drop_early;
  if (fin && complete) {
    r->has_fin = true;
    r->fin = edge;
  }
  if (keep != 0) note_recent(*r, s.header.seq);
  free_if_empty(k, c);
}

bool join_reassembly(Core& k, Connection& c) {
  Reassembly& r = *k.reassembly(c);
  while (!r.list.empty() && k.pieces[r.list.head].seq <= c.rcv_nxt) {
    const std::uint32_t index = k.pieces.pop_front(r.list);
    --r.pieces;
    Piece& piece = k.pieces[index];
    if (piece.end() <= c.rcv_nxt) {
      c.receive_truesize -= piece.charge();
      k.pieces.release(index);
      continue;
    }
    if (piece.seq < c.rcv_nxt) PiecePool::trim_front(piece, c.rcv_nxt - piece.seq);
    c.rcv_nxt += piece.length;
    c.receive_bytes += piece.length;
    c.unconsumed += piece.length;
    c.bytes_received += piece.length;
    c.events |= kEventData;
    k.pieces.push_back(c.receive, index);
  }
  const bool fin = r.has_fin && r.fin == c.rcv_nxt;
  if (fin || (r.has_fin && r.fin < c.rcv_nxt)) r.has_fin = false;
  free_if_empty(k, c);
  return fin;
}

void note_duplicate(Core& k, Connection& c, Seq start, Seq end) {
  if (!c.sack || start >= end) return;
  Reassembly* r = ensure(k, c);
  if (r == nullptr) return;
  r->has_duplicate = true;
  r->duplicate = {start, end};
}

void report_reassembly(Core& k, Connection& c, Options& options) {
  Reassembly* r = k.reassembly(c);
  if (r == nullptr || !c.sack) return;
  if (r->has_duplicate) {
    add_block(options, r->duplicate, 0);
    r->has_duplicate = false;
    ++k.counters.dsacks_sent;
  }
  const std::size_t first = options.sack_count;
  for (std::size_t i = 0; i < r->recent_count; ++i) {
    SackBlock block;
    if (r->recent[i] >= c.rcv_nxt && run_around(k, *r, r->recent[i], block)) add_block(options, block, first);
  }
  if (c.timestamps) options.sack_count = std::min<std::uint8_t>(options.sack_count, 3);
  free_if_empty(k, c);
}

}  // namespace headgate::tcp
