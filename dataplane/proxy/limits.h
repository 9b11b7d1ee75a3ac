// Every bound of this folder in one place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/base/time.h"

namespace headgate::proxy {

inline constexpr std::size_t kBurst = 64;                // segments handed to the engine at once
inline constexpr std::size_t kRxSlicesMax = 8;           // buffers of one received segment
inline constexpr std::uint32_t kConnectAttemptsMax = 8;  // backends tried for one client
inline constexpr Nanos kQueuePoll = 10 * kMillisecond;   // how often those that wait for a backend try
inline constexpr unsigned kQueueTriesMax = 64;           // of them, each time
inline constexpr unsigned kTimersPerTurn = 64;           // next_deadline() says when some are left
inline constexpr Nanos kHeaderTimeout = 10 * kSecond;    // for a PROXY protocol header to be complete
inline constexpr unsigned kIdleLooks = 4;                // at a session's bytes, within its idle timeout
inline constexpr unsigned kAsksMax = 100;                // times that one session asks another worker for a place

}  // namespace headgate::proxy
