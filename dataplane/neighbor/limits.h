// Every bound of this folder.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/base/time.h"

namespace headgate::neighbor {

// A replica or the resolver: 16,384 backends on-link, as many again for gateways and clients.
inline constexpr std::uint32_t kNeighborsMax = 32768;
inline constexpr std::uint32_t kHeldMax = 1024;  // packets one replica holds
inline constexpr std::uint8_t kHeldPerNeighborMax = 8;
inline constexpr std::uint32_t kWantedMax = 1024;  // waiting in one replica to be asked for; the rest asks again
inline constexpr std::uint32_t kWantedUnresolvedMax =
    1024;                                                // asked for by traffic alone and unresolved at once (RFC 6583)
inline constexpr std::uint32_t kOwnAddressesMax = 8192;  // announced; answering has no limit
inline constexpr unsigned kPortsMax = 64;
inline constexpr unsigned kNdOptionsMax = 16;       // of one message
inline constexpr unsigned kEvictionProbesMax = 64;  // entries looked at to make room for one
inline constexpr unsigned kTimersPerAdvance = 256;
inline constexpr unsigned kScanPerAdvance = 512;     // items of a new snapshot looked at per advance
inline constexpr unsigned kFramesPerTick = 64;       // all frames the resolver starts by itself: 6,400 a second
inline constexpr unsigned kAnnouncementsFirst = 32;  // of them, before resolution gets the rest
inline constexpr Nanos kPaceTick = 10 * kMillisecond;

// RFC 4861 section 10, RFC 5227 section 1.1.
inline constexpr Nanos kReachableTime = 30 * kSecond;  // times 0.5 to 1.5
inline constexpr Nanos kRetransmit = kSecond;
inline constexpr unsigned kSolicitsMax = 3;
inline constexpr Nanos kAnnounceInterval = kSecond;
inline constexpr unsigned kAnnouncements = 3;
// Of a group that has become active here: the gap before each of the burst, then again so often. A lost one costs
// little, since adverts come from the same virtual MAC.
inline constexpr std::array<Nanos, 5> kGroupAnnouncements{0, 10 * kMillisecond, 40 * kMillisecond, 150 * kMillisecond,
                                                          800 * kMillisecond};
inline constexpr Nanos kGroupRefresh = 60 * kSecond;
inline constexpr Nanos kDefendInterval = 10 * kSecond;

inline constexpr Nanos kRetryMax = 30 * kSecond;  // back-off of a failed neighbor's retries, from kRetransmit
inline constexpr Nanos kInterest = 60 * kSecond;  // a want counts so long; replicas repeat it every kReachableTime
inline constexpr Nanos kForgetUnused = 600 * kSecond;
inline constexpr Nanos kForgetFailed = 30 * kSecond;
inline constexpr Nanos kRecheck = 5 * kSecond;        // stale and failed entries: used meanwhile?
inline constexpr Nanos kIncompleteMax = 6 * kSecond;  // replica gives up without an answer (the resolver needs 3 s)
inline constexpr Nanos kPublishInterval = kSecond;    // unchanged entries are told to replicas at most so often
inline constexpr Nanos kMldReportInterval = 60 * kSecond;
inline constexpr Nanos kMldSpacing = kSecond;  // queries can not make us report more often
inline constexpr Nanos kMldDelayMax = 10 * kSecond;

}  // namespace headgate::neighbor
