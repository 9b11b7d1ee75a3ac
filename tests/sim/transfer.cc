#include "tests/sim/transfer.h"

#include <algorithm>

#include "dataplane/base/byte_order.h"

namespace headgate::sim {

using packet::kAck;
using packet::kFin;
using packet::kRst;
using packet::kSyn;

TcpEnd::TcpEnd(Role role, std::uint32_t initial_sequence, std::uint32_t who_sends, std::uint32_t who_receives,
               std::size_t to_send)
    : role_(role),
      who_sends_(who_sends),
      who_receives_(who_receives),
      to_send_(to_send),
      next_to_send_(initial_sequence) {}

void TcpEnd::receive(const Segment& segment) {
  if (segment.flags & kRst) {
    if (!finished()) aborted_ = true;
    return;
  }
  if (segment.flags & kSyn) {
    if (!synchronized_) next_expected_ = segment.sequence + 1;
    synchronized_ = owes_ack_ = true;
  }
  if (!synchronized_) return;
  if (segment.flags & kAck) {
    if (const auto flying = in_flight()) {
      const auto occupied =
          static_cast<std::uint32_t>(flying->payload.size() + ((flying->flags & (kSyn | kFin)) ? 1 : 0));
      if (segment.acknowledgment == next_to_send_ + occupied) {
        next_to_send_ += occupied;
        sent_ += flying->payload.size();
        if (flying->flags & kSyn) syn_acknowledged_ = true;
        if (flying->flags & kFin) fin_acknowledged_ = true;
        resend_at_ = 0;
      }
    }
  }
  if (!segment.payload.empty() || (segment.flags & kFin)) {
    owes_ack_ = true;
    if (segment.sequence != next_expected_ || remote_fin_) return;
    for (const std::uint8_t byte : segment.payload) wrong_byte_ |= byte != byte_at(who_receives_, received_++);
    next_expected_ += static_cast<std::uint32_t>(segment.payload.size());
    if (segment.flags & kFin) {
      ++next_expected_;
      remote_fin_ = true;
    }
  }
}

// The unacknowledged segment, built anew each time: it is a function of what was acknowledged.
std::optional<Segment> TcpEnd::in_flight() const {
  Segment segment{.flags = 0, .sequence = next_to_send_, .acknowledgment = next_expected_, .payload = {}};
  if (!syn_acknowledged_) {
    if (role_ == Role::server && !synchronized_) return std::nullopt;
    segment.flags = static_cast<std::uint8_t>(kSyn | (synchronized_ ? kAck : 0));
    return segment;
  }
  if (fin_acknowledged_ || !may_send_data()) return std::nullopt;
  segment.flags = kAck;
  const std::size_t n = std::min(kSegment, to_send_ - sent_);
  for (std::size_t i = 0; i < n; ++i) segment.payload.push_back(byte_at(who_sends_, sent_ + i));
  if (n == 0) segment.flags |= kFin;
  return segment;
}

std::optional<Segment> TcpEnd::next(Nanos now) {
  if (aborted_) return std::nullopt;
  if (resend_at_ <= now) {
    if (auto segment = in_flight()) {
      if (resend_at_ != 0) ++retransmissions_;
      resend_at_ = now + kRetransmit;
      owes_ack_ = false;
      return segment;
    }
  }
  if (owes_ack_) {
    owes_ack_ = false;
    return Segment{.flags = kAck, .sequence = next_to_send_, .acknowledgment = next_expected_, .payload = {}};
  }
  return std::nullopt;
}

Nanos TcpEnd::next_deadline() const {
  if (aborted_ || !in_flight()) return kNever;
  return resend_at_;
}

std::vector<std::uint8_t> UdpClient::request() const {
  std::vector<std::uint8_t> bytes(8 + round_ % 500);
  store_be32(bytes.data(), who_);
  store_be32(bytes.data() + 4, round_);
  for (std::size_t i = 8; i < bytes.size(); ++i) bytes[i] = byte_at(who_, i);
  return bytes;
}

void UdpClient::receive(const Segment& datagram) {
  if (finished() || datagram.payload != request()) return;  // a duplicate of an earlier round
  ++round_;
  resend_at_ = 0;
}

std::optional<Segment> UdpClient::next(Nanos now) {
  if (finished() || resend_at_ > now) return std::nullopt;
  if (resend_at_ != 0) ++retransmissions_;
  resend_at_ = now + kRetransmit;
  return Segment{.flags = 0, .sequence = 0, .acknowledgment = 0, .payload = request()};
}

}  // namespace headgate::sim
