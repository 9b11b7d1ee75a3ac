#include "controlplane/console/names.h"

#include <algorithm>
#include <map>
#include <string_view>

namespace headgate::console {
namespace {

void add(Match& match, std::uint32_t id, const std::string& entry) {
  match.ids.push_back(id);
  if (std::find(match.entries.begin(), match.entries.end(), entry) == match.entries.end())
    match.entries.push_back(entry);
}

}  // namespace

// An operator's name has no '/'.
std::string written_name(const std::string& name) {
  for (const std::string_view suffix : {"/v4", "/v6", "/mixed"}) {
    if (name.ends_with(suffix)) return name.substr(0, name.size() - suffix.size());
  }
  return name;
}

Match services_named(const dataplane::v1::StatsReply& stats, const std::string& name) {
  Match match;
  for (const auto& service : stats.service()) {
    if (name == service.name() || name == written_name(service.name()))
      add(match, service.id(), written_name(service.name()));
  }
  return match;
}

Match backends_named(const dataplane::v1::StatsReply& stats, const std::string& name) {
  std::map<std::uint32_t, std::string> pools;
  for (const auto& pool : stats.pool()) pools[pool.id()] = pool.name();
  Match match;
  for (const auto& backend : stats.backend()) {
    const std::string& pool = pools[backend.pool_id()];
    const std::string entry = written_name(pool) + "/" + backend.name();
    if (name == backend.name() || name == entry || name == pool + "/" + backend.name()) add(match, backend.id(), entry);
  }
  return match;
}

}  // namespace headgate::console
