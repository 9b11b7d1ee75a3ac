// What goes over the HA link, as the rest of the control plane knows it. Pure. What comes is from a peer: nothing in it
// is believed beyond its bounds.
#pragma once

#include <optional>
#include <string>

#include "controlplane/api/ha.pb.h"
#include "controlplane/failover/peer_view.h"

namespace headgate::failover {

inline constexpr std::uint32_t kProtocolLeast = 1, kProtocolMost = 1;  // that this version speaks
inline constexpr int kGroupsMax = 1024;
inline constexpr std::size_t kNameMax = 63;     // of a group, as config.proto has it
inline constexpr std::size_t kVersionMax = 64;  // characters of what is only shown
inline constexpr std::size_t kHostNameMax = 64;

void fill(const Word& word, ha::v1::Heartbeat& heartbeat);
// Nothing when it is no state that a box of ours could be in.
std::optional<Word> word_of(const ha::v1::Heartbeat& heartbeat);

// Printable ASCII, at most `most` characters: for text of the peer that a person will see.
std::string shown(const std::string& text, std::size_t most);

// Two Hellos that meet. Nothing: they fit, and `protocol` is what both speak.
struct Meeting {
  std::optional<ha::v1::Refusal> refusal;  // what to send before closing, with a sentence about it
  std::uint32_t protocol = 0;
};
Meeting meet(const ha::v1::Hello& ours, const ha::v1::Hello& theirs);

// What the other end's refusal means for this one, a sentence.
std::string explain(const ha::v1::Refusal& refusal);

}  // namespace headgate::failover
