#include "controlplane/health/in_force.h"

#include <algorithm>
#include <set>

namespace headgate::health {
namespace {

// Whether it may serve as far as health goes, and why not.
Why held_back_by(const Standing& standing) {
  if (standing.admin == Admin::disabled) return Why::disabled;
  if (standing.agent_down || standing.agent_admin == Admin::disabled) return Why::agent;
  if (standing.health == Health::down) return Why::health;
  if (standing.health == Health::unknown && !standing.assumed_up) return Why::not_asked;
  return Why::nothing;
}

Why drained_by(const PoolRules::Backend& backend, const Standing& standing) {
  if (backend.drain || standing.admin == Admin::drain) return Why::drain;
  return standing.agent_admin == Admin::drain ? Why::agent : Why::nothing;
}

// Whether the configuration and everybody who may command let it serve.
bool wanted(const PoolRules::Backend& backend, const Standing& standing) {
  return drained_by(backend, standing) == Why::nothing && backend.weight != 0 && standing.agent_percent != 0;
}

bool anybody_known_serves(const PoolRules& rules, std::span<const Standing> standings) {
  for (std::size_t i = 0; i < standings.size(); ++i) {
    if (held_back_by(standings[i]) == Why::nothing && wanted(rules.backends[i], standings[i])) return true;
  }
  return false;
}

bool is_health(Why why) {
  return why == Why::health || why == Why::not_asked;
}

// The highest `backup` that serves: as many levels as it takes to reach the wanted number.
std::uint32_t last_level(const PoolRules& rules, const std::vector<bool>& can_serve) {
  std::set<std::uint32_t> levels;
  for (const auto& backend : rules.backends) levels.insert(backend.backup);
  const unsigned wanted = std::max<std::uint32_t>(1, rules.minimum_healthy);
  unsigned serving = 0;
  std::uint32_t last = 0;
  for (const std::uint32_t level : levels) {
    last = level;
    for (std::size_t i = 0; i < can_serve.size(); ++i) {
      if (can_serve[i] && rules.backends[i].backup == level) ++serving;
    }
    if (serving >= wanted) break;
  }
  return last;
}

std::uint32_t part_of(std::uint32_t weight, const Standing& standing, std::uint32_t scale) {
  if (weight == 0 || standing.agent_percent == 0) return 0;
  const std::uint64_t part = std::uint64_t{weight} * scale * standing.share * standing.agent_percent / (kWhole * 100);
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(part, 1, kWeightMax));
}

void weigh(const PoolRules& rules, std::span<const Standing> standings, PoolState& state) {
  std::uint32_t largest = 1;
  bool partial = false;
  for (std::size_t i = 0; i < standings.size(); ++i) {
    largest = std::max(largest, rules.backends[i].weight);
    partial |= standings[i].share != kWhole || standings[i].agent_percent != 100;
  }
  const std::uint32_t scale = partial ? std::clamp<std::uint32_t>(kWeightMax / largest, 1, 100) : 1;
  for (std::size_t i = 0; i < standings.size(); ++i) {
    state.in_force[i].weight = part_of(rules.backends[i].weight, standings[i], scale);
    if (state.why[i] == Why::nothing && standings[i].share != kWhole) state.why[i] = Why::slow_start;
    if (state.why[i] == Why::nothing && standings[i].agent_percent != 100) state.why[i] = Why::agent;
  }
}

}  // namespace

PoolState in_force(const PoolRules& rules, std::span<const Standing> standings) {
  const std::size_t count = standings.size();
  PoolState state{.in_force = std::vector<InForce>(count), .why = std::vector<Why>(count, Why::nothing)};
  std::vector<bool> can_serve(count);
  const bool others_serve = anybody_known_serves(rules, standings);
  for (std::size_t i = 0; i < count; ++i) {
    Why held = held_back_by(standings[i]);
    if (held == Why::not_asked && !others_serve) held = Why::nothing;
    const Why drained = drained_by(rules.backends[i], standings[i]);
    state.in_force[i].up = held == Why::nothing;
    state.in_force[i].drain = drained != Why::nothing;
    state.why[i] = held != Why::nothing ? held : drained;
    can_serve[i] = held == Why::nothing && wanted(rules.backends[i], standings[i]);
    state.healthy += can_serve[i] ? 1 : 0;
  }
  state.below_minimum = state.healthy < rules.minimum_healthy;
  const std::uint32_t level = last_level(rules, can_serve);
  for (std::size_t i = 0; i < count; ++i) {
    state.backups_serve |= can_serve[i] && rules.backends[i].backup != 0 && rules.backends[i].backup <= level;
    if (state.below_minimum && rules.below_minimum == BelowMinimum::fail) {
      state.in_force[i].up = false;
      if (state.why[i] == Why::nothing) state.why[i] = Why::below_minimum;
    } else if (state.below_minimum && rules.below_minimum == BelowMinimum::use_all && is_health(state.why[i])) {
      state.in_force[i].up = true;
      state.why[i] = state.in_force[i].drain ? Why::drain : Why::used_all;
    } else if (rules.backends[i].backup > level) {
      state.in_force[i].drain = true;
      if (state.why[i] == Why::nothing) state.why[i] = Why::backup;
    }
  }
  weigh(rules, standings, state);
  return state;
}

}  // namespace headgate::health
