// What happened, by reason: every segment that is not used and every answer that is not data. One writer, the worker.
#pragma once

#include <cstdint>

namespace headgate::tcp {

struct Counters {
  std::uint64_t segments_in = 0, segments_out = 0;
  std::uint64_t accepted = 0, connected = 0, failed_connects = 0, closed = 0;
  std::uint64_t retransmitted = 0, timeouts = 0, fast_recoveries = 0, tail_probes = 0, spurious = 0;
  std::uint64_t duplicate_acks = 0, dsacks_sent = 0, dsacks_received = 0;
  std::uint64_t window_probes = 0, keepalives = 0;
  std::uint64_t resets_sent = 0, resets_received = 0, resets_limited = 0;
  std::uint64_t challenges = 0, challenges_limited = 0;
  std::uint64_t syns = 0, syns_refused = 0, syns_evicted = 0, cookies_sent = 0, cookies_accepted = 0, cookies_bad = 0;
  std::uint64_t time_wait_reused = 0;
  // Segments not used, by reason.
  std::uint64_t drop_no_connection = 0, drop_no_room = 0, drop_no_memory = 0, drop_paws = 0, drop_no_timestamp = 0,
                drop_outside_window = 0, drop_bad_ack = 0, drop_no_ack = 0, drop_early = 0, drop_bad_reset = 0,
                drop_time_wait = 0;
  std::uint64_t path_mtu_lowered = 0, icmp_ignored = 0, black_holes = 0;
  std::uint64_t packed = 0;  // tiny payloads copied together
};

}  // namespace headgate::tcp
