// Groups of addresses that fail over together, and the VRRP routers that announce them.
#include <algorithm>

#include "dataplane/snapshot/decode.h"

namespace headgate::snapshot::internal {
namespace {

// The virtual router's own link-local address, which IPv6 adverts list first (RFC 9568 5.2.9): EUI-64 of its MAC.
IpAddress virtual_link_local(std::uint8_t vrid) {
  return {{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x02, 0x00, 0x5e, 0xff, 0xfe, 0x00, 0x02, vrid}};
}

void decode_identity(Context& context, int i, const pb::Group& in, vrrp::GroupConfig& out) {
  out.id = GroupId{in.id()};
  out.name = in.name().substr(0, kNameBytesMax);
  if (in.id() == 0) {
    context.errors.add(at("failover.group", i, "id"), "0 means none; give the group an id of its own.");
  } else if (!context.group_by_id.emplace(in.id(), static_cast<std::uint16_t>(i)).second) {
    context.errors.add(at("failover.group", i, "id"), sentence("Id ", in.id(), " is used twice."));
  }
  if (std::string problem = name_problem(in.name()); !problem.empty()) {
    context.errors.add(at("failover.group", i, "name"), std::move(problem));
  }
}

void decode_election(Context& context, int i, const pb::Group& in, vrrp::GroupConfig& out) {
  const auto wrong = [&](std::string_view field, std::string message) {
    context.errors.add(at("failover.group", i, field), std::move(message));
  };
  if (in.priority() < 1 || in.priority() > 254) {
    wrong("priority", sentence(in.priority(), " is no priority; use 1 to 254 (255 would own the addresses)."));
  } else {
    out.priority = static_cast<std::uint8_t>(in.priority());
  }
  if (in.degraded_priority() > 254) {
    wrong("degraded_priority", sentence(in.degraded_priority(), " is no priority; use 1 to 254, or 0 for half."));
  } else {
    const std::uint32_t half = std::max(in.priority() / 2, 1u);
    out.degraded_priority = static_cast<std::uint8_t>(in.degraded_priority() == 0 ? half : in.degraded_priority());
  }
  if (in.interval_ms() < 10 || in.interval_ms() > 40950 || in.interval_ms() % 10 != 0) {
    wrong("interval_ms", sentence(in.interval_ms(), " ms cannot be advertised; use 10 to 40950 in steps of 10."));
  } else {
    out.interval = in.interval_ms() * kMillisecond;
  }
  switch (in.preemption()) {
    case pb::STAY:
      out.preemption = vrrp::Preemption::stay;
      break;
    case pb::AFTER:
      out.preemption = vrrp::Preemption::after;
      break;
    case pb::MANUAL:
      out.preemption = vrrp::Preemption::manual;
      break;
    default:
      wrong("preemption", "The policy is unknown; use STAY, AFTER or MANUAL.");
  }
  out.preempt_delay = in.preempt_delay_ms() * kMillisecond;
}

std::uint16_t decode_router_interface(Context& context, const std::string& path, const pb::VirtualRouter& in) {
  const auto found = context.interface_by_id.find(in.interface_id());
  if (found != context.interface_by_id.end()) return found->second;
  context.errors.add(path + ".interface_id",
                     sentence("There is no interface with id ", in.interface_id(), "; name an existing one."));
  return kNone;
}

void decode_protocol(Context& context, const std::string& path, const pb::VirtualRouter& in, vrrp::RouterConfig& out) {
  if (in.vrid() < 1 || in.vrid() > 255) {
    context.errors.add(path + ".vrid", sentence(in.vrid(), " is no virtual router id; use 1 to 255."));
  }
  out.vrid = static_cast<std::uint8_t>(in.vrid());
  out.v6 = in.ipv6();
  if (in.version() != 0 && in.version() != 2 && in.version() != 3) {
    context.errors.add(path + ".version", sentence(in.version(), " is no version of VRRP; use 2 or 3."));
  } else if (in.version() == 2 && in.ipv6()) {
    context.errors.add(path + ".version", "Version 2 has no IPv6; use version 3.");
  }
  out.version = in.version() == 2 ? 2 : 3;
  switch (in.checksum()) {
    case pb::CHECKSUM_AUTOMATIC:
      out.checksum = vrrp::ChecksumRule::automatic;
      break;
    case pb::CHECKSUM_RFC9568:
      out.checksum = vrrp::ChecksumRule::rfc9568;
      break;
    case pb::CHECKSUM_PSEUDO_HEADER:
      out.checksum = vrrp::ChecksumRule::pseudo_header;
      break;
    default:
      context.errors.add(path + ".checksum", "The rule is unknown.");
  }
}

// An address of the router's family, or nothing and an error.
std::optional<IpAddress> decode_of_family(Context& context, const std::string& path, const std::string& text, bool v6) {
  const auto address = decode_address(context, [&] { return path; }, text);
  if (!address || address->is_v4() != v6) return address;
  context.errors.add(path, sentence(to_string(*address), " is of the other family than its router."));
  return std::nullopt;
}

void decode_router_addresses(Context& context, const std::string& path, const pb::VirtualRouter& in,
                             vrrp::RouterConfig& out) {
  if (!in.source().empty()) {
    const auto source = decode_of_family(context, path + ".source", in.source(), out.v6);
    if (source && out.v6 && !source->is_link_local()) {
      context.errors.add(path + ".source",
                         sentence(to_string(*source), " is not link-local, as IPv6 adverts must be."));
    } else if (source) {
      out.source = *source;
    }
  } else if (!out.v6) {
    context.errors.add(path + ".source", "The source is missing; write this box's own address there.");
  }
  if (out.v6) out.addresses.push_back(virtual_link_local(out.vrid));
  for (int a = 0; a < in.address_size(); ++a) {
    const auto address = decode_of_family(context, at(path, "address", a), in.address(a), out.v6);
    if (address && out.addresses.size() < vrrp::kAddressesMax) out.addresses.push_back(*address);
  }
  if (in.address_size() == 0) context.errors.add(path + ".address", "A router without an address announces nothing.");
  if (static_cast<std::size_t>(in.peer_size()) > vrrp::kPeersMax) {
    context.errors.add(path + ".peer", sentence("More than ", vrrp::kPeersMax, " unicast peers."));
    return;
  }
  for (int p = 0; p < in.peer_size(); ++p) {
    if (const auto peer = decode_of_family(context, at(path, "peer", p), in.peer(p), out.v6))
      out.peers.push_back(*peer);
  }
}

// One virtual router id is one router of one network and family, whichever group it serves.
void check_unique(Context& context) {
  struct Seen {
    std::uint16_t interface;
    bool v6;
    std::uint8_t vrid;
  };
  std::vector<Seen> seen;
  for (std::size_t g = 0; g < context.out.groups.size(); ++g) {
    const Group& group = context.out.groups[g];
    for (std::size_t r = 0; r < group.config.routers.size(); ++r) {
      const vrrp::RouterConfig& router = group.config.routers[r];
      const auto same = [&](const Seen& other) {
        return other.interface == group.interfaces[r] && other.v6 == router.v6 && other.vrid == router.vrid;
      };
      if (std::ranges::any_of(seen, same)) {
        context.errors.add(at(at("failover.group", static_cast<int>(g)), "router", static_cast<int>(r), "vrid"),
                           sentence("Id ", router.vrid, " is used twice on this network; choose another."));
      }
      seen.push_back({group.interfaces[r], router.v6, router.vrid});
    }
  }
}

}  // namespace

void decode_groups(Context& context) {
  const pb::Failover& in = context.message.failover();
  context.out.control_grace = (in.control_grace_ms() == 0 ? 30'000 : in.control_grace_ms()) * kMillisecond;
  context.out.groups.resize(static_cast<std::size_t>(in.group_size()));
  for (int i = 0; i < in.group_size(); ++i) {
    Group& out = context.out.groups[static_cast<std::size_t>(i)];
    out.virtual_mac = !in.group(i).physical_mac();
    decode_identity(context, i, in.group(i), out.config);
    decode_election(context, i, in.group(i), out.config);
    out.config.startup_wait = (in.startup_wait_ms() == 0 ? 3'000 : in.startup_wait_ms()) * kMillisecond;
    out.config.solo_lease = (in.solo_lease_ms() == 0 ? 1'000 : in.solo_lease_ms()) * kMillisecond;
    out.config.has_peer = in.has_peer();
  }
}

void note_group(Context& context, const std::string& path, const IpAddress& address, std::uint32_t group_id) {
  if (group_id != 0 && !context.group_by_id.contains(group_id)) {
    context.errors.add(path, sentence("There is no group with id ", group_id, "; name an existing one, or 0."));
    return;
  }
  OwnUse& use = context.own[address];
  if (use.grouped && use.group_id != group_id) {
    context.errors.add(path,
                       sentence(to_string(address), " is of another group elsewhere; an address moves as a whole."));
  }
  use.grouped = true;
  use.group_id = group_id;
}

void decode_routers(Context& context) {
  for (int i = 0; i < context.message.failover().group_size(); ++i) {
    const pb::Group& in = context.message.failover().group(i);
    Group& out = context.out.groups[static_cast<std::size_t>(i)];
    if (in.router_size() == 0 || static_cast<std::size_t>(in.router_size()) > vrrp::kRoutersMax) {
      context.errors.add(at("failover.group", i, "router"),
                         sentence("A group has 1 to ", vrrp::kRoutersMax, " routers."));
      continue;
    }
    for (int r = 0; r < in.router_size(); ++r) {
      const std::string path = at(at("failover.group", i), "router", r);
      vrrp::RouterConfig& router = out.config.routers.emplace_back();
      router.interface = InterfaceId{in.router(r).interface_id()};
      out.interfaces.push_back(decode_router_interface(context, path, in.router(r)));
      decode_protocol(context, path, in.router(r), router);
      decode_router_addresses(context, path, in.router(r), router);
    }
  }
  check_unique(context);
}

void assign_groups(Context& context) {
  Snapshot& out = context.out;
  std::vector<std::uint32_t> ids;
  for (const Group& group : out.groups) ids.push_back(group.config.id.value);
  const std::vector<GroupSlot> slots = context.input.slots.assign_groups(ids);
  for (std::size_t g = 0; g < out.groups.size(); ++g) out.groups[g].slot = slots[g];
  const auto slot_of = [&](const IpAddress& address) {
    const auto use = context.own.find(address);
    if (use == context.own.end() || use->second.group_id == 0) return kNoGroup;
    return out.groups[context.group_by_id.at(use->second.group_id)].slot;
  };
  for (Service& service : out.services) service.group = slot_of(service.address);
  for (LocalAddress& local : out.local_addresses) local.group = slot_of(local.address);
  // Sources of the servers' own traffic belong to the box that is their gateway.
  for (Interface& interface : out.interfaces) {
    const auto floats =
        std::ranges::find_if(interface.addresses, [&](const IpAddress& a) { return slot_of(a) != kNoGroup; });
    if (floats == interface.addresses.end()) continue;
    interface.group = slot_of(*floats);
    for (const std::uint16_t snat : interface.snat_addresses) {
      LocalAddress& local = out.local_addresses[snat];
      if (!context.own.at(local.address).grouped) local.group = interface.group;
    }
  }
}

}  // namespace headgate::snapshot::internal
