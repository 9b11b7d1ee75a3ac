// Local ports of connections that we open. Which ports a worker may use towards a peer is the caller's knowledge (the
// reply has to arrive at this worker): it hands in a numbered set of candidates, of which every one will do. From there
// RFC 6056 3.3.4, algorithm 4: a start that depends on the pair by a keyed hash, and a counter of which pairs share one
// of 1,024, so that ports of one pair come round as late as possible and tell nothing about other pairs.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "dataplane/base/siphash.h"

namespace headgate::tcp {

struct PortSet {
  std::uint32_t count = 0;
  std::function<std::uint16_t(std::uint32_t)> at;  // for 0 <= index < count, each port once

  static PortSet range(std::uint16_t first, std::uint16_t last) {
    return {static_cast<std::uint32_t>(last - first + 1),
            [first](std::uint32_t i) { return static_cast<std::uint16_t>(first + i); }};
  }
};

class PortPicker {
 public:
  explicit PortPicker(const SipKey& key) : key_(key) {}

  // The first candidate for which free(port) is true, of at most kTriesMax. `pair`: ports of src ignored.
  template <class Free>
  std::optional<std::uint16_t> pick(const Tuple& pair, const PortSet& ports, Free&& free) {
    const std::uint64_t hash = siphash(key_, {pair.src, pair.dst, 0, pair.dst_port, pair.protocol}, 0);
    std::uint32_t& counter = counters_[(hash >> 40) % counters_.size()];
    const auto start = static_cast<std::uint32_t>(hash);
    for (std::uint32_t tries = 0; tries < ports.count && tries < kTriesMax; ++tries) {
      const std::uint16_t port = ports.at((start + counter++) % ports.count);
      if (free(port)) return port;
    }
    return std::nullopt;
  }

 private:
  static constexpr std::uint32_t kTriesMax = 1024;  // more than the 512 of one class of ports (base/toeplitz.h)
  SipKey key_;
  std::array<std::uint32_t, 1024> counters_{};
};

}  // namespace headgate::tcp
