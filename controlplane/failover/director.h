// Decides what the dataplane is told about each group, from the configuration, the health class, the peer's word and
// an operator's wishes. Pure, in virtual time: facts in, a decision out. The election itself is the dataplane's.
//
// A planned switch of a group that is active here, in order and bounded in time:
//   offering  tell the peer `take`; its dataplane gets it; its answer is `taking`   (kOfferFor)
//   yielding  our dataplane is told to yield: priority 0, and the peer promotes     (kYieldFor)
// A peer that does not answer costs nothing: the offer is withdrawn and nothing has changed. From the other box it
// begins with `ask` (kAskFor). Without an HA link there is nobody to prepare: it begins with yielding.
//
// Thread rule: one thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/config/result.h"
#include "controlplane/failover/health_class.h"
#include "controlplane/failover/peer_view.h"
#include "controlplane/failover/rules.h"
#include "dataplane/api/dataplane.pb.h"

namespace headgate::failover {

inline constexpr std::chrono::milliseconds kOfferFor{1000};
inline constexpr std::chrono::milliseconds kYieldFor{2000};
inline constexpr std::chrono::milliseconds kAskFor{4000};   // both of the above, and the way there and back
inline constexpr std::chrono::milliseconds kTakeFor{4000};  // how long a peer's offer is believed
// Signs of life to the dataplane. Those of a box that serves bring back what is left of its lease, for the peer: as
// often as it advertises, since a claim holds for two intervals at least (vrrp/group.h, Input::peer_lease).
inline constexpr std::chrono::milliseconds kSignEvery{250}, kSignLeast{10};
// A claim is new at most so often, and twice an interval: two boxes that both claim must not race.
inline constexpr std::chrono::milliseconds kVouchEvery{100};
inline constexpr std::chrono::milliseconds kBothFor{700};  // both active for so long: the election cannot tell
inline constexpr std::chrono::seconds kStallFor{5};        // a withheld advert counts against the workers
// After a restart no class is better than the one in force, until everything was seen or for so long: three pings of
// a gateway that is gone take 2 s, one that cannot be asked at all must not hold a box for ever.
inline constexpr std::chrono::seconds kHoldFor{5};

struct Note {  // an event for people
  std::string text;
  bool worse = false;
};

struct Decision {
  dataplane::v1::FailoverInput input;
  std::uint64_t version = 0;  // rises when `input` differs from the one before
  // To be sent: it is news, or our sign of life is due. Never before the dataplane said what is in force: see meet().
  bool to_dataplane = false;
  Word word;  // what to tell the peer
  std::vector<Note> notes;
};

// What came of the last planned switch of a group.
struct Outcome {
  bool finished = false;
  bool good = false;
  std::string text;  // when finished
};

class Director {
 public:
  // seed: numbers of switches must differ from those before a restart of this process.
  explicit Director(std::uint64_t seed) : next_number_(seed | 1) {}

  // What is known of a group lives as long as its name is configured.
  void set_rules(Rules rules);
  void set_observed(Observed observed) { observed_ = std::move(observed); }
  void set_revision(std::uint64_t revision) { revision_ = revision; }
  void set_epoch(std::uint64_t epoch) { epoch_ = std::max(epoch_, epoch); }
  void set_paused(const std::set<std::string>& groups);
  // What the dataplane says; nothing: it does not answer.
  void set_state(std::optional<dataplane::v1::FailoverState> state, Time now);
  // The dataplane took the input of that version.
  void delivered(std::uint64_t version) { delivered_ = std::max(delivered_, version); }

  Decision decide(const PeerView& peer, Time now);
  // From one sign of life to the next, as things are: a box that became active is heard more often from that moment on.
  std::chrono::milliseconds sign_of_life() const;
  Time next_deadline() const;  // when decide() would say something else by itself, signs of life included

  // Whether a switch could begin now; why not.
  config::Result<void> can_switch(const std::string& group, const PeerView& peer) const;
  // Begins it; see outcome(). Requires: can_switch().
  void begin_switch(const std::string& group, Time now);
  Outcome outcome(const std::string& group) const;
  std::string under_way(const std::string& group) const;  // in words; empty: nothing
  config::Result<void> pause(const std::string& group, bool paused);
  std::set<std::string> paused() const;

  const Rules& rules() const { return rules_; }
  const Observed& observed() const { return observed_; }
  // One that was not asked yet has not answered: silent.
  dataplane::v1::WitnessState witness() const;
  std::uint64_t epoch() const { return epoch_; }
  bool has_state() const { return state_.has_value(); }
  bool control_lease() const { return state_ && state_->control_lease(); }
  const dataplane::v1::GroupState* state_of(const std::string& group) const;  // null: not known
  Judged judge(const GroupRules& rules) const;
  // No witness answers this box, by what is observed, while one answers a peer that could take the group. With nobody
  // who could, or with none who reaches more, this box goes on as it is.
  bool cut_off(const GroupRules& rules, const Observed& observed, const PeerView& peer) const;
  // Sentences on groups that are not as they should be.
  std::vector<std::string> problems(const PeerView& peer) const;

 private:
  enum class Phase : std::uint8_t { none, asking, offering, yielding };
  struct Entry {
    bool paused = false;
    HealthClass told = HealthClass::ok;  // in the last note
    std::optional<Time> cut_off_since;
    bool cut_off = false;  // for long enough
    // The class that was in force when we first heard of the group, while it holds.
    bool met = false;
    HealthClass held = HealthClass::ok;
    Time held_until{};
    // A switch that this box began or was asked for.
    Phase phase = Phase::none;
    std::uint64_t number = 0;
    Time began{}, deadline{};
    std::uint64_t last_ask = 0;  // of the peer, that was dealt with
    Outcome outcome;
    // A switch of the peer, which offers the group.
    std::uint64_t arming = 0;  // its number
    Time arming_until{};
    std::uint64_t armed_version = 0;        // of the first input that said so
    std::optional<std::uint64_t> withheld;  // adverts, when we last looked
    Time stalled_until{};
    // What our dataplane last vouched for, as active.
    std::uint64_t lease_us = 0;
    Time vouched{};
    // The peer's claim: its number, and what is left until our dataplane took it (0: it has), by the input of
    // `version`.
    std::uint64_t claim = 0, claim_us = 0, claim_version = 0;
    Time claimed_at{};               // when we heard the last new one
    std::optional<Time> both_since;  // the first one since both boxes say that they are active
  };
  using Role = dataplane::v1::GroupRole;

  Role role(const GroupRules& rules) const;
  void meet(Entry& entry, const dataplane::v1::GroupState& state, Time now) const;
  void step_class(const GroupRules& rules, Entry& entry, const PeerView& peer, Time now, std::vector<Note>& notes);
  std::chrono::milliseconds cut_off_for() const;
  void begin(Entry& entry, Phase phase, std::chrono::milliseconds bound, Time now);
  void finish(const GroupRules& rules, Entry& entry, bool good, const std::string& text, std::vector<Note>& notes);
  void step_give(const GroupRules& rules, Entry& entry, const PeerView& peer, Time now, std::vector<Note>& notes);
  void step_ask(const GroupRules& rules, Entry& entry, const PeerView& peer, Time now, std::vector<Note>& notes);
  void step_take(const GroupRules& rules, Entry& entry, const PeerView& peer, Time now);
  void vouch(Entry& entry, const dataplane::v1::GroupState& state, Time now);
  void hear_claim(Entry& entry, const GroupWord* word, Time now);
  bool gives_way(const GroupRules& rules, Entry& entry, const GroupWord* word, Time now) const;
  void fill(const GroupRules& rules, Entry& entry, const PeerView& peer, Time now, dataplane::v1::GroupInput& out);
  GroupWord word_of(const GroupRules& rules, const Entry& entry, Time now) const;

  Rules rules_;
  Observed observed_;
  std::optional<dataplane::v1::FailoverState> state_;
  std::map<std::string, Entry> entries_;
  std::uint64_t next_number_;
  std::uint64_t epoch_ = 0, revision_ = 0;
  std::uint64_t version_ = 0, delivered_ = 0;
  std::uint64_t said_ = 0;  // version that was to be sent last
  Time said_at_{};
  std::string last_;  // input, as bytes
  Time now_{};        // of the last decide() or set_state()
};

}  // namespace headgate::failover
