// What the two boxes of a pair tell each other about their groups, and the seam between the HA link, which carries it,
// and the director, which decides by it. Values only; the link fills one side and reads the other.
//
// Groups are known by their name: it is in the configuration, which both boxes share. Numbers of switches are drawn by
// the box that begins one, never 0, and mean nothing to anybody after it.
//
// Thread rule: all of it on the control plane's event loop.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headgate::failover {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

// With the numbers of dataplane.proto, which is asserted where they meet; 4 was another state once.
enum class PeerState : std::uint8_t {
  unknown,   // no HA link, or silent on it
  backup,    // alive and not active (starting included)
  active,    // alive, and it says that it is active
  fault,     // alive, and out of the election
  dead = 5,  // its supervisor, or the carrier of a direct cable, says that its dataplane is gone
};
enum class HealthClass : std::uint8_t { ok, degraded, fault };

// One box about one group.
struct GroupWord {
  std::string name;
  PeerState state = PeerState::unknown;  // backup, active or fault; unknown: its dataplane does not answer it
  std::uint32_t priority = 0;            // as advertised
  HealthClass health = HealthClass::ok;
  bool paused = false;
  // state active: what was left of its lease when its dataplane last vouched for it, and a number that is another each
  // time it does. A claim counts once: what is said again without a new number is old.
  std::uint64_t lease_us = 0;
  std::uint64_t vouched = 0;
  // A planned switch, from the box that has the group: take != 0 says "about to yield it, be ready"; the other box
  // answers with taking = the same number once its dataplane is ready. Then the first one yields. Both fall back to 0
  // when it is over or given up.
  std::uint64_t take = 0;
  std::uint64_t taking = 0;
  // From the box that has not got the group: an operator there wants it. The number is new for each wish; the box that
  // has the group begins a switch once for each number.
  std::uint64_t ask = 0;
  friend bool operator==(const GroupWord&, const GroupWord&) = default;
};

// One box about itself.
struct Word {
  std::uint64_t epoch = 0;       // the highest that it knows
  std::uint64_t revision = 0;    // of its configuration
  std::string version;           // of its firmware
  bool witness_answers = false;  // one of those that are configured answers it
  std::vector<GroupWord> groups;

  const GroupWord* find(std::string_view group) const {
    for (const GroupWord& word : groups) {
      if (word.name == group) return &word;
    }
    return nullptr;
  }
  friend bool operator==(const Word&, const Word&) = default;
};

// What is known of the peer.
struct PeerView {
  bool configured = false;    // there is an HA link in the configuration
  bool link_up = false;       // heartbeats arrive; false: silent for longer than it may be
  bool dead = false;          // a death notice, or the carrier of a direct cable: its dataplane is gone
  std::optional<Time> heard;  // the last heartbeat since this process began
  Word word;                  // of that heartbeat; kept when the link goes silent
  // This box may not become active yet: the configuration is being agreed. The link bounds it in time, and never sets
  // it while the peer is silent.
  bool hold_back = false;
  bool agreed = false;              // both boxes run the same configuration
  std::string problem;              // why the link is down or what differs, a sentence; empty: nothing
  std::vector<std::string> detail;  // lines for `show failover peer`: address, version, key, what differs

  // Box-wide news before what was said of the group.
  PeerState state_of(std::string_view group) const {
    if (dead) return PeerState::dead;
    if (!link_up) return PeerState::unknown;
    const GroupWord* known = word.find(group);
    return known == nullptr ? PeerState::unknown : known->state;
  }
};

// The HA link as the director sees it.
class PeerLink {
 public:
  virtual ~PeerLink() = default;
  virtual const PeerView& view() const = 0;
  // What to send from now on; at once when it differs from the last. Called at least every 250 ms.
  virtual void tell(const Word& word) = 0;
  // Called after each change of view() that is worth a decision: state, link, take, taking, ask, epoch; not for `heard`
  // alone. One listener.
  virtual void on_change(std::function<void()> listener) = 0;
};

// Without an HA link: nobody to hear, nobody to tell.
class NoPeerLink final : public PeerLink {
 public:
  const PeerView& view() const override { return view_; }
  void tell(const Word&) override {}
  void on_change(std::function<void()>) override {}

 private:
  PeerView view_;
};

}  // namespace headgate::failover
