// The director's part in planned switches: who gives, who takes, who asked for it.
#include "controlplane/failover/director.h"

namespace headgate::failover {
namespace {

namespace dp = dataplane::v1;

const GroupWord* word_from(const PeerView& peer, const std::string& group) {
  return peer.link_up ? peer.word.find(group) : nullptr;
}

std::string took(Time began, Time now) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(now - began).count()) + " ms";
}

constexpr const char* kUnchanged = "; nothing has changed";

}  // namespace

void Director::begin(Entry& entry, Phase phase, std::chrono::milliseconds bound, Time now) {
  entry.phase = phase;
  entry.deadline = now + bound;
}

void Director::finish(const GroupRules& rules, Entry& entry, bool good, const std::string& text,
                      std::vector<Note>& notes) {
  entry.phase = Phase::none;
  entry.outcome = {.finished = true, .good = good, .text = "group " + rules.name + " " + text};
  notes.push_back({entry.outcome.text, !good});
}

config::Result<void> Director::can_switch(const std::string& group, const PeerView& peer) const {
  const GroupRules* rules = rules_.find(group);
  if (rules == nullptr) return config::fail("there is no group " + group);
  const auto found = entries_.find(group);
  const std::string label = "group " + group;
  if (found != entries_.end() && found->second.phase != Phase::none)
    return config::fail("a switch of " + label + " is under way already");
  const GroupWord* word = word_from(peer, group);
  if ((found != entries_.end() && found->second.paused) || (word != nullptr && word->paused))
    return config::fail(label + " is paused: failover resume " + group + " first");
  const Role here = role(*rules);
  if (here == dp::ROLE_STARTING || here == dp::ROLE_FAULT)
    return config::fail(label + " is " + (here == dp::ROLE_FAULT ? "at fault" : "not started") +
                        " on this box: there is nothing to switch");
  if (!rules_.pair) {
    if (here == dp::ROLE_ACTIVE) return {};
    return config::fail(label + " is backup here, and the peer is no Headgate that could be asked to yield");
  }
  if (word == nullptr) return config::fail("the peer does not answer on the HA link: nobody could take " + label);
  if (here == dp::ROLE_ACTIVE) {
    if (peer.state_of(group) != PeerState::backup)
      return config::fail(label + " is " + name_of(peer.state_of(group)) + " on box " + rules_.peer_side +
                          ": it could not take it");
    if (word->health == HealthClass::fault)
      return config::fail("box " + rules_.peer_side + " is at fault for " + label);
    return {};
  }
  if (judge(*rules).health == HealthClass::fault)
    return config::fail("this box is at fault for " + label + ": it could not take it");
  if (peer.state_of(group) != PeerState::active)
    return config::fail(label + " is active on neither box: it is up to the election");
  return {};
}

void Director::begin_switch(const std::string& group, Time now) {
  const GroupRules& rules = *rules_.find(group);
  Entry& entry = entries_[group];
  entry.outcome = {};
  entry.began = now;
  entry.number = next_number_;
  next_number_ += 2;  // odd, so never 0
  if (role(rules) != dp::ROLE_ACTIVE) {
    begin(entry, Phase::asking, kAskFor, now);
  } else if (rules_.pair) {
    begin(entry, Phase::offering, kOfferFor, now);
  } else {
    begin(entry, Phase::yielding, kYieldFor, now);
  }
}

void Director::step_give(const GroupRules& rules, Entry& entry, const PeerView& peer, Time now,
                         std::vector<Note>& notes) {
  const GroupWord* word = word_from(peer, rules.name);
  const bool active = role(rules) == dp::ROLE_ACTIVE;
  if (entry.phase == Phase::none && word != nullptr && word->ask != 0 && word->ask != entry.last_ask) {
    entry.last_ask = word->ask;
    if (can_switch(rules.name, peer) && active) begin_switch(rules.name, now);
  }
  if (entry.phase == Phase::offering) {
    if (!active) {
      finish(rules, entry, false, "left this box by itself during a planned switch", notes);
    } else if (word == nullptr) {
      finish(rules, entry, false, std::string("not switched: the HA link went silent") + kUnchanged, notes);
    } else if (word->taking == entry.number) {
      begin(entry, Phase::yielding, kYieldFor, now);
    } else if (now >= entry.deadline) {
      finish(rules, entry, false, "not switched: box " + rules_.peer_side + " did not get ready in time" + kUnchanged,
             notes);
    }
  }
  if (entry.phase != Phase::yielding) return;
  const bool peer_has_it = rules_.pair ? peer.state_of(rules.name) == PeerState::active : !active;
  if (!active && peer_has_it) {
    finish(rules, entry, true, "switched to the other box in " + took(entry.began, now), notes);
  } else if (now >= entry.deadline) {
    finish(rules, entry, false,
           active ? std::string("not switched: the dataplane did not give it up") + kUnchanged
                  : "given up here, but the other box does not say that it is active",
           notes);
  }
}

void Director::step_ask(const GroupRules& rules, Entry& entry, const PeerView& peer, Time now,
                        std::vector<Note>& notes) {
  if (entry.phase != Phase::asking) return;
  if (role(rules) == dp::ROLE_ACTIVE) {
    finish(rules, entry, true, "switched to this box in " + took(entry.began, now), notes);
  } else if (word_from(peer, rules.name) == nullptr) {
    finish(rules, entry, false, std::string("not switched: the HA link went silent") + kUnchanged, notes);
  } else if (now >= entry.deadline) {
    finish(rules, entry, false, "not switched: box " + rules_.peer_side + " did not give it up in time" + kUnchanged,
           notes);
  }
}

// An offer is believed for a while only: a peer that died after it must not leave us ready for ever.
void Director::step_take(const GroupRules& rules, Entry& entry, const PeerView& peer, Time now) {
  const GroupWord* word = word_from(peer, rules.name);
  if (word == nullptr || word->take == 0 || role(rules) == dp::ROLE_ACTIVE) {
    entry.arming = 0;
  } else if (entry.arming != word->take) {
    entry.arming = word->take;
    entry.arming_until = now + kTakeFor;
    entry.armed_version = 0;
  }
}

Outcome Director::outcome(const std::string& group) const {
  const auto found = entries_.find(group);
  return found == entries_.end() ? Outcome{} : found->second.outcome;
}

std::string Director::under_way(const std::string& group) const {
  const auto found = entries_.find(group);
  if (found == entries_.end()) return {};
  switch (found->second.phase) {
    case Phase::asking:
      return "asked box " + rules_.peer_side + " to give it up";
    case Phase::offering:
      return "offered to box " + rules_.peer_side + ", which gets ready";
    case Phase::yielding:
      return "giving it up to the other box";
    case Phase::none:
      break;
  }
  return found->second.arming == 0 ? "" : "ready to take it from box " + rules_.peer_side;
}

config::Result<void> Director::pause(const std::string& group, bool paused) {
  if (rules_.find(group) == nullptr) return config::fail("there is no group " + group);
  entries_[group].paused = paused;
  return {};
}

std::set<std::string> Director::paused() const {
  std::set<std::string> names;
  for (const auto& [name, entry] : entries_) {
    if (entry.paused) names.insert(name);
  }
  return names;
}

}  // namespace headgate::failover
