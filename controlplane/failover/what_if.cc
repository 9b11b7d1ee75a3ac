#include "controlplane/failover/what_if.h"

#include <algorithm>
#include <cstdio>

namespace headgate::failover {
namespace {

namespace dp = dataplane::v1;

class Forecast {
 public:
  Forecast(const Director& director, const PeerView& peer) : director_(director), peer_(peer) {}

  // What follows for the group when this box's class becomes `then`.
  std::string fate(const GroupRules& rules, const Judged& then) const {
    const HealthClass now = director_.judge(rules).health;
    const std::string label = "group " + rules.name + ": ";
    if (then.health == now)
      return label + "no effect, this box stays " + name_of(now) + (then.cause.empty() ? "" : " (" + then.cause + ")");
    const std::string here = label + "this box becomes " + name_of(then.health) + " (" + then.cause + "); ";
    const dp::GroupState* state = director_.state_of(rules.name);
    if (state == nullptr) return here + "the dataplane does not answer, so nobody knows who is active";
    if (state->role() != dp::ROLE_ACTIVE) return here + not_active_here(rules, then.health);
    return here + (then.health == HealthClass::fault ? after_fault(rules) : after_degraded(rules));
  }

  std::string without_this_box(const GroupRules& rules) const {
    const dp::GroupState* state = director_.state_of(rules.name);
    const std::string label = "group " + rules.name + ": ";
    if (state == nullptr) return label + "the dataplane does not answer, so nobody knows who is active";
    if (state->role() != dp::ROLE_ACTIVE)
      return label + "is not active here; no traffic moves, but nobody is left to take over";
    if (const std::string why = peer_cannot(rules); !why.empty()) return label + "nobody would serve it: " + why;
    return label + "moves to box " + director_.rules().peer_side + outage(*state);
  }

  std::string without_peer(const GroupRules& rules) const {
    const dp::GroupState* state = director_.state_of(rules.name);
    const std::string label = "group " + rules.name + ": ";
    if (state == nullptr) return label + "the dataplane does not answer, so nobody knows who is active";
    if (state->role() == dp::ROLE_ACTIVE)
      return label + "stays here; no traffic moves, but nobody is left to take over";
    if (director_.judge(rules).health == HealthClass::fault || state->role() == dp::ROLE_FAULT)
      return label + "nobody would serve it: this box is at fault";
    std::string text = label + "moves to this box" + outage(*state);
    if (director_.witness() == dp::WITNESS_SILENT)
      text += "; not before a witness answers: all are silent, so this box would take itself for the one cut off";
    return text;
  }

 private:
  std::string not_active_here(const GroupRules& rules, HealthClass then) const {
    if (then == HealthClass::fault) return "it is not active here, and this box could no longer take it over";
    return "it is not active here, nothing moves" +
           std::string(rules.preemption == config::v1::Group::AFTER ? ", and it is not taken back meanwhile" : "");
  }

  std::string after_fault(const GroupRules& rules) const {
    if (const std::string why = peer_cannot(rules); !why.empty()) return "nobody serves the group: " + why;
    return "the group moves to box " + director_.rules().peer_side + " at once: this box yields";
  }

  std::string after_degraded(const GroupRules& rules) const {
    const std::string priorities = "priority " + std::to_string(rules.degraded_priority) + " instead of " +
                                   std::to_string(rules.priority) + ", the other box has " +
                                   std::to_string(rules.peer_priority);
    if (rules.preemption != config::v1::Group::AFTER)
      return "the group stays here, preemption is " + std::string(rules.preemption_word()) + " (" + priorities + ")";
    if (const std::string why = peer_cannot(rules); !why.empty()) return "the group stays here: " + why;
    return "the group moves to box " + director_.rules().peer_side + " after " + std::to_string(rules.preempt_delay_s) +
           " s (" + priorities + ")";
  }

  // Why the other box could not take the group; empty when it could.
  std::string peer_cannot(const GroupRules& rules) const {
    if (!director_.rules().pair) return {};  // somebody else's router: not ours to know
    const PeerState state = peer_.state_of(rules.name);
    if (state == PeerState::backup || state == PeerState::active) return {};
    const std::string box = "box " + director_.rules().peer_side;
    if (state == PeerState::unknown) return box + " is not known to be there: the HA link is silent";
    return box + " is " + (state == PeerState::fault ? "at fault" : name_of(state));
  }

  // Of a sudden death: the peer waits its down interval since the last advert, which was up to an interval ago.
  static std::string outage(const dp::GroupState& state) {
    if (state.down_interval_us() == 0) return "";
    char text[96];
    const double down = static_cast<double>(state.down_interval_us()) / 1000;
    const double interval = static_cast<double>(state.interval_us()) / 1000;
    std::snprintf(text, sizeof text, " within %.0f to %.0f ms, sooner with a death notice",
                  std::max(0.0, down - interval), down);
    return text;
  }

  const Director& director_;
  const PeerView& peer_;
};

bool tracks(const Rules& rules, Track::Kind kind, const std::string& name) {
  for (const GroupRules& group : rules.groups) {
    for (const Track& track : group.tracks) {
      if (track.kind == kind && track.name == name) return true;
    }
  }
  return false;
}

// The failure put into what is observed. False: it changes nothing that a group tracks.
bool apply(const Failure& failure, const Rules& rules, Observed& observed) {
  switch (failure.what) {
    case Failure::What::interface:
      observed.links[failure.name] = Reach::no;
      return tracks(rules, Track::Kind::interface, failure.name);
    case Failure::What::gateway:
      observed.gateways[failure.name] = Reach::no;
      if (const auto found = observed.witnesses.find(failure.name); found != observed.witnesses.end()) {
        found->second = Reach::no;
        return true;
      }
      return tracks(rules, Track::Kind::gateway, failure.name);
    case Failure::What::pool:
      observed.pools[failure.name].healthy = 0;
      return tracks(rules, Track::Kind::pool, failure.name);
    case Failure::What::backend: {
      bool any = false;
      for (const auto& [pool, serves] : failure.pools) {
        const auto found = observed.pools.find(pool);
        if (serves && found != observed.pools.end() && found->second.healthy > 0) --found->second.healthy;
        any |= tracks(rules, Track::Kind::pool, pool);
      }
      return any;
    }
    case Failure::What::box:
      break;
  }
  return false;
}

// A group whose only network is gone is at fault, whatever it tracks: it hears nobody, and nobody hears it.
void lose_network(const GroupRules& group, const std::string& network, Judged& then) {
  if (then.health == HealthClass::fault || group.networks != std::set<std::string>{network}) return;
  then.health = HealthClass::fault;
  then.cause = "it has no other network than " + network;
}

}  // namespace

config::Result<std::vector<std::string>> what_if(const Failure& failure, const Director& director,
                                                 const PeerView& peer) {
  const Rules& rules = director.rules();
  if (rules.groups.empty()) return config::fail("no group is configured: nothing fails over");
  const Forecast forecast(director, peer);
  std::vector<std::string> lines;
  if (failure.what == Failure::What::box) {
    const bool own = failure.name == rules.side;
    if (!own && failure.name != rules.peer_side) return config::fail("there are box a and box b");
    for (const GroupRules& group : rules.groups)
      lines.push_back(own ? forecast.without_this_box(group) : forecast.without_peer(group));
    return lines;
  }
  Observed then = director.observed();
  const bool tracked = apply(failure, rules, then);
  for (const GroupRules& group : rules.groups) {
    Judged judged = judge(group.tracks, then, false);
    if (director.cut_off(group, then, peer)) add_cut_off(judged);
    const bool network = failure.what == Failure::What::interface && group.networks.contains(failure.name);
    if (network) lose_network(group, failure.name, judged);
    if (tracked || network) lines.push_back(forecast.fate(group, judged));
    if (network && judged.health != HealthClass::fault)
      lines.push_back("group " + group.name + ": adverts go on over its other networks; its addresses on " +
                      failure.name + " are served by nobody until it moves");
  }
  if (failure.what == Failure::What::gateway && then.witnesses_silent())
    lines.push_back("no witness answers this box then: while the peer is silent, too, it takes no group over");
  if (lines.empty()) lines.push_back("no group tracks it: no role changes because of it");
  return lines;
}

}  // namespace headgate::failover
