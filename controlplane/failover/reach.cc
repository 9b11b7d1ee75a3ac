#include "controlplane/failover/reach.h"

#include <algorithm>

#include "controlplane/config/address.h"

namespace headgate::failover {
namespace {

// Of a gateway three lost in a row, the later ones after a fifth of a second, are 1 to 2 s: slower than the election,
// which has other ways to learn of a death, and quick enough for a router that is gone. What a witness says counts only
// against what it says to the peer, so that a moment of silence costs nothing, and it is asked more often.
health::Target ping_target(std::uint32_t id, const std::string& text, const char* what,
                           std::chrono::milliseconds interval) {
  health::Target target;
  target.backend_id = id;
  target.name = what + (" " + text);
  target.backend = text;
  target.address = *config::parse_address(text);
  target.endpoint = {target.address, 0};
  target.via_path = false;
  target.interval = interval;
  target.fast_interval = std::min(interval, std::chrono::milliseconds(200));
  target.timeout = std::min(interval, std::chrono::milliseconds(500));
  target.rise = 2;
  target.fall = 3;
  target.check = health::Check(health::IcmpCheck{});
  return target;
}

}  // namespace

std::vector<health::Target> ReachTargets::of(const Rules& rules) {
  std::set<std::string> addresses = rules.gateways;
  addresses.insert(rules.witnesses.begin(), rules.witnesses.end());
  for (std::string& known : reached_) {
    if (!addresses.contains(known)) known.clear();
    addresses.erase(known);
  }
  for (const std::string& fresh : addresses) {
    const auto free = std::find(reached_.begin(), reached_.end(), "");
    if (free == reached_.end()) {
      reached_.push_back(fresh);
    } else {
      *free = fresh;
    }
  }
  std::vector<health::Target> targets;
  for (std::size_t i = 0; i < reached_.size(); ++i) {
    if (reached_[i].empty()) continue;
    const auto id = static_cast<std::uint32_t>(i + 1);
    targets.push_back(rules.gateways.contains(reached_[i])
                          ? ping_target(id, reached_[i], "gateway", std::chrono::seconds(1))
                          : ping_target(id, reached_[i], "witness", rules.witness_interval));
  }
  return targets;
}

void ReachSeen::operator()(const health::Target& target, health::Health health, const health::Detail& detail) {
  reach[target.backend] = health == health::Health::up     ? Reach::yes
                          : health == health::Health::down ? Reach::no
                                                           : Reach::unknown;
  if (detail.last != health::Time::min() && detail.last_result == health::Result::unknown)
    cannot.insert(target.backend);
}

void ReachSeen::put(const Rules& rules, Observed& observed) {
  observed.gateways.clear();
  for (const std::string& gateway : rules.gateways) observed.gateways[gateway] = reach[gateway];
  observed.witnesses.clear();
  for (const std::string& witness : rules.witnesses) {
    if (reach[witness] != Reach::unknown || !cannot.contains(witness)) observed.witnesses[witness] = reach[witness];
  }
}

}  // namespace headgate::failover
