// IP addresses of both families in one 16-byte value; IPv4 is kept IPv4-mapped (::ffff:a.b.c.d, RFC 4291 2.5.5.2), so
// that one comparison and one hash serve both. A mapped address never appears in an IPv6 packet we accept.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/base/byte_order.h"

namespace headgate {

struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};  // network order

  static constexpr IpAddress from_v4(std::uint32_t host_order) {
    IpAddress a;
    a.bytes[10] = a.bytes[11] = 0xff;
    a.bytes[12] = static_cast<std::uint8_t>(host_order >> 24);
    a.bytes[13] = static_cast<std::uint8_t>(host_order >> 16);
    a.bytes[14] = static_cast<std::uint8_t>(host_order >> 8);
    a.bytes[15] = static_cast<std::uint8_t>(host_order);
    return a;
  }
  // p: 4 bytes in network order. 16 stores collapse into two words.
  static IpAddress load_v4(const void* p) {
    IpAddress a;
    const std::uint32_t mapped = 0xffff0000u;  // bytes 8..11 = 00 00 ff ff
    std::memcpy(a.bytes.data() + 8, &mapped, 4);
    std::memcpy(a.bytes.data() + 12, p, 4);
    return a;
  }
  static IpAddress load_v6(const void* p) {
    IpAddress a;
    std::memcpy(a.bytes.data(), p, 16);
    return a;
  }

  std::uint64_t high() const {
    std::uint64_t v;
    std::memcpy(&v, bytes.data(), 8);
    return v;
  }
  std::uint64_t low() const {
    std::uint64_t v;
    std::memcpy(&v, bytes.data() + 8, 8);
    return v;
  }
  bool is_v4() const { return high() == 0 && (low() & 0xffffffffu) == 0xffff0000u; }
  std::uint32_t v4() const { return load_be32(bytes.data() + 12); }  // host order. Requires: is_v4()
  const std::uint8_t* v4_bytes() const { return bytes.data() + 12; }

  bool is_unspecified() const { return high() == 0 && (low() == 0 || (is_v4() && v4() == 0)); }
  bool is_multicast() const { return is_v4() ? (bytes[12] & 0xf0) == 0xe0 : bytes[0] == 0xff; }
  bool is_loopback() const { return is_v4() ? bytes[12] == 127 : high() == 0 && low() == 0x0100000000000000ull; }
  bool is_link_local() const {
    return is_v4() ? (bytes[12] == 169 && bytes[13] == 254) : (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80);
  }
  bool is_broadcast() const { return is_v4() && v4() == 0xffffffffu; }

  // Same 16 bytes with everything after the first `length` bits zero; `length` counts in the address's own family.
  IpAddress masked(unsigned length) const;

  friend bool operator==(const IpAddress& a, const IpAddress& b) {
    return ((a.high() ^ b.high()) | (a.low() ^ b.low())) == 0;
  }
  friend auto operator<=>(const IpAddress& a, const IpAddress& b) { return a.bytes <=> b.bytes; }
};
static_assert(sizeof(IpAddress) == 16);

// An address block. `length` counts in the family's own bits: 0..32 or 0..128.
struct IpPrefix {
  IpAddress address;  // as given; may have host bits set when it also names an own address
  std::uint8_t length = 0;

  bool contains(const IpAddress& a) const {
    return a.is_v4() == address.is_v4() && a.masked(length) == address.masked(length);
  }
  IpPrefix network() const { return {address.masked(length), length}; }
  friend bool operator==(const IpPrefix&, const IpPrefix&) = default;
};

// Text forms of RFC 4291 2.2 / RFC 5952, dotted quad for IPv4. Nothing on malformed input; an IPv4-mapped IPv6 text is
// refused.
std::optional<IpAddress> parse_ip(std::string_view text);
std::optional<IpPrefix> parse_prefix(std::string_view text);  // "a/len"; a bare address is a host prefix
std::string to_string(const IpAddress& address);
std::string to_string(const IpPrefix& prefix);

}  // namespace headgate
