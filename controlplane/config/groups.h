// What a configuration says of groups, defaults applied: which addresses fail over together, and where they are.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "controlplane/api/config.pb.h"
#include "controlplane/config/address.h"

namespace headgate::config {

// Two Headgate boxes, joined by an HA link. Without one a group's peer is somebody else's VRRP router.
inline bool is_pair(const v1::Config& config) {
  return config.has_failover() && config.failover().has_ha_link();
}

// The group that a field `group` means: the first one when it is empty. Null when there is none, or none of that name.
const v1::Group* group_of(const v1::Config& config, const std::string& name);

std::uint32_t priority_of(const v1::Group& group, v1::Side side);
// Of a degraded box: below the other box's undegraded one, so that it is not preferred whatever the distance, and in
// the same order when both are degraded. That needs room below the lower of the two: 3 at least.
std::uint32_t degraded_priority_of(const v1::Group& group, v1::Side side);
inline constexpr std::uint32_t kPriorityWithRoom = 3;

// Does it move to the other box? Requires: group_of(config, entry.group()) is known.
bool floats(const v1::Config& config, const v1::LocalAddress& entry);
// Does this box open connections from it? An entry without allocate_on is every box's.
bool allocates_here(const v1::Config& config, const v1::LocalAddress& entry);
// Does this box have it at all? False: it is the other's, and never leaves that one.
bool is_here(const v1::Config& config, const v1::LocalAddress& entry);

// What the group has on that network in one family: services and floating addresses, in the configuration's order, each
// once; when there are none, the local addresses that float with it (an advert must list something).
std::vector<Address> group_addresses(const v1::Config& config, const v1::Group& group, const v1::Interface& interface,
                                     bool v4);

// The source of adverts that the router names, or the first address of its interface.
std::optional<Address> advert_source(const v1::Config& config, const v1::Group::Router& router, bool v4);

}  // namespace headgate::config
