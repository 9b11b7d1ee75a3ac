#include "dataplane/app/steered.h"

#include <algorithm>

namespace headgate::app {

using snapshot::Egress;
using snapshot::Interface;

Steered steered_to(const snapshot::Snapshot& snapshot, std::uint16_t port) {
  Steered steered;
  for (const auto& service : snapshot.services) steered.addresses.push_back(service.address);
  for (const auto& local : snapshot.local_addresses) steered.addresses.push_back(local.address);
  for (const Interface& interface : snapshot.interfaces) {
    steered.addresses.insert(steered.addresses.end(), interface.addresses.begin(), interface.addresses.end());
  }
  std::sort(steered.addresses.begin(), steered.addresses.end());
  steered.addresses.erase(std::unique(steered.addresses.begin(), steered.addresses.end()), steered.addresses.end());

  bool routed_v4 = false, routed_v6 = false;
  for (const Interface& interface : snapshot.interfaces) {
    if (interface.port == port && interface.gateway) {
      for (const IpPrefix& prefix : interface.prefixes) steered.gateway.push_back(prefix.network());
    }
    if (interface.egress != Egress::route) continue;
    // Replies to the servers' routed traffic come from the whole world, to any address of the servers' prefix (a server
    // need not be a backend), by every other interface.
    const bool elsewhere = std::ranges::any_of(
        snapshot.interfaces, [&](const Interface& other) { return other.port == port && other.id != interface.id; });
    for (const IpPrefix& prefix : interface.prefixes) {
      (prefix.address.is_v4() ? routed_v4 : routed_v6) |= elsewhere;
    }
  }
  if (routed_v4) steered.gateway.push_back(*parse_prefix("0.0.0.0/0"));
  if (routed_v6) steered.gateway.push_back(*parse_prefix("::/0"));
  for (const snapshot::Group& group : snapshot.groups) {
    for (std::size_t r = 0; r < group.interfaces.size(); ++r) {
      if (snapshot.interfaces[group.interfaces[r]].port == port) steered.vrids.push_back(group.config.routers[r].vrid);
    }
  }
  std::ranges::sort(steered.vrids);
  const auto twice = std::ranges::unique(steered.vrids);
  steered.vrids.erase(twice.begin(), twice.end());
  return steered;
}

}  // namespace headgate::app
