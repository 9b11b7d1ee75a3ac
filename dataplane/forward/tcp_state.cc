#include "dataplane/forward/tcp_state.h"

namespace headgate::forward {

using flow::Direction;
using flow::State;
using packet::kAck;
using packet::kFin;
using packet::kRst;
using packet::kSyn;

namespace {

// A sender is at most a burst that was lost before it came here ahead of what was seen: 1 MiB is a millisecond at
// 10 Gbit/s. More is caught up with by the receiver's acknowledgments. A RST may be as far behind as the data that was
// under way when it was sent without a window scale. Together one number in four thousand is believed.
constexpr std::uint32_t kAhead = 1 << 20;
constexpr std::uint32_t kBehind = 1 << 16;
// What a fast and long path has under way. An acknowledgment further behind says that we were led astray.
constexpr std::uint32_t kInFlightMax = 1 << 26;

// All three by serial arithmetic.
bool near(std::uint32_t sequence, std::uint32_t next) {
  return sequence - next + kBehind <= kBehind + kAhead;
}
// Forwards only: retransmissions and keep-alives are behind.
void advance(std::uint32_t& next, std::uint32_t after) {
  if (after - next - 1 < kAhead) next = after;
}
// The receiver's own word: it has everything before `acknowledgment`, and cannot be far behind `next`.
void acknowledge(std::uint32_t& next, std::uint32_t acknowledgment) {
  if (next - acknowledgment > kInFlightMax) next = acknowledgment;
}

}  // namespace

bool must_rebind(const flow::Flow& flow, Direction direction, std::uint8_t tcp_flags) {
  // Transitory too: in one-way modes the backend's FIN is never seen, and a client that starts anew must not wait for
  // it.
  const bool closing = flow.state == State::tcp_closed || flow.state == State::tcp_transitory;
  return closing && direction == Direction::forward && (tcp_flags & (kSyn | kAck | kRst)) == kSyn;
}

void track_tcp(flow::FlowTable& table, flow::Flow& flow, Direction direction, const Segment& segment,
               std::uint32_t now_ms) {
  flow.last_seen_ms = now_ms;
  const bool forward = direction == Direction::forward;
  std::uint32_t& next = forward ? flow.seq_to_backend : flow.seq_to_client;
  std::uint32_t& others_next = forward ? flow.seq_to_client : flow.seq_to_backend;
  const bool others_known = !forward || flow.replied;
  // The plain case: data or ACK on an established flow.
  if (flow.state == State::tcp_established && (segment.flags & (kFin | kRst)) == 0) [[likely]] {
    advance(next, segment.after);
    if (others_known && (segment.flags & kAck)) acknowledge(others_next, segment.acknowledgment);
    return;
  }

  // A side's first segment says where it starts, and so does a SYN tried again.
  const bool opening = flow.state == State::tcp_syn;
  if (opening && ((segment.flags & kSyn) || (!forward && !flow.replied))) next = segment.sequence;
  const bool believed = near(segment.sequence, next);
  if (segment.flags & kRst) {
    if (!believed) return;
    flow.reset_by_client = forward;
    table.set_state(flow, State::tcp_closed, now_ms);
    return;
  }
  const bool goes_on = segment.sequence - next <= kAhead;
  advance(next, segment.after);
  bool acknowledges = false;
  if (others_known && (segment.flags & kAck)) {
    acknowledges = others_next - segment.acknowledgment <= kBehind;
    if (!opening || !forward) acknowledge(others_next, segment.acknowledgment);  // not on the word of a stranger
  }
  if (!forward) flow.replied = 1;
  if ((segment.flags & kFin) && believed)
    flow.fin_seen = static_cast<std::uint8_t>(flow.fin_seen | (forward ? 1 : 2)) & 3;

  const bool one_way = !flow.reverse_indexed;  // dsr, tunnel: the backend answers past us, never wait for its half
  const bool plain = (segment.flags & kSyn) == 0;
  if (flow.fin_seen == 3) {
    table.set_state(flow, State::tcp_closed, now_ms);
  } else if (flow.fin_seen != 0 && one_way) {
    table.set_state(flow, State::tcp_transitory, now_ms);
  } else if (flow.state == State::tcp_syn) {
    // Established by the client's ACK of what the backend answered: who spoofs its address cannot know the number.
    if (forward && plain && (acknowledges || one_way)) table.set_state(flow, State::tcp_established, now_ms);
  } else if (plain && (flow.state == State::tcp_closed || flow.state == State::tcp_transitory)) {
    // After a RST. Who sent one does not speak again: a later segment of that side shows that the RST was not its own
    // or was not accepted, and the connection lives on (RFC 6146 section 3.5.2.2). The other side's may have been under
    // way: they keep the flow on the short timer (RFC 7857 section 2.2).
    const bool lives = forward == (flow.reset_by_client != 0) && goes_on && (flow.replied || one_way);
    table.set_state(flow, lives ? State::tcp_established : State::tcp_transitory, now_ms);
  }
}

}  // namespace headgate::forward
