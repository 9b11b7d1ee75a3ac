#include "controlplane/failover/health_class.h"

#include <algorithm>

namespace headgate::failover {
namespace {

struct Finding {
  std::string text;     // for the line
  std::string problem;  // a sentence's part; empty: it is as it should be
};

Finding find(const Track& track, const Observed& observed) {
  const auto reach = [&](const std::map<std::string, Reach>& map) {
    const auto found = map.find(track.name);
    return found == map.end() ? Reach::unknown : found->second;
  };
  switch (track.kind) {
    case Track::Kind::interface: {
      const Reach link = reach(observed.links);
      const std::string label = "interface " + track.name;
      if (link == Reach::no) return {label + ": link DOWN", "the link of " + label + " is down"};
      return {label + (link == Reach::yes ? ": link up" : ": link unknown"), ""};
    }
    case Track::Kind::gateway: {
      const Reach answers = reach(observed.gateways);
      const std::string label = "gateway " + track.name;
      if (answers == Reach::no) return {label + ": SILENT", label + " answers no ping"};
      return {label + (answers == Reach::yes ? ": answers" : ": not known yet"), ""};
    }
    case Track::Kind::pool:
      break;
  }
  const auto found = observed.pools.find(track.name);
  const std::string label = "pool " + track.name;
  if (found == observed.pools.end()) return {label + ": not in use", ""};
  const PoolCount& pool = found->second;
  const std::string healthy = std::to_string(pool.healthy), minimum = std::to_string(pool.minimum);
  return {label + ": " + healthy + " healthy, at least " + minimum,
          pool.below() ? label + " has " + healthy + " healthy, fewer than " + minimum : ""};
}

void count(Judged& judged, const Finding& finding, HealthClass effect) {
  const bool bad = !finding.problem.empty();
  judged.lines.push_back(finding.text + (bad ? std::string(" -> ") + name_of(effect) : ""));
  if (!bad) return;
  if (effect > judged.health) {
    judged.cause.clear();  // the worst class is what people want explained
    judged.health = effect;
  }
  if (effect == judged.health) judged.cause += (judged.cause.empty() ? "" : "; ") + finding.problem;
}

}  // namespace

Judged judge(const std::vector<Track>& tracks, const Observed& observed, bool workers_stall) {
  Judged judged;
  for (const Track& track : tracks) count(judged, find(track, observed), track.effect);
  count(judged,
        workers_stall ? Finding{"workers: one STANDS STILL", "a worker makes no progress, adverts are withheld"}
                      : Finding{"workers: make progress", ""},
        HealthClass::degraded);
  return judged;
}

bool Observed::witnesses_silent() const {
  return !witnesses.empty() &&
         std::ranges::all_of(witnesses, [](const auto& witness) { return witness.second == Reach::no; });
}

void add_cut_off(Judged& judged) {
  count(judged,
        {"witnesses: SILENT here, the peer reaches one", "no witness answers this box, and one answers the peer"},
        HealthClass::fault);
}

void add_held(Judged& judged, HealthClass before) {
  if (before <= judged.health) return;
  const std::string name = name_of(before);
  judged.lines.push_back("before the restart of the control plane: " + name + ", until all of this was seen");
  judged.health = before;
  judged.cause = name + " before the restart of the control plane, and not everything was seen since";
}

bool all_seen(const std::vector<Track>& tracks, const Observed& observed) {
  const auto seen = [](const std::map<std::string, Reach>& map, const std::string& name) {
    const auto found = map.find(name);
    return found != map.end() && found->second != Reach::unknown;
  };
  const bool each = std::ranges::all_of(tracks, [&](const Track& track) {
    switch (track.kind) {
      case Track::Kind::interface:
        return seen(observed.links, track.name);
      case Track::Kind::gateway:
        return seen(observed.gateways, track.name);
      case Track::Kind::pool:
        break;
    }
    return true;  // health of backends is remembered on disk, see health/memory.h
  });
  const bool asked =
      std::ranges::any_of(observed.witnesses, [](const auto& witness) { return witness.second == Reach::yes; });
  return each && (observed.witnesses.empty() || asked || observed.witnesses_silent());
}

const char* name_of(HealthClass health) {
  return health == HealthClass::ok ? "ok" : health == HealthClass::degraded ? "degraded" : "fault";
}

const char* name_of(PeerState state) {
  switch (state) {
    case PeerState::backup:
      return "backup";
    case PeerState::active:
      return "active";
    case PeerState::fault:
      return "fault";
    case PeerState::dead:
      return "dead";
    case PeerState::unknown:
      break;
  }
  return "unknown";
}

}  // namespace headgate::failover
