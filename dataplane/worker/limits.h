// Every bound of a worker in one place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/base/time.h"

namespace headgate::worker {

inline constexpr std::size_t kBurst = 64;  // frames per pass
inline constexpr std::size_t kPortsMax = 64;
inline constexpr std::size_t kWorkersMax = 16;
inline constexpr std::size_t kTxBatch = 512;       // frames per port and step; more are dropped as tx_full
inline constexpr std::size_t kMailbox = 2048;      // messages from one worker to another
inline constexpr unsigned kMessagesPerStep = 256;  // taken from each mailbox
inline constexpr unsigned kExpiryPerStep = 64;     // flows looked at
inline constexpr unsigned kSweepPerStep = 512;     // flows looked at after a backend was removed
// Flows reset, two frames each: half of a batch even where both leave by one port, so that traffic keeps its room.
inline constexpr unsigned kResetsPerStep = kTxBatch / 4;
inline constexpr Nanos kFrozenMax = 5 * kSecond;         // connections of a group that is not active here
inline constexpr Nanos kGroupLook = 100 * kMillisecond;  // how often it is looked at meanwhile
inline constexpr unsigned kShedPerFlow = 4;              // flows shed to make room for one
inline constexpr unsigned kDenialsMax = 4;               // backends found full by their home worker, per new flow
inline constexpr unsigned kConflictsMax = 3;             // backends tried when a tuple towards one is taken
inline constexpr unsigned kSnatTries = 64;               // local ports tried for the servers' own traffic
// A client that keeps RFC 6298 tries its SYN again after a second: one this late had no answer.
inline constexpr std::uint32_t kSynRetryMs = 500;
// Of one worker and each kind: too big; time exceeded; RST, port unreachable and echo replies together.
inline constexpr std::uint32_t kAnswersPerSecond = 1000;
inline constexpr std::uint32_t kAnswersBurst = 100;

}  // namespace headgate::worker
