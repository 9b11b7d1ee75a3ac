// The limits of this folder, and the constants of its timers. Sizes that a box chooses are in config.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/base/time.h"

namespace headgate::tcp {

// Segments.
inline constexpr std::size_t kSlicesMax = 7;         // of one segment sent: with its header what an i40e takes
inline constexpr std::size_t kHeaderMax = 60;        // data offset is 4 bits of 32-bit words
inline constexpr std::size_t kSackBlocksMax = 4;     // RFC 2018 3: what 40 bytes of options hold
inline constexpr std::uint16_t kMssDefaultV4 = 536;  // RFC 9293 3.7.1 MUST-15
inline constexpr std::uint16_t kMssDefaultV6 = 1220;
// The smallest MSS of a peer that we believe: a smaller one costs more headers than data, and lets a few hundred bytes
// of scoreboard pin megabytes (CVE-2019-11479). FreeBSD's floor.
inline constexpr std::uint16_t kMssMin = 216;
inline constexpr std::size_t kListenersMax = 0xffff;  // pairs of address and port in an engine's life
inline constexpr std::uint8_t kScaleMax = 14;         // RFC 7323 2.3

// Path MTU: below these no ICMP message moves us (RFC 1191 3 asks for 68, which is an attack; RFC 8200 5).
inline constexpr std::uint32_t kPathMtuMinV4 = 552;
inline constexpr std::uint32_t kPathMtuMinV6 = 1280;
inline constexpr unsigned kBlackHoleTimeouts = 3;  // RTOs of one full-sized segment before it is cut (RFC 2923 2.1)

// Retransmission (RFC 6298; the floor is what Linux and VPP use, the RFC says 1 s).
inline constexpr Nanos kRtoInitial = kSecond;
inline constexpr Nanos kRtoMin = 200 * kMillisecond;
inline constexpr Nanos kRtoMax = 60 * kSecond;
inline constexpr Nanos kClockGranularity = kMillisecond;  // G of RFC 6298
inline constexpr unsigned kBackoffMax = 12;
inline constexpr unsigned kDupThresh = 3;      // RFC 5681 3.2
inline constexpr unsigned kSynRetriesMax = 8;  // more than three minutes (RFC 9293 MUST-23)
inline constexpr unsigned kSynAckRetriesMax = 5;

// Acknowledgments.
inline constexpr Nanos kDelayedAck = 40 * kMillisecond;  // RFC 1122 4.2.3.2: below 500 ms
// RFC 5961 7, per connection: a limit for all of them would be a side channel (CVE-2016-5696).
inline constexpr unsigned kChallengesMax = 10;
inline constexpr Nanos kChallengeWindow = kSecond;

inline constexpr Nanos kTsRecentValid = 24ull * 24 * 3600 * kSecond;  // RFC 7323 5.5
inline constexpr Nanos kTimeWait = 60 * kSecond;                      // 2 x MSL of 30 s, as Linux
inline constexpr Nanos kCookieEpoch = 64 * kSecond;                   // a cookie lives one to two of them

inline constexpr std::uint32_t kSendMin = 16 * 1024;  // a sending side may always queue so much
inline constexpr unsigned kFairShares = 32;           // of the memory one is for queues that have not moved yet
inline constexpr std::uint32_t kTruesizeSlack =
    64 * 1024;                                            // beyond twice the bytes, for small segments in large buffers
inline constexpr std::uint16_t kCopyBreak = 256;          // payloads below are packed when they would wait in a queue
inline constexpr std::size_t kReassemblyPiecesMax = 512;  // of one connection

}  // namespace headgate::tcp
