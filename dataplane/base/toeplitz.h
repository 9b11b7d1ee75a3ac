// Toeplitz hash as NICs compute it for RSS (Microsoft RSS specification), by table, and the algebra that lets us choose
// a local port so that a reply's bucket equals its request's. The hash is linear over XOR: H(a ^ b) = H(a) ^ H(b).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/base/tuple.h"

namespace headgate {

inline constexpr unsigned kBuckets = 128;        // equal on both boxes (design section 3)
inline constexpr std::size_t kRssKeyBytes = 52;  // longest key a supported NIC wants (i40e); others take the first 40

using RssKey = std::array<std::uint8_t, kRssKeyBytes>;

// The product's key. Not secret: it only steers. The low 7 bits of its port windows have full rank (checked by a test).
extern const RssKey kDefaultRssKey;

class Toeplitz {
 public:
  explicit Toeplitz(const RssKey& key);

  // As a NIC hashes a packet: addresses, and ports when `with_ports`. IPv4 input is 4+4(+2+2) bytes, IPv6 16+16(+2+2).
  std::uint32_t hash(const IpAddress& src, const IpAddress& dst, std::uint16_t src_port, std::uint16_t dst_port,
                     bool with_ports) const;
  std::uint32_t hash(const Tuple& t) const { return hash(t.src, t.dst, t.src_port, t.dst_port, true); }

  unsigned bucket(const Tuple& t) const { return hash(t) & (kBuckets - 1); }
  // Owner of a client endpoint in modes where both directions carry (client address, client port) unchanged.
  unsigned bucket_of_endpoint(const IpAddress& address, std::uint16_t port) const {
    return bucket(Tuple{address, address.is_v4() ? IpAddress::from_v4(0) : IpAddress{}, port, 0, 0});
  }

  // Contribution of the destination port alone: hash(t with dst_port p) = hash(t with dst_port 0) ^ dst_port_part(p,
  // v4).
  std::uint32_t dst_port_part(std::uint16_t port, bool v4) const;

 private:
  // table_[i][b]: contribution of byte value b at input byte i.
  std::array<std::array<std::uint32_t, 256>, 36> table_;
};

// For one family: the ports whose low-7-bit contribution equals a class. Class c's ports are base[c] ^ kernel[i].
class PortClasses {
 public:
  static constexpr unsigned kPortsPerClass = 65536 / kBuckets;  // 512
  PortClasses(const Toeplitz& toeplitz, bool v4);
  std::uint16_t port(unsigned port_class, unsigned index) const {
    return static_cast<std::uint16_t>(base_[port_class] ^ kernel_[index]);
  }
  unsigned class_of(std::uint16_t port) const { return class_of_[port]; }
  bool complete() const { return complete_; }  // every class has exactly 512 ports; false only for a degenerate key

 private:
  std::array<std::uint16_t, kBuckets> base_{};
  std::array<std::uint16_t, kPortsPerClass> kernel_{};
  std::array<std::uint8_t, 65536> class_of_{};
  bool complete_ = false;
};

// bucket -> worker, a box's own. Equal shares, contiguous round robin.
struct BucketMap {
  std::array<std::uint8_t, kBuckets> worker{};
  static BucketMap equal_shares(unsigned workers) {
    BucketMap map;
    for (unsigned i = 0; i < kBuckets; ++i) map.worker[i] = static_cast<std::uint8_t>(i % workers);
    return map;
  }
};

}  // namespace headgate
