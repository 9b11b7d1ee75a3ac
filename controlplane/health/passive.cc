#include "controlplane/health/passive.h"

namespace headgate::health {

void Passive::set_rules(const std::vector<PassiveRule>& rules) {
  std::unordered_map<std::uint32_t, State> before = std::exchange(states_, {});
  for (const PassiveRule& rule : rules) {
    State& state = states_[rule.backend_id];
    if (const auto known = before.find(rule.backend_id); known != before.end()) state = known->second;
    state.rule = rule;
  }
}

std::vector<Passive::Trip> Passive::observe(const std::vector<BackendTraffic>& samples) {
  std::vector<Trip> trips;
  for (const BackendTraffic& sample : samples) {
    const auto found = states_.find(sample.backend_id);
    if (found == states_.end()) continue;
    State& state = found->second;
    const std::optional<BackendTraffic> last = std::exchange(state.last, sample);
    // Counters that fell are those of another dataplane.
    if (!last || sample.connects < last->connects || sample.failures < last->failures || sample.resets < last->resets) {
      state.row = 0;
      continue;
    }
    const std::uint64_t resets = sample.resets - last->resets;
    if (sample.connects - last->connects > resets)
      state.row = 0;
    else
      state.row += sample.failures - last->failures + resets;
    if (state.row < state.rule.failures) continue;
    trips.push_back({sample.backend_id,
                     std::to_string(state.row) + " connects in a row were refused, unanswered or reset",
                     state.rule.hold});
    state.row = 0;
  }
  return trips;
}

}  // namespace headgate::health
