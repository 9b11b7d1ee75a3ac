// What the traffic says of backends: failed connects in a row take one down. Pure.
//
// The dataplane counts; samples come a few times a second. Within one sample the order is unknown, so a single connect
// that went well ends the row: a backend that fails half of its connects is for probes to judge.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "controlplane/health/target.h"

namespace headgate::health {

struct PassiveRule {
  std::uint32_t backend_id = 0;
  std::uint32_t failures = 10;  // in a row
  Time hold{};
};

// Since the dataplane started.
struct BackendTraffic {
  std::uint32_t backend_id = 0;
  std::uint64_t connects = 0;  // that the backend answered
  std::uint64_t failures = 0;  // refused or unanswered connects
  std::uint64_t resets = 0;    // by the backend, of what it had accepted
};

class Passive {
 public:
  struct Trip {
    std::uint32_t backend_id = 0;
    std::string cause;
    Time hold{};
  };
  void set_rules(const std::vector<PassiveRule>& rules);
  bool any_rules() const { return !states_.empty(); }
  std::vector<Trip> observe(const std::vector<BackendTraffic>& samples);

 private:
  struct State {
    PassiveRule rule;
    std::optional<BackendTraffic> last{};
    std::uint64_t row = 0;
  };
  std::unordered_map<std::uint32_t, State> states_;
};

}  // namespace headgate::health
