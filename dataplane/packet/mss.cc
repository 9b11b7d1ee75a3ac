#include "dataplane/packet/mss.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/build.h"
#include "dataplane/packet/checksum.h"

namespace headgate::packet {
namespace {

constexpr std::uint8_t kEnd = 0, kNop = 1, kMss = 2;  // RFC 9293 3.2
constexpr std::size_t kMssLength = 4, kChecksumAt = 16;

std::uint16_t wire_word(const std::uint8_t* p) {
  std::uint16_t word;
  std::memcpy(&word, p, 2);
  return word;
}

// An option at an odd offset lies across two summed words: each byte counts in the other half, so the words are
// swapped.
void lower(std::span<std::uint8_t> tcp, std::size_t at, std::uint16_t mss) {
  std::uint16_t before = wire_word(&tcp[at]);
  store_be16(&tcp[at], mss);
  std::uint16_t after = wire_word(&tcp[at]);
  if (at % 2 != 0) {
    before = __builtin_bswap16(before);
    after = __builtin_bswap16(after);
  }
  Delta delta;
  delta.replace(before, after);
  adjust(&tcp[kChecksumAt], delta);
}

// Where options end, or 0 when they are malformed or the header is not all there.
std::size_t checked_options_end(std::span<const std::uint8_t> tcp) {
  if (tcp.size() < kTcpLength) return 0;
  const std::size_t end = (tcp[12] >> 4) * std::size_t{4};
  if (end > tcp.size()) return 0;
  for (std::size_t i = kTcpLength; i < end;) {
    if (tcp[i] == kEnd) return i;
    if (tcp[i] == kNop) {
      ++i;
      continue;
    }
    if (i + 2 > end || tcp[i + 1] < 2 || i + tcp[i + 1] > end) return 0;
    if (tcp[i] == kMss && tcp[i + 1] != kMssLength) return 0;
    i += tcp[i + 1];
  }
  return end;
}

}  // namespace

bool clamp_mss(std::span<std::uint8_t> tcp, std::uint16_t mss_max) {
  const std::size_t end = checked_options_end(tcp);
  bool changed = false;
  for (std::size_t i = kTcpLength; i < end; i += tcp[i] == kNop ? 1u : tcp[i + 1]) {
    if (tcp[i] != kMss || load_be16(&tcp[i + 2]) <= mss_max) continue;
    lower(tcp, i + 2, mss_max);
    changed = true;
  }
  return changed;
}

}  // namespace headgate::packet
