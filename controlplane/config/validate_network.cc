// Interfaces, routes, local addresses and the probe prefixes. What fails over: validate_group.cc.
#include "controlplane/config/checks.h"
#include "controlplane/config/groups.h"
#include "controlplane/config/validate.h"

namespace headgate::config {
namespace {

void check_own_addresses(const InterfaceEntry& entry, Report& report, std::map<Address, std::string>& owner) {
  for (int i = 0; i < entry.message->address_size(); ++i) {
    const auto address = parse_address(entry.message->address(i));
    if (!address) continue;
    const Location where = entry.node.location_of("address", i);
    const Prefix* inside = nullptr;
    for (const Prefix& prefix : entry.prefixes) {
      if (prefix.contains(*address)) inside = &prefix;
    }
    if (inside == nullptr) {
      report.error(where, address->to_string() + " is in no prefix of interface " + quoted(entry.message->name()),
                   "add its prefix or correct the address");
    } else if (is_reserved_in(*address, *inside) || is_no_host(*address)) {
      report.error(where, address->to_string() + " is no host address in " + inside->to_string(), "use another one");
    }
    const auto [other, fresh] = owner.emplace(*address, entry.message->name());
    if (!fresh) {
      report.error(where, address->to_string() + " is already an address of interface " + quoted(other->second),
                   "remove one of the two");
    }
  }
}

void check_egress(const Site& site, const InterfaceEntry& entry, Report& report) {
  const bool snat = entry.message->egress() == v1::Interface::SNAT;
  if (snat && entry.message->snat_address_size() == 0) {
    report.error(entry.node.location_of("egress"), "egress SNAT has no snat_address",
                 "add the source addresses to use");
  }
  if (!snat && entry.message->snat_address_size() > 0) {
    report.error(entry.node.location_of("snat_address", 0), "snat_address without egress SNAT",
                 "set egress: SNAT or remove it");
  }
  std::set<Address> seen;
  for (int i = 0; i < entry.message->snat_address_size(); ++i) {
    const auto address = parse_address(entry.message->snat_address(i));
    if (!address) continue;
    const Location where = entry.node.location_of("snat_address", i);
    if (!seen.insert(*address).second) {
      report.error(where, address->to_string() + " is listed twice", "remove one of the two");
    }
    if (is_no_host(*address) || is_reserved_on_link(site, *address)) {
      report.error(where, address->to_string() + " is no host address", "use another one");
    }
  }
}

void check_prefixes(const InterfaceEntry& entry, Report& report) {
  std::set<std::string> seen;
  for (int i = 0; i < entry.message->prefix_size(); ++i) {
    const auto prefix = parse_prefix(entry.message->prefix(i));
    if (!prefix) continue;
    const Location where = entry.node.location_of("prefix", i);
    if (!seen.insert(prefix->network().to_string()).second) {
      report.error(where, prefix->to_string() + " is listed twice", "remove one of the two");
    }
    if (prefix->length == 0) {
      report.error(where, prefix->to_string() + " would put everything on this link",
                   "write the link's network and a route for the rest");
    } else if (prefix->address.is_multicast() || prefix->address.is_loopback()) {
      report.error(where, prefix->to_string() + " holds no hosts of a network", "remove it");
    }
  }
}

void check_interface_size(const InterfaceEntry& entry, Report& report) {
  const auto judge = [&](int count, const char* what) {
    if (static_cast<std::size_t>(count) <= kInterfaceEntriesMax) return;
    report.error(entry.node.location(), std::to_string(count) + " entries of " + what,
                 "use at most " + std::to_string(kInterfaceEntriesMax));
  };
  judge(entry.message->prefix_size(), "prefix");
  judge(entry.message->address_size(), "address");
  judge(entry.message->snat_address_size(), "snat_address");
  judge(entry.message->floating_size(), "floating");
}

void check_prefix_overlaps(const Site& site, std::size_t index, Report& report) {
  const InterfaceEntry& entry = site.interfaces[index];
  for (std::size_t i = 0; i < entry.prefixes.size(); ++i) {
    for (std::size_t k = 0; k < index; ++k) {
      for (const Prefix& other : site.interfaces[k].prefixes) {
        if (!other.overlaps(entry.prefixes[i])) continue;
        report.error(entry.node.location_of("prefix", static_cast<int>(i)),
                     entry.prefixes[i].to_string() + " overlaps " + other.to_string() + " of interface " +
                         quoted(site.interfaces[k].message->name()),
                     "give each link its own network");
      }
    }
  }
}

void check_next_hop(const Site& site, const Node& node, const v1::NextHop& hop, const Prefix& destination,
                    Report& report) {
  if (!hop.has_gateway()) {
    if (!hop.has_interface()) {
      report.error(node.location(), "next_hop has neither gateway nor interface", "add at least one of them");
    }
    return;
  }
  const auto gateway = parse_address(hop.gateway());
  if (!gateway) return;
  const Location where = node.location_of("gateway");
  if (gateway->is_v4() != destination.address.is_v4()) {
    report.error(where,
                 std::string("the gateway is not ") + family_name(destination.address.is_v4()) + " as the prefix is",
                 "use a gateway of the same family");
    return;
  }
  if (gateway->is_v6() && gateway->to_v6().is_link_local()) {
    if (!hop.has_interface()) {
      report.error(where, "a link-local gateway needs an interface", "add interface to the next_hop");
    }
    return;
  }
  const InterfaceEntry* link = site.interface_of(*gateway);
  if (is_no_host(*gateway) || is_reserved_on_link(site, *gateway)) {
    report.error(where, gateway->to_string() + " is no host address", "use a router's address");
    return;
  }
  if (site.own_addresses.contains(*gateway)) {
    report.error(where, gateway->to_string() + " is an address of this box", "a gateway is another router");
    return;
  }
  if (link == nullptr) {
    report.error(where, "gateway " + gateway->to_string() + " is in no interface's prefix",
                 "use a router on a link of this box");
  } else if (hop.has_interface() && link->message->name() != hop.interface()) {
    report.error(where, "gateway " + gateway->to_string() + " is on interface " + quoted(link->message->name()),
                 "correct the interface or the gateway");
  }
}

struct LocalCheck {
  const Site& site;
  Report& report;
  std::map<Address, std::string> used;  // address -> what it is

  // False after an error: the rest of a block would only repeat it.
  bool take(const Address& address, const v1::LocalAddress& entry, Location where) {
    const InterfaceEntry* link = site.interface_named(entry.interface());
    const bool on_link = link == nullptr || site.interface_of(address) == link;
    if (!on_link) {
      report.error(where, address.to_string() + " is in no prefix of interface " + quoted(entry.interface()),
                   "correct the address or the interface");
    }
    if (is_no_host(address) || is_v6_link_local(address) || is_reserved_on_link(site, address)) {
      report.error(where, address.to_string() + " is no global or private host address", "use another one");
      return false;
    }
    const auto [other, fresh] = used.emplace(address, "local_address");
    if (!fresh) {
      report.error(where, address.to_string() + " is already in use as " + other->second,
                   "keep local addresses apart from all others");
    }
    return on_link && fresh;
  }
};

// Addresses that are someone's already.
std::map<Address, std::string> taken_addresses(const v1::Config& config) {
  std::map<Address, std::string> taken;
  const auto take = [&](const std::string& text, const std::string& as) {
    if (const auto address = parse_address(text)) taken.emplace(*address, as);
  };
  for (const v1::Interface& interface : config.interface()) {
    for (const std::string& text : interface.address()) take(text, "address of interface " + quoted(interface.name()));
    for (const std::string& text : interface.snat_address())
      take(text, "snat_address of interface " + quoted(interface.name()));
    for (const v1::FloatingAddress& floating : interface.floating())
      take(floating.address(), "floating address of interface " + quoted(interface.name()));
  }
  for (const v1::Pool& pool : config.pool()) {
    for (const v1::Backend& backend : pool.backend()) {
      for (const std::string& text : backend.address()) take(text, "backend " + quoted(backend.name()));
    }
  }
  for (const v1::Route& route : config.route()) {
    for (const v1::NextHop& hop : route.next_hop()) take(hop.gateway(), "gateway of route " + route.prefix());
  }
  for (const v1::Service& service : config.service()) {
    for (const std::string& text : service.address()) take(text, "address of service " + quoted(service.name()));
  }
  return taken;
}

// Counts only what this box opens connections from.
void note_family(Site& site, const v1::LocalAddress& entry, bool v4) {
  if (!allocates_here(*site.config, entry)) return;
  (v4 ? site.any_local_v4 : site.any_local_v6) = true;
  (v4 ? site.local_v4 : site.local_v6).insert(entry.name());
}

}  // namespace

void check_interfaces(Site& site, Report& report) {
  std::map<std::pair<std::string, std::uint32_t>, std::string> links;
  std::map<Address, std::string> owner;
  for (std::size_t i = 0; i < site.interfaces.size(); ++i) {
    const InterfaceEntry& entry = site.interfaces[i];
    const auto [other, fresh] =
        links.emplace(std::pair(entry.message->port(), entry.message->vlan()), entry.message->name());
    if (!fresh) {
      report.error(entry.node.location_of("port"),
                   "interface " + quoted(other->second) + " is already on this port and VLAN",
                   "use another vlan or port");
    }
    check_prefix_overlaps(site, i, report);
    check_own_addresses(entry, report, owner);
    check_prefixes(entry, report);
    check_egress(site, entry, report);
    check_interface_size(entry, report);
  }
  if (site.interfaces.size() > kInterfacesMax) {
    report.error(site.interfaces[kInterfacesMax].node.location(),
                 std::to_string(site.interfaces.size()) + " interfaces",
                 "use at most " + std::to_string(kInterfacesMax));
  }
}

void check_routes(const Site& site, Report& report) {
  std::set<std::string> seen;
  for (int i = 0; i < site.config->route_size(); ++i) {
    const v1::Route& route = site.config->route(i);
    const Node node = site.root.child("route", i);
    const auto prefix = parse_prefix(route.prefix());
    if (!prefix) continue;
    if (!seen.insert(prefix->to_string()).second) {
      report.error(node.location_of("prefix"), "a second route to " + prefix->to_string(),
                   "write one route with several next_hop blocks");
    }
    if (site.on_link.contains(prefix->network().to_string())) {
      report.error(node.location_of("prefix"), prefix->to_string() + " is the network of an interface already",
                   "remove the route");
    }
    if (static_cast<std::size_t>(route.next_hop_size()) > kNextHopsMax) {
      report.error(node.location(), std::to_string(route.next_hop_size()) + " next hops", "use at most 16");
    }
    std::set<std::pair<std::string, std::string>> hops;
    for (int k = 0; k < route.next_hop_size(); ++k) {
      const v1::NextHop& hop = route.next_hop(k);
      const auto gateway = parse_address(hop.gateway());
      const InterfaceEntry* link = gateway ? site.interface_of(*gateway) : nullptr;
      const std::string by = hop.has_interface() || link == nullptr ? hop.interface() : link->message->name();
      if (!hops.emplace(gateway ? gateway->to_string() : "", by).second) {
        report.error(node.child("next_hop", k).location(), "this next hop is listed twice", "remove one of the two");
      }
      check_next_hop(site, node.child("next_hop", k), route.next_hop(k), *prefix, report);
    }
  }
  const std::size_t total = static_cast<std::size_t>(site.config->route_size()) + site.on_link.size();
  if (total > kRoutesMax) {
    report.error(site.root.location(), std::to_string(total) + " routes, with the interfaces' prefixes",
                 "use at most " + std::to_string(kRoutesMax));
  }
}

void check_local_addresses(Site& site, Report& report) {
  LocalCheck check{site, report, taken_addresses(*site.config)};
  std::uint64_t total = 0;  // snat addresses share the table
  for (const InterfaceEntry& entry : site.interfaces)
    total += static_cast<std::uint64_t>(entry.message->snat_address_size());
  for (int i = 0; i < site.config->local_address_size(); ++i) {
    const v1::LocalAddress& entry = site.config->local_address(i);
    const Node node = site.root.child("local_address", i);
    if (entry.address_size() + entry.prefix_size() == 0) {
      report.error(node.location(), "local_address has neither address nor prefix", "add at least one of them");
    }
    for (int k = 0; k < entry.address_size(); ++k) {
      const auto address = parse_address(entry.address(k));
      if (!address) continue;
      note_family(site, entry, address->is_v4());
      check.take(*address, entry, node.location_of("address", k));
      ++total;
    }
    for (int k = 0; k < entry.prefix_size(); ++k) {
      const auto prefix = parse_prefix(entry.prefix(k));
      if (!prefix) continue;
      note_family(site, entry, prefix->address.is_v4());
      total += prefix->size() > kLocalAddressesMax ? kLocalAddressesMax + 1 : prefix->size();
      if (total > kLocalAddressesMax) break;  // reported below; do not walk a whole /64
      for (std::uint64_t n = 0; n < prefix->size(); ++n) {
        if (!check.take(*prefix->at(n), entry, node.location_of("prefix", k))) break;
      }
    }
    if (total > kLocalAddressesMax) {
      report.error(node.location(),
                   "more than " + std::to_string(kLocalAddressesMax) + " local and snat addresses up to here",
                   "use fewer or longer prefixes");
      return;
    }
  }
}

void check_probe(const Site& site, Report& report) {
  if (!site.config->has_probe()) return;
  const Node node = site.root.child("probe");
  const v1::Probe& probe = site.config->probe();
  const auto check = [&](const char* field, const std::string& text, bool v4) {
    const auto prefix = parse_prefix(text);
    if (!prefix) return;
    if (prefix->address.is_v4() != v4) {
      report.error(node.location_of(field), text + std::string(" is not ") + family_name(v4),
                   "use a prefix of that family");
    }
    if (prefix->length == 0) {
      report.error(node.location_of(field), text + " is everything", "use a block that exists nowhere else");
    }
    if (prefix->size() <= kBackendsMax) {
      report.error(node.location_of(field), text + " is too small: it needs an address for each backend id ever given",
                   v4 ? "use a /17 or shorter" : "use a /96");
    }
    for (const Address& own : site.own_addresses) {
      if (!prefix->contains(own)) continue;
      report.error(node.location_of(field), text + " holds our own address " + own.to_string(),
                   "use a block that exists nowhere else");
    }
    for (const InterfaceEntry& entry : site.interfaces) {
      for (const Prefix& other : entry.prefixes) {
        if (!other.overlaps(*prefix)) continue;
        report.error(node.location_of(field),
                     text + " overlaps " + other.to_string() + " of interface " + quoted(entry.message->name()),
                     "use a block that exists nowhere else");
      }
    }
  };
  check("prefix_v4", probe.has_prefix_v4() ? probe.prefix_v4() : kProbePrefixV4, true);
  check("prefix_v6", probe.has_prefix_v6() ? probe.prefix_v6() : kProbePrefixV6, false);
}

}  // namespace headgate::config
