// Services and the pools behind them.
#include <algorithm>

#include "controlplane/config/checks.h"
#include "controlplane/config/groups.h"
#include "controlplane/config/validate.h"

namespace headgate::config {
namespace {

using Mode = v1::Service;

bool has_family(const v1::Backend& backend, bool v4) {
  for (const std::string& text : backend.address()) {
    const auto address = parse_address(text);
    if (address && address->is_v4() == v4) return true;
  }
  return false;
}

bool changes_destination_port(const v1::Service& service) {
  return service.mode() == Mode::FULL_NAT || service.mode() == Mode::NAT;
}

struct Endpoints {
  std::map<std::tuple<Address, std::uint32_t, bool>, const v1::Service*> owner;  // by address, port, whether UDP
  std::map<Address, const v1::Group*> group;
};

class ServiceCheck {
 public:
  ServiceCheck(const Site& site, const v1::Service& service, const Node& node, Report& report)
      : site_(site), service_(service), node_(node), report_(report), group_(group_of(*site.config, service.group())) {
    const auto found = site.pools.find(service.pool());
    if (found != site.pools.end()) pool_ = found->second;  // else a dangling reference, reported by the schema
  }

  void check(Endpoints& endpoints) {
    int count[2] = {0, 0};
    for (int i = 0; i < service_.address_size(); ++i) {
      const auto address = parse_address(service_.address(i));
      if (!address) continue;
      if (++count[address->is_v4()] == 2) {
        report_.error(
            node_.location_of("address", i),
            std::string("a second ") + family_name(address->is_v4()) + " address of service " + quoted(service_.name()),
            "write another service with the same pool");
        continue;
      }
      check_address(*address, node_.location_of("address", i), endpoints);
      check_family(address->is_v4(), node_.location_of("address", i));
    }
    check_local_addresses();
    check_fields();
    check_proxied(node_, service_, report_);
    if (pool_ != nullptr) check_backends();
  }

 private:
  void check_address(const Address& address, Location where, Endpoints& endpoints) {
    check_endpoint(address, where, endpoints);
    if (is_no_host(address) || is_v6_link_local(address)) {
      report_.error(where, address.to_string() + " cannot be a service's address",
                    "use a global or private unicast address");
      return;
    }
    const InterfaceEntry* link = site_.interface_of(address);
    if (link == nullptr) {
      report_.warn(
          where, address.to_string() + " is outside every interface's prefix: nobody asks this box for it by ARP or ND",
          "make sure that a router sends it here");
      return;
    }
    for (const Prefix& prefix : link->prefixes) {
      if (is_reserved_in(address, prefix)) {
        report_.error(where, address.to_string() + " is no host address in " + prefix.to_string(), "use another one");
      }
    }
    check_announced(address, where, link->message->name(), endpoints);
  }

  // To a client TCP, TCP_PROXY and HTTP are one: which of them a SYN is for, nothing tells.
  void check_endpoint(const Address& address, Location where, Endpoints& endpoints) {
    const bool udp = service_.protocol() == Mode::UDP;
    const auto [other, fresh] = endpoints.owner.emplace(std::tuple(address, service_.port(), udp), &service_);
    if (fresh) return;
    const v1::Service& owner = *other->second;
    const bool alike = owner.protocol() == service_.protocol();
    report_.error(where,
                  endpoint_text(address, service_.port()) + " is already taken by service " + quoted(owner.name()) +
                      (alike ? "" : " with protocol " + Mode::Protocol_Name(owner.protocol()) + ", which is TCP, too"),
                  alike ? "change the address, port or protocol of one of the two"
                        : "change the address or port of one of the two");
  }

  // Addresses of a network fail over when their group speaks VRRP there, and wholly or not at all.
  void check_announced(const Address& address, Location where, const std::string& network, Endpoints& endpoints) {
    if (group_ == nullptr) return;
    const auto [other, fresh] = endpoints.group.emplace(address, group_);
    if (!fresh && other->second != group_) {
      report_.error(where, address.to_string() + " is in group " + quoted(other->second->name()) + " already",
                    "let it fail over as one: the same group wherever it is written");
    }
    const auto speaks = [&](const v1::Group::Router& router) { return router.interface() == network; };
    if (std::any_of(group_->router().begin(), group_->router().end(), speaks)) return;
    report_.warn(where,
                 "nobody announces " + address.to_string() + " after a failover: group " + quoted(group_->name()) +
                     " has no router on interface " + quoted(network),
                 "add router { interface: " + quoted(network) + " vrid: ... } to the group");
  }

  void check_family(bool v4, Location where) {
    if (service_.mode() == Mode::FULL_NAT && !(v4 ? site_.any_local_v4 : site_.any_local_v6)) {
      report_.error(where,
                    std::string("mode FULL_NAT needs ") + family_name(v4) + " local addresses and there are none",
                    std::string("add a local_address with an ") + family_name(v4) + " address or prefix");
    } else if (service_.mode() == Mode::FULL_NAT && !has_local_for(site_, group_, v4)) {
      report_.error(where,
                    std::string("no ") + family_name(v4) + " local address is in this service's group " +
                        quoted(group_->name()) + " or stays on this box",
                    "give one that group, or floats: false");
    }
    if (pool_ == nullptr || service_.mode() == Mode::TUNNEL) return;
    check_pool_family(*pool_, v4, where, "this address");
    std::set<std::string> seen{service_.pool()};
    for (int i = 0; i < service_.http().route_size(); ++i) {
      const auto pool = site_.pools.find(service_.http().route(i).pool());
      if (pool == site_.pools.end() || !seen.insert(pool->first).second) continue;
      check_pool_family(*pool->second, v4, node_.child("http").child("route", i).location_of("pool"),
                        std::string("the service's ") + family_name(v4) + " address");
    }
  }

  // address: that the pool has to serve, in words.
  void check_pool_family(const v1::Pool& pool, bool v4, Location where, const std::string& address) {
    std::string without;
    for (const v1::Backend& backend : pool.backend()) {
      if (!has_family(backend, v4)) without += (without.empty() ? "" : ", ") + backend.name();
    }
    if (without.empty()) return;
    const bool any = std::any_of(pool.backend().begin(), pool.backend().end(),
                                 [v4](const v1::Backend& backend) { return has_family(backend, v4); });
    if (!any) {
      report_.error(
          where, std::string("no backend of pool ") + quoted(pool.name()) + " has an " + family_name(v4) + " address",
          "give them one or remove " + address);
    } else {
      report_.warn(where,
                   std::string("backends without an ") + family_name(v4) + " address take no flows of it: " + without,
                   "give each backend an address of both families");
    }
  }

  void check_local_addresses() {
    if (service_.local_address_size() == 0) return;
    if (service_.mode() != Mode::FULL_NAT) {
      report_.warn(node_.location_of("local_address", 0), "local_address has no effect in mode " + mode_name(),
                   "remove it or use mode FULL_NAT");
      return;
    }
    for (const std::string& text : service_.address()) {
      const auto address = parse_address(text);
      if (!address) continue;
      bool any = false;
      for (const std::string& name : service_.local_address()) {
        any |= (address->is_v4() ? site_.local_v4 : site_.local_v6).contains(name);
      }
      if (!any && (address->is_v4() ? site_.any_local_v4 : site_.any_local_v6)) {
        report_.error(
            node_.location_of("local_address", 0),
            std::string("none of these has an ") + family_name(address->is_v4()) + " address, which " + text + " needs",
            "name one that does");
      }
    }
  }

  void check_fields() {
    if (service_.has_encapsulation() && service_.mode() != Mode::TUNNEL) {
      report_.warn(node_.location_of("encapsulation"), "encapsulation has no effect in mode " + mode_name(),
                   "remove it or use mode TUNNEL");
    }
    if (service_.has_gue_port() && service_.encapsulation() != Mode::GUE) {
      report_.warn(node_.location_of("gue_port"), "gue_port has no effect without encapsulation GUE",
                   "remove it or set encapsulation: GUE");
    }
  }

  void check_backends() {
    for (const v1::Backend& backend : pool_->backend()) {
      const std::string label = "backend " + quoted(backend.name()) + " of pool " + quoted(pool_->name());
      if (!changes_destination_port(service_) && backend.has_port() && backend.port() != service_.port()) {
        report_.error(node_.location_of("mode"),
                      label + " has port " + std::to_string(backend.port()) + ", but mode " + mode_name() +
                          " keeps the service's port " + std::to_string(service_.port()),
                      "remove the backend's port or use another mode");
      }
      for (const std::string& text : backend.address()) {
        const auto address = parse_address(text);
        if (address && serves_family(address->is_v4())) check_backend_link(*address, label);
      }
    }
  }

  bool serves_family(bool v4) const {
    return std::any_of(service_.address().begin(), service_.address().end(), [&](const std::string& text) {
      const auto address = parse_address(text);
      return address && address->is_v4() == v4;
    });
  }

  // What the mode asks of the network between this box and the backend.
  void check_backend_link(const Address& address, const std::string& label) {
    const InterfaceEntry* link = site_.interface_of(address);
    if (service_.mode() == Mode::DSR && link == nullptr) {
      report_.error(node_.location_of("mode"),
                    label + " (" + address.to_string() + ") is on no link of this box, which mode DSR needs",
                    "move it to a link or use mode TUNNEL");
    }
    if (service_.mode() == Mode::NAT && link != nullptr && !link->message->gateway()) {
      report_.warn(node_.location_of("mode"),
                   label + " answers through its gateway, but interface " + quoted(link->message->name()) + " is none",
                   "set gateway: true on that interface");
    }
  }

  std::string mode_name() const { return Mode::Mode_Name(service_.mode()); }

  const Site& site_;
  const v1::Service& service_;
  const Node node_;
  Report& report_;
  const v1::Group* group_;  // null without groups, or when it names none, which the schema reports
  const v1::Pool* pool_ = nullptr;
};

void check_backend(const Site& site, const Node& node, const v1::Backend& backend, Report& report,
                   std::map<std::pair<Address, std::uint32_t>, std::string>& endpoints) {
  int count[2] = {0, 0};
  for (int i = 0; i < backend.address_size(); ++i) {
    const auto address = parse_address(backend.address(i));
    if (!address) continue;
    const Location where = node.location_of("address", i);
    if (++count[address->is_v4()] == 2) {
      report.error(
          where,
          std::string("a second ") + family_name(address->is_v4()) + " address of backend " + quoted(backend.name()),
          "write another backend");
      continue;
    }
    if (site.own_addresses.contains(*address)) {
      report.error(where, address->to_string() + " is an address of this box", "a backend is another machine");
      continue;
    }
    if (is_no_host(*address) || is_v6_link_local(*address) || is_reserved_on_link(site, *address)) {
      report.error(where, address->to_string() + " cannot be a backend's address",
                   "use a global or private unicast address");
      continue;
    }
    const auto [other, fresh] = endpoints.emplace(std::pair(*address, backend.port()), backend.name());
    if (!fresh) {
      report.error(where, "backend " + quoted(other->second) + " has the same address and port",
                   "remove one of the two");
    }
    if (!site.has_route(*address)) {
      report.warn(where, address->to_string() + " is on no link and behind no route",
                  "add a route or correct the address");
    }
  }
}

void check_totals(const Site& site, Report& report) {
  std::size_t pools = 0, backends = 0, services = 0, maglev = 0, nat = 0;
  for (const v1::Pool& pool : site.config->pool()) {
    std::size_t with[2] = {0, 0};
    for (const v1::Backend& backend : pool.backend()) {
      for (const bool v4 : {false, true}) with[v4] += has_family(backend, v4) ? 1 : 0;
    }
    const std::size_t variants = (with[0] > 0) + (with[1] > 0);
    pools += variants;
    maglev += pool.algorithm() == v1::Pool::MAGLEV ? variants : 0;
    backends += with[0] + with[1];
  }
  for (const v1::Service& service : site.config->service()) {
    services += static_cast<std::size_t>(service.address_size());
    const auto pool = site.pools.find(service.pool());
    if (service.mode() != v1::Service::NAT || pool == site.pools.end()) continue;
    for (const v1::Backend& backend : pool->second->backend()) nat += static_cast<std::size_t>(backend.address_size());
  }
  const auto judge = [&](std::size_t count, std::size_t limit, const std::string& what) {
    if (count <= limit) return;
    report.error(site.root.location(), std::to_string(count) + " " + what + ", counting each family",
                 "use at most " + std::to_string(limit));
  };
  judge(pools, kPoolsMax, "pools");
  judge(backends, kBackendsMax, "backends");
  judge(services, kServicesMax, "services");
  judge(maglev, kMaglevPoolsMax, "pools with algorithm MAGLEV");
  judge(nat, kNatEndpointsMax, "backends of services in mode NAT, each service counted");
}

}  // namespace

void check_services(const Site& site, Report& report) {
  Endpoints endpoints;
  for (const InterfaceEntry& entry : site.interfaces) {
    for (const v1::FloatingAddress& floating : entry.message->floating()) {
      const v1::Group* group = group_of(*site.config, floating.group());
      const auto address = parse_address(floating.address());
      if (address && group != nullptr) endpoints.group.emplace(*address, group);
    }
  }
  for (int i = 0; i < site.config->service_size(); ++i) {
    ServiceCheck(site, site.config->service(i), site.root.child("service", i), report).check(endpoints);
  }
}

void check_pools(const Site& site, Report& report) {
  for (int i = 0; i < site.config->pool_size(); ++i) {
    const v1::Pool& pool = site.config->pool(i);
    const Node node = site.root.child("pool", i);
    if (pool.backend_size() == 0) {
      report.warn(node.location(), "pool " + quoted(pool.name()) + " has no backend",
                  "add backend { name: ... address: ... }");
    }
    if (!pool.name().empty() && site.users_of(pool.name()).empty()) {
      report.warn(node.location(), "pool " + quoted(pool.name()) + " is used by no service: it is not probed",
                  "name it in a service or remove it");
    }
    std::map<std::pair<Address, std::uint32_t>, std::string> endpoints;
    for (int k = 0; k < pool.backend_size(); ++k) {
      check_backend(site, node.child("backend", k), pool.backend(k), report, endpoints);
    }
    check_probes(site, node, pool, report);
    check_pool_rules(site, node, pool, report);
  }
  check_totals(site, report);
}

}  // namespace headgate::config
