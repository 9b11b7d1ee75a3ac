#include "dataplane/tcp/path_mtu.h"

#include <algorithm>

namespace headgate::tcp {
namespace {

void lower_mss(Core& k, Connection& c, std::uint32_t path_mtu) {
  const std::uint32_t headers = (c.v6 ? 60u : 40u) + (c.timestamps ? kTimestampsLength : 0u);
  const std::uint32_t mtu = std::max(path_mtu, c.v6 ? kPathMtuMinV6 : kPathMtuMinV4);
  if (mtu - headers >= c.mss) return;
  c.mss = static_cast<std::uint16_t>(mtu - headers);
  ++k.counters.path_mtu_lowered;
}

Connection* quoted_connection(Core& k, const Tuple& quoted, Seq seq) {
  const Tuple arriving = quoted.reversed();
  Connection* c = k.find(arriving, k.hash(arriving));
  if (c != nullptr && c->snd_una <= seq && seq < c->snd_nxt) return c;
  ++k.counters.icmp_ignored;
  return nullptr;
}

}  // namespace

void path_too_small(Core& k, const Tuple& quoted, Seq seq, std::uint32_t mtu) {
  Connection* c = quoted_connection(k, quoted, seq);
  if (c == nullptr || !c->synchronized()) return;
  const std::uint16_t before = c->mss;
  lower_mss(k, *c, mtu);
  if (c->mss == before) return;
  repeat_oversized(k, *c);
  mark_dirty(k, *c);
}

void path_unreachable(Core& k, const Tuple& quoted, Seq seq) {
  Connection* c = quoted_connection(k, quoted, seq);
  if (c == nullptr || c->state != State::syn_sent) return;
  ++k.counters.failed_connects;
  break_off(k, *c, CloseReason::unreachable);
}

void note_black_hole(Core& k, Connection& c) {
  if (c.timeouts < kBlackHoleTimeouts || c.send.empty() || c.send.head == c.unsent) return;
  const std::uint32_t overhead = (c.v6 ? 60u : 40u) + (c.timestamps ? kTimestampsLength : 0u);
  // A plausible next step down each time: common tunnels, then the least that every path carries.
  const std::uint32_t mtu = c.mss + overhead;
  const std::uint32_t next = mtu > 1500 ? 1500 : mtu > 1400 ? 1400 : mtu > 1280 ? 1280 : kPathMtuMinV4;
  const std::uint16_t before = c.mss;
  lower_mss(k, c, next);
  if (c.mss == before) return;
  ++k.counters.black_holes;
  c.timeouts = 1;
}

}  // namespace headgate::tcp
