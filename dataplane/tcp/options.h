// TCP options (RFC 9293 3.1, 7323, 2018): read once into a value, written from one.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/tcp/limits.h"
#include "dataplane/tcp/seqnum.h"

namespace headgate::tcp {

// Half open: [start, end).
struct SackBlock {
  Seq start, end;
  friend bool operator==(const SackBlock&, const SackBlock&) = default;
};

struct Options {
  bool has_mss = false, has_scale = false, sack_permitted = false, has_timestamps = false;
  std::uint8_t scale = 0;  // as it came, up to 255: a reader clamps to kScaleMax (RFC 7323 2.3)
  std::uint8_t sack_count = 0;
  std::uint16_t mss = 0;
  std::uint32_t ts_value = 0, ts_echo = 0;
  std::array<SackBlock, kSackBlocksMax> sacks{};
};

inline constexpr std::uint32_t kTimestampsLength = 12;  // with two bytes of padding
constexpr std::size_t sack_length(std::size_t blocks) {
  return blocks == 0 ? 0 : 4 + 8 * blocks;
}

// Everything between the fixed header and the payload. False when a length is impossible (RFC 9293 MUST-7: the segment
// is dropped and counted); unknown options are skipped; the last of two equal ones counts; SYN-only options are
// reported on any segment, readers look at them on SYN alone.
bool parse_options(std::span<const std::uint8_t> bytes, Options& options);

// Writes what `options` has in the order MSS, SACK permitted, timestamps, scale, SACK blocks, each padded to a multiple
// of 4 bytes. Returns the length, at most 40: SACK blocks beyond are left out. Requires: 40 bytes of room.
std::size_t write_options(std::uint8_t* out, const Options& options);

}  // namespace headgate::tcp
