// Where we are: the running snapshot and the hardware addresses of the ports. Shared by the resolver's parts.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "dataplane/base/ids.h"
#include "dataplane/base/mac.h"
#include "dataplane/neighbor/limits.h"
#include "dataplane/neighbor/update.h"
#include "dataplane/packet/build.h"
#include "dataplane/snapshot/model.h"

namespace headgate::neighbor {

// Where the resolver's work goes. Control traffic only, so calls are virtual.
class ResolverSink {
 public:
  virtual ~ResolverSink() = default;
  // A whole frame, Ethernet header and VLAN tag included; at most packet::kMaxControlFrame bytes; valid during the
  // call.
  virtual void send(InterfaceId interface, std::span<const std::uint8_t> frame) = 0;
  // For every worker's replica, this one's included.
  virtual void update(const NeighborUpdate& update) = 0;
  // Somebody else uses one of our addresses. At most once per address and kDefendInterval.
  virtual void duplicate_address(InterfaceId interface, const IpAddress& address, const MacAddress& claimant) = 0;
};

struct Site {
  const snapshot::Snapshot* snapshot = nullptr;
  std::uint64_t active = 1;  // bit n: the group with slot n is active here; bit 0 always
  std::array<MacAddress, kPortsMax> port_macs{};
  std::vector<std::pair<std::uint32_t, std::uint16_t>> interfaces;  // id -> position, sorted

  Site() { interfaces.reserve(snapshot::kInterfacesMax); }

  void set(const snapshot::Snapshot& next) {
    snapshot = &next;
    interfaces.clear();
    for (std::size_t i = 0; i < next.interfaces.size(); ++i) {
      interfaces.emplace_back(next.interfaces[i].id.value, static_cast<std::uint16_t>(i));
    }
    std::ranges::sort(interfaces);
  }
  const snapshot::Interface* interface(InterfaceId id) const {
    const auto at = std::ranges::lower_bound(interfaces, id.value, {}, [](const auto& entry) { return entry.first; });
    return at == interfaces.end() || at->first != id.value ? nullptr : &snapshot->interfaces[at->second];
  }
  // Zero when the port is unknown: nothing can be sent there.
  MacAddress mac(const snapshot::Interface& interface) const {
    return interface.port < kPortsMax ? port_macs[interface.port] : MacAddress{};
  }
  // Is it an address of ours on this interface, whether its group is active here or not? Null: it is not.
  const snapshot::OwnAddress* own(const snapshot::Interface& interface, const IpAddress& address) const {
    const snapshot::OwnAddress* own = snapshot->own_addresses.find(address);
    const bool here = own != nullptr && own->interface < snapshot->interfaces.size() &&
                      snapshot->interfaces[own->interface].id == interface.id;
    return here ? own : nullptr;
  }
  bool is_active(const snapshot::OwnAddress& own) const { return ((active >> own.group) & 1) != 0; }
  // Do we answer for it there, now?
  bool owns(const snapshot::Interface& interface, const IpAddress& address) const {
    const snapshot::OwnAddress* found = own(interface, address);
    return found != nullptr && is_active(*found);
  }
  // The MAC by which an address of ours is reached: the virtual one of its group's router, or the port's.
  MacAddress mac_of(const snapshot::Interface& interface, const IpAddress& address) const {
    const snapshot::OwnAddress* found = own(interface, address);
    return found == nullptr || found->vrid == 0 ? mac(interface) : vrrp::virtual_mac(found->vrid, !address.is_v4());
  }
};

}  // namespace headgate::neighbor
