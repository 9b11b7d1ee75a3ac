// What the peer is told at once when the dataplane ends: a datagram on the HA link, signed with a key that the control
// planes agreed on. Without it the peer waits three adverts.
//
//   0  "HGDN"    4  version 1, three bytes 0    8  id of the key    16  epoch    24  counter    32  HMAC-SHA256 of
//   0..31
//
// Numbers are sent most significant byte first. The counter grows with each end of a process; the three copies of a
// notice have the same. The control plane has its own reader of this (failover/notice.h): the two share this layout and
// a test vector, and no code.
//
// The key comes in a request (requests.h), is kept in memory only, and is never logged.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include "controlplane/supervisor/restart_policy.h"

namespace headgate::supervisor {

inline constexpr std::size_t kNoticeBytes = 64;
inline constexpr std::size_t kNoticeKeyBytes = 32;

struct NoticeOrder {
  std::string from, to;  // addresses of the HA link
  std::uint16_t port = 0;
  std::uint64_t id = 0, epoch = 0, counter = 0;  // the first notice has counter + 1
  std::array<std::uint8_t, kNoticeKeyBytes> key{};
};

// "FROM TO PORT ID KEY EPOCH COUNTER", ID and KEY in hexadecimal. A sentence when it is something else.
std::string parse_notice_order(const std::string& text, NoticeOrder& order);

std::array<std::uint8_t, kNoticeBytes> make_notice(const NoticeOrder& order, std::uint64_t counter);

class DeathNotice {
 public:
  // The copies of one notice leave so long after the process was reaped: one may be lost, or the link busy.
  static constexpr std::array<std::chrono::milliseconds, 3> kCopies{
      std::chrono::milliseconds(0), std::chrono::milliseconds(3), std::chrono::milliseconds(10)};
  DeathNotice() = default;
  ~DeathNotice();
  DeathNotice(const DeathNotice&) = delete;
  DeathNotice& operator=(const DeathNotice&) = delete;

  // Opens the socket now, so that nothing but a send is left for later. A sentence when it cannot; the order before
  // holds then. With the same id the counter never goes back.
  std::string arm(const NoticeOrder& order);
  void disarm();
  bool armed() const { return socket_ >= 0; }

  // The process was reaped: the first copy leaves at once. False when there is nothing to send.
  bool send(Time now);
  void send_due(Time now);  // the other copies
  Time next_due() const;    // Time::max(): none

 private:
  void transmit() const;

  NoticeOrder order_;
  int socket_ = -1;
  std::array<std::uint8_t, kNoticeBytes> datagram_{};  // made before it is needed
  Time reaped_{};
  std::size_t sent_ = kCopies.size();  // copies of the last notice
};

}  // namespace headgate::supervisor
