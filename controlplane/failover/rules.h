// What the configuration says about failover on this box, as the director reads it. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "controlplane/api/config.pb.h"
#include "controlplane/compile/id_table.h"
#include "controlplane/failover/health_class.h"

namespace headgate::failover {

struct GroupRules {
  std::uint32_t id = 0;
  std::string name;
  std::uint32_t priority = 0, degraded_priority = 0, peer_priority = 0;
  config::v1::Group::Preemption preemption = config::v1::Group::STAY;
  std::uint32_t preempt_delay_s = 0;
  std::uint32_t interval_ms = 100;
  std::vector<Track> tracks;       // those of the configuration, and its own networks, which no track needs to name
  std::set<std::string> networks;  // interfaces with a router of it

  const char* preemption_word() const {
    return preemption == config::v1::Group::STAY ? "stay" : preemption == config::v1::Group::AFTER ? "after" : "manual";
  }
};

struct Rules {
  std::string side, peer_side;  // "A", "B"; empty: nothing fails over
  bool pair = false;            // another Headgate is on the HA link
  std::vector<GroupRules> groups;
  std::vector<std::string> witnesses;  // addresses
  // Between pings of a witness: as often as the fastest group advertises, between 100 ms, which no router minds, and 1
  // s.
  std::chrono::milliseconds witness_interval{1000};
  std::set<std::string> gateways;  // that some group tracks
  std::set<std::string> links;     // interfaces that some group tracks, or has a router on
  std::set<std::string> pools;

  const GroupRules* find(const std::string& group) const {
    for (const GroupRules& rules : groups) {
      if (rules.name == group) return &rules;
    }
    return nullptr;
  }
};

// Requires: config passed validate(), and its ids were assigned.
Rules rules_of(const config::v1::Config& config, const compile::IdTable& ids);

}  // namespace headgate::failover
