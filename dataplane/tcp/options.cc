#include "dataplane/tcp/options.h"

#include <algorithm>

#include "dataplane/base/byte_order.h"

namespace headgate::tcp {
namespace {

enum Kind : std::uint8_t { kEnd = 0, kNop = 1, kMss = 2, kScale = 3, kSackPermitted = 4, kSack = 5, kTimestamps = 8 };

// `value` is what follows kind and length. A known option of the wrong length is impossible, not merely unknown.
bool parse_one(std::uint8_t kind, std::span<const std::uint8_t> value, Options& o) {
  switch (kind) {
    case kMss:
      if (value.size() != 2) return false;
      o.has_mss = true;
      o.mss = load_be16(value.data());
      return true;
    case kScale:
      if (value.size() != 1) return false;
      o.has_scale = true;
      o.scale = value[0];
      return true;
    case kSackPermitted:
      if (!value.empty()) return false;
      o.sack_permitted = true;
      return true;
    case kTimestamps:
      if (value.size() != 8) return false;
      o.has_timestamps = true;
      o.ts_value = load_be32(value.data());
      o.ts_echo = load_be32(value.data() + 4);
      return true;
    case kSack:
      if (value.empty() || value.size() % 8 != 0) return false;
      o.sack_count = 0;
      for (std::size_t at = 0; at < value.size() && o.sack_count < kSackBlocksMax; at += 8) {
        o.sacks[o.sack_count++] = {{load_be32(&value[at])}, {load_be32(&value[at + 4])}};
      }
      return true;
    default:
      return true;
  }
}

}  // namespace

bool parse_options(std::span<const std::uint8_t> bytes, Options& options) {
  // The usual options of an established connection (RFC 7323 appendix A): nothing else to look at.
  if (bytes.size() == kTimestampsLength && load_be32(bytes.data()) == 0x0101080a) {
    options.has_timestamps = true;
    options.ts_value = load_be32(&bytes[4]);
    options.ts_echo = load_be32(&bytes[8]);
    return true;
  }
  for (std::size_t at = 0; at < bytes.size();) {
    const std::uint8_t kind = bytes[at];
    if (kind == kEnd) return true;
    if (kind == kNop) {
      ++at;
      continue;
    }
    if (at + 1 >= bytes.size()) return false;
    const std::size_t length = bytes[at + 1];
    if (length < 2 || length > bytes.size() - at) return false;
    if (!parse_one(kind, bytes.subspan(at + 2, length - 2), options)) return false;
    at += length;
  }
  return true;
}

std::size_t write_options(std::uint8_t* out, const Options& options) {
  std::uint8_t* p = out;
  if (options.has_mss) {
    store_be32(p, 0x02040000u | options.mss);
    p += 4;
  }
  if (options.sack_permitted) {
    store_be32(p, 0x01010402u);
    p += 4;
  }
  if (options.has_timestamps) {
    store_be32(p, 0x0101080au);
    store_be32(p + 4, options.ts_value);
    store_be32(p + 8, options.ts_echo);
    p += kTimestampsLength;
  }
  if (options.has_scale) {
    store_be32(p, 0x01030300u | options.scale);
    p += 4;
  }
  const auto room = static_cast<std::size_t>(40 - (p - out));
  const std::size_t blocks = room < 12 ? 0 : std::min<std::size_t>(options.sack_count, (room - 4) / 8);
  if (blocks != 0) {
    store_be32(p, 0x01010500u | static_cast<std::uint32_t>(2 + 8 * blocks));
    p += 4;
    for (std::size_t i = 0; i < blocks; ++i, p += 8) {
      store_be32(p, options.sacks[i].start.value);
      store_be32(p + 4, options.sacks[i].end.value);
    }
  }
  return static_cast<std::size_t>(p - out);
}

}  // namespace headgate::tcp
