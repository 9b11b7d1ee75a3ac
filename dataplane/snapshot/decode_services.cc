// Services, pools, backends, and what they need of each other.
#include <algorithm>

#include "dataplane/snapshot/decode.h"

namespace headgate::snapshot::internal {
namespace {

void decode_service_identity(Context& context, int i, const pb::Service& in, Service& out,
                             std::unordered_set<std::uint32_t>& ids, std::unordered_set<std::string_view>& names) {
  out.id = ServiceId{in.id()};
  context.names.services.push_back(in.name().substr(0, kNameBytesMax));
  if (in.id() == 0) {
    context.errors.add(at("service", i, "id"), "0 means none; give the service an id of its own.");
  } else if (!ids.insert(in.id()).second) {
    context.errors.add(at("service", i, "id"),
                       sentence("Id ", in.id(), " is used twice; every service needs its own."));
  }
  if (std::string problem = name_problem(in.name()); !problem.empty()) {
    context.errors.add(at("service", i, "name"), std::move(problem));
  } else if (!in.name().empty() && !names.insert(in.name()).second) {
    context.errors.add(at("service", i, "name"), sentence(quoted(in.name()), " is used twice; rename one service."));
  }
}

void decode_service_address(Context& context, int i, const pb::Service& in, Service& out) {
  const auto path = [&] { return at("service", i, "address"); };
  const auto address = decode_address(context, path, in.address());
  if (!address) return;
  out.address = *address;
  if (is_v6_link_local(*address)) {
    context.errors.add(
        path(), sentence(to_string(*address), " is link-local and cannot be reached by clients; choose another."));
  }
  if (std::string why = not_a_host(context, *address); !why.empty()) context.errors.add(path(), std::move(why));
  OwnUse& use = context.own[*address];
  if (use.local_address) {
    context.errors.add(path(), sentence(to_string(*address),
                                        " is a local address too; all of a local address's ports belong "
                                        "to flows, so choose another for one of the two."));
  }
  use.service = true;
  note_group(context, at("service", i, "group_id"), *address, in.group_id());
}

void decode_service_ports(Context& context, int i, const pb::Service& in, Service& out) {
  if (in.port() == 0 || in.port() > 65535) {
    context.errors.add(at("service", i, "port"), sentence(in.port(), " is not a port; use 1 to 65535."));
  } else {
    out.port = static_cast<std::uint16_t>(in.port());
  }
  if (in.gue_port() > 65535) {
    context.errors.add(at("service", i, "gue_port"),
                       sentence(in.gue_port(), " is not a port; use 1 to 65535, or 0 for 6080."));
  } else if (in.gue_port() != 0) {
    out.gue_port = static_cast<std::uint16_t>(in.gue_port());
  }
}

void decode_service_enums(Context& context, int i, const pb::Service& in, Service& out) {
  switch (in.protocol()) {
    case pb::TCP:
      out.protocol = kProtocolTcp;
      break;
    case pb::UDP:
      out.protocol = kProtocolUdp;
      break;
    case pb::TCP_PROXY:
      out.protocol = kProtocolTcp;
      out.ends = Ends::tcp_proxy;
      break;
    case pb::HTTP:
      out.protocol = kProtocolTcp;
      out.ends = Ends::http;
      break;
    default:
      context.errors.add(at("service", i, "protocol"),
                         "The protocol is missing or unknown; use TCP, UDP, TCP_PROXY or HTTP.");
  }
  switch (in.mode()) {
    case pb::FULL_NAT:
      out.mode = Mode::full_nat;
      break;
    case pb::NAT:
      out.mode = Mode::nat;
      break;
    case pb::DSR:
      out.mode = Mode::dsr;
      break;
    case pb::TUNNEL:
      out.mode = Mode::tunnel;
      break;
    default:
      context.errors.add(at("service", i, "mode"), "The mode is missing or unknown; use FULL_NAT, NAT, DSR or TUNNEL.");
  }
  switch (in.encapsulation()) {
    case pb::IPIP:
      out.encapsulation = Encapsulation::ipip;
      break;
    case pb::GUE:
      out.encapsulation = Encapsulation::gue;
      break;
    default:
      context.errors.add(at("service", i, "encapsulation"), "The encapsulation is unknown; use IPIP or GUE.");
  }
}

}  // namespace

void decode_services(Context& context) {
  std::unordered_set<std::uint32_t> ids;
  std::unordered_set<std::string_view> names;
  std::unordered_map<Endpoint, int, EndpointHash> endpoints(0, EndpointHash{context.input.hash_key});
  context.out.services.resize(static_cast<std::size_t>(context.message.service_size()));
  for (int i = 0; i < context.message.service_size(); ++i) {
    const pb::Service& in = context.message.service(i);
    Service& out = context.out.services[static_cast<std::size_t>(i)];
    out.ping = !in.no_ping();
    out.reset_on_expiry = !in.no_reset_on_expiry();
    decode_service_identity(context, i, in, out, ids, names);
    decode_service_address(context, i, in, out);
    decode_service_ports(context, i, in, out);
    decode_service_enums(context, i, in, out);
    decode_proxy(context, i, out);
    if (out.address.is_unspecified() || out.port == 0 || out.protocol == 0) continue;
    const auto [other, fresh] = endpoints.emplace(Endpoint{out.address, out.port, out.protocol}, i);
    if (fresh) continue;
    context.errors.add(at("service", i, "address"), sentence("service[", static_cast<std::uint64_t>(other->second),
                                                             "] has the same address, protocol and "
                                                             "port; remove one or change its port."));
  }
}

namespace {

struct PoolIds {
  std::unordered_set<std::uint32_t> backends;
  std::unordered_set<std::string_view> names;
};

// Of one pool; emptied for the next.
struct PoolScope {
  std::unordered_set<std::string_view> names;
  std::unordered_set<Endpoint, EndpointHash> endpoints;
};

void decode_pool_identity(Context& context, int i, const pb::Pool& in, Pool& out, PoolIds& ids) {
  out.id = PoolId{in.id()};
  context.names.pools.push_back(in.name().substr(0, kNameBytesMax));
  if (in.id() == 0) {
    context.errors.add(at("pool", i, "id"), "0 means none; give the pool an id of its own.");
  } else if (!context.pool_by_id.emplace(in.id(), static_cast<std::uint16_t>(i)).second) {
    context.errors.add(at("pool", i, "id"), sentence("Id ", in.id(), " is used twice; every pool needs its own."));
  }
  if (std::string problem = name_problem(in.name()); !problem.empty()) {
    context.errors.add(at("pool", i, "name"), std::move(problem));
  } else if (!in.name().empty() && !ids.names.insert(in.name()).second) {
    context.errors.add(at("pool", i, "name"), sentence(quoted(in.name()), " is used twice; rename one pool."));
  }
}

void decode_pool_policy(Context& context, int i, const pb::Pool& in, Pool& out) {
  switch (in.algorithm()) {
    case pb::ROUND_ROBIN:
      out.algorithm = Algorithm::round_robin;
      break;
    case pb::LEAST_CONNECTIONS:
      out.algorithm = Algorithm::least_connections;
      break;
    case pb::SOURCE_HASH:
      out.algorithm = Algorithm::source_hash;
      break;
    case pb::MAGLEV:
      out.algorithm = Algorithm::maglev;
      break;
    default:
      context.errors.add(at("pool", i, "algorithm"),
                         "The algorithm is missing or unknown; use ROUND_ROBIN, "
                         "LEAST_CONNECTIONS, SOURCE_HASH or MAGLEV.");
  }
  switch (in.on_removal()) {
    case pb::KEEP:
      out.on_removal = RemovalPolicy::keep;
      break;
    case pb::RESET:
      out.on_removal = RemovalPolicy::reset;
      break;
    case pb::REHASH:
      out.on_removal = RemovalPolicy::rehash;
      break;
    default:
      context.errors.add(at("pool", i, "on_removal"), "The policy is unknown; use KEEP, RESET or REHASH.");
  }
}

void decode_persistence(Context& context, int i, const pb::Pool& in, Pool& out) {
  if (!in.has_persistence()) return;
  const pb::Persistence& p = in.persistence();
  const std::string path = at("pool", i, "persistence");
  if (p.prefix_length_v4() > 32) {
    context.errors.add(path + ".prefix_length_v4",
                       sentence(p.prefix_length_v4(), " is too long; use 1 to 32, or 0 for 32."));
  } else if (p.prefix_length_v4() != 0) {
    out.persistence_v4 = static_cast<std::uint8_t>(p.prefix_length_v4());
  }
  if (p.prefix_length_v6() > 128) {
    context.errors.add(path + ".prefix_length_v6",
                       sentence(p.prefix_length_v6(), " is too long; use 1 to 128, or 0 for 128."));
  } else if (p.prefix_length_v6() != 0) {
    out.persistence_v6 = static_cast<std::uint8_t>(p.prefix_length_v6());
  }
  if (p.timeout_s() == 0 || p.timeout_s() > kTimeoutSecondsMax) {
    context.errors.add(path + ".timeout_s", sentence(p.timeout_s(), " s is no timeout; use 1 to ", kTimeoutSecondsMax,
                                                     ", or leave persistence out."));
  } else {
    out.persistence_timeout = p.timeout_s() * kSecond;
  }
}

void decode_backend_address(Context& context, const std::string& path, const pb::Backend& in, Backend& out) {
  const auto address = decode_address(context, [&] { return path + ".address"; }, in.address());
  if (!address) return;
  out.address = *address;
  if (is_v6_link_local(*address)) {
    context.errors.add(path + ".address",
                       sentence(to_string(*address), " is link-local; give the backend a global or private address."));
  }
  if (context.own.contains(*address)) {
    context.errors.add(path + ".address",
                       sentence(to_string(*address), " is an address of this box; a backend is another machine."));
  }
  if (std::string why = not_a_host(context, *address); !why.empty())
    context.errors.add(path + ".address", std::move(why));
}

void decode_backend_numbers(Context& context, const std::string& path, const pb::Backend& in, Backend& out) {
  if (in.port() > 65535) {
    context.errors.add(path + ".port", sentence(in.port(), " is not a port; use 1 to 65535, or 0 for the service's."));
  } else {
    out.port = static_cast<std::uint16_t>(in.port());
  }
  decode_state(context.errors, path, in.weight(), in.health(), in.drain(), out);
  const std::uint32_t limit = context.input.flow_limit;
  out.max_connections = limit != 0 && in.max_connections() >= limit ? 0 : in.max_connections();
}

void decode_backend_names(Context& context, const std::string& path, const pb::Backend& in, Backend& out, PoolIds& ids,
                          PoolScope& scope) {
  out.id = BackendId{in.id()};
  context.names.backends.push_back(in.name().substr(0, kNameBytesMax));
  if (in.id() == 0) {
    context.errors.add(path + ".id", "0 means none; give the backend an id of its own.");
  } else if (!ids.backends.insert(in.id()).second) {
    context.errors.add(path + ".id",
                       sentence("Id ", in.id(), " is used twice; every backend of every pool needs its own."));
  }
  if (std::string problem = name_problem(in.name()); !problem.empty()) {
    context.errors.add(path + ".name", std::move(problem));
  } else if (!in.name().empty() && !scope.names.insert(in.name()).second) {
    context.errors.add(path + ".name", sentence(quoted(in.name()), " is used twice in this pool; rename one backend."));
  }
}

void learn(const Context& context, PoolFacts& facts, const Backend& backend, int position) {
  int& first = backend.address.is_v4() ? facts.first_v4 : facts.first_v6;
  if (first < 0) first = position;
  const auto port_at = [&](int p) { return context.out.backends[static_cast<std::size_t>(p)].port; };
  if (backend.port != 0) {
    if (facts.lowest_port < 0 || backend.port < port_at(facts.lowest_port)) facts.lowest_port = position;
    if (facts.highest_port < 0 || backend.port > port_at(facts.highest_port)) facts.highest_port = position;
  }
  if (facts.off_link >= 0) return;
  const std::uint16_t route = context.out.route_table.find(backend.address);
  if (route == kNone || std::ranges::none_of(context.out.routes[route].next_hops,
                                             [](const NextHop& hop) { return hop.gateway.is_unspecified(); })) {
    facts.off_link = position;
  }
}

void decode_backend(Context& context, int i, int b, PoolIds& ids, PoolScope& scope) {
  const pb::Backend& in = context.message.pool(i).backend(b);
  const std::string path = at(at("pool", i), "backend", b);
  Backend& out = context.out.backends.emplace_back();
  out.pool = static_cast<std::uint16_t>(i);
  decode_backend_names(context, path, in, out, ids, scope);
  decode_backend_address(context, path, in, out);
  decode_backend_numbers(context, path, in, out);
  if (out.address.is_unspecified()) return;
  if (!scope.endpoints.insert({out.address, out.port, 0}).second) {
    context.errors.add(path + ".address", "Another backend of this pool has the same address and port; remove one.");
  }
  const int position = static_cast<int>(context.out.backends.size()) - 1;
  learn(context, context.pool_facts[static_cast<std::size_t>(i)], out, position);
}

}  // namespace

void decode_state(Errors& errors, const std::string& path, std::uint32_t weight, pb::Health health, bool drain,
                  Backend& out) {
  if (weight > kWeightMax) {
    errors.add(path + ".weight", sentence("Weight ", weight, " is too large; use 0 to ", kWeightMax,
                                          " (only the ratio of weights counts)."));
  } else {
    out.weight = static_cast<std::uint16_t>(weight);
  }
  if (health != pb::UP && health != pb::DOWN) errors.add(path + ".health", "The health is unknown; use UP or DOWN.");
  out.up = health == pb::UP;
  out.drain = drain;
}

void decode_pools(Context& context) {
  PoolIds ids;
  const int pools = context.message.pool_size();
  std::size_t backends = 0;
  for (const pb::Pool& pool : context.message.pool()) backends += static_cast<std::size_t>(pool.backend_size());
  context.out.backends.reserve(backends);
  context.out.pools.resize(static_cast<std::size_t>(pools));
  context.pool_facts.resize(static_cast<std::size_t>(pools));
  for (int i = 0; i < pools; ++i) {
    const pb::Pool& in = context.message.pool(i);
    Pool& out = context.out.pools[static_cast<std::size_t>(i)];
    decode_pool_identity(context, i, in, out, ids);
    decode_pool_policy(context, i, in, out);
    decode_persistence(context, i, in, out);
    out.first_backend = static_cast<std::uint16_t>(context.out.backends.size());
    out.backend_count = static_cast<std::uint16_t>(in.backend_size());
    PoolScope scope{{}, std::unordered_set<Endpoint, EndpointHash>(0, EndpointHash{context.input.hash_key})};
    for (int b = 0; b < in.backend_size(); ++b) decode_backend(context, i, b, ids, scope);
  }
}

namespace {

std::string_view mode_name(Mode mode) {
  switch (mode) {
    case Mode::full_nat:
      return "FULL_NAT";
    case Mode::nat:
      return "NAT";
    case Mode::dsr:
      return "DSR";
    case Mode::tunnel:
      return "TUNNEL";
  }
  return "";
}

std::string backend_label(const Context& context, int position) {
  const Backend& backend = context.out.backends[static_cast<std::size_t>(position)];
  return sentence("Backend ", to_string(backend.address), backend.port == 0 ? "" : " port ",
                  backend.port == 0 ? std::string() : piece(backend.port), " of pool ",
                  quoted(context.names.pools[backend.pool]));
}

void check_family(Context& context, int i, const Service& service, const PoolFacts& facts) {
  if (service.mode == Mode::tunnel || service.address.is_unspecified()) return;
  const int other = service.address.is_v4() ? facts.first_v6 : facts.first_v4;
  if (other < 0) return;
  context.errors.add(
      at("service", i, "pool_id"),
      sentence(backend_label(context, other), " is of another family than the service; ", mode_name(service.mode),
               " does not translate between IPv4 and IPv6 (no NAT64 in this version). Use a pool of the "
               "service's family, or mode TUNNEL."));
}

// As for the service's own pool.
void check_pools_of_routes(Context& context, int i, const Service& service) {
  const auto http = context.http.find(i);
  if (http == context.http.end()) return;
  for (std::size_t r = 0; r < http->second.routes.size(); ++r) {
    const PoolId* id = std::get_if<PoolId>(&http->second.routes[r].action);
    if (id == nullptr) continue;
    const std::string path = at(at("service", i, "http"), "route", static_cast<int>(r), "pool_id");
    const auto pool = context.pool_by_id.find(id->value);
    if (pool == context.pool_by_id.end()) {
      context.errors.add(path, sentence("There is no pool with id ", id->value, "; name an existing one."));
      continue;
    }
    PoolFacts& facts = context.pool_facts[pool->second];
    facts.used = true;
    if ((service.address.is_v4() ? facts.first_v6 : facts.first_v4) >= 0)
      context.errors.add(path, "The pool has backends of another family than the service; use one of its family.");
  }
}

void check_one_directional(Context& context, int i, const Service& service, const PoolFacts& facts) {
  if (service.mode != Mode::dsr && service.mode != Mode::tunnel) return;
  for (const int position : {facts.lowest_port, facts.highest_port}) {
    if (position < 0 || context.out.backends[static_cast<std::size_t>(position)].port == service.port) continue;
    context.errors.add(at("service", i, "pool_id"),
                       sentence(backend_label(context, position), " has another port than the service; ",
                                mode_name(service.mode), " cannot change ports. Set the backend's port to 0."));
    break;
  }
  if (service.mode == Mode::dsr && facts.off_link >= 0) {
    context.errors.add(at("service", i, "pool_id"),
                       sentence(backend_label(context, facts.off_link),
                                " is not on-link; DSR reaches backends by their MAC "
                                "address only. Put it in an interface's prefix or use mode TUNNEL."));
  }
}

struct Locals {
  std::vector<std::uint16_t> v4, v6;
  std::vector<std::uint16_t>& of(const IpAddress& address) { return address.is_v4() ? v4 : v6; }
};

// Of the service's group only: a flow lives on one box, and with it its local address. Not those from which the other
// box opens flows.
void add_local_address(const Context& context, Locals& locals, const IpAddress& service, std::uint16_t index) {
  const LocalAddress& local = context.out.local_addresses[index];
  if (local.address.is_unspecified() || !local.allocates || service.is_unspecified()) return;
  if (context.own.at(local.address).group_id != context.own.at(service).group_id) return;
  locals.of(local.address).push_back(index);
}

bool service_in_group(const Context& context, const Service& service) {
  return context.own.at(service.address).group_id != 0;
}

void choose_local_addresses(Context& context, int i, const pb::Service& in, Service& service) {
  Locals locals;
  for (int a = 0; a < in.local_address_id_size(); ++a) {
    const auto path = [&] { return at(at("service", i), "local_address_id", a); };
    const auto found = context.local_address_by_id.find(in.local_address_id(a));
    if (found == context.local_address_by_id.end()) {
      context.errors.add(
          path(), sentence("There is no local address with id ", in.local_address_id(a), "; name an existing one."));
      continue;
    }
    const auto& same = locals.of(context.out.local_addresses[found->second].address);
    if (std::ranges::find(same, found->second) != same.end()) {
      context.errors.add(path(), sentence("Id ", in.local_address_id(a), " is listed twice; remove one."));
      continue;
    }
    add_local_address(context, locals, service.address, found->second);
  }
  if (in.local_address_id_size() == 0) {
    const auto own = static_cast<std::size_t>(context.message.local_address_size());  // snat addresses come after these
    for (std::size_t l = 0; l < own; ++l)
      add_local_address(context, locals, service.address, static_cast<std::uint16_t>(l));
  }
  service.local_v4 = SharedArray(std::move(locals.v4));
  service.local_v6 = SharedArray(std::move(locals.v6));
  if (service.mode != Mode::full_nat || service.address.is_unspecified()) return;
  if (!(service.address.is_v4() ? service.local_v4 : service.local_v6).empty()) return;
  const std::string_view family = service.address.is_v4() ? "IPv4" : "IPv6";
  context.errors.add(
      at("service", i, "local_address_id"),
      sentence("FULL_NAT needs a local address to send from; add an ", family,
               service_in_group(context, service) ? " local address of its group for this box." : " local address."));
}

}  // namespace

void check_services(Context& context) {
  std::size_t nat_endpoints = 0;
  for (int i = 0; i < context.message.service_size(); ++i) {
    const pb::Service& in = context.message.service(i);
    Service& service = context.out.services[static_cast<std::size_t>(i)];
    choose_local_addresses(context, i, in, service);
    const auto pool = context.pool_by_id.find(in.pool_id());
    if (pool == context.pool_by_id.end()) {
      context.errors.add(at("service", i, "pool_id"),
                         in.pool_id() == 0
                             ? "The pool is missing; name an existing one."
                             : sentence("There is no pool with id ", in.pool_id(), "; name an existing one."));
      continue;
    }
    service.pool = pool->second;
    PoolFacts& facts = context.pool_facts[service.pool];
    facts.used = true;
    check_family(context, i, service, facts);
    check_pools_of_routes(context, i, service);
    check_one_directional(context, i, service, facts);
    if (service.mode == Mode::nat) nat_endpoints += context.out.pools[service.pool].backend_count;
  }
  if (nat_endpoints > kNatEndpointsMax) {
    context.errors.add("service", sentence(nat_endpoints,
                                           " backends of services in mode NAT, each service counted, are larger "
                                           "than the tables; the limit is ",
                                           kNatEndpointsMax, "."));
  }
  for (std::size_t p = 0; p < context.pool_facts.size(); ++p) {
    const PoolFacts& facts = context.pool_facts[p];
    if (facts.used || facts.first_v4 < 0 || facts.first_v6 < 0) continue;
    context.errors.add(at("pool", static_cast<int>(p), "backend"),
                       "The pool has IPv4 and IPv6 backends, which only services in mode TUNNEL can use; split it.");
  }
}

}  // namespace headgate::snapshot::internal
