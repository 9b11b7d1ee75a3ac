// One thing to probe: a backend of the snapshot, by id.
#pragma once

#include <asio/ip/tcp.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "controlplane/health/check.h"
#include "controlplane/health/verdict.h"

namespace headgate::health {

using Time = std::chrono::nanoseconds;  // monotonic, since an arbitrary start

struct Target {
  std::uint32_t backend_id = 0;
  std::string name;                  // for people: "web1 (pool web, 10.10.0.21:80)"
  asio::ip::tcp::endpoint endpoint;  // what a kernel socket connects to: the probe address, or the backend itself
  bool via_path = true;              // through the dataplane
  Time interval{}, timeout{};
  Time fast_interval = Time::max();  // while the verdict is in question, when that is less
  unsigned rise = 1, fall = 1;
  SharedCheck check{};
  std::string backend{};        // its name alone: "web1"
  asio::ip::address address{};  // its own, also when `endpoint` is a probe address

  friend bool operator==(const Target&, const Target&) = default;
};

// What is known of a backend before it is asked. Missing: unknown.
struct Known {
  Health health = Health::unknown;
  Time changed = Time::min();  // Time::min(): never
  std::string cause{};
};
using KnownHealth = std::map<std::uint32_t, Known>;  // by backend id

}  // namespace headgate::health
