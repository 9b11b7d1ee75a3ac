#include "controlplane/compile/compile.h"

#include <algorithm>

#include "controlplane/compile/expand.h"
#include "controlplane/compile/failover.h"
#include "controlplane/compile/http.h"
#include "controlplane/config/groups.h"
#include "controlplane/config/validate.h"

namespace headgate::compile {
namespace {

namespace in = config::v1;
namespace out = dataplane::v1;

// The enumerations agree in order; the dataplane's protocol, mode and algorithm have an "unspecified" before it.
static_assert(static_cast<int>(out::HTTP) == static_cast<int>(in::Service::HTTP) + 1);
static_assert(static_cast<int>(out::TUNNEL) == static_cast<int>(in::Service::TUNNEL) + 1);
static_assert(static_cast<int>(out::MAGLEV) == static_cast<int>(in::Pool::MAGLEV) + 1);
static_assert(static_cast<int>(out::GUE) == static_cast<int>(in::Service::GUE));
static_assert(static_cast<int>(out::REHASH) == static_cast<int>(in::Pool::REHASH));
static_assert(static_cast<int>(out::EGRESS_SNAT) == static_cast<int>(in::Interface::SNAT));

void add_interface(const in::Interface& from, const in::Config& config, const IdTable& ids, out::Snapshot& snapshot) {
  out::Interface& to = *snapshot.add_interface();
  to.set_id(ids.find(Kind::interface, from.name()));
  to.set_name(from.name());
  to.set_port(from.port());
  to.set_vlan(from.vlan());
  to.set_mtu(from.has_mtu() ? from.mtu() : 1500);
  *to.mutable_prefix() = from.prefix();
  *to.mutable_address() = from.address();
  to.set_egress(static_cast<out::Egress>(from.egress()));
  *to.mutable_snat_address() = from.snat_address();
  to.set_gateway(from.gateway());
  for (const in::FloatingAddress& floating : from.floating()) {
    out::FloatingAddress& copy = *to.add_floating();
    copy.set_address(floating.address());
    copy.set_group_id(group_id(config, floating.group(), ids));
  }
}

// The interface whose prefix holds the gateway.
std::string interface_of(const in::Config& config, const std::string& gateway) {
  const auto address = config::parse_address(gateway);
  for (const in::Interface& interface : config.interface()) {
    for (const std::string& text : interface.prefix()) {
      if (address && config::parse_prefix(text)->contains(*address)) return interface.name();
    }
  }
  return {};
}

void add_route(const in::Route& from, const in::Config& config, out::Snapshot& snapshot) {
  out::Route& to = *snapshot.add_route();
  to.set_prefix(from.prefix());
  for (const in::NextHop& hop : from.next_hop()) {
    out::NextHop& next = *to.add_next_hop();
    next.set_gateway(hop.gateway());
    next.set_interface(hop.has_interface() ? hop.interface() : interface_of(config, hop.gateway()));
  }
}

void add_local_address(const LocalPart& from, const in::Config& config, const IdTable& ids, out::Snapshot& snapshot) {
  if (!config::is_here(config, *from.entry)) return;
  out::LocalAddress& to = *snapshot.add_local_address();
  to.set_id(ids.find(Kind::local_address, from.key));
  to.set_address(from.address.to_string());
  to.set_interface_id(ids.find(Kind::interface, from.entry->interface()));
  if (!config::floats(config, *from.entry)) return;
  to.set_group_id(group_id(config, from.entry->group(), ids));
  to.set_allocate_elsewhere(!config::allocates_here(config, *from.entry));
}

void add_backend(const BackendPart& from, const IdTable& ids, out::Pool& pool) {
  out::Backend& to = *pool.add_backend();
  to.set_id(ids.find(Kind::backend, from.key));
  to.set_name(from.backend->name());
  to.set_address(from.address.to_string());
  to.set_port(from.backend->port());
  to.set_weight(from.backend->has_weight() ? from.backend->weight() : 1);
  to.set_drain(from.backend->drain());
  to.set_max_connections(from.backend->max_connections());
}

void add_pool(const PoolPart& from, const IdTable& ids, out::Snapshot& snapshot) {
  out::Pool& to = *snapshot.add_pool();
  to.set_id(ids.find(Kind::pool, from.key));
  to.set_name(from.name);
  to.set_algorithm(static_cast<out::Algorithm>(from.pool->algorithm() + 1));
  to.set_on_removal(static_cast<out::RemovalPolicy>(from.pool->on_removal()));
  if (from.pool->has_persistence()) {
    const in::Persistence& persistence = from.pool->persistence();
    out::Persistence& copy = *to.mutable_persistence();
    copy.set_prefix_length_v4(persistence.has_prefix_length_v4() ? persistence.prefix_length_v4() : 32);
    copy.set_prefix_length_v6(persistence.has_prefix_length_v6() ? persistence.prefix_length_v6() : 128);
    copy.set_timeout_s(persistence.has_timeout_s() ? persistence.timeout_s() : 300);
  }
  for (const BackendPart& backend : from.backends) add_backend(backend, ids, to);
}

void add_service(const ServicePart& from, const Parts& parts, const in::Config& config, const IdTable& ids,
                 out::Snapshot& snapshot) {
  const in::Service& service = *from.service;
  out::Service& to = *snapshot.add_service();
  to.set_id(ids.find(Kind::service, from.key));
  to.set_name(from.name);
  to.set_address(from.address.to_string());
  to.set_port(service.port());
  to.set_protocol(static_cast<out::Protocol>(service.protocol() + 1));
  to.set_mode(static_cast<out::Mode>(service.mode() + 1));
  to.set_pool_id(ids.find(Kind::pool, parts.pools[from.pool].key));
  to.set_encapsulation(static_cast<out::Encapsulation>(service.encapsulation()));
  to.set_gue_port(service.gue_port());
  to.set_no_ping(service.has_ping() && !service.ping());
  to.set_no_reset_on_expiry(service.has_reset_on_expiry() && !service.reset_on_expiry());
  to.set_group_id(group_id(config, service.group(), ids));
  if (service.has_proxy()) *to.mutable_proxy() = compile_proxy(service.proxy());
  if (service.has_http()) *to.mutable_http() = compile_http(from, parts, ids);
  if (service.mode() != in::Service::FULL_NAT) return;
  for (const LocalPart* local : local_addresses(from, parts, config)) {
    to.add_local_address_id(ids.find(Kind::local_address, local->key));
  }
}

void add_timeouts(const in::Timeouts& from, out::Snapshot& snapshot) {
  out::Timeouts& to = *snapshot.mutable_timeouts();
  to.set_tcp_syn_s(from.tcp_syn_s());
  to.set_tcp_established_s(from.tcp_established_s());
  to.set_tcp_transitory_s(from.tcp_transitory_s());
  to.set_tcp_closed_s(from.tcp_closed_s());
  to.set_udp_s(from.udp_s());
  to.set_udp_unreplied_s(from.udp_unreplied_s());
  to.set_icmp_s(from.icmp_s());
}

void add_probe(const in::Probe& from, out::Snapshot& snapshot) {
  out::Probe& to = *snapshot.mutable_probe();
  to.set_port(from.port());
  to.set_prefix_v4(from.has_prefix_v4() ? from.prefix_v4() : config::kProbePrefixV4);
  to.set_prefix_v6(from.has_prefix_v6() ? from.prefix_v6() : config::kProbePrefixV6);
}

}  // namespace

bool assign_ids(const in::Config& config, IdTable& ids) {
  const std::size_t before = ids.size();
  const Parts parts = expand(config);
  for (const in::Interface& interface : config.interface()) ids.assign(Kind::interface, interface.name());
  for (const LocalPart& local : parts.locals) ids.assign(Kind::local_address, local.key);
  for (const PoolPart& pool : parts.pools) {
    ids.assign(Kind::pool, pool.key);
    for (const BackendPart& backend : pool.backends) ids.assign(Kind::backend, backend.key);
  }
  for (const ServicePart& service : parts.services) ids.assign(Kind::service, service.key);
  for (const in::Service& service : config.service()) {
    for (const in::Http::Route& route : service.http().route()) ids.assign(Kind::route, route_key(service, route));
  }
  for (const in::Group& group : config.group()) ids.assign(Kind::group, group.name());
  return ids.size() != before;
}

out::Snapshot compile(const in::Config& config, const IdTable& ids, const std::vector<std::string>& cookie_keys) {
  const Parts parts = expand(config);
  out::Snapshot snapshot;
  for (const in::Interface& interface : config.interface()) add_interface(interface, config, ids, snapshot);
  for (const in::Route& route : config.route()) add_route(route, config, snapshot);
  for (const LocalPart& local : parts.locals) add_local_address(local, config, ids, snapshot);
  for (const PoolPart& pool : parts.pools) add_pool(pool, ids, snapshot);
  for (const ServicePart& service : parts.services) add_service(service, parts, config, ids, snapshot);
  if (config.has_timeouts()) add_timeouts(config.timeouts(), snapshot);
  if (config.has_probe()) add_probe(config.probe(), snapshot);
  if (config.has_failover() && config.group_size() != 0) add_failover(config, ids, snapshot);
  const bool cookies = std::any_of(snapshot.service().begin(), snapshot.service().end(),
                                   [](const out::Service& service) { return service.http().has_cookie(); });
  if (cookies) *snapshot.mutable_cookie_key() = {cookie_keys.begin(), cookie_keys.end()};
  snapshot.set_drop_unmatched(config.unmatched() == in::Config::DROP);
  snapshot.set_digest(digest_of(snapshot));
  return snapshot;
}

}  // namespace headgate::compile
