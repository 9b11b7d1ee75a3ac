#include "controlplane/failover/rules.h"

#include <algorithm>

#include "controlplane/config/groups.h"

namespace headgate::failover {
namespace {

Track track_of(const config::v1::Group::Track& from) {
  Track track;
  track.effect = from.effect() == config::v1::Group::Track::DEGRADED ? HealthClass::degraded : HealthClass::fault;
  if (from.has_interface()) {
    track.kind = Track::Kind::interface;
    track.name = from.interface();
  } else if (from.has_pool()) {
    track.kind = Track::Kind::pool;
    track.name = from.pool();
  } else {
    track.kind = Track::Kind::gateway;
    track.name = from.gateway();
  }
  return track;
}

GroupRules group_rules(const config::v1::Group& from, config::v1::Side side, const compile::IdTable& ids) {
  GroupRules group;
  group.id = ids.find(compile::Kind::group, from.name());
  group.name = from.name();
  group.priority = config::priority_of(from, side);
  group.degraded_priority = config::degraded_priority_of(from, side);
  group.peer_priority = config::priority_of(from, side == config::v1::A ? config::v1::B : config::v1::A);
  group.preemption = from.preemption();
  if (from.preemption() == config::v1::Group::AFTER)
    group.preempt_delay_s = from.has_preempt_delay_s() ? from.preempt_delay_s() : 60;
  group.interval_ms = from.has_interval_ms() ? from.interval_ms() : 100;
  for (const auto& track : from.track()) group.tracks.push_back(track_of(track));
  for (const auto& router : from.router()) {
    group.networks.insert(router.interface());
    const auto same = [&](const Track& track) {
      return track.kind == Track::Kind::interface && track.name == router.interface();
    };
    // Its own networks count unless a track says otherwise: who cannot be reached there cannot serve the group.
    if (std::ranges::none_of(group.tracks, same))
      group.tracks.push_back({Track::Kind::interface, router.interface(), HealthClass::fault});
  }
  return group;
}

// Who takes part as a gateway, too, is a fault by itself when it is silent, and so is not asked in haste.
std::chrono::milliseconds witness_interval(const Rules& rules) {
  constexpr std::chrono::milliseconds kLeast{100}, kMost{1000};
  const auto tracked = [&](const std::string& witness) { return rules.gateways.contains(witness); };
  if (std::ranges::any_of(rules.witnesses, tracked)) return kMost;
  std::chrono::milliseconds shortest = kMost;
  for (const GroupRules& group : rules.groups)
    shortest = std::min(shortest, std::chrono::milliseconds(group.interval_ms));
  return std::max(shortest, kLeast);
}

}  // namespace

Rules rules_of(const config::v1::Config& config, const compile::IdTable& ids) {
  Rules rules;
  if (!config.has_failover() || config.group_size() == 0) return rules;
  const config::v1::Side side = config.failover().side();
  rules.side = side == config::v1::A ? "A" : "B";
  rules.peer_side = side == config::v1::A ? "B" : "A";
  rules.pair = config::is_pair(config);
  rules.witnesses = {config.failover().witness().begin(), config.failover().witness().end()};
  for (const auto& group : config.group()) rules.groups.push_back(group_rules(group, side, ids));
  for (const GroupRules& group : rules.groups) {
    for (const Track& track : group.tracks) {
      if (track.kind == Track::Kind::gateway) rules.gateways.insert(track.name);
      if (track.kind == Track::Kind::interface) rules.links.insert(track.name);
      if (track.kind == Track::Kind::pool) rules.pools.insert(track.name);
    }
  }
  rules.witness_interval = witness_interval(rules);
  return rules;
}

}  // namespace headgate::failover
