// From what is known of a pool's backends to the state each is in force with. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "controlplane/health/slow_start.h"

namespace headgate::health {

inline constexpr std::uint32_t kWeightMax = 1000;  // of the dataplane

enum class Admin : std::uint8_t { enabled, drain, disabled };  // by a command, or by the server's agent

enum class BelowMinimum : std::uint8_t {
  keep,     // go on with those that are up
  fail,     // none serves
  use_all,  // all serve, also those that are down
};

struct PoolRules {
  struct Backend {
    std::uint32_t id = 0;
    std::uint32_t weight = 1;
    bool drain = false;
    std::uint32_t backup = 0;  // those with a higher number serve only when too few with lower ones can
  };
  std::string name;
  bool probed = true;  // else its backends count as up
  std::uint32_t minimum_healthy = 0;
  BelowMinimum below_minimum = BelowMinimum::keep;
  Time slow_start{};  // 0: none
  std::vector<Backend> backends{};
};

// What is known of one backend.
struct Standing {
  Health health = Health::up;
  bool assumed_up = false;  // health unknown, and it serves until it is known
  Admin admin = Admin::enabled, agent_admin = Admin::enabled;
  bool agent_down = false;
  unsigned agent_percent = 100;
  unsigned share = kWhole;  // of its weight, while it starts slowly
};

struct InForce {
  bool up = true;
  std::uint32_t weight = 1;
  bool drain = false;

  friend bool operator==(const InForce&, const InForce&) = default;
};

// Why a backend does not get what the configuration gives it; the first that holds.
enum class Why : std::uint8_t {
  nothing,
  disabled,       // by command
  agent,          // its agent says so
  health,         // probes, or traffic
  not_asked,      // nothing is known yet, and others of the pool can serve
  below_minimum,  // fewer than minimum_healthy are up: none serves
  used_all,       // down, but used: fewer than minimum_healthy are up
  drain,          // by command or configuration
  backup,         // enough with a lower number can serve
  slow_start,
};

struct PoolState {
  std::vector<InForce> in_force;  // as PoolRules::backends
  std::vector<Why> why;
  unsigned healthy = 0;  // that could serve, backups among them
  bool below_minimum = false;
  bool backups_serve = false;
};

// Requires: as many standings as backends.
//
// Nobody waits for a first probe in a pool where nobody else can serve: those that are up may be drained, or without
// weight. A commit that drains the old server and adds the new one must not leave the pool empty until the probe.
//
// Weights of a pool are scaled together while one of them is a part of its own, so that shares of small weights can be
// told apart; else they are those of the configuration.
PoolState in_force(const PoolRules& rules, std::span<const Standing> standings);

}  // namespace headgate::health
