#include "dataplane/base/toeplitz.h"

namespace headgate {

const RssKey kDefaultRssKey = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43,
                               0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb,
                               0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01,
                               0xfa, 0x91, 0x1e, 0x5c, 0x3f, 0x07, 0xd8, 0x62, 0xb9, 0x4e, 0xa5, 0x13, 0x7d};

Toeplitz::Toeplitz(const RssKey& key) {
  // The 32-bit window of the key that starts at bit `bit`.
  const auto window = [&key](std::size_t bit) {
    std::uint32_t w = 0;
    for (std::size_t i = bit; i < bit + 32; ++i) {
      w = (w << 1) | ((key[i / 8] >> (7 - i % 8)) & 1u);
    }
    return w;
  };
  for (std::size_t byte = 0; byte < table_.size(); ++byte) {
    for (unsigned value = 0; value < 256; ++value) {
      std::uint32_t h = 0;
      for (std::size_t bit = 0; bit < 8; ++bit) {
        if ((value >> (7 - bit)) & 1u) h ^= window(byte * 8 + bit);
      }
      table_[byte][value] = h;
    }
  }
}

std::uint32_t Toeplitz::hash(const IpAddress& src, const IpAddress& dst, std::uint16_t src_port, std::uint16_t dst_port,
                             bool with_ports) const {
  const std::size_t length = src.is_v4() ? 4 : 16;
  std::uint32_t h = 0;
  for (std::size_t i = 0; i < length; ++i) h ^= table_[i][src.bytes[16 - length + i]];
  for (std::size_t i = 0; i < length; ++i) h ^= table_[length + i][dst.bytes[16 - length + i]];
  if (with_ports) {
    const std::size_t at = 2 * length;
    h ^= table_[at][src_port >> 8] ^ table_[at + 1][src_port & 0xff];
    h ^= table_[at + 2][dst_port >> 8] ^ table_[at + 3][dst_port & 0xff];
  }
  return h;
}

std::uint32_t Toeplitz::dst_port_part(std::uint16_t port, bool v4) const {
  const std::size_t at = (v4 ? 8 : 32) + 2;
  return table_[at][port >> 8] ^ table_[at + 1][port & 0xff];
}

PortClasses::PortClasses(const Toeplitz& toeplitz, bool v4) {
  std::array<unsigned, kBuckets> count{};
  unsigned kernel_size = 0;
  for (unsigned p = 0; p < 65536; ++p) {
    const auto port = static_cast<std::uint16_t>(p);
    const unsigned c = toeplitz.dst_port_part(port, v4) & (kBuckets - 1);
    class_of_[p] = static_cast<std::uint8_t>(c);
    if (count[c]++ == 0) base_[c] = port;
    if (c == 0 && kernel_size < kPortsPerClass) kernel_[kernel_size++] = port;
  }
  complete_ = true;
  for (const unsigned n : count) complete_ = complete_ && n == kPortsPerClass;
}

}  // namespace headgate
