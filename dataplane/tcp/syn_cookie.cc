#include "dataplane/tcp/syn_cookie.h"

#include <array>

#include "dataplane/tcp/limits.h"

namespace headgate::tcp {
namespace {

// The floor, defaults, common tunnels, PPPoE, Ethernet of both families, jumbo frames.
constexpr std::array<std::uint16_t, 8> kMss{kMssMin, 536, 1220, 1360, 1440, 1452, 1460, 8940};
// 0 stands for no scaling. A smaller scale than the peer's only makes its window look smaller.
constexpr std::array<std::uint8_t, 8> kScale{0, 0, 1, 2, 4, 6, 7, 8};

template <class Array, class Value>
std::uint32_t largest_below(const Array& values, Value value, std::uint32_t first) {
  std::uint32_t best = first;
  for (std::uint32_t i = first; i < values.size(); ++i) {
    if (values[i] <= value) best = i;
  }
  return best;
}

std::uint32_t hash(const SipKey& key, const Tuple& tuple, Seq irs, std::uint32_t bits, std::uint64_t epoch) {
  return static_cast<std::uint32_t>(
      siphash(key, tuple, irs.value | static_cast<std::uint64_t>(bits) << 32 | epoch << 40));
}

}  // namespace

Seq make_cookie(const SipKey& key, const Tuple& tuple, Seq irs, const CookieValues& values, Nanos now) {
  const std::uint64_t epoch = now / kCookieEpoch;
  std::uint32_t bits = largest_below(kMss, values.mss, 0);
  if (values.scaling) bits |= largest_below(kScale, values.scale, 1) << 3;
  if (values.sack) bits |= 64;
  bits |= static_cast<std::uint32_t>(epoch & 1) << 7;
  return {hash(key, tuple, irs, bits, epoch) << 8 | bits};
}

std::optional<CookieValues> read_cookie(const SipKey& key, const Tuple& tuple, Seq irs, Seq cookie, Nanos now) {
  const std::uint32_t bits = cookie.value & 0xff;
  std::uint64_t epoch = now / kCookieEpoch;
  if ((epoch & 1) != bits >> 7) --epoch;
  if (hash(key, tuple, irs, bits, epoch) << 8 != (cookie.value & 0xffffff00)) return std::nullopt;
  const std::uint32_t scale = (bits >> 3) & 7;
  return CookieValues{.mss = kMss[bits & 7], .scale = kScale[scale], .scaling = scale != 0, .sack = (bits & 64) != 0};
}

}  // namespace headgate::tcp
