// Interfaces, own addresses, routes, timeouts, probe.
#include <algorithm>
#include <utility>

#include "dataplane/snapshot/decode.h"

namespace headgate::snapshot::internal {
namespace {

std::string known_ports(const Context& context) {
  if (context.input.port_names.empty()) return "this dataplane has no ports";
  std::string list = "known ports: ";
  for (const std::string& name : context.input.port_names)
    list += (&name == context.input.port_names.data() ? "" : ", ") + name;
  return list;
}

std::uint16_t find_port(const Context& context, const std::string& name) {
  const auto found = std::ranges::find(context.input.port_names, name);
  return found == context.input.port_names.end() ? kNone
                                                 : static_cast<std::uint16_t>(found - context.input.port_names.begin());
}

void decode_identity(Context& context, int i, const pb::Interface& in, Interface& out) {
  const auto index = static_cast<std::uint16_t>(i);
  if (in.id() == 0) {
    context.errors.add(at("interface", i, "id"), "0 means none; give the interface an id of its own.");
  } else if (!context.interface_by_id.emplace(in.id(), index).second) {
    context.errors.add(at("interface", i, "id"),
                       sentence("Id ", in.id(), " is used twice; every interface needs its own."));
  }
  if (in.name().empty()) {
    context.errors.add(at("interface", i, "name"), "The name is missing; routes name interfaces, so give it one.");
  } else if (std::string problem = name_problem(in.name()); !problem.empty()) {
    context.errors.add(at("interface", i, "name"), std::move(problem));
  } else if (!context.interface_by_name.emplace(in.name(), index).second) {
    context.errors.add(at("interface", i, "name"),
                       sentence(quoted(in.name()), " is used twice; rename one interface."));
  }
  out.id = InterfaceId{in.id()};
  out.name = in.name().substr(0, kNameBytesMax);
}

void decode_link(Context& context, int i, const pb::Interface& in, Interface& out) {
  out.port = find_port(context, in.port());
  if (out.port == kNone) {
    context.errors.add(at("interface", i, "port"),
                       sentence(quoted(in.port()), " is not a port of this dataplane; ", known_ports(context), "."));
  }
  if (in.vlan() > 4094) {
    context.errors.add(at("interface", i, "vlan"),
                       sentence(in.vlan(), " is not a VLAN; use 1 to 4094, or 0 for untagged."));
  } else {
    out.vlan = static_cast<std::uint16_t>(in.vlan());
  }
  if (in.mtu() != 0 && (in.mtu() < kMtuMin || in.mtu() > kMtuMax)) {
    context.errors.add(at("interface", i, "mtu"), sentence("MTU ", in.mtu(), " is out of range; use ", kMtuMin, " to ",
                                                           kMtuMax, ", or 0 for 1500."));
  } else if (in.mtu() != 0) {
    out.mtu = static_cast<std::uint16_t>(in.mtu());
  }
  for (int other = 0; other < i && out.port != kNone; ++other) {
    const Interface& before = context.out.interfaces[static_cast<std::size_t>(other)];
    if (before.port != out.port || before.vlan != out.vlan) continue;
    context.errors.add(at("interface", i, "vlan"),
                       sentence("Port ", quoted(in.port()), " with VLAN ", in.vlan(), " is interface ",
                                quoted(before.name), " already; merge the two or change the VLAN."));
    break;
  }
}

void decode_prefixes(Context& context, int i, const pb::Interface& in, Interface& out) {
  for (int p = 0; p < in.prefix_size(); ++p) {
    const auto path = [&] { return at(at("interface", i), "prefix", p); };
    std::string why;
    const auto prefix = parse_network(in.prefix(p), why);
    if (!prefix) {
      context.errors.add(path(), std::move(why));
      continue;
    }
    if (prefix->address.is_multicast() || (prefix->length != 0 && prefix->address.is_loopback())) {
      context.errors.add(path(), sentence(to_string(*prefix), " holds no hosts of a network; remove it."));
      continue;
    }
    if (prefix->length == 0) {
      context.errors.add(path(),
                         "A whole family cannot be on-link; write the network's prefix, and a route for the rest.");
      continue;
    }
    if (std::ranges::find(out.prefixes, *prefix) != out.prefixes.end()) {
      context.errors.add(path(), sentence(to_string(*prefix), " is listed twice; remove one."));
      continue;
    }
    out.prefixes.push_back(*prefix);
  }
}

void decode_own_addresses(Context& context, int i, const pb::Interface& in, Interface& out) {
  for (int a = 0; a < in.address_size(); ++a) {
    const auto path = [&] { return at(at("interface", i), "address", a); };
    const auto address = decode_address(context, path, in.address(a));
    if (!address) continue;
    if (std::ranges::none_of(out.prefixes, [&](const IpPrefix& p) { return p.contains(*address); })) {
      context.errors.add(
          path(), sentence(to_string(*address), " is outside the interface's prefixes; add its prefix or move it."));
    }
    OwnUse& use = context.own[*address];
    if (use.interface_address) {
      context.errors.add(path(), sentence(to_string(*address), " is an interface's address already; remove one."));
    }
    use.interface_address = true;
    note_group(context, path(), *address, 0);
    out.addresses.push_back(*address);
  }
  for (int f = 0; f < in.floating_size(); ++f) {
    const auto path = [&] { return at(at("interface", i), "floating", f, "address"); };
    const auto address = decode_address(context, path, in.floating(f).address());
    if (!address) continue;
    if (std::ranges::none_of(out.prefixes, [&](const IpPrefix& p) { return p.contains(*address); })) {
      context.errors.add(
          path(), sentence(to_string(*address), " is outside the interface's prefixes; add its prefix or move it."));
    }
    if (std::exchange(context.own[*address].interface_address, true)) {
      context.errors.add(path(), sentence(to_string(*address), " is an interface's address already; remove one."));
    }
    note_group(context, path(), *address, in.floating(f).group_id());
    out.addresses.push_back(*address);
  }
}

void decode_egress(Context& context, int i, const pb::Interface& in, Interface& out) {
  switch (in.egress()) {
    case pb::EGRESS_DROP:
      out.egress = Egress::drop;
      break;
    case pb::EGRESS_ROUTE:
      out.egress = Egress::route;
      break;
    case pb::EGRESS_SNAT:
      out.egress = Egress::snat;
      break;
    default:
      context.errors.add(at("interface", i, "egress"),
                         "The value is unknown; use EGRESS_DROP, EGRESS_ROUTE or EGRESS_SNAT.");
  }
  if (in.egress() == pb::EGRESS_SNAT && in.snat_address_size() == 0) {
    context.errors.add(at("interface", i, "snat_address"),
                       "EGRESS_SNAT needs a source address; add one of ours, or use EGRESS_ROUTE or EGRESS_DROP.");
  }
}

// The on-link prefixes as routes. IPv6 link-local prefixes are not among them: every link has the same one, so an
// address alone does not tell the interface.
void collect_on_link(Context& context) {
  const auto& interfaces = context.out.interfaces;
  for (std::size_t i = 0; i < interfaces.size(); ++i) {
    for (const IpPrefix& prefix : interfaces[i].prefixes) {
      if (is_v6_link_local(prefix.address)) continue;
      context.on_link_routes.push_back({prefix, {{IpAddress{}, static_cast<std::uint16_t>(i)}}});
    }
  }
  context.on_link = RouteTable(context.on_link_routes, context.input.hash_key);
  for (std::size_t r = 0; r < context.on_link_routes.size(); ++r) {
    const Route& route = context.on_link_routes[r];
    // Of equal prefixes the table holds the last.
    const std::uint16_t held = context.on_link.find(route.prefix.address);
    if (held == r || context.on_link_routes[held].prefix != route.prefix) continue;
    const std::uint16_t first = route.next_hops.front().interface;
    const std::uint16_t second = context.on_link_routes[held].next_hops.front().interface;
    context.errors.add(at("interface", second, "prefix"),
                       sentence(to_string(route.prefix), " is on interface ", quoted(interfaces[first].name),
                                " too; a network is on one interface."));
  }
}

}  // namespace

void decode_interfaces(Context& context) {
  context.out.interfaces.resize(static_cast<std::size_t>(context.message.interface_size()));
  for (int i = 0; i < context.message.interface_size(); ++i) {
    const pb::Interface& in = context.message.interface(i);
    Interface& out = context.out.interfaces[static_cast<std::size_t>(i)];
    out.gateway = in.gateway();
    decode_identity(context, i, in, out);
    decode_link(context, i, in, out);
    decode_prefixes(context, i, in, out);
    decode_own_addresses(context, i, in, out);
    decode_egress(context, i, in, out);
  }
  collect_on_link(context);
  for (int i = 0; i < context.message.interface_size(); ++i) {
    const Interface& interface = context.out.interfaces[static_cast<std::size_t>(i)];
    for (const IpAddress& address : interface.addresses) {
      std::string why = not_a_host(context, address);
      if (!why.empty()) context.errors.add(at("interface", i, "address"), std::move(why));
    }
  }
}

namespace {

std::uint16_t decode_local_interface(Context& context, int i, const pb::LocalAddress& in, const IpAddress& address) {
  if (in.interface_id() == 0) return context.on_link_interface(address);
  const auto found = context.interface_by_id.find(in.interface_id());
  if (found == context.interface_by_id.end()) {
    context.errors.add(at("local_address", i, "interface_id"),
                       sentence("There is no interface with id ", in.interface_id(), "; name an existing one or 0."));
    return kNone;
  }
  const Interface& interface = context.out.interfaces[found->second];
  if (std::ranges::none_of(interface.prefixes, [&](const IpPrefix& p) { return p.contains(address); })) {
    context.errors.add(at("local_address", i, "interface_id"),
                       sentence(to_string(address), " is outside the prefixes of interface ", quoted(interface.name),
                                "; use 0 for an address that is routed to us."));
  }
  return found->second;
}

void decode_snat_addresses(Context& context) {
  std::unordered_map<IpAddress, std::uint16_t, AddressHash> index_of(0, AddressHash{context.input.hash_key});
  auto& locals = context.out.local_addresses;
  for (std::size_t i = 0; i < locals.size(); ++i) index_of.emplace(locals[i].address, static_cast<std::uint16_t>(i));
  for (int i = 0; i < context.message.interface_size(); ++i) {
    const pb::Interface& in = context.message.interface(i);
    Interface& out = context.out.interfaces[static_cast<std::size_t>(i)];
    for (int a = 0; a < in.snat_address_size(); ++a) {
      const auto path = [&] { return at(at("interface", i), "snat_address", a); };
      const auto address = decode_address(context, path, in.snat_address(a));
      if (!address || out.egress != Egress::snat) continue;
      const auto [known, fresh] = index_of.emplace(*address, static_cast<std::uint16_t>(locals.size()));
      if (fresh) locals.push_back({{}, kNoSlot, *address, context.on_link_interface(*address)});
      if (std::ranges::find(out.snat_addresses, known->second) != out.snat_addresses.end()) {
        context.errors.add(path(), sentence(to_string(*address), " is listed twice; remove one."));
        continue;
      }
      context.own[*address].snat = true;
      if (std::string why = not_a_host(context, *address); !why.empty()) context.errors.add(path(), std::move(why));
      out.snat_addresses.push_back(known->second);
    }
  }
}

}  // namespace

void decode_local_addresses(Context& context) {
  context.out.local_addresses.resize(static_cast<std::size_t>(context.message.local_address_size()));
  for (int i = 0; i < context.message.local_address_size(); ++i) {
    const pb::LocalAddress& in = context.message.local_address(i);
    LocalAddress& out = context.out.local_addresses[static_cast<std::size_t>(i)];
    out.id = LocalAddressId{in.id()};
    if (in.id() == 0) {
      context.errors.add(at("local_address", i, "id"), "0 means none; give the local address an id of its own.");
    } else if (!context.local_address_by_id.emplace(in.id(), static_cast<std::uint16_t>(i)).second) {
      context.errors.add(at("local_address", i, "id"),
                         sentence("Id ", in.id(), " is used twice; every local address needs its own."));
    }
    const auto path = [&] { return at("local_address", i, "address"); };
    const auto address = decode_address(context, path, in.address());
    if (!address) continue;
    out.address = *address;
    out.interface = decode_local_interface(context, i, in, *address);
    if (is_v6_link_local(*address)) {
      context.errors.add(path(), sentence(to_string(*address),
                                          " is link-local; backends answer to global or private addresses only."));
    }
    if (std::string why = not_a_host(context, *address); !why.empty()) context.errors.add(path(), std::move(why));
    OwnUse& use = context.own[*address];
    if (use.local_address) {
      context.errors.add(path(), sentence(to_string(*address), " is a local address already; remove one."));
    }
    if (use.interface_address) {
      context.errors.add(path(), sentence(to_string(*address),
                                          " is an interface's own address; a local address needs all "
                                          "of its ports for flows, so choose another."));
    }
    use.local_address = true;
    out.allocates = !in.allocate_elsewhere();
    note_group(context, at("local_address", i, "group_id"), *address, in.group_id());
  }
  decode_snat_addresses(context);
}

namespace {

bool decode_next_hop(Context& context, const std::string& path, const pb::NextHop& in, const IpPrefix& prefix,
                     NextHop& out) {
  const auto interface = context.interface_by_name.find(in.interface());
  if (interface == context.interface_by_name.end()) {
    context.errors.add(path + ".interface",
                       sentence("There is no interface ", quoted(in.interface()), "; name an existing one."));
    return false;
  }
  out.interface = interface->second;
  if (in.gateway().empty()) return true;
  const auto gateway = decode_address(context, [&] { return path + ".gateway"; }, in.gateway());
  if (!gateway) return false;
  const auto wrong = [&](const auto&... parts) {
    context.errors.add(path + ".gateway", sentence(to_string(*gateway), parts...));
    return false;
  };
  if (gateway->is_v4() != prefix.address.is_v4())
    return wrong(" is of another family than the route; use one of the same.");
  const auto& prefixes = context.out.interfaces[out.interface].prefixes;
  const bool on_link = std::ranges::any_of(prefixes, [&](const IpPrefix& p) { return p.contains(*gateway); });
  if (!on_link && !is_v6_link_local(*gateway)) {
    return wrong(" is not on-link on interface ", quoted(in.interface()),
                 "; add its prefix there or choose a gateway inside one.");
  }
  if (context.own.contains(*gateway)) return wrong(" is an address of this box; a gateway is another router.");
  if (std::string why = not_a_host(context, *gateway); !why.empty()) {
    context.errors.add(path + ".gateway", std::move(why));
    return false;
  }
  out.gateway = *gateway;
  return true;
}

void decode_next_hops(Context& context, int i, const pb::Route& in, Route& out) {
  if (in.next_hop_size() == 0) context.errors.add(at("route", i, "next_hop"), "A route needs a next hop; add one.");
  for (int h = 0; h < in.next_hop_size(); ++h) {
    NextHop hop;
    const std::string path = at(at("route", i), "next_hop", h);
    if (!decode_next_hop(context, path, in.next_hop(h), out.prefix, hop)) continue;
    if (std::ranges::any_of(out.next_hops, [&](const NextHop& o) {
          return o.gateway == hop.gateway && o.interface == hop.interface;
        })) {
      context.errors.add(path, "This next hop is listed twice; remove one.");
      continue;
    }
    out.next_hops.push_back(hop);
  }
}

}  // namespace

void decode_routes(Context& context) {
  struct PrefixHash {
    AddressHash hash;
    std::size_t operator()(const IpPrefix& p) const { return hash(p.address) + p.length; }
  };
  std::unordered_set<IpPrefix, PrefixHash> seen(0, PrefixHash{{context.input.hash_key}});
  for (const Route& route : context.on_link_routes) seen.insert(route.prefix);
  context.out.routes.resize(static_cast<std::size_t>(context.message.route_size()));
  for (int i = 0; i < context.message.route_size(); ++i) {
    const pb::Route& in = context.message.route(i);
    Route& out = context.out.routes[static_cast<std::size_t>(i)];
    std::string why;
    const auto prefix = parse_network(in.prefix(), why);
    if (!prefix) {
      context.errors.add(at("route", i, "prefix"), std::move(why));
      continue;
    }
    out.prefix = *prefix;
    if (!seen.insert(*prefix).second) {
      context.errors.add(at("route", i, "prefix"), sentence(to_string(*prefix),
                                                            " has a route or is on-link already; merge the "
                                                            "next hops into one route."));
    }
    decode_next_hops(context, i, in, out);
  }
  context.out.routes.insert(context.out.routes.end(), context.on_link_routes.begin(), context.on_link_routes.end());
  context.out.route_table = RouteTable(context.out.routes, context.input.hash_key);
}

void decode_timeouts(Context& context) {
  const pb::Timeouts& in = context.message.timeouts();
  const auto set = [&context](Nanos& out, std::uint32_t seconds, std::string_view field) {
    if (seconds == 0) return;
    if (seconds > kTimeoutSecondsMax) {
      context.errors.add(sentence("timeouts.", field),
                         sentence(seconds, " s is too long; use at most ", kTimeoutSecondsMax, "."));
      return;
    }
    out = seconds * kSecond;
  };
  Timeouts& out = context.out.timeouts;
  set(out.tcp_syn, in.tcp_syn_s(), "tcp_syn_s");
  set(out.tcp_established, in.tcp_established_s(), "tcp_established_s");
  set(out.tcp_transitory, in.tcp_transitory_s(), "tcp_transitory_s");
  set(out.tcp_closed, in.tcp_closed_s(), "tcp_closed_s");
  set(out.udp, in.udp_s(), "udp_s");
  set(out.udp_unreplied, in.udp_unreplied_s(), "udp_unreplied_s");
  set(out.icmp, in.icmp_s(), "icmp_s");
}

namespace {

void decode_probe_prefix(Context& context, const std::string& text, bool v4, IpPrefix& out) {
  if (text.empty()) return;
  const std::string path = v4 ? "probe.prefix_v4" : "probe.prefix_v6";
  std::string why;
  const auto prefix = parse_network(text, why);
  if (!prefix) return context.errors.add(path, std::move(why));
  const auto wrong = [&](const auto&... parts) { context.errors.add(path, sentence(to_string(*prefix), parts...)); };
  if (prefix->address.is_v4() != v4) return wrong(" is of the other family; write an IPv", v4 ? "4" : "6", " prefix.");
  if (prefix->length == 0) return wrong(" is everything; set aside a prefix that nothing else uses.");
  for (const Route& route : context.on_link_routes) {
    if (route.prefix.contains(prefix->address) || prefix->contains(route.prefix.address)) {
      return wrong(" overlaps the on-link prefix ", to_string(route.prefix), "; choose one that nothing else uses.");
    }
  }
  for (const auto& [address, use] : context.own) {
    if (prefix->contains(address))
      return wrong(" holds our own address ", to_string(address), "; choose one that nothing else uses.");
  }
  std::uint32_t highest = 0;
  for (const Backend& backend : context.out.backends) highest = std::max(highest, backend.id.value);
  const unsigned host_bits = (v4 ? 32u : 128u) - prefix->length;
  if (host_bits < 32 && highest >> host_bits != 0) {
    return wrong(" is too small: address number ", highest,
                 " stands for the backend with that id; choose a shorter prefix.");
  }
  out = *prefix;
}

}  // namespace

void decode_probe(Context& context) {
  if (!context.message.has_probe()) return;
  const pb::Probe& in = context.message.probe();
  if (in.prefix_v4().empty() && in.prefix_v6().empty()) return;
  context.out.probe_port = find_port(context, in.port());
  if (context.out.probe_port == kNone) {
    context.errors.add("probe.port",
                       sentence(quoted(in.port()), " is not a port of this dataplane; ", known_ports(context), "."));
  }
  decode_probe_prefix(context, in.prefix_v4(), true, context.out.probe_v4);
  decode_probe_prefix(context, in.prefix_v6(), false, context.out.probe_v6);
}

}  // namespace headgate::snapshot::internal
