// Where random tests begin. For tests only.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>

namespace headgate {

// HEADGATE_BASE_SEED, which tools/test derives from the commit, so that two runs of one commit are the same run;
// without it another each time.
inline std::uint64_t base_seed() {
  const char* const given = std::getenv("HEADGATE_BASE_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
}

// HEADGATE_SEED replays a failure.
inline std::uint64_t test_seed() {
  const char* const given = std::getenv("HEADGATE_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : base_seed();
}

}  // namespace headgate
