#include <algorithm>
#include <map>

#include "dataplane/snapshot/model.h"

namespace headgate::snapshot {

RouteTable::RouteTable(const std::vector<Route>& routes, std::uint64_t hash_key) {
  using Entries = std::vector<std::pair<IpAddress, std::uint16_t>>;
  std::map<unsigned, Entries, std::greater<>> v4, v6;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const IpPrefix& prefix = routes[i].prefix;
    auto& family = prefix.address.is_v4() ? v4 : v6;
    family[prefix.length].emplace_back(prefix.address.masked(prefix.length), static_cast<std::uint16_t>(i));
  }
  const auto fill = [hash_key](std::vector<Level>& levels, const std::map<unsigned, Entries, std::greater<>>& family) {
    for (const auto& [length, entries] : family) {
      levels.push_back({static_cast<std::uint8_t>(length), {entries, AddressHash{hash_key}}});
    }
  };
  fill(v4_, v4);
  fill(v6_, v6);
}

std::uint16_t RouteTable::find(const IpAddress& address) const {
  for (const Level& level : address.is_v4() ? v4_ : v6_) {
    if (const std::uint16_t* route = level.prefixes.find(address.masked(level.length))) return *route;
  }
  return kNone;
}

}  // namespace headgate::snapshot
