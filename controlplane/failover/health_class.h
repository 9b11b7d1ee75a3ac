// How well this box can serve a group: from what is seen of what the group tracks to a class, with the arithmetic that
// people read. Pure.
//
// Class and priority are kept apart on purpose. The class says who may: fault leaves the box, whatever the priorities.
// The priority says who is preferred: degraded lowers it below the other box's, and where `preemption` is stay that
// moves nothing.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "controlplane/failover/peer_view.h"

namespace headgate::failover {

enum class Reach : std::uint8_t {
  unknown,  // not asked yet, or it cannot be asked: nothing is held against it
  yes,
  no,
};

struct Track {
  enum class Kind : std::uint8_t { interface, pool, gateway } kind = Kind::interface;
  std::string name;
  HealthClass effect = HealthClass::fault;
  friend bool operator==(const Track&, const Track&) = default;
};

struct PoolCount {  // of the family that is worse off
  unsigned healthy = 0, minimum = 0;
  bool below() const { return healthy < minimum; }
};

struct Observed {
  std::map<std::string, Reach> links;  // by interface
  std::map<std::string, PoolCount> pools;
  std::map<std::string, Reach> gateways;  // by address as configured
  // Those of the configuration that this box can ask at all, likewise. Not asked yet is not silent: it is unknown.
  std::map<std::string, Reach> witnesses{};

  // One is there, and every one was asked in vain.
  bool witnesses_silent() const;
};

struct Judged {
  HealthClass health = HealthClass::ok;
  std::vector<std::string> lines;  // "pool web: 1 healthy of at least 2 -> fault", one for each track, and for workers
  std::string cause;               // of the class, unless ok: "pool web has 1 healthy backends, fewer than 2"
};

// workers_stall: adverts were withheld lately because a worker made no progress. That degrades and is no fault: a
// worker that stands still for good ends the lease by itself, and one that is pressed for time must not flap.
Judged judge(const std::vector<Track>& tracks, const Observed& observed, bool workers_stall);

// No witness answers this box, one answers the peer, which could take the group: this box is the one that is cut off.
void add_cut_off(Judged& judged);
// The class of before a restart of this process holds until everything was seen once: what is unknown stays what it
// was.
void add_held(Judged& judged, HealthClass before);
// Whether each of these, and a witness if there are any, was seen since this process began.
bool all_seen(const std::vector<Track>& tracks, const Observed& observed);

const char* name_of(HealthClass health);  // "ok", "degraded", "fault"
const char* name_of(PeerState state);     // "unknown", "backup", ...

}  // namespace headgate::failover
