// What in one state of the dataplane's failover after the other is news for people: changes of roles, and adverts that
// should not be there. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "controlplane/failover/peer_view.h"
#include "dataplane/api/dataplane.pb.h"

namespace headgate::failover {

inline constexpr std::chrono::seconds kOddFor{60};  // an odd advert is a problem for so long

struct RoleNews {
  std::string text;  // "group main: backup -> active, no advert from the peer for 303 ms; epoch 7"
  dataplane::v1::GroupRole to = dataplane::v1::ROLE_STARTING;
};

class News {
 public:
  // Changes of roles from before `since` are old: they were told by this process's predecessor.
  explicit News(Time since) : heard_(since) {}

  // Each change once, oldest first. A dataplane that was started anew counts from the beginning.
  std::vector<RoleNews> take(const dataplane::v1::FailoverState& state, Time now);
  // Sentences on adverts of the last kOddFor that tell of a mistake or a stranger. What is usual on a shared network
  // (other VRRP groups, trailing bytes) is only counted.
  std::vector<std::string> problems(Time now) const;

 private:
  struct Seen {
    std::uint64_t adverts = 0;
    Time rose{};
    bool ever = false;
    std::string meaning;
    bool operator()(Time now) const { return ever && now - rose < kOddFor; }
  };
  void note_oddities(const dataplane::v1::GroupState& group, Time now);

  Time heard_;                                 // the last state
  std::map<std::string, std::uint64_t> told_;  // group -> number of its last change
  std::map<std::string, Seen> oddities_;       // "group main, front: bad_checksum"
  bool first_ = true;
};

const char* name_of(dataplane::v1::GroupRole role);  // "starting", "backup", "active", "fault"

}  // namespace headgate::failover
