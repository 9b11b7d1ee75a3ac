// The standing of every backend (in_force.h) over time, and the states in force that follow. Pure: time comes in, what
// changed comes out, and next_deadline() says when a slow start takes its next step. One thread.
//
// A change marks its pool; refresh() works out marked pools only. What is known of a backend lives as long as its id is
// in a pool, whatever else of the configuration changes.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "controlplane/health/in_force.h"

namespace headgate::health {

// What an agent said; what it did not speak of stays as it was.
struct AgentWord {
  std::optional<unsigned> percent{};
  std::optional<bool> down{};
  std::optional<Admin> admin{};

  friend bool operator==(const AgentWord&, const AgentWord&) = default;
};

// What must not be forgotten over a restart of this process, of one backend.
struct Remembered {
  Known known;
  Time slow_start_since = Time::min();  // Time::min(): it does not start slowly
  unsigned agent_percent = 100;
  bool agent_down = false;
  Admin agent_admin = Admin::enabled;
};
using Memory = std::map<std::uint32_t, Remembered>;

class Standings {
 public:
  struct Change {
    std::uint32_t backend_id = 0;
    InForce in_force;
  };
  struct Note {  // for people: a pool fell below its minimum, backups serve, ...
    std::string text;
    bool worse = false;  // than before
  };
  struct Refreshed {
    std::vector<Change> changes;
    std::vector<Note> notes;
  };

  // Replaces all pools. `memory`: for backends that are new here.
  void set_pools(std::vector<PoolRules> pools, const Memory& memory, Time now);
  void set_health(std::uint32_t backend_id, Health health, Time now);
  void set_admin(std::uint32_t backend_id, Admin admin, Time now);
  void heard(std::uint32_t backend_id, const AgentWord& word);
  void forget_agents(const std::set<std::uint32_t>& with_agent);  // the others have none any more

  // Everything since the last call; the first time after set_pools() every backend whose state in force differs.
  Refreshed refresh(Time now);
  Time next_deadline(Time now) const;  // Time::max(): no slow start is under way

  const InForce& in_force(std::uint32_t backend_id) const;
  Admin admin(std::uint32_t backend_id) const;
  const PoolRules::Backend* rule(std::uint32_t backend_id) const;  // what the configuration gives it
  // "slow start: 40 % of its weight"; empty when it serves as configured.
  std::string why(std::uint32_t backend_id) const;
  void remember(std::uint32_t backend_id, Remembered& out) const;  // all but since when and why it is up or down
  // Sentences on pools that are not as they should be.
  std::vector<std::string> problems() const;
  struct Pool {
    PoolRules rules;
    PoolState state{};
  };
  const std::vector<Pool>& pools() const { return pools_; }

 private:
  struct Entry {
    std::size_t pool = 0, position = 0;
    Standing standing{};
    Time slow_start_since = Time::min();
    InForce in_force{};
    Why why = Why::nothing;
  };
  Entry* find(std::uint32_t backend_id);
  const Entry* find(std::uint32_t backend_id) const;
  void mark(const Entry& entry) { marked_.insert(entry.pool); }
  void begin_slow_start(Entry& entry, Time now);
  void step(Entry& entry, Time now);  // the share at this moment
  SlowStart slow_start(const Entry& entry) const {
    return {entry.slow_start_since, pools_[entry.pool].rules.slow_start};
  }
  std::string agent_words(const Entry& entry) const;
  void refresh(std::size_t pool, Refreshed& out);
  bool any_known_up(const Pool& pool) const;

  std::vector<Pool> pools_;
  std::unordered_map<std::uint32_t, Entry> entries_;  // by backend id
  std::set<std::size_t> marked_;                      // pools
  std::set<std::uint32_t> starting_;                  // backends that start slowly
};

}  // namespace headgate::health
