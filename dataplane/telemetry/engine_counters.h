// What the TCP engine counts (tcp/counters.h, whose members these are), as operators see it. The engine's own counters
// are plain numbers of its worker; a worker copies them into one-writer counters a few times a second.
#pragma once

#include <array>

#include "dataplane/telemetry/counter.h"

namespace headgate::telemetry {

// clang-format off
#define HEADGATE_ENGINE_COUNTERS(X) \
  X(segments_in,         "segments that arrived") \
  X(segments_out,        "segments that were sent") \
  X(accepted,            "connections accepted") \
  X(connected,           "connections to backends that were established") \
  X(failed_connects,     "connections to backends that were not") \
  X(closed,              "connections given back") \
  X(retransmitted,       "segments sent again") \
  X(timeouts,            "retransmission timeouts") \
  X(fast_recoveries,     "losses found by duplicate acknowledgments") \
  X(tail_probes,         "probes for a lost tail (RFC 8985 7)") \
  X(spurious,            "repetitions that turned out needless") \
  X(duplicate_acks,      "duplicate acknowledgments that arrived") \
  X(dsacks_sent,         "duplicates reported (RFC 2883)") \
  X(dsacks_received,     "duplicates that peers reported") \
  X(window_probes,       "probes of a closed window") \
  X(keepalives,          "keepalive probes") \
  X(resets_sent,         "resets sent") \
  X(resets_received,     "resets believed") \
  X(resets_limited,      "resets held back by their limit") \
  X(challenges,          "challenge acknowledgments (RFC 5961)") \
  X(challenges_limited,  "challenges held back by their limit") \
  X(syns,                "SYNs for listeners") \
  X(syns_refused,        "SYNs refused: no memory") \
  X(syns_evicted,        "half-open connections that made room") \
  X(cookies_sent,        "SYN cookies sent") \
  X(cookies_accepted,    "SYN cookies that came back") \
  X(cookies_bad,         "acknowledgments that carried no cookie of ours") \
  X(time_wait_reused,    "connections opened anew from TIME-WAIT") \
  X(drop_no_connection,  "for no connection") \
  X(drop_no_room,        "no room for another connection") \
  X(drop_no_memory,      "no memory for buffers or connections") \
  X(drop_paws,           "old by its timestamp (PAWS)") \
  X(drop_no_timestamp,   "lacks the agreed timestamp") \
  X(drop_outside_window, "outside the window") \
  X(drop_bad_ack,        "acknowledges what was never sent") \
  X(drop_no_ack,         "lacks ACK") \
  X(drop_early,          "out of order, dropped because memory is short") \
  X(drop_bad_reset,      "a reset that is not believed") \
  X(drop_time_wait,      "for a connection in TIME-WAIT") \
  X(path_mtu_lowered,    "paths found narrower by ICMP") \
  X(icmp_ignored,        "ICMP errors that quote nothing in flight") \
  X(black_holes,         "paths that swallow large segments") \
  X(packed,              "small payloads copied together")
// clang-format on

enum class EngineCounter : unsigned {
#define X(name, text) name,
  HEADGATE_ENGINE_COUNTERS(X)
#undef X
      count
};
inline constexpr unsigned kEngineCounters = static_cast<unsigned>(EngineCounter::count);

inline constexpr std::array<CounterText, kEngineCounters> kEngineCounterTexts{{
#define X(name, text) {#name, text},
    HEADGATE_ENGINE_COUNTERS(X)
#undef X
}};

}  // namespace headgate::telemetry
