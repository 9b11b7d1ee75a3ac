#include "controlplane/health/standings.h"

#include <algorithm>
#include <utility>

namespace headgate::health {
Standings::Entry* Standings::find(std::uint32_t backend_id) {
  const auto found = entries_.find(backend_id);
  return found == entries_.end() ? nullptr : &found->second;
}

const Standings::Entry* Standings::find(std::uint32_t backend_id) const {
  const auto found = entries_.find(backend_id);
  return found == entries_.end() ? nullptr : &found->second;
}

bool Standings::any_known_up(const Pool& pool) const {
  return std::any_of(pool.rules.backends.begin(), pool.rules.backends.end(), [&](const auto& backend) {
    const Entry* entry = find(backend.id);
    return entry != nullptr && entry->standing.health == Health::up && entry->standing.admin != Admin::disabled;
  });
}

void Standings::set_pools(std::vector<PoolRules> pools, const Memory& memory, Time now) {
  std::unordered_map<std::uint32_t, Entry> before = std::exchange(entries_, {});
  pools_.clear();
  marked_.clear();
  std::vector<std::uint32_t> fresh;
  for (PoolRules& rules : pools) {
    for (std::size_t i = 0; i < rules.backends.size(); ++i) {
      const std::uint32_t id = rules.backends[i].id;
      const auto known = before.find(id);
      Entry entry = known == before.end() ? Entry{} : known->second;
      entry.pool = pools_.size();
      entry.position = i;
      if (known == before.end()) {
        fresh.push_back(id);
        entry.standing.health = rules.probed ? Health::unknown : Health::up;
        entry.in_force = {true, rules.backends[i].weight, rules.backends[i].drain};
        if (const auto it = memory.find(id); it != memory.end()) {
          const Remembered& remembered = it->second;
          entry.standing.health = remembered.known.health;
          entry.standing.agent_percent = remembered.agent_percent;
          entry.standing.agent_down = remembered.agent_down;
          entry.standing.agent_admin = remembered.agent_admin;
          entry.slow_start_since = remembered.slow_start_since;
        }
      }
      entries_.emplace(id, entry);
    }
    marked_.insert(pools_.size());
    pools_.push_back({std::move(rules)});
  }
  // Who is new and not asked yet serves only where nobody else is known to.
  for (const std::uint32_t id : fresh) {
    Entry& entry = entries_.at(id);
    entry.standing.assumed_up = entry.standing.health == Health::unknown && !any_known_up(pools_[entry.pool]);
  }
  starting_.clear();
  for (auto& [id, entry] : entries_) {
    step(entry, now);
    if (entry.slow_start_since != Time::min()) starting_.insert(id);
  }
}

void Standings::set_health(std::uint32_t backend_id, Health health, Time now) {
  Entry* entry = find(backend_id);
  if (entry == nullptr || entry->standing.health == health) return;
  const bool served = entry->standing.assumed_up && entry->standing.health == Health::unknown;
  entry->standing.health = health;
  entry->standing.assumed_up = false;
  if (health == Health::up && !served) begin_slow_start(*entry, now);
  mark(*entry);
}

void Standings::set_admin(std::uint32_t backend_id, Admin admin, Time now) {
  Entry* entry = find(backend_id);
  if (entry == nullptr || entry->standing.admin == admin) return;
  if (entry->standing.admin == Admin::disabled) begin_slow_start(*entry, now);
  entry->standing.admin = admin;
  mark(*entry);
}

void Standings::heard(std::uint32_t backend_id, const AgentWord& word) {
  Entry* entry = find(backend_id);
  if (entry == nullptr) return;
  if (word.percent) entry->standing.agent_percent = *word.percent;
  if (word.down) entry->standing.agent_down = *word.down;
  if (word.admin) entry->standing.agent_admin = *word.admin;
  mark(*entry);
}

void Standings::forget_agents(const std::set<std::uint32_t>& with_agent) {
  for (auto& [id, entry] : entries_) {
    if (!with_agent.contains(id)) heard(id, {100, false, Admin::enabled});
  }
}

void Standings::begin_slow_start(Entry& entry, Time now) {
  const PoolRules& rules = pools_[entry.pool].rules;
  if (rules.slow_start == Time{}) return;
  entry.slow_start_since = now;
  starting_.insert(rules.backends[entry.position].id);
  step(entry, now);
}

void Standings::step(Entry& entry, Time now) {
  entry.standing.share = kWhole;
  if (entry.slow_start_since == Time::min()) return;
  if (entry.standing.health == Health::down || slow_start(entry).over(now)) {
    entry.slow_start_since = Time::min();
  } else {
    entry.standing.share = slow_start(entry).share(now);
  }
}

Standings::Refreshed Standings::refresh(Time now) {
  Refreshed out;
  for (auto it = starting_.begin(); it != starting_.end();) {
    Entry* entry = find(*it);
    const unsigned before = entry->standing.share;
    step(*entry, now);
    if (entry->standing.share != before) mark(*entry);
    it = entry->slow_start_since == Time::min() ? starting_.erase(it) : std::next(it);
  }
  for (const std::size_t pool : std::exchange(marked_, {})) refresh(pool, out);
  return out;
}

void Standings::refresh(std::size_t index, Refreshed& out) {
  Pool& pool = pools_[index];
  std::vector<Standing> standings;
  standings.reserve(pool.rules.backends.size());
  for (const auto& backend : pool.rules.backends) standings.push_back(find(backend.id)->standing);
  PoolState state = health::in_force(pool.rules, standings);
  for (std::size_t i = 0; i < standings.size(); ++i) {
    Entry& entry = *find(pool.rules.backends[i].id);
    entry.why = state.why[i];
    if (entry.in_force == state.in_force[i]) continue;
    entry.in_force = state.in_force[i];
    out.changes.push_back({pool.rules.backends[i].id, entry.in_force});
  }
  const std::string pool_name = "pool " + pool.rules.name;
  if (state.below_minimum != pool.state.below_minimum) {
    static constexpr const char* kThen[] = {"those that are up go on", "none serves", "all serve"};
    out.notes.push_back(
        {pool_name + ": " + std::to_string(state.healthy) + " healthy, the minimum is " +
             std::to_string(pool.rules.minimum_healthy) +
             (state.below_minimum ? std::string("; ") + kThen[static_cast<int>(pool.rules.below_minimum)]
                                  : std::string("; enough again")),
         state.below_minimum});
  }
  if (state.backups_serve != pool.state.backups_serve)
    out.notes.push_back(
        {pool_name + (state.backups_serve ? ": backups serve" : ": backups rest again"), state.backups_serve});
  pool.state = std::move(state);
}

Time Standings::next_deadline(Time now) const {
  Time next = Time::max();
  for (const std::uint32_t id : starting_) {
    const Entry& entry = *find(id);
    next = std::min(next, slow_start(entry).over(now) ? now : slow_start(entry).next_step(now));
  }
  return next;
}

const InForce& Standings::in_force(std::uint32_t backend_id) const {
  static const InForce kNone{};
  const Entry* entry = find(backend_id);
  return entry == nullptr ? kNone : entry->in_force;
}

Admin Standings::admin(std::uint32_t backend_id) const {
  const Entry* entry = find(backend_id);
  return entry == nullptr ? Admin::enabled : entry->standing.admin;
}

const PoolRules::Backend* Standings::rule(std::uint32_t backend_id) const {
  const Entry* entry = find(backend_id);
  return entry == nullptr ? nullptr : &pools_[entry->pool].rules.backends[entry->position];
}

std::string Standings::agent_words(const Entry& entry) const {
  if (entry.standing.agent_down || entry.standing.agent_admin == Admin::disabled) return "its agent says it is down";
  if (entry.standing.agent_admin == Admin::drain) return "its agent asks to drain it";
  return "its agent asks for " + std::to_string(entry.standing.agent_percent) + " % of its weight";
}

std::string Standings::why(std::uint32_t backend_id) const {
  const Entry* entry = find(backend_id);
  if (entry == nullptr) return {};
  switch (entry->why) {
    case Why::nothing:
    case Why::health:
      return {};
    case Why::disabled:
      return "disabled by command";
    case Why::agent:
      return agent_words(*entry);
    case Why::not_asked:
      return "waits for its first probe";
    case Why::below_minimum:
      return "fewer than minimum_healthy are up: none serves";
    case Why::used_all:
      return "down, but used: fewer than minimum_healthy are up";
    case Why::drain:
      return "drains";
    case Why::backup:
      return "backup, not needed";
    case Why::slow_start:
      return "slow start: " + std::to_string(entry->standing.share * 100 / kWhole) + " % of its weight";
  }
  return {};
}

void Standings::remember(std::uint32_t backend_id, Remembered& out) const {
  const Entry* entry = find(backend_id);
  if (entry == nullptr) return;
  out.known.health = entry->standing.health;
  out.slow_start_since = entry->slow_start_since;
  out.agent_percent = entry->standing.agent_percent;
  out.agent_down = entry->standing.agent_down;
  out.agent_admin = entry->standing.agent_admin;
}

std::vector<std::string> Standings::problems() const {
  std::vector<std::string> all;
  for (const Pool& pool : pools_) {
    if (pool.state.below_minimum)
      all.push_back("pool " + pool.rules.name + " has " + std::to_string(pool.state.healthy) +
                    " healthy backends, fewer than its minimum of " + std::to_string(pool.rules.minimum_healthy));
  }
  return all;
}

}  // namespace headgate::health
