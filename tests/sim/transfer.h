// Hosts' side of an exchange, reduced to what shows a middle box's faults: stop-and-wait with retransmission, over UDP
// and over a TCP of handshake, data, FIN. Not a TCP: no window, no congestion control, one segment in flight per
// direction.
//
// Bytes are a function of (who, position), so a receiver can tell at every byte whether it is the right one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "dataplane/base/time.h"
#include "dataplane/base/tuple.h"
#include "dataplane/packet/packet_info.h"

namespace headgate::sim {

inline constexpr Nanos kRetransmit = 200 * kMillisecond;
inline constexpr std::size_t kSegment = 700;

inline std::uint8_t byte_at(std::uint32_t who, std::size_t position) {
  return static_cast<std::uint8_t>((who * 2654435761u + position * 40503u) >> 7);
}

// A TCP segment or a UDP datagram, without addresses.
struct Segment {
  std::uint8_t flags = 0;
  std::uint32_t sequence = 0, acknowledgment = 0;
  std::vector<std::uint8_t> payload;
};

// One end of a TCP-like connection: sends `to_send` bytes and FIN, receives until the other's FIN.
class TcpEnd {
 public:
  enum class Role : std::uint8_t { client, server };
  // The server begins to send when the client's FIN has come. `who_sends`, `who_receives` name the byte streams.
  TcpEnd(Role role, std::uint32_t initial_sequence, std::uint32_t who_sends, std::uint32_t who_receives,
         std::size_t to_send);

  void receive(const Segment& segment);
  // What to send now: answers first, then the segment in flight when its time has come.
  std::optional<Segment> next(Nanos now);
  Nanos next_deadline() const;

  bool finished() const { return fin_acknowledged_ && remote_fin_; }
  bool aborted() const { return aborted_; }
  bool wrong_byte() const { return wrong_byte_; }
  std::size_t received() const { return received_; }
  std::size_t acknowledged() const { return sent_; }
  unsigned retransmissions() const { return retransmissions_; }

 private:
  bool may_send_data() const { return role_ == Role::client || remote_fin_; }
  std::optional<Segment> in_flight() const;

  const Role role_;
  const std::uint32_t who_sends_, who_receives_;
  const std::size_t to_send_;
  std::uint32_t next_to_send_, next_expected_ = 0;  // sequence numbers
  std::size_t sent_ = 0, received_ = 0;             // payload bytes, acknowledged and delivered
  bool syn_acknowledged_ = false, synchronized_ = false, fin_acknowledged_ = false, remote_fin_ = false;
  bool aborted_ = false, wrong_byte_ = false, owes_ack_ = false;
  Nanos resend_at_ = 0;  // 0: the segment in flight was not sent yet
  unsigned retransmissions_ = 0;
};

// Stop-and-wait over UDP: `rounds` requests, each answered with the same bytes.
class UdpClient {
 public:
  UdpClient(std::uint32_t who, std::uint32_t rounds) : who_(who), rounds_(rounds) {}
  void receive(const Segment& datagram);
  std::optional<Segment> next(Nanos now);
  Nanos next_deadline() const { return finished() ? kNever : resend_at_; }
  bool finished() const { return round_ == rounds_; }
  unsigned retransmissions() const { return retransmissions_; }

 private:
  std::vector<std::uint8_t> request() const;
  const std::uint32_t who_, rounds_;
  std::uint32_t round_ = 0;
  Nanos resend_at_ = 0;
  unsigned retransmissions_ = 0;
};

}  // namespace headgate::sim
