#include "controlplane/failover/link_words.h"

#include <algorithm>

namespace headgate::failover {
namespace {

using ha::v1::Refusal;

constexpr std::uint64_t kLeaseMaxUs = 120'000'000;  // two of VRRP's longest intervals, and a solo lease

std::string range_text(std::uint32_t least, std::uint32_t most) {
  return least == most ? std::to_string(least) : std::to_string(least) + " to " + std::to_string(most);
}

Meeting refuse(Refusal::Cause cause, const std::string& text) {
  Meeting meeting;
  meeting.refusal.emplace();
  meeting.refusal->set_cause(cause);
  meeting.refusal->set_text(text);
  meeting.refusal->set_protocol_least(kProtocolLeast);
  meeting.refusal->set_protocol_most(kProtocolMost);
  return meeting;
}

}  // namespace

void fill(const Word& word, ha::v1::Heartbeat& heartbeat) {
  heartbeat.set_epoch(word.epoch);
  heartbeat.set_revision(word.revision);
  heartbeat.set_version(word.version);
  heartbeat.set_witness_answers(word.witness_answers);
  heartbeat.clear_group();
  for (const GroupWord& group : word.groups) {
    ha::v1::GroupWord& out = *heartbeat.add_group();
    out.set_name(group.name);
    out.set_state(static_cast<std::uint32_t>(group.state));
    out.set_priority(group.priority);
    out.set_health(static_cast<std::uint32_t>(group.health));
    out.set_paused(group.paused);
    out.set_take(group.take);
    out.set_taking(group.taking);
    out.set_ask(group.ask);
    out.set_lease_us(group.lease_us);
    out.set_vouched(group.vouched);
  }
}

std::optional<Word> word_of(const ha::v1::Heartbeat& heartbeat) {
  if (heartbeat.group_size() > kGroupsMax) return std::nullopt;
  Word word{.epoch = heartbeat.epoch(),
            .revision = heartbeat.revision(),
            .version = shown(heartbeat.version(), kVersionMax),
            .witness_answers = heartbeat.witness_answers(),
            .groups = {}};
  for (const ha::v1::GroupWord& group : heartbeat.group()) {
    // Of itself a box says backup, active, fault or nothing; what is more is for what others say of it.
    if (group.state() > static_cast<std::uint32_t>(PeerState::fault) ||
        group.health() > static_cast<std::uint32_t>(HealthClass::fault) || group.priority() > 255 ||
        group.lease_us() > kLeaseMaxUs || group.name().empty() || group.name().size() > kNameMax)
      return std::nullopt;
    word.groups.push_back({.name = group.name(),
                           .state = static_cast<PeerState>(group.state()),
                           .priority = group.priority(),
                           .health = static_cast<HealthClass>(group.health()),
                           .paused = group.paused(),
                           .lease_us = group.lease_us(),
                           .vouched = group.vouched(),
                           .take = group.take(),
                           .taking = group.taking(),
                           .ask = group.ask()});
  }
  return word;
}

std::string shown(const std::string& text, std::size_t most) {
  std::string out = text.substr(0, most);
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return out;
}

Meeting meet(const ha::v1::Hello& ours, const ha::v1::Hello& theirs) {
  if (theirs.box_id() == ours.box_id())
    return refuse(Refusal::ITSELF, "the connection leads from this box to itself; correct ha_link peer_address");
  if (theirs.protocol_most() < ours.protocol_least() || theirs.protocol_least() > ours.protocol_most()) {
    return refuse(Refusal::PROTOCOL, "the peer (version " + shown(theirs.version(), kVersionMax) +
                                         ") speaks protocol " +
                                         range_text(theirs.protocol_least(), theirs.protocol_most()) + ", this box " +
                                         range_text(ours.protocol_least(), ours.protocol_most()) + "; update the " +
                                         (theirs.protocol_most() < ours.protocol_least() ? "peer" : "box here"));
  }
  if (theirs.side() == ours.side())
    return refuse(Refusal::SAME_SIDE, "both boxes say that they are side " + std::string(ours.side() == 0 ? "A" : "B") +
                                          "; correct `failover side` on one of them");
  return {.refusal = std::nullopt, .protocol = std::min(ours.protocol_most(), theirs.protocol_most())};
}

std::string explain(const ha::v1::Refusal& refusal) {
  switch (refusal.cause()) {
    case Refusal::WRONG_KEY:
      return "the peer does not know this box's key; unpair both boxes and pair them again";
    case Refusal::UNPAIRED:
      return "the peer is not paired; unpair this box, too, and pair them again";
    case Refusal::PROTOCOL:
      return "the peer speaks protocol " + range_text(refusal.protocol_least(), refusal.protocol_most()) +
             ", this box " + range_text(kProtocolLeast, kProtocolMost) + "; update the " +
             (refusal.protocol_most() < kProtocolLeast ? "peer" : "box here");
    case Refusal::SAME_SIDE:
      return "the peer says that both boxes are the same side; correct `failover side` on one of them";
    case Refusal::ITSELF:
      return "the connection leads from this box to itself; correct ha_link peer_address";
    default:
      return "the peer ended the connection: " + shown(refusal.text(), 200);
  }
}

}  // namespace headgate::failover
