// Strong identifiers. Every service, pool, backend, interface and local address carries a 32-bit id that is assigned
// once by the control plane and never reused for something else (design: stable ids). 0 means "none".
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace headgate {

template <class Tag>
struct Id {
  std::uint32_t value = 0;
  constexpr explicit operator bool() const { return value != 0; }
  friend constexpr auto operator<=>(Id, Id) = default;
};

using ServiceId = Id<struct ServiceTag>;
using PoolId = Id<struct PoolTag>;
using BackendId = Id<struct BackendTag>;
using InterfaceId = Id<struct InterfaceTag>;
using LocalAddressId = Id<struct LocalAddressTag>;
using GroupId = Id<struct GroupTag>;

// A dense number that stands for an id as long as anything refers to it: index into per-worker arrays of mutable state.
// Handed out by snapshot::SlotTable on the control thread; survives snapshots, is reused only when no flow holds it.
using Slot = std::uint16_t;
inline constexpr Slot kNoSlot = 0xffff;

}  // namespace headgate

template <class Tag>
struct std::hash<headgate::Id<Tag>> {
  std::size_t operator()(headgate::Id<Tag> id) const noexcept { return id.value * 0x9e3779b97f4a7c15ull >> 16; }
};
