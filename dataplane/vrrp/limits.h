// The limits of this folder, and the constants of its timers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/base/time.h"

namespace headgate::vrrp {

inline constexpr std::size_t kRoutersMax = 16;  // of one group
inline constexpr std::size_t kGroupsMax = 63;   // of a box
inline constexpr std::size_t kPeersMax = 8;     // unicast, of one router

inline constexpr unsigned kDownIntervals = 3;             // RFC 9568 6.1: Active_Down_Interval = 3 x interval + skew
inline constexpr unsigned kLeaseIntervals = 2;            // less than what the peer waits
inline constexpr unsigned kAnnouncements = 3;             // adverts that announce a longer interval
inline constexpr Nanos kDoubledUpTo = 20 * kMillisecond;  // intervals: two adverts in each

// So late for a deadline, and a backup waits for as long once more: what it was told may not have been read yet.
inline constexpr Nanos kLate = 10 * kMillisecond;

// How long after a box became active its peer knows it by the HA link, at most: two processes and a cable. Boxes that
// see each other only there, and neither of them active, wait for so much longer by each step of priority below 255.
inline constexpr Nanos kClaimDelay = 4 * kMillisecond;

// The control plane calls the peer unknown when the HA link was silent for longer than that, at most.
inline constexpr Nanos kWordAge = kSecond;

// From the peer's word that its dataplane does not answer to the notice that it is dead.
inline constexpr Nanos kNoticeDelay = 50 * kMillisecond;

inline constexpr Nanos kAnnounceAgain = 100 * kMillisecond;  // after a losing peer was heard
inline constexpr unsigned kDeafAfter = 5;                    // intervals in which a losing peer was answered in vain
inline constexpr unsigned kFailuresMax = 6;                  // doublings of the wait after promotions in vain

}  // namespace headgate::vrrp
