// One thing to probe: a backend of the snapshot, by id.
#pragma once

#include <asio/ip/tcp.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace headgate::health {

using Time = std::chrono::nanoseconds;  // monotonic, since an arbitrary start

struct Target {
  std::uint32_t backend_id = 0;
  std::string name;                  // for people: "web1 (pool web, 10.10.0.21:80)"
  asio::ip::tcp::endpoint endpoint;  // what a kernel socket connects to: the probe address, or the backend itself
  bool via_path = true;              // through the dataplane
  Time interval{}, timeout{};
  unsigned rise = 1, fall = 1;

  friend bool operator==(const Target&, const Target&) = default;
};

// backend id -> up. An id that is missing counts as up: nothing is known against it.
using HealthView = std::map<std::uint32_t, bool>;

inline bool is_up(const HealthView& view, std::uint32_t backend_id) {
  const auto found = view.find(backend_id);
  return found == view.end() || found->second;
}

}  // namespace headgate::health
