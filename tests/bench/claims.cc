#include "tests/bench/claims.h"

#include <algorithm>

namespace headgate::bench {

namespace {

constexpr std::size_t kEthernet = 14;
constexpr std::uint8_t kVrrp = 112;

std::uint32_t be32(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint32_t>(bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3]);
}

}  // namespace

bool is_claim(std::span<const std::uint8_t> frame, std::uint32_t address) {
  if (frame.size() < kEthernet) return false;
  const int type = frame[12] << 8 | frame[13];
  const auto body = frame.subspan(kEthernet);
  if (type == 0x0800) return body.size() >= 20 && body[9] != kVrrp && be32(body, 12) == address;
  if (type == 0x0806) return body.size() >= 28 && be32(body, 14) == address;  // sender protocol address
  return false;
}

void Claims::mark(Nanos now) {
  marked_ = now;
  old_ = latest_;
  for (Owner& owner : owner_) owner = {.ignored = owner.ignored};
}

void Claims::claim(std::size_t port, Nanos at) {
  Owner& owner = owner_[port];
  if (owner.ignored) return;
  ++owner.count;
  owner.first = std::min(owner.first, at);
  owner.last = std::max(owner.last, at);
  latest_ = port;
}

Nanos Claims::overlap() const {
  Nanos first = kNever;
  for (std::size_t i = 0; i < owner_.size(); ++i)
    if (i != old_) first = std::min(first, owner_[i].first);
  const Nanos last = owner_[old_].last;
  return first < last ? last - first : 0;
}

}  // namespace headgate::bench
