// The pair: which side this box is, its link to the other one, witnesses, and whose local addresses are whose.
#include <algorithm>

#include "controlplane/config/checks.h"
#include "controlplane/config/groups.h"
#include "controlplane/config/pool_use.h"
#include "controlplane/config/validate.h"

namespace headgate::config {
namespace {

void check_ha_link(const Site& site, const Node& node, const v1::Failover::HaLink& link, Report& report) {
  const auto own = parse_address(link.address()), peer = parse_address(link.peer_address());
  const auto judge = [&](const char* field, const std::optional<Address>& address) {
    if (!address) return;
    const Location where = node.location_of(field);
    if (address->is_loopback()) {
      report.warn(where, address->to_string() + " leads nowhere but to this machine",
                  "use one of the HA link's network, unless two control planes on one machine are tried out");
    } else if (is_no_host(*address)) {
      report.error(where, address->to_string() + " is no host address", "use one of the HA link's network");
    } else if (site.own_addresses.contains(*address)) {
      report.error(where, address->to_string() + " is an address of the dataplane, which the HA link does not use",
                   "use an address that the kernel holds");
    } else if (const InterfaceEntry* on = site.interface_of(*address)) {
      report.warn(where,
                  address->to_string() + " is on interface " + quoted(on->message->name()) +
                      ": one cut would silence adverts and HA link together",
                  "use a network of its own");
    }
  };
  judge("address", own);
  judge("peer_address", peer);
  if (!own || !peer) return;
  if (*own == *peer) {
    report.error(node.location_of("peer_address"), "both ends of the HA link are " + own->to_string(),
                 "write the other box's address");
  } else if (own->is_v4() != peer->is_v4()) {
    report.error(node.location_of("peer_address"), "the ends of the HA link are of two families",
                 "use two IPv4 or two IPv6 addresses");
  }
}

void check_witnesses(const Site& site, const Node& node, const v1::Failover& failover, Report& report) {
  std::set<Address> seen;
  for (int i = 0; i < failover.witness_size(); ++i) {
    const auto witness = parse_address(failover.witness(i));
    if (!witness) continue;
    const Location where = node.location_of("witness", i);
    if (!seen.insert(*witness).second) {
      report.error(where, witness->to_string() + " is listed twice", "remove one of the two");
    }
    const bool is_box = failover.has_ha_link() && (parse_address(failover.ha_link().address()) == witness ||
                                                   parse_address(failover.ha_link().peer_address()) == witness);
    if (site.own_addresses.contains(*witness) || is_box) {
      report.error(where, witness->to_string() + " is an address of the pair", "a witness is a third machine");
    } else if (is_no_host(*witness) || is_v6_link_local(*witness) || is_reserved_on_link(site, *witness)) {
      report.error(where, witness->to_string() + " cannot be asked", "use a router's global or private address");
    }
  }
  if (static_cast<std::size_t>(failover.witness_size()) > kWitnessesMax) {
    report.error(node.location_of("witness", static_cast<int>(kWitnessesMax)),
                 std::to_string(failover.witness_size()) + " witnesses",
                 "use at most " + std::to_string(kWitnessesMax));
  }
}

bool has_family(const v1::LocalAddress& entry, bool v4) {
  const auto of_address = [&](const std::string& text) {
    const auto address = parse_address(text);
    return address && address->is_v4() == v4;
  };
  const auto of_prefix = [&](const std::string& text) {
    const auto prefix = parse_prefix(text);
    return prefix && prefix->address.is_v4() == v4;
  };
  return std::any_of(entry.address().begin(), entry.address().end(), of_address) ||
         std::any_of(entry.prefix().begin(), entry.prefix().end(), of_prefix);
}

void check_local(const Site& site, const Node& node, const v1::LocalAddress& entry, Report& report) {
  const v1::Config& config = *site.config;
  if (entry.has_allocate_on() && !config.has_failover()) {
    report.error(node.location_of("allocate_on"), "allocate_on without failover: this box does not know its side",
                 "add failover { side: A }");
  }
  if (entry.has_floats() && !entry.floats() && !entry.has_allocate_on()) {
    report.error(node.location_of("floats"), "floats: false, but on which box do they stay?", "add allocate_on");
  } else if (is_pair(config) && !entry.has_allocate_on()) {
    report.error(node.location(), "both boxes would open connections from these addresses",
                 "add allocate_on: A, and other addresses with allocate_on: B");
  }
  if (!floats(config, entry)) {
    if (entry.has_group())
      report.warn(node.location_of("group"), "group has no effect: these addresses do not float", "remove it");
    return;
  }
  const v1::Group* group = group_of(config, entry.group());
  if (group == nullptr) return;  // a dangling reference, reported by the schema
  const auto speaks = [&](const v1::Group::Router& router) { return router.interface() == entry.interface(); };
  if (std::any_of(group->router().begin(), group->router().end(), speaks)) return;
  report.error(node.location(),
               "these addresses float with group " + quoted(group->name()) + ", which has no router on interface " +
                   quoted(entry.interface()),
               "add router { interface: " + quoted(entry.interface()) + " vrid: ... } to the group, or floats: false");
}

bool is_probed_along_the_path(const Site& site, const std::string& name) {
  const auto pool = site.pools.find(name);
  return pool != site.pools.end() && pool->second->has_health_check() &&
         pool->second->health_check().via() == v1::HealthCheck::PATH;
}

// The passive box has no floating address to probe from.
void check_probe_sources(const Site& site, Report& report) {
  const v1::Config& config = *site.config;
  for (const v1::Service& service : config.service()) {
    if (service.mode() != v1::Service::FULL_NAT) continue;
    const std::vector<std::string> pools = pools_of(service);
    const auto pool =
        std::ranges::find_if(pools, [&](const std::string& name) { return is_probed_along_the_path(site, name); });
    if (pool == pools.end()) continue;
    for (const std::string& text : service.address()) {
      const auto address = parse_address(text);
      const auto stays = [&](const v1::LocalAddress& entry) {
        return !floats(config, entry) && allocates_here(config, entry) && address &&
               has_family(entry, address->is_v4());
      };
      if (!address || std::any_of(config.local_address().begin(), config.local_address().end(), stays)) continue;
      report.warn(site.root.child("failover").location_of("side"),
                  std::string("box ") + v1::Side_Name(config.failover().side()) + " has no " +
                      family_name(address->is_v4()) +
                      " local address that stays: while it is passive it cannot probe pool " + quoted(*pool) +
                      " along the path",
                  "add a local_address with allocate_on and floats: false, one for each box");
      return;  // once: the next service's would say the same
    }
  }
}

// What of an interface would not follow its groups.
void check_interface(const InterfaceEntry& entry, Report& report) {
  if (entry.message->snat_address_size() != 0) {
    report.warn(entry.node.location_of("snat_address", 0),
                "snat_address does not fail over: two boxes with it would both answer for it",
                "use egress ROUTE or DROP on a pair");
  }
  if (entry.message->gateway() && entry.message->floating_size() == 0) {
    report.warn(
        entry.node.location_of("gateway"),
        "servers on interface " + quoted(entry.message->name()) + " would go on sending to this box after a failover",
        "add a floating address and let it be their gateway");
  }
}

}  // namespace

bool has_local_for(const Site& site, const v1::Group* group, bool v4) {
  if (group == nullptr) return true;
  const v1::Config& config = *site.config;
  return std::any_of(config.local_address().begin(), config.local_address().end(), [&](const v1::LocalAddress& entry) {
    if (!has_family(entry, v4) || !allocates_here(config, entry)) return false;
    return !floats(config, entry) || group_of(config, entry.group()) == group;
  });
}

void check_failover(const Site& site, Report& report) {
  const v1::Config& config = *site.config;
  for (int i = 0; i < config.local_address_size(); ++i) {
    check_local(site, site.root.child("local_address", i), config.local_address(i), report);
  }
  if (!config.has_failover()) {
    if (config.group_size() != 0) {
      report.error(site.root.child("group", 0).location(), "a group without failover: this box does not know its side",
                   "add failover { side: A } here, and side: B on the other box");
    }
    return;
  }
  const Node node = site.root.child("failover");
  if (config.group_size() == 0) {
    report.warn(node.location(), "failover without a group: nothing fails over", "add a group");
  }
  if (config.failover().has_ha_link()) check_ha_link(site, node.child("ha_link"), config.failover().ha_link(), report);
  check_witnesses(site, node, config.failover(), report);
  if (config.group_size() == 0) return;
  check_probe_sources(site, report);
  for (const InterfaceEntry& entry : site.interfaces) check_interface(entry, report);
}

}  // namespace headgate::config
