#include "controlplane/failover/news.h"

#include <algorithm>
#include <set>

namespace headgate::failover {
namespace {

namespace dp = dataplane::v1;

bool is_usual(const std::string& reason) {
  static const std::set<std::string> usual = {"unknown_vrid", "trailing_bytes"};
  return usual.contains(reason);
}

}  // namespace

const char* name_of(dp::GroupRole role) {
  switch (role) {
    case dp::ROLE_BACKUP:
      return "backup";
    case dp::ROLE_ACTIVE:
      return "active";
    case dp::ROLE_FAULT:
      return "fault";
    default:
      return "starting";
  }
}

std::vector<RoleNews> News::take(const dp::FailoverState& state, Time now) {
  std::vector<RoleNews> news;
  for (const dp::GroupState& group : state.group()) {
    std::uint64_t& told = told_[group.name()];
    const std::uint64_t newest = group.change_size() == 0 ? 0 : group.change(group.change_size() - 1).number();
    if (newest < told) told = 0;
    for (const dp::RoleChange& change : group.change()) {
      if (change.number() <= told) continue;
      told = change.number();
      if (first_ && now - std::chrono::milliseconds(change.ms_ago()) < heard_) continue;
      news.push_back({"group " + group.name() + ": " + name_of(change.from()) + " -> " + name_of(change.to()) + ", " +
                          change.cause() + "; epoch " + std::to_string(change.epoch()),
                      change.to()});
    }
    note_oddities(group, now);
  }
  first_ = false;
  heard_ = now;
  return news;
}

void News::note_oddities(const dp::GroupState& group, Time now) {
  for (const dp::RouterState& router : group.router()) {
    for (const dp::OddityCount& oddity : router.oddity()) {
      if (is_usual(oddity.reason())) continue;
      const std::string key = "group " + group.name() + " on " + router.interface() +
                              (router.ipv6() ? " (IPv6)" : " (IPv4)") + ": " + oddity.reason();
      const auto [found, fresh] = oddities_.try_emplace(key);
      Seen& seen = found->second;
      // Counts from before this process was there say nothing about now.
      if (oddity.adverts() > seen.adverts && !(fresh && first_)) {
        seen.rose = now;
        seen.ever = true;
      }
      seen.adverts = oddity.adverts();
      seen.meaning = oddity.meaning();
    }
  }
}

std::vector<std::string> News::problems(Time now) const {
  std::vector<std::string> all;
  for (const auto& [key, seen] : oddities_) {
    if (seen(now)) all.push_back(key + " (" + std::to_string(seen.adverts) + " adverts): " + seen.meaning);
  }
  return all;
}

}  // namespace headgate::failover
