#include <algorithm>
#include <unordered_set>

#include "dataplane/base/check.h"
#include "dataplane/snapshot/decode.h"
#include "dataplane/snapshot/maglev.h"

namespace headgate::snapshot::internal {
namespace {

template <class Entry>
std::vector<std::uint16_t> positions_by_slot(const std::vector<Entry>& entries) {
  std::size_t size = 0;
  for (const Entry& entry : entries) size = std::max(size, std::size_t{entry.slot} + 1);
  std::vector<std::uint16_t> positions(size, kNone);
  for (std::size_t i = 0; i < entries.size(); ++i) positions[entries[i].slot] = static_cast<std::uint16_t>(i);
  return positions;
}

template <class Entry>
FlatMap<std::uint32_t, std::uint16_t, IdHash> positions_by_id(const std::vector<Entry>& entries,
                                                              std::uint64_t hash_key) {
  std::vector<std::pair<std::uint32_t, std::uint16_t>> positions;
  positions.reserve(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i)
    positions.push_back({entries[i].id.value, static_cast<std::uint16_t>(i)});
  return {positions, IdHash{hash_key}};
}

void index_ports(Context& context) {
  Snapshot& out = context.out;
  out.interfaces_by_port.resize(context.input.port_names.size());
  for (std::size_t i = 0; i < out.interfaces.size(); ++i) {
    const Interface& interface = out.interfaces[i];
    out.interfaces_by_port[interface.port].push_back({interface.vlan, static_cast<std::uint16_t>(i)});
  }
}

// Its group, and by which MAC it is reached: that of the group's router on its network, if there is one.
void assign_group(const Context& context, const IpAddress& address, OwnAddress& entry) {
  const Snapshot& out = context.out;
  if (entry.local_address != kNone) entry.group = out.local_addresses[entry.local_address].group;
  const auto use = context.own.find(address);
  if (use != context.own.end() && use->second.group_id != 0) {
    entry.group = out.groups[context.group_by_id.at(use->second.group_id)].slot;
  }
  const auto group = std::ranges::find(out.groups, entry.group, &Group::slot);
  if (group == out.groups.end() || !group->virtual_mac) return;
  for (std::size_t r = 0; r < group->interfaces.size(); ++r) {
    const vrrp::RouterConfig& router = group->config.routers[r];
    if (group->interfaces[r] == entry.interface && router.v6 == !address.is_v4()) entry.vrid = router.vrid;
  }
}

void index_own_addresses(Context& context) {
  Snapshot& out = context.out;
  std::unordered_map<IpAddress, OwnAddress, AddressHash> own(context.own.size(), AddressHash{context.input.hash_key});
  for (std::size_t i = 0; i < out.interfaces.size(); ++i) {
    for (const IpAddress& address : out.interfaces[i].addresses) {
      own[address].interface_address = true;
      own[address].interface = static_cast<std::uint16_t>(i);
    }
  }
  for (std::size_t i = 0; i < out.local_addresses.size(); ++i) {
    OwnAddress& entry = own[out.local_addresses[i].address];
    entry.local_address = static_cast<std::uint16_t>(i);
    if (entry.interface == kNone) entry.interface = out.local_addresses[i].interface;
  }
  for (const Service& service : out.services) {
    OwnAddress& entry = own[service.address];
    entry.service = true;
    if (entry.interface == kNone) entry.interface = context.on_link_interface(service.address);
  }
  for (auto& [address, entry] : own) assign_group(context, address, entry);
  const std::vector<std::pair<IpAddress, OwnAddress>> entries(own.begin(), own.end());
  out.own_addresses = {entries, AddressHash{context.input.hash_key}};
}

// Interface addresses first, then local addresses, then service addresses: the first of ours inside each prefix. Before
// all others those of no group, which are ours whichever box is active.
void choose_resolvers(Context& context) {
  Snapshot& out = context.out;
  const auto stays = [&out](const IpAddress& address) { return out.own_addresses.find(address)->group == kNoGroup; };
  for (Interface& interface : out.interfaces) {
    for (const IpPrefix& prefix : interface.prefixes) {
      const auto inside = [&](const IpAddress& a) { return prefix.contains(a) && stays(a); };
      const auto found = std::ranges::find_if(interface.addresses, inside);
      interface.resolve_from.push_back(found == interface.addresses.end() ? IpAddress{} : *found);
    }
  }
  const auto offer = [&](const IpAddress& address) {
    const Route* route = context.on_link_route(address);
    if (route == nullptr) return;
    Interface& interface = out.interfaces[route->next_hops.front().interface];
    const auto prefix = std::ranges::find(interface.prefixes, route->prefix) - interface.prefixes.begin();
    IpAddress& chosen = interface.resolve_from[static_cast<std::size_t>(prefix)];
    if (chosen.is_unspecified()) chosen = address;
  };
  for (const bool staying : {true, false}) {
    const auto offer_if = [&](const IpAddress& address) {
      if (stays(address) == staying) offer(address);
    };
    for (const LocalAddress& local : out.local_addresses) offer_if(local.address);
    for (const Service& service : out.services) offer_if(service.address);
  }
  // What floats comes last: better than nothing while the group is here.
  for (const Interface& interface : out.interfaces) {
    for (const IpAddress& address : interface.addresses) offer(address);
  }
  for (std::size_t i = 0; i < out.local_addresses.size(); ++i) {
    const LocalAddress& local = out.local_addresses[i];
    if (local.group != kNoGroup || local.id.value == 0) continue;
    (local.address.is_v4() ? out.own_local_v4 : out.own_local_v6).push_back(static_cast<std::uint16_t>(i));
  }
}

// Replies of flows that a removed backend keeps must still reach the worker that owns them: the endpoints of the
// snapshot before this one, until their backend's slot is given up.
void keep_departed_endpoints(Context& context, std::vector<std::pair<Endpoint, std::uint16_t>>& entries) {
  const Snapshot* before = context.input.previous;
  if (before == nullptr) return;
  Snapshot& out = context.out;
  std::unordered_set<Endpoint, EndpointHash> known(entries.size(), EndpointHash{context.input.hash_key});
  for (const auto& [endpoint, service] : entries) known.insert(endpoint);
  const auto keep = [&](const Endpoint& endpoint, BackendId backend) {
    if (entries.size() >= kNatEndpointsMax || !context.input.slots.knows_backend(backend)) return;
    if (!known.insert(endpoint).second) return;
    out.departed_nat_endpoints.push_back({endpoint, backend});
    entries.push_back({endpoint, kNone});
  };
  for (const Service& service : before->services) {
    if (service.mode != Mode::nat) continue;
    const Pool& pool = before->pools[service.pool];
    for (const Backend& backend : std::span(before->backends).subspan(pool.first_backend, pool.backend_count)) {
      keep({backend.address, backend.port == 0 ? service.port : backend.port, service.protocol}, backend.id);
    }
  }
  for (const auto& departed : before->departed_nat_endpoints) keep(departed.endpoint, departed.backend);
}

void index_endpoints(Context& context) {
  Snapshot& out = context.out;
  std::vector<std::pair<Endpoint, std::uint16_t>> entries;
  entries.reserve(out.services.size());
  for (std::size_t i = 0; i < out.services.size(); ++i) {
    const Service& service = out.services[i];
    entries.push_back({{service.address, service.port, service.protocol}, static_cast<std::uint16_t>(i)});
  }
  out.services_by_endpoint = {entries, EndpointHash{context.input.hash_key}};
  entries.clear();
  for (std::size_t i = out.services.size(); i-- > 0;) {  // backwards: of services that share an endpoint the first wins
    const Service& service = out.services[i];
    if (service.mode != Mode::nat) continue;
    const Pool& pool = out.pools[service.pool];
    for (std::size_t b = pool.first_backend; b < std::size_t{pool.first_backend} + pool.backend_count; ++b) {
      const Backend& backend = out.backends[b];
      const std::uint16_t port = backend.port == 0 ? service.port : backend.port;
      entries.push_back({{backend.address, port, service.protocol}, static_cast<std::uint16_t>(i)});
    }
  }
  keep_departed_endpoints(context, entries);
  out.nat_endpoints = {entries, EndpointHash{context.input.hash_key}};
}

void index_probes(Context& context) {
  Snapshot& out = context.out;
  std::vector<std::uint16_t> service_of_pool(out.pools.size(), kNone);
  for (const auto& [position, http] : context.http) {  // pools that only routes lead to
    for (const HttpRoute& route : http.routes) {
      const PoolId* id = std::get_if<PoolId>(&route.action);
      const std::uint16_t* pool = id == nullptr ? nullptr : out.pools_by_id.find(id->value);
      if (pool != nullptr) service_of_pool[*pool] = static_cast<std::uint16_t>(position);
    }
  }
  for (std::size_t i = out.services.size(); i-- > 0;)
    service_of_pool[out.services[i].pool] = static_cast<std::uint16_t>(i);
  std::vector<std::pair<std::uint32_t, Snapshot::ProbeTarget>> entries;
  if (out.probe_port != kNone) {
    entries.reserve(out.backends.size());
    for (std::size_t b = 0; b < out.backends.size(); ++b) {
      const std::uint16_t service = service_of_pool[out.backends[b].pool];
      if (service != kNone) entries.push_back({out.backends[b].id.value, {static_cast<std::uint16_t>(b), service}});
    }
  }
  out.probe_targets = {entries, IdHash{context.input.hash_key}};
}

// Same ids and weights at the same offsets; health does not matter to the table.
bool same_members(const Snapshot& a, const Pool& pa, const Snapshot& b, const Pool& pb) {
  if (pa.backend_count != pb.backend_count) return false;
  for (unsigned i = 0; i < pa.backend_count; ++i) {
    const Backend& x = a.backends[pa.first_backend + i];
    const Backend& y = b.backends[pb.first_backend + i];
    if (x.id != y.id || x.weight != y.weight) return false;
  }
  return true;
}

std::shared_ptr<const std::vector<std::uint16_t>> maglev_of(const Snapshot& out, const Pool& pool,
                                                            const Snapshot* previous) {
  if (previous != nullptr && pool.slot < previous->pool_by_slot.size() && previous->pool_by_slot[pool.slot] != kNone) {
    const Pool& before = previous->pools[previous->pool_by_slot[pool.slot]];
    if (before.id == pool.id && before.maglev != nullptr && same_members(*previous, before, out, pool)) {
      return before.maglev;
    }
  }
  std::vector<MaglevMember> members;
  for (unsigned i = 0; i < pool.backend_count; ++i) {
    const Backend& backend = out.backends[pool.first_backend + i];
    if (backend.weight != 0) members.push_back({backend.id, backend.weight, static_cast<std::uint16_t>(i)});
  }
  if (members.empty()) return nullptr;
  return std::make_shared<const std::vector<std::uint16_t>>(build_maglev(members));
}

}  // namespace

void fill_pool(Snapshot& out, Pool& pool, const Snapshot* previous) {
  const auto backends = std::span(out.backends).subspan(pool.first_backend, pool.backend_count);
  const auto count = static_cast<std::size_t>(std::ranges::count_if(backends, &Backend::usable));
  std::vector<std::uint16_t> usable;
  std::vector<std::uint32_t> cumulative_weight, all_cumulative_weight;
  usable.reserve(count);
  cumulative_weight.reserve(count);
  if (pool.algorithm == Algorithm::source_hash) all_cumulative_weight.reserve(pool.backend_count);
  std::uint32_t usable_weight = 0, all_weight = 0;
  pool.any_limit = false;
  pool.equal_weights = true;
  for (std::size_t i = 0; i < backends.size(); ++i) {
    const Backend& backend = backends[i];
    all_weight += backend.weight;
    if (pool.algorithm == Algorithm::source_hash) all_cumulative_weight.push_back(all_weight);
    if (!backend.usable()) continue;
    usable_weight += backend.weight;
    usable.push_back(static_cast<std::uint16_t>(pool.first_backend + i));
    cumulative_weight.push_back(usable_weight);
    pool.any_limit |= backend.max_connections != 0;
    pool.equal_weights &= backend.weight == out.backends[usable.front()].weight;
  }
  pool.usable = SharedArray(std::move(usable));
  pool.cumulative_weight = SharedArray(std::move(cumulative_weight));
  pool.all_cumulative_weight = SharedArray(std::move(all_cumulative_weight));
  if (pool.algorithm == Algorithm::maglev) pool.maglev = maglev_of(out, pool, previous);
}

void decide_pings(Snapshot& out, std::uint64_t hash_key) {
  std::unordered_set<IpAddress, AddressHash> answering(out.services.size(), AddressHash{hash_key});
  for (const Service& service : out.services) {
    if (service.ping && !out.pools[service.pool].usable.empty()) answering.insert(service.address);
  }
  out.own_addresses = out.own_addresses.edited(
      [&](const IpAddress& address, OwnAddress& own) { own.answers_ping = answering.contains(address); });
}

void build_tables(Context& context) {
  Snapshot& out = context.out;
  out.names = std::make_shared<const Names>(std::move(context.names));
  out.service_by_slot = positions_by_slot(out.services);
  out.pool_by_slot = positions_by_slot(out.pools);
  out.backend_by_slot = positions_by_slot(out.backends);
  for (Pool& pool : out.pools) fill_pool(out, pool, context.input.previous);
  out.services_by_id = positions_by_id(out.services, context.input.hash_key);
  out.pools_by_id = positions_by_id(out.pools, context.input.hash_key);
  out.backends_by_id = positions_by_id(out.backends, context.input.hash_key);
  index_ports(context);
  index_own_addresses(context);
  decide_pings(out, context.input.hash_key);
  choose_resolvers(context);
  index_endpoints(context);
  index_probes(context);
}

}  // namespace headgate::snapshot::internal
