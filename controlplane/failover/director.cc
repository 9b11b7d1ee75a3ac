#include "controlplane/failover/director.h"

#include <algorithm>
#include <map>
#include <utility>

namespace headgate::failover {
namespace {

namespace dp = dataplane::v1;

// The enumerations agree in order.
static_assert(static_cast<int>(dp::PEER_DEAD) == static_cast<int>(PeerState::dead));
static_assert(static_cast<int>(dp::PEER_ACTIVE) == static_cast<int>(PeerState::active));
static_assert(static_cast<int>(dp::CLASS_FAULT) == static_cast<int>(HealthClass::fault));

constexpr std::uint64_t kSilentMs = 2000;  // and longer than the peer may be silent

// Interfaces on which no advert was heard for long, "front, servers"; of one with two families neither.
std::string silent_networks(const dp::GroupState& group) {
  const std::uint64_t patience_ms = kSilentMs + 2 * group.down_interval_us() / 1000;
  if (group.since_ms_ago() < patience_ms) return "";
  std::map<std::string, bool> heard;
  for (const dp::RouterState& router : group.router()) {
    if (router.link()) heard[router.interface()] |= router.heard() && router.last_heard_ms_ago() < patience_ms;
  }
  std::string all;
  for (const auto& [name, is_heard] : heard) {
    if (!is_heard) all += (all.empty() ? "" : ", ") + name;
  }
  return all;
}

}  // namespace

void Director::set_rules(Rules rules) {
  rules_ = std::move(rules);
  std::erase_if(entries_, [&](const auto& entry) { return rules_.find(entry.first) == nullptr; });
  for (const GroupRules& group : rules_.groups) entries_.try_emplace(group.name);
}

void Director::set_paused(const std::set<std::string>& groups) {
  for (const std::string& name : groups) entries_[name].paused = true;
}

void Director::set_state(std::optional<dp::FailoverState> state, Time now) {
  now_ = std::max(now_, now);
  state_ = std::move(state);
  if (!state_) {
    delivered_ = 0;  // another life of it knows nothing of what we said
    ++version_;
    return;
  }
  epoch_ = std::max(epoch_, state_->epoch());
  for (const dp::GroupState& group : state_->group()) {
    const auto found = entries_.find(group.name());
    if (found == entries_.end()) continue;
    Entry& entry = found->second;
    meet(entry, group, now);
    if (entry.withheld && group.withheld() > *entry.withheld) entry.stalled_until = now + kStallFor;
    entry.withheld = group.withheld();
    vouch(entry, group, now);
  }
}

// A process that has just begun has seen nothing, and must not lift a fault by that. The dataplane knows what was said
// before; a new one, or a new group, says ok.
void Director::meet(Entry& entry, const dp::GroupState& state, Time now) const {
  if (std::exchange(entry.met, true) || state.health() == dp::CLASS_OK) return;
  entry.held = static_cast<HealthClass>(std::min<int>(state.health(), dp::CLASS_FAULT));
  entry.held_until = now + kHoldFor;
}

bool Director::cut_off(const GroupRules& rules, const Observed& observed, const PeerView& peer) const {
  if (!rules_.pair || !observed.witnesses_silent() || !peer.link_up || !peer.word.witness_answers) return false;
  const PeerState state = peer.state_of(rules.name);
  const GroupWord* word = peer.word.find(rules.name);
  return (state == PeerState::backup || state == PeerState::active) && word->health != HealthClass::fault;
}

// A witness that dies is silent to both boxes, and they notice up to an interval and its jitter of a tenth apart. Until
// the later one has noticed, too, and said so, the earlier one must not take itself for the one that is cut off.
std::chrono::milliseconds Director::cut_off_for() const {
  return rules_.witness_interval * 5 / 4 + std::chrono::milliseconds(125);
}

void Director::step_class(const GroupRules& rules, Entry& entry, const PeerView& peer, Time now,
                          std::vector<Note>& notes) {
  if (!cut_off(rules, observed_, peer)) {
    entry.cut_off_since.reset();
  } else if (!entry.cut_off_since) {
    entry.cut_off_since = now;
  }
  entry.cut_off = entry.cut_off_since && now - *entry.cut_off_since >= cut_off_for();
  const bool open = observed_.witnesses_silent() && rules_.pair && !entry.cut_off &&
                    (entry.cut_off_since || !peer.link_up);  // whether this box is the one that is cut off
  if (now >= entry.held_until || (all_seen(rules.tracks, observed_) && !open)) entry.held = HealthClass::ok;
  const Judged judged = judge(rules);
  if (std::exchange(entry.told, judged.health) == judged.health) return;
  const bool worse = judged.health != HealthClass::ok;
  notes.push_back({"group " + rules.name + " is at class " + name_of(judged.health) + " here" +
                       (worse ? ": " + judged.cause : " again"),
                   worse});
}

dp::WitnessState Director::witness() const {
  if (observed_.witnesses.empty()) return dp::WITNESS_NONE;
  const bool answers =
      std::ranges::any_of(observed_.witnesses, [](const auto& witness) { return witness.second == Reach::yes; });
  return answers ? dp::WITNESS_ANSWERS : dp::WITNESS_SILENT;
}

// Of a group that is active here: the lease is what the dataplane says that is left; two intervals before any advert
// was taken. Over: nobody is sure, see word_of().
void Director::vouch(Entry& entry, const dp::GroupState& state, Time now) {
  if (state.role() != dp::ROLE_ACTIVE || state.lease_us() < 0) {
    entry.vouched = {};
    return;
  }
  const std::chrono::microseconds half(state.interval_us() / 2);
  if (entry.vouched != Time{} && now - entry.vouched < std::min<std::chrono::microseconds>(kVouchEvery, half)) return;
  entry.vouched = now;
  entry.lease_us = state.lease_us() > 0 ? static_cast<std::uint64_t>(state.lease_us()) : 2ull * state.interval_us();
}

void Director::hear_claim(Entry& entry, const GroupWord* word, Time now) {
  if (word == nullptr || word->state != PeerState::active) {
    entry.claim_us = 0;
    return;
  }
  if (word->vouched != entry.claim) {
    entry.claim = word->vouched;
    entry.claimed_at = now;
    entry.claim_us = word->lease_us;
    entry.claim_version = 0;
  } else if (entry.claim_version != 0 && delivered_ >= entry.claim_version) {
    entry.claim_us = 0;  // said, and not to be said again
  }
}

// Two boxes that both serve and hear each other by this link alone: the lower priority gives way, as it does where
// adverts arrive (RFC 9568 6.4.3). One rule for both paths, whichever heals first: with two, both boxes could give way
// at once. Equal priorities, which validation refuses, may be those of two configurations that are not agreed: box B,
// if adverts have not told them apart by their addresses before.
bool Director::gives_way(const GroupRules& rules, Entry& entry, const GroupWord* word, Time now) const {
  const dp::GroupState* ours = state_of(rules.name);
  const bool both = word != nullptr && word->state == PeerState::active && ours != nullptr &&
                    ours->role() == dp::ROLE_ACTIVE && entry.phase == Phase::none;
  if (!both) {
    entry.both_since.reset();
    return false;
  }
  if (!entry.both_since && entry.claimed_at == now) entry.both_since = now;
  if (!entry.both_since) return false;
  const bool lower = ours->priority() != word->priority ? ours->priority() < word->priority : rules_.side == "B";
  // From claim to claim: a peer that is heard no more claims nothing, nor does one whose dataplane stopped vouching.
  return entry.claimed_at - *entry.both_since >= kBothFor && lower;
}

const dp::GroupState* Director::state_of(const std::string& group) const {
  if (!state_) return nullptr;
  for (const dp::GroupState& state : state_->group()) {
    if (state.name() == group) return &state;
  }
  return nullptr;
}

Director::Role Director::role(const GroupRules& rules) const {
  const dp::GroupState* state = state_of(rules.name);
  return state == nullptr ? dp::ROLE_STARTING : state->role();
}

Judged Director::judge(const GroupRules& rules) const {
  const auto found = entries_.find(rules.name);
  if (found == entries_.end()) return failover::judge(rules.tracks, observed_, false);
  const Entry& entry = found->second;
  Judged judged = failover::judge(rules.tracks, observed_, now_ < entry.stalled_until);
  if (entry.cut_off) add_cut_off(judged);
  add_held(judged, entry.held);
  return judged;
}

Decision Director::decide(const PeerView& peer, Time now) {
  now_ = std::max(now_, now);
  Decision decision;
  if (peer.heard) epoch_ = std::max(epoch_, peer.word.epoch);
  for (const GroupRules& rules : rules_.groups) {
    Entry& entry = entries_[rules.name];
    step_class(rules, entry, peer, now, decision.notes);
    step_give(rules, entry, peer, now, decision.notes);
    step_ask(rules, entry, peer, now, decision.notes);
    step_take(rules, entry, peer, now);
    fill(rules, entry, peer, now, *decision.input.add_group());
  }
  decision.input.set_epoch(epoch_);
  std::string bytes = decision.input.SerializeAsString();  // has no map: equal messages, equal bytes
  if (bytes != last_) ++version_;
  last_ = std::move(bytes);
  decision.version = version_;
  decision.to_dataplane = has_state() && (said_ != version_ || now >= said_at_ + sign_of_life());
  if (decision.to_dataplane) {
    said_ = version_;
    said_at_ = now;
  }
  decision.word.epoch = epoch_;
  decision.word.revision = revision_;
  decision.word.witness_answers = witness() == dp::WITNESS_ANSWERS;
  for (const GroupRules& rules : rules_.groups) {
    Entry& entry = entries_[rules.name];
    if (entry.claim_us != 0 && entry.claim_version == 0) entry.claim_version = version_;
    if (entry.arming == 0) {
      entry.armed_version = 0;
    } else if (entry.armed_version == 0 || entry.armed_version > version_) {
      entry.armed_version = version_;
    }
    decision.word.groups.push_back(word_of(rules, entry, now));
  }
  return decision;
}

void Director::fill(const GroupRules& rules, Entry& entry, const PeerView& peer, Time now, dp::GroupInput& out) {
  out.set_group_id(rules.id);
  const HealthClass health = judge(rules).health;
  out.set_health(static_cast<dp::HealthClass>(health));
  out.set_not_eligible(rules_.pair && peer.hold_back);
  const GroupWord* word = peer.link_up ? peer.word.find(rules.name) : nullptr;
  out.set_paused(entry.paused || (word != nullptr && word->paused));  // on one box is on both
  hear_claim(entry, rules_.pair ? word : nullptr, now);
  out.set_yield(entry.phase == Phase::yielding || gives_way(rules, entry, rules_.pair ? word : nullptr, now));
  if (entry.claim_us != 0) out.set_peer_lease_us(entry.claim_us);
  out.set_take(entry.arming != 0 && now < entry.arming_until && health != HealthClass::fault);
  out.set_peer(static_cast<dp::PeerState>(rules_.pair ? peer.state_of(rules.name) : PeerState::unknown));
  out.set_witness(witness());
}

GroupWord Director::word_of(const GroupRules& rules, const Entry& entry, Time now) const {
  GroupWord word{.name = rules.name};
  if (const dp::GroupState* state = state_of(rules.name)) {
    word.state = state->role() == dp::ROLE_ACTIVE  ? PeerState::active
                 : state->role() == dp::ROLE_FAULT ? PeerState::fault
                                                   : PeerState::backup;
    word.priority = state->priority();
    if (word.state == PeerState::active && entry.vouched == Time{}) word.state = PeerState::unknown;
    if (word.state == PeerState::active) {
      word.lease_us = entry.lease_us;
      word.vouched = static_cast<std::uint64_t>(entry.vouched.time_since_epoch().count());
    }
  }
  word.health = judge(rules).health;
  word.paused = entry.paused;
  if (entry.phase == Phase::offering || entry.phase == Phase::yielding) word.take = entry.number;
  if (entry.phase == Phase::asking) word.ask = entry.number;
  const bool ready = entry.arming != 0 && now < entry.arming_until && word.health != HealthClass::fault &&
                     delivered_ >= entry.armed_version && state_.has_value();
  if (ready) word.taking = entry.arming;
  return word;
}

std::chrono::milliseconds Director::sign_of_life() const {
  std::chrono::milliseconds every = kSignEvery;
  for (const GroupRules& rules : rules_.groups) {
    if (rules_.pair && role(rules) == dp::ROLE_ACTIVE)
      every = std::min(every, std::chrono::milliseconds(rules.interval_ms));
  }
  return std::max(every, kSignLeast);
}

Time Director::next_deadline() const {
  Time next = has_state() ? said_at_ + sign_of_life() : Time::max();
  for (const auto& [name, entry] : entries_) {
    if (entry.phase != Phase::none) next = std::min(next, entry.deadline);
    if (entry.arming != 0 && now_ < entry.arming_until) next = std::min(next, entry.arming_until);
    if (entry.cut_off_since && !entry.cut_off) next = std::min(next, *entry.cut_off_since + cut_off_for());
    if (entry.held != HealthClass::ok) next = std::min(next, entry.held_until);
    if (now_ < entry.stalled_until) next = std::min(next, entry.stalled_until);
  }
  return next;
}

std::vector<std::string> Director::problems(const PeerView& peer) const {
  std::vector<std::string> all;
  if (rules_.groups.empty()) return all;
  if (rules_.pair && !peer.link_up)
    all.push_back("no peer: the HA link is silent" + (peer.problem.empty() ? "" : ": " + peer.problem));
  if (rules_.pair && peer.link_up && !peer.agreed)
    all.push_back("the boxes do not run the same configuration" + (peer.problem.empty() ? "" : ": " + peer.problem));
  if (state_ && !state_->control_lease())
    all.push_back("the dataplane hears nothing of the control plane and counts as degraded");
  for (const GroupRules& rules : rules_.groups) {
    const std::string group = "group " + rules.name;
    const Judged judged = judge(rules);
    if (judged.health != HealthClass::ok)
      all.push_back(group + " is at class " + name_of(judged.health) + " here: " + judged.cause);
    const dp::GroupState* state = state_of(rules.name);
    if (state == nullptr) continue;
    if (state->role() == dp::ROLE_FAULT && judged.health != HealthClass::fault)
      all.push_back(group + " takes no part here: " + state->cause());
    if (state->role() == dp::ROLE_ACTIVE && rules_.pair && !peer.link_up)
      all.push_back(group + ": lone box: no peer is known that would take over");
    if (state->role() == dp::ROLE_ACTIVE && peer.state_of(rules.name) == PeerState::active)
      all.push_back(group + ": both boxes say that they are active");
    if (const std::string silent = silent_networks(*state); rules_.pair && peer.link_up && !silent.empty() &&
                                                            state->role() == dp::ROLE_BACKUP &&
                                                            peer.state_of(rules.name) == PeerState::active)
      all.push_back(group + ": the peer is active, and no advert of it arrives on " + silent +
                    ": that network is cut between the boxes");
    const bool nobody = state->role() != dp::ROLE_ACTIVE && peer.link_up && rules_.pair &&
                        peer.state_of(rules.name) != PeerState::active && state->since_ms_ago() > 2000;
    if (nobody && state->role() != dp::ROLE_STARTING) all.push_back(group + " is active on neither box");
  }
  return all;
}

}  // namespace headgate::failover
