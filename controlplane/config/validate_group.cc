// Groups: their routers, what they announce and what they depend on; floating addresses of interfaces.
#include <algorithm>

#include "controlplane/config/checks.h"
#include "controlplane/config/groups.h"
#include "controlplane/config/validate.h"

namespace headgate::config {
namespace {

std::uint32_t version_of(const v1::Group::Router& router) {
  return router.has_version() ? router.version() : 3;
}

class RouterCheck {
 public:
  RouterCheck(const Site& site, const v1::Group& group, const v1::Group::Router& router, const Node& node,
              Report& report)
      : site_(site),
        group_(group),
        router_(router),
        node_(node),
        report_(report),
        link_(site.interface_named(router.interface())) {}

  // How many routers of the dataplane it becomes: one for each family in which there are addresses.
  std::size_t check() {
    if (link_ == nullptr) return 0;  // a dangling reference, reported by the schema
    std::size_t families = 0;
    for (const bool v4 : {true, false}) families += check_family(v4);
    if (families == 0) {
      report_.warn(node_.location(),
                   "group " + quoted(group_.name()) + " has no address on interface " + quoted(router_.interface()) +
                       ": this router says nothing",
                   "add a floating address there, or remove the router");
    }
    check_version();
    check_sources();
    check_peers();
    return families;
  }

 private:
  std::size_t check_family(bool v4) {
    const auto addresses = group_addresses(*site_.config, group_, *link_->message, v4);
    if (addresses.empty()) return 0;
    if (!v4 && version_of(router_) == 2) {
      report_.warn(
          node_.location_of("version"),
          "version 2 is IPv4 only: nobody announces " + addresses.front().to_string() + " and other IPv6 addresses",
          "use version 3");
      return 0;
    }
    if (v4 && !advert_source(*site_.config, router_, true)) {
      report_.error(node_.location(),
                    "interface " + quoted(router_.interface()) + " has no IPv4 address to send adverts from",
                    "add an address to the interface, or source to the router");
    }
    if (addresses.size() > kAdvertAddressesMax) {
      report_.warn(node_.location(),
                   std::to_string(addresses.size()) + " addresses of " + family_name(v4) + ": adverts list the first " +
                       std::to_string(kAdvertAddressesMax) + ", all fail over",
                   "nothing, unless a foreign peer compares them");
    }
    return 1;
  }

  void check_version() {
    if (version_of(router_) != 2) return;
    const auto& prefixes = link_->prefixes;
    if (std::none_of(prefixes.begin(), prefixes.end(), [](const Prefix& p) { return p.address.is_v4(); })) {
      report_.error(node_.location_of("version"),
                    "version 2 is IPv4 only, and interface " + quoted(router_.interface()) + " has no IPv4 prefix",
                    "use version 3");
    }
    const std::uint32_t interval = group_.has_interval_ms() ? group_.interval_ms() : 100;
    if (interval % 1000 != 0) {
      report_.error(node_.location_of("version"),
                    "version 2 counts whole seconds, and interval_ms is " + std::to_string(interval),
                    "set interval_ms of the group to 1000 or a multiple of it");
    }
    if (router_.checksum() != v1::Group::Router::AUTOMATIC) {
      report_.warn(node_.location_of("checksum"), "checksum has no effect in version 2", "remove it");
    }
  }

  void check_sources() {
    bool seen[2] = {false, false};
    for (int i = 0; i < router_.source_size(); ++i) {
      const auto source = parse_address(router_.source(i));
      if (!source) continue;
      const Location where = node_.location_of("source", i);
      if (seen[source->is_v4()]) {
        report_.error(where, std::string("a second ") + family_name(source->is_v4()) + " source",
                      "keep one of the two");
      }
      seen[source->is_v4()] = true;
      check_source(*source, where);
    }
  }

  void check_source(const Address& source, Location where) {
    if (source.is_v6()) {  // RFC 9568 5.1.2.1
      if (is_v6_link_local(source)) return;
      report_.error(where, source.to_string() + " is not link-local, as sources of IPv6 adverts are",
                    "use one of fe80::/10, or none: it is made of the port's MAC");
      return;
    }
    const auto holds = [&](const Prefix& prefix) { return prefix.contains(source); };
    if (std::none_of(link_->prefixes.begin(), link_->prefixes.end(), holds)) {
      report_.error(where, source.to_string() + " is in no prefix of interface " + quoted(router_.interface()),
                    "use this box's address there");
    } else if (is_no_host(source) || is_reserved_on_link(site_, source)) {
      report_.error(where, source.to_string() + " is no host address", "use this box's address there");
    } else if (site_.own_addresses.contains(source) && !is_interface_address(source)) {
      report_.error(where, source.to_string() + " fails over: it does not tell the two boxes apart",
                    "use an address that stays on this box");
    }
  }

  bool is_interface_address(const Address& address) const {
    const auto& texts = link_->message->address();
    return std::any_of(texts.begin(), texts.end(),
                       [&](const std::string& text) { return parse_address(text) == address; });
  }

  void check_peers() {
    std::size_t count[2] = {0, 0};
    std::set<Address> seen;
    for (int i = 0; i < router_.peer_size(); ++i) {
      const auto peer = parse_address(router_.peer(i));
      if (!peer) continue;
      const Location where = node_.location_of("peer", i);
      if (!seen.insert(*peer).second) {
        report_.error(where, peer->to_string() + " is listed twice", "remove one of the two");
      }
      if (++count[peer->is_v4()] == kRouterPeersMax + 1) {
        report_.error(where, std::string("too many ") + family_name(peer->is_v4()) + " peers",
                      "use at most " + std::to_string(kRouterPeersMax));
      }
      if (peer == advert_source(*site_.config, router_, peer->is_v4()) || site_.own_addresses.contains(*peer)) {
        report_.error(where, peer->to_string() + " is an address of this box", "a peer is the other box");
      } else if (is_no_host(*peer) || is_reserved_on_link(site_, *peer)) {
        report_.error(where, peer->to_string() + " is no host address", "use the other box's source of adverts");
      } else if (peer->is_v6() && !is_v6_link_local(*peer)) {
        report_.error(where, peer->to_string() + " is not link-local, as sources of IPv6 adverts are",
                      "use the other box's link-local address");
      }
    }
  }

  const Site& site_;
  const v1::Group& group_;
  const v1::Group::Router& router_;
  const Node node_;
  Report& report_;
  const InterfaceEntry* link_;
};

void check_priorities(const v1::Group& group, const Node& node, Report& report) {
  const std::uint32_t a = priority_of(group, v1::A), b = priority_of(group, v1::B);
  const char* field = group.has_priority_b() ? "priority_b" : "priority_a";
  if (a == b) {
    report.error(node.location_of(field),
                 "both boxes have priority " + std::to_string(a) + ": after a start both would be active for a moment",
                 "make one of them the higher one");
  } else if (std::min(a, b) < kPriorityWithRoom) {
    report.warn(node.location_of(a < b ? "priority_a" : "priority_b"),
                "priority " + std::to_string(std::min(a, b)) + " leaves no room below it for a degraded box",
                "use " + std::to_string(kPriorityWithRoom) + " or more");
  }
}

void check_timing(const v1::Group& group, const Node& node, Report& report) {
  if (group.interval_ms() % 10 != 0) {
    report.error(node.location_of("interval_ms"), "interval_ms is " + std::to_string(group.interval_ms()),
                 "use a multiple of 10: VRRP counts hundredths of a second");
  }
  if (group.has_preempt_delay_s() && group.preemption() != v1::Group::AFTER) {
    report.warn(node.location_of("preempt_delay_s"),
                "preempt_delay_s has no effect with preemption " + v1::Group::Preemption_Name(group.preemption()),
                "remove it or set preemption: AFTER");
  }
}

void check_tracked_gateway(const Site& site, const Node& node, const Address& gateway, Report& report) {
  const Location where = node.location_of("gateway");
  if (site.own_addresses.contains(gateway)) {
    report.error(where, gateway.to_string() + " is an address of this box and answers always", "track another machine");
  } else if (is_no_host(gateway) || is_v6_link_local(gateway) || is_reserved_on_link(site, gateway)) {
    report.error(where, gateway.to_string() + " cannot be asked", "use a router's global or private address");
  }
}

void check_track(const Site& site, const Node& node, const v1::Group::Track& track, Report& report) {
  const int kinds = track.has_interface() + track.has_pool() + track.has_gateway();
  if (kinds != 1) {
    report.error(node.location(), kinds == 0 ? "track names nothing" : "track names more than one thing",
                 "write exactly one of interface, pool and gateway in each track");
    return;
  }
  const auto pool = site.pools.find(track.pool());
  if (track.has_pool() && pool != site.pools.end() && pool->second->minimum_healthy() == 0) {
    report.error(node.location_of("pool"), "pool " + quoted(track.pool()) + " has no minimum_healthy to fall below",
                 "set minimum_healthy of the pool");
  }
  if (track.has_pool() && pool != site.pools.end() && !pool->second->has_health_check()) {
    report.warn(node.location_of("pool"), "pool " + quoted(track.pool()) + " has no health_check and never falls",
                "add health_check { tcp {} } to the pool");
  }
  if (const auto gateway = parse_address(track.gateway()); track.has_gateway() && gateway) {
    check_tracked_gateway(site, node, *gateway, report);
  }
}

struct Vrids {  // interface and id -> group
  std::map<std::pair<std::string, std::uint32_t>, std::string> owner;
};

void check_routers(const Site& site, const v1::Group& group, const Node& node, Vrids& vrids, Report& report) {
  std::set<std::string> networks;
  std::size_t routers = 0;
  for (int i = 0; i < group.router_size(); ++i) {
    const v1::Group::Router& router = group.router(i);
    const Node child = node.child("router", i);
    if (!networks.insert(router.interface()).second) {
      report.error(child.location_of("interface"),
                   "a second router of group " + quoted(group.name()) + " on interface " + quoted(router.interface()),
                   "remove one of the two");
    }
    const auto [other, fresh] = vrids.owner.emplace(std::pair(router.interface(), router.vrid()), group.name());
    if (!fresh && other->second != group.name()) {
      report.error(child.location_of("vrid"),
                   "vrid " + std::to_string(router.vrid()) + " is group " + quoted(other->second) + "'s on interface " +
                       quoted(router.interface()),
                   "use another one");
    }
    routers += RouterCheck(site, group, router, child, report).check();
  }
  if (routers > kGroupRoutersMax) {
    report.error(node.location(), std::to_string(routers) + " routers, counting each family",
                 "use at most " + std::to_string(kGroupRoutersMax));
  }
  if (routers == 0 && group.router_size() != 0) {
    report.error(node.location(), "group " + quoted(group.name()) + " has no address where it has a router",
                 "give it a service or a floating address there");
  }
}

void check_floating(const Site& site, const InterfaceEntry& entry, Report& report,
                    std::map<Address, std::string>& owner) {
  for (int i = 0; i < entry.message->floating_size(); ++i) {
    const v1::FloatingAddress& floating = entry.message->floating(i);
    const Node node = entry.node.child("floating", i);
    const auto address = parse_address(floating.address());
    if (!address) continue;
    const auto holds = [&](const Prefix& prefix) { return prefix.contains(*address); };
    if (std::none_of(entry.prefixes.begin(), entry.prefixes.end(), holds)) {
      report.error(node.location_of("address"),
                   address->to_string() + " is in no prefix of interface " + quoted(entry.message->name()),
                   "add its prefix or correct the address");
    } else if (is_no_host(*address) || is_reserved_on_link(site, *address)) {
      report.error(node.location_of("address"), address->to_string() + " is no host address", "use another one");
    }
    const auto [other, fresh] = owner.emplace(*address, "a floating address");
    if (!fresh) {
      report.error(node.location_of("address"), address->to_string() + " is already " + other->second,
                   "use another address");
    }
    const v1::Group* group = group_of(*site.config, floating.group());
    if (group == nullptr) {
      if (floating.group().empty())
        report.error(node.location(), "a floating address without a group to fail over with", "add a group");
      continue;
    }
    const auto speaks = [&](const v1::Group::Router& router) { return router.interface() == entry.message->name(); };
    if (std::any_of(group->router().begin(), group->router().end(), speaks)) continue;
    report.error(node.location(),
                 "group " + quoted(group->name()) + " has no router on interface " + quoted(entry.message->name()),
                 "add router { interface: " + quoted(entry.message->name()) + " vrid: ... } to the group");
  }
}

// What a floating address may not be. Service addresses may: a server's gateway that offers a service, too.
std::map<Address, std::string> fixed_addresses(const Site& site) {
  std::map<Address, std::string> fixed;
  for (const InterfaceEntry& entry : site.interfaces) {
    for (const std::string& text : entry.message->address()) {
      if (const auto address = parse_address(text))
        fixed.emplace(*address, "this box's own on interface " + quoted(entry.message->name()));
    }
  }
  return fixed;
}

}  // namespace

void check_groups(const Site& site, Report& report) {
  Vrids vrids;
  const v1::Config& config = *site.config;
  for (int i = 0; i < config.group_size(); ++i) {
    const v1::Group& group = config.group(i);
    const Node node = site.root.child("group", i);
    check_priorities(group, node, report);
    check_timing(group, node, report);
    check_routers(site, group, node, vrids, report);
    for (int k = 0; k < group.track_size(); ++k) check_track(site, node.child("track", k), group.track(k), report);
  }
  if (static_cast<std::size_t>(config.group_size()) > kGroupsMax) {
    report.error(site.root.child("group", static_cast<int>(kGroupsMax)).location(),
                 std::to_string(config.group_size()) + " groups", "use at most " + std::to_string(kGroupsMax));
  }
  auto owner = fixed_addresses(site);
  for (const InterfaceEntry& entry : site.interfaces) check_floating(site, entry, report, owner);
}

}  // namespace headgate::config
