#include "dataplane/snapshot/slot_table.h"

#include <algorithm>

#include "dataplane/base/check.h"

namespace headgate::snapshot {

SlotTable::SlotTable(std::uint64_t hash_key, const Capacity& capacity)
    : services_(capacity.services, IdHash{hash_key}),
      pools_(capacity.pools, IdHash{hash_key}),
      backends_(capacity.backends, IdHash{hash_key}),
      local_addresses_(capacity.local_addresses, AddressHash{hash_key}) {
  HEADGATE_CHECK(capacity.services < kNoSlot && capacity.pools < kNoSlot && capacity.backends < kNoSlot &&
                 capacity.local_addresses < kNoSlot);
}

tl::expected<SlotTable::Assignment, SlotKind> SlotTable::assign(const Request& request) {
  if (!services_.fits(request.services)) return tl::unexpected(SlotKind::service);
  if (!pools_.fits(request.pools)) return tl::unexpected(SlotKind::pool);
  if (!backends_.fits(request.backends)) return tl::unexpected(SlotKind::backend);
  if (!local_addresses_.fits(request.local_addresses)) return tl::unexpected(SlotKind::local_address);
  return Assignment{services_.assign(request.services), pools_.assign(request.pools),
                    backends_.assign(request.backends), local_addresses_.assign(request.local_addresses)};
}

std::vector<GroupSlot> SlotTable::assign_groups(std::span<const std::uint32_t> ids) {
  HEADGATE_CHECK(ids.size() <= vrrp::kGroupsMax);
  ++group_round_;
  std::vector<GroupSlot> slots(ids.size(), kNoGroup);
  const auto take = [&](std::size_t i, std::size_t slot) {
    group_of_slot_[slot] = ids[i];
    group_used_[slot] = group_round_;
    slots[i] = static_cast<GroupSlot>(slot);
  };
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto known = std::find(group_of_slot_.begin() + 1, group_of_slot_.end(), ids[i]);
    if (known != group_of_slot_.end()) take(i, static_cast<std::size_t>(known - group_of_slot_.begin()));
  }
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (slots[i] != kNoGroup) continue;
    const auto oldest = std::min_element(group_used_.begin() + 1, group_used_.end());
    take(i, static_cast<std::size_t>(oldest - group_used_.begin()));
  }
  return slots;
}

std::vector<Slot> SlotTable::retired(SlotKind kind) const {
  switch (kind) {
    case SlotKind::service:
      return services_.retired();
    case SlotKind::pool:
      return pools_.retired();
    case SlotKind::backend:
      return backends_.retired();
    case SlotKind::local_address:
      return local_addresses_.retired();
  }
  return {};
}

bool SlotTable::release(SlotKind kind, Slot slot) {
  switch (kind) {
    case SlotKind::service:
      return services_.release(slot);
    case SlotKind::pool:
      return pools_.release(slot);
    case SlotKind::backend:
      return backends_.release(slot);
    case SlotKind::local_address:
      return local_addresses_.release(slot);
  }
  return false;
}

std::size_t SlotTable::used(SlotKind kind) const {
  switch (kind) {
    case SlotKind::service:
      return services_.used();
    case SlotKind::pool:
      return pools_.used();
    case SlotKind::backend:
      return backends_.used();
    case SlotKind::local_address:
      return local_addresses_.used();
  }
  return 0;
}

}  // namespace headgate::snapshot
