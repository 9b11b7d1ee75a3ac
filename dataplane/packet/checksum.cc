#include "dataplane/packet/checksum.h"

#include <cstring>

namespace headgate::packet {
namespace {

// 64 to 16 bits: each step folds the upper half into the lower one; the last repeats because it may carry once more.
std::uint16_t fold(std::uint64_t s) {
  s = (s >> 32) + (s & 0xffffffff);
  s = (s >> 32) + (s & 0xffffffff);
  s = (s >> 16) + (s & 0xffff);
  s = (s >> 16) + (s & 0xffff);
  return static_cast<std::uint16_t>(s);
}

std::uint64_t halves(std::uint64_t word) {
  return (word >> 32) + (word & 0xffffffff);
}

// The IPv4-mapped prefix contributes 0xffff, which is zero in ones' complement: both families take one path.
std::uint64_t address_sum(const IpAddress& address) {
  return halves(address.high()) + halves(address.low());
}

}  // namespace

std::uint16_t sum(std::span<const std::uint8_t> bytes, std::uint16_t start) {
  // Two 32-bit halves per step: no carry to chase below 2^32 steps, and compilers make vector code of it.
  std::uint64_t s = start;
  const std::uint8_t* p = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; p += 8, left -= 8) {
    std::uint64_t word;
    std::memcpy(&word, p, 8);
    s += halves(word);
  }
  if (left != 0) {
    std::uint64_t tail = 0;  // an odd last byte is followed by zero (RFC 1071 section 1)
    std::memcpy(&tail, p, left);
    s += halves(tail);
  }
  return fold(s);
}

std::uint16_t pseudo_header_sum(const IpAddress& src, const IpAddress& dst, std::uint8_t protocol,
                                std::uint32_t l4_length) {
  return fold(address_sum(src) + address_sum(dst) + __builtin_bswap32(l4_length) +
              __builtin_bswap32(static_cast<std::uint32_t>(protocol)));
}

void Delta::replace(const IpAddress& old_address, const IpAddress& new_address) {
  replace(fold(address_sum(old_address)), fold(address_sum(new_address)));
}

void adjust(std::uint8_t* field, Delta delta) {
  std::uint16_t checksum;
  std::memcpy(&checksum, field, 2);
  checksum = invert(add(invert(checksum), delta.value));
  std::memcpy(field, &checksum, 2);
}

void adjust_udp(std::uint8_t* field, Delta delta) {
  if ((field[0] | field[1]) == 0) return;
  adjust(field, delta);
  if ((field[0] | field[1]) == 0) field[0] = field[1] = 0xff;
}

}  // namespace headgate::packet
