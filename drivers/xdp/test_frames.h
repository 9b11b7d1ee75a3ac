// Frames for tests, written down field by field and independent of the product's own builders.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "dataplane/base/ip.h"
#include "dataplane/base/mac.h"

namespace headgate::test {

using Bytes = std::vector<std::uint8_t>;

inline constexpr MacAddress kPeerMac{{0x02, 0, 0, 0, 0, 0x01}};

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
inline Bytes be16(unsigned v) {
  return {static_cast<std::uint8_t>(v >> 8), static_cast<std::uint8_t>(v)};
}
inline Bytes mac_bytes(const MacAddress& m) {
  return {m.bytes.begin(), m.bytes.end()};
}
inline Bytes ip_bytes(std::string_view text) {
  const IpAddress a = *parse_ip(text);
  return a.is_v4() ? Bytes(a.bytes.begin() + 12, a.bytes.end()) : Bytes(a.bytes.begin(), a.bytes.end());
}

// RFC 1071 over the bytes, as the two bytes to store.
inline std::uint16_t internet_sum(const Bytes& data) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < data.size(); ++i) sum += i % 2 == 0 ? data[i] * 256u : data[i];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}
inline void put16(Bytes& data, std::size_t at, unsigned v) {
  data[at] = static_cast<std::uint8_t>(v >> 8);
  data[at + 1] = static_cast<std::uint8_t>(v);
}

inline Bytes ether(const MacAddress& dst, unsigned type, const Bytes& payload, const MacAddress& src = kPeerMac) {
  return mac_bytes(dst) + mac_bytes(src) + be16(type) + payload;
}
// Puts a tag after the addresses of a finished frame.
inline Bytes tagged(Bytes frame, unsigned vlan, unsigned tpid = 0x8100) {
  const Bytes tag = be16(tpid) + be16(vlan);
  frame.insert(frame.begin() + 12, tag.begin(), tag.end());
  return frame;
}
inline Bytes ipv4(std::string_view src, std::string_view dst, unsigned protocol, const Bytes& payload,
                  unsigned fragment = 0, const Bytes& options = {}) {
  const unsigned words = 5 + static_cast<unsigned>(options.size()) / 4;
  Bytes header = Bytes{static_cast<std::uint8_t>(0x40 | words), 0} +
                 be16(words * 4 + static_cast<unsigned>(payload.size())) + be16(1) + be16(fragment) +
                 Bytes{64, static_cast<std::uint8_t>(protocol), 0, 0} + ip_bytes(src) + ip_bytes(dst) + options;
  put16(header, 10, internet_sum(header));
  return header + payload;
}
inline Bytes ipv6(std::string_view src, std::string_view dst, unsigned next, const Bytes& payload) {
  return Bytes{0x60, 0, 0, 0} + be16(static_cast<unsigned>(payload.size())) +
         Bytes{static_cast<std::uint8_t>(next), 255} + ip_bytes(src) + ip_bytes(dst) + payload;
}
inline Bytes udp(unsigned src_port, unsigned dst_port, const Bytes& payload) {
  return be16(src_port) + be16(dst_port) + be16(8 + static_cast<unsigned>(payload.size())) + be16(0) + payload;
}
inline Bytes arp(unsigned operation, const MacAddress& sender, std::string_view sender_ip, std::string_view target_ip) {
  return be16(1) + be16(0x0800) + Bytes{6, 4} + be16(operation) + mac_bytes(sender) + ip_bytes(sender_ip) +
         Bytes(6, 0) + ip_bytes(target_ip);
}
inline Bytes icmp_error_v4(unsigned type, const Bytes& quoted) {
  Bytes message = Bytes{static_cast<std::uint8_t>(type), 0, 0, 0, 0, 0, 0, 0} + quoted;
  put16(message, 2, internet_sum(message));
  return message;
}
// `type` 135 (solicit) or 136 (advert). Checksum included.
inline Bytes nd(unsigned type, std::string_view src, std::string_view dst, std::string_view target) {
  Bytes message = Bytes{static_cast<std::uint8_t>(type), 0, 0, 0, 0, 0, 0, 0} + ip_bytes(target) + Bytes{1, 1} +
                  mac_bytes(kPeerMac);
  put16(message, 2,
        internet_sum(ip_bytes(src) + ip_bytes(dst) + be16(0) + be16(static_cast<unsigned>(message.size())) +
                     Bytes{0, 0, 0, 58} + message));
  return message;
}

}  // namespace headgate::test
