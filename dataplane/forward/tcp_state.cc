#include "dataplane/forward/tcp_state.h"

namespace headgate::forward {

using flow::Direction;
using flow::State;
using packet::kAck;
using packet::kFin;
using packet::kRst;
using packet::kSyn;

bool must_rebind(const flow::Flow& flow, Direction direction, std::uint8_t tcp_flags) {
  // Transitory too: in one-way modes the backend's FIN is never seen, and a client that starts anew must not wait for
  // it.
  const bool closing = flow.state == State::tcp_closed || flow.state == State::tcp_transitory;
  return closing && direction == Direction::forward && (tcp_flags & (kSyn | kAck | kRst)) == kSyn;
}

void track_tcp(flow::FlowTable& table, flow::Flow& flow, Direction direction, std::uint8_t tcp_flags,
               std::uint32_t sequence_after, std::uint32_t now_ms) {
  flow.last_seen_ms = now_ms;
  const bool forward = direction == Direction::forward;
  (forward ? flow.seq_to_backend : flow.seq_to_client) = sequence_after;
  // The plain case: data or ACK on an established flow.
  if (flow.state == State::tcp_established && (tcp_flags & (kFin | kRst)) == 0) return;

  if (tcp_flags & kRst) {
    table.set_state(flow, State::tcp_closed, now_ms);
    return;
  }
  if (!forward) flow.replied = 1;
  if (tcp_flags & kFin) flow.fin_seen = static_cast<std::uint8_t>(flow.fin_seen | (forward ? 1 : 2)) & 3;

  const bool one_way = !flow.reverse_indexed;  // dsr, tunnel: the backend answers past us, never wait for its half
  if (flow.fin_seen == 3) {
    table.set_state(flow, State::tcp_closed, now_ms);
  } else if (flow.fin_seen != 0 && one_way) {
    table.set_state(flow, State::tcp_transitory, now_ms);
  } else if (flow.state == State::tcp_syn) {
    // Established by the client's ACK after the backend answered; a spoofed SYN never gets here.
    if (forward && (tcp_flags & kSyn) == 0 && (flow.replied || one_way))
      table.set_state(flow, State::tcp_established, now_ms);
  } else if (flow.state == State::tcp_closed && (tcp_flags & kSyn) == 0) {
    // Closed by a RST that one side evidently did not accept (RFC 7857 section 2.2): keep the flow, on the short timer.
    table.set_state(flow, State::tcp_transitory, now_ms);
  }
}

}  // namespace headgate::forward
