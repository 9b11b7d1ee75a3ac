#include "tests/sim/config_walk.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/check.h"

namespace headgate::sim {

using config::v1::Backend;
using config::v1::Config;
using config::v1::HealthCheck;
using config::v1::Pool;
using config::v1::Service;

namespace {

constexpr unsigned kFirstUnused = 200, kUnusedMax = 12;

std::string front(unsigned number, bool v4) {
  return (v4 ? "192.0.2." : "2001:db8:1::") + std::to_string(number);
}
std::string inside(unsigned number, bool v4) {
  return (v4 ? "10.10.0." : "2001:db8:2::") + std::to_string(number);
}

bool has_traffic(const Service& service) {
  return service.name()[0] == 's';
}

Service& add_service(Config& config, const std::string& name, unsigned number, bool tcp, Service::Mode mode) {
  Service& service = *config.add_service();
  service.set_name(name);
  service.set_port(tcp ? 80 : 53);
  service.set_protocol(tcp ? Service::TCP : Service::UDP);
  service.set_mode(mode);
  for (const bool v4 : {true, false}) service.add_address(front(number, v4));
  return service;
}

template <class List>
auto* named(List& list, const std::string& name) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const auto& entry) { return entry.name() == name; });
  HEADGATE_CHECK(found != list.end());
  return &*found;
}

// Of one family or both, as the pool's others are.
bool serves(const Pool& pool, bool v4) {
  const std::string& name = pool.name();
  return name != (v4 ? "p-v6" : "p-v4");
}

}  // namespace

ConfigWalk::ConfigWalk(std::uint64_t seed) : rng_(seed) {
  for (const bool outside : {true, false}) {
    auto& interface = *config_.add_interface();
    interface.set_name(outside ? "front" : "servers");
    interface.set_port(outside ? "outside" : "inside");
    for (const bool v4 : {true, false}) {
      interface.add_prefix(outside ? (v4 ? "192.0.2.0/24" : "2001:db8:1::/64")
                                   : (v4 ? "10.10.0.0/24" : "2001:db8:2::/64"));
      interface.add_address(outside ? front(11, v4) : inside(1, v4));
    }
    if (!outside) interface.set_gateway(true);
  }
  for (const bool v4 : {true, false}) {
    auto& route = *config_.add_route();
    route.set_prefix(v4 ? "0.0.0.0/0" : "::/0");
    route.add_next_hop()->set_gateway(front(1, v4));
  }
  auto& local = *config_.add_local_address();
  local.set_name("box");
  local.add_prefix("10.10.0.64/30");
  local.add_prefix("2001:db8:2::a:0/126");
  local.set_interface("servers");
  config_.mutable_probe()->set_port("probe");
  build_pools();
  build_services();
}

// One of both families for each mode; tunnels across families have backends of one only.
void ConfigWalk::build_pools() {
  for (const char* name : {"p-full-nat", "p-nat", "p-dsr", "p-ipip", "p-gue", "p-v4", "p-v6"}) {
    Pool& pool = *config_.add_pool();
    pool.set_name(name);
    for (unsigned i = 0; i < 3; ++i) {
      Backend& backend = *pool.add_backend();
      backend.set_name("web" + std::to_string(i + 1));
      for (const bool v4 : {true, false}) {
        if (serves(pool, v4)) backend.add_address(inside(kFirstServer + i, v4));
      }
    }
  }
}

void ConfigWalk::build_services() {
  for (const bool tcp : {true, false}) {
    const std::string suffix = tcp ? "-tcp" : "-udp";
    add_service(config_, "s100" + suffix, 100, tcp, Service::FULL_NAT).set_pool("p-full-nat");
    add_service(config_, "s101" + suffix, 101, tcp, Service::NAT).set_pool("p-nat");
    add_service(config_, "s102" + suffix, 102, tcp, Service::DSR).set_pool("p-dsr");
    for (const unsigned number : {103u, 104u}) {
      Service& tunnel = add_service(config_, "s" + std::to_string(number) + suffix, number, tcp, Service::TUNNEL);
      tunnel.set_pool(number == 103 ? "p-ipip" : "p-gue");
      if (number == 104) tunnel.set_encapsulation(Service::GUE);
    }
    for (const unsigned number : {105u, 106u}) {
      for (const bool v4 : {true, false}) {
        Service& across = add_service(config_, "s" + std::to_string(number) + (v4 ? "-v4" : "-v6") + suffix, number,
                                      tcp, Service::TUNNEL);
        across.clear_address();
        across.add_address(front(number, v4));
        across.set_pool(v4 ? "p-v6" : "p-v4");
        if (number == 106) across.set_encapsulation(Service::GUE);
      }
    }
  }
}

const std::vector<ConfigWalk::Kind>& ConfigWalk::kinds() {
  static const std::vector<Kind> all{
      {&ConfigWalk::add_backend, 6},  {&ConfigWalk::remove_backend, 6}, {&ConfigWalk::reweight, 4},
      {&ConfigWalk::drain, 4},        {&ConfigWalk::backup, 2},         {&ConfigWalk::limit, 2},
      {&ConfigWalk::algorithm, 3},    {&ConfigWalk::persistence, 2},    {&ConfigWalk::health_check, 2},
      {&ConfigWalk::minimum, 1},      {&ConfigWalk::slow_start, 2},     {&ConfigWalk::comment, 1},
      {&ConfigWalk::timeout, 1},      {&ConfigWalk::service_option, 1}, {&ConfigWalk::shuffle, 3},
      {&ConfigWalk::other_pool, 2},   {&ConfigWalk::unused_service, 4}, {&ConfigWalk::unused_pool, 1},
      {&ConfigWalk::unused_route, 1}, {&ConfigWalk::unmatched, 1},
  };
  return all;
}

std::string ConfigWalk::step() {
  unsigned sum = 0;
  for (const Kind& kind : kinds()) sum += kind.weight;
  unsigned drawn = rng_.below(sum);
  const Kind* chosen = kinds().data();
  while (drawn >= chosen->weight) drawn -= chosen++->weight;
  const Config before = config_;
  std::string what = chosen->change(*this);
  if (everybody_can_serve()) return what;
  config_ = before;
  return {};
}

bool ConfigWalk::everybody_can_serve() const {
  return std::all_of(config_.service().begin(), config_.service().end(), [&](const Service& service) {
    if (!has_traffic(service)) return true;
    const auto& backends = named(config_.pool(), service.pool())->backend();
    return std::any_of(backends.begin(), backends.end(), [](const Backend& backend) {
      return !backend.drain() && (!backend.has_weight() || backend.weight() != 0);
    });
  });
}

Pool& ConfigWalk::any_pool() {
  const auto is_used = [](const Pool& pool) { return pool.name().starts_with("p-"); };
  const auto used = std::count_if(config_.pool().begin(), config_.pool().end(), is_used);
  auto skip = rng_.below(static_cast<std::uint32_t>(used));
  for (Pool& pool : *config_.mutable_pool()) {
    if (is_used(pool) && skip-- == 0) return pool;
  }
  std::abort();
}

Backend& ConfigWalk::any_backend(Pool& pool) {
  return *pool.mutable_backend(static_cast<int>(rng_.below(static_cast<std::uint32_t>(pool.backend_size()))));
}

Service& ConfigWalk::any_service() {
  return *config_.mutable_service(static_cast<int>(rng_.below(static_cast<std::uint32_t>(config_.service_size()))));
}

// Of a server that the pool does not have; half of the time under the name it had, so that an id comes back.
std::string ConfigWalk::add_backend() {
  Pool& pool = any_pool();
  const unsigned number = kFirstServer + rng_.below(kServers);
  for (const Backend& other : pool.backend()) {
    for (const bool v4 : {true, false}) {
      if (std::count(other.address().begin(), other.address().end(), inside(number, v4)) != 0) return {};
    }
  }
  std::string name = "web" + std::to_string(number - kFirstServer + 1);
  const bool taken = std::any_of(pool.backend().begin(), pool.backend().end(),
                                 [&](const Backend& other) { return other.name() == name; });
  if (taken || rng_.below(2) == 0) name = "new" + std::to_string(++names_);
  Backend& backend = *pool.add_backend();
  backend.set_name(name);
  for (const bool v4 : {true, false}) {
    if (serves(pool, v4)) backend.add_address(inside(number, v4));
  }
  if (rng_.below(2) == 0) backend.set_weight(1 + rng_.below(10));
  return "add " + name + " (." + std::to_string(number) + ") to " + pool.name();
}

std::string ConfigWalk::remove_backend() {
  Pool& pool = any_pool();
  if (pool.backend_size() == 1) return {};  // no service may use it, and other steps want a backend of any pool
  const int index = static_cast<int>(rng_.below(static_cast<std::uint32_t>(pool.backend_size())));
  std::string what = "remove " + pool.backend(index).name() + " from " + pool.name();
  pool.mutable_backend()->DeleteSubrange(index, 1);
  return what;
}

std::string ConfigWalk::reweight() {
  Pool& pool = any_pool();
  Backend& backend = any_backend(pool);
  backend.set_weight(rng_.below(4) == 0 ? 0 : 1 + rng_.below(100));
  return "weight of " + backend.name() + " in " + pool.name() + ": " + std::to_string(backend.weight());
}

std::string ConfigWalk::drain() {
  Pool& pool = any_pool();
  Backend& backend = any_backend(pool);
  backend.set_drain(!backend.drain());
  return (backend.drain() ? "drain " : "no longer drain ") + backend.name() + " in " + pool.name();
}

std::string ConfigWalk::backup() {
  Pool& pool = any_pool();
  Backend& backend = any_backend(pool);
  backend.set_backup(rng_.below(3));
  return "backup of " + backend.name() + " in " + pool.name() + ": " + std::to_string(backend.backup());
}

// Far above what there is: the tokens of a limit are led between workers, but nobody is turned away.
std::string ConfigWalk::limit() {
  Pool& pool = any_pool();
  Backend& backend = any_backend(pool);
  backend.set_max_connections(rng_.below(2) == 0 ? 0 : 20000 + rng_.below(20000));
  return "limit of " + backend.name() + " in " + pool.name() + ": " + std::to_string(backend.max_connections());
}

std::string ConfigWalk::algorithm() {
  Pool& pool = any_pool();
  pool.set_algorithm(static_cast<Pool::Algorithm>(rng_.below(4)));
  return "algorithm of " + pool.name() + ": " + Pool::Algorithm_Name(pool.algorithm());
}

std::string ConfigWalk::persistence() {
  Pool& pool = any_pool();
  if (pool.has_persistence() && rng_.below(2) == 0) {
    pool.clear_persistence();
    return "no persistence in " + pool.name();
  }
  pool.mutable_persistence()->set_timeout_s(1 + rng_.below(600));
  pool.mutable_persistence()->set_prefix_length_v4(16 + rng_.below(17));
  return "persistence in " + pool.name();
}

std::string ConfigWalk::health_check() {
  Pool& pool = any_pool();
  if (pool.has_health_check() && rng_.below(3) == 0) {
    pool.clear_health_check();
    return "no probes of " + pool.name();
  }
  HealthCheck& check = *pool.mutable_health_check();
  check.Clear();
  if (rng_.below(2) == 0) {
    check.mutable_http()->set_path("/" + std::to_string(rng_.below(100)));
    check.mutable_http()->set_port(80);
  } else {
    check.mutable_tcp()->set_port(80);
  }
  check.set_interval_ms(1000 + rng_.below(5000));
  check.set_timeout_ms(100 + rng_.below(800));
  check.set_rise(1 + rng_.below(5));
  check.set_fall(1 + rng_.below(5));
  return "probes of " + pool.name();
}

std::string ConfigWalk::minimum() {
  Pool& pool = any_pool();
  pool.set_minimum_healthy(rng_.below(4));
  pool.set_below_minimum(rng_.below(2) == 0 ? Pool::GO_ON : Pool::USE_ALL);
  return "minimum of " + pool.name() + ": " + std::to_string(pool.minimum_healthy());
}

std::string ConfigWalk::slow_start() {
  Pool& pool = any_pool();
  pool.set_slow_start_s(rng_.below(5));
  return "slow start of " + pool.name() + ": " + std::to_string(pool.slow_start_s()) + " s";
}

std::string ConfigWalk::comment() {
  const std::string text = "a # \"comment\" \\ in\ntwo lines " + std::to_string(rng_.next());
  const auto put = [&](auto& entry) { entry.has_comment() ? entry.clear_comment() : entry.set_comment(text); };
  if (rng_.below(2) == 0) {
    put(any_service());
  } else {
    put(any_backend(any_pool()));
  }
  return "comment";
}

// Only upward from the defaults, so that no flow of the run ends by it.
std::string ConfigWalk::timeout() {
  auto& timeouts = *config_.mutable_timeouts();
  switch (rng_.below(5)) {
    case 0:
      timeouts.set_tcp_syn_s(10 + rng_.below(100));
      return "timeout tcp_syn_s";
    case 1:
      timeouts.set_tcp_established_s(7440 + rng_.below(kTimeoutMaxS - 7440));
      return "timeout tcp_established_s";
    case 2:
      timeouts.set_tcp_transitory_s(240 + rng_.below(1000));
      return "timeout tcp_transitory_s";
    case 3:
      timeouts.set_tcp_closed_s(4 + rng_.below(30));
      return "timeout tcp_closed_s";
    default:
      timeouts.set_udp_s(300 + rng_.below(3000));
      timeouts.set_udp_unreplied_s(30 + rng_.below(300));
      return "timeout udp_s";
  }
}

std::string ConfigWalk::service_option() {
  Service& service = any_service();
  if (rng_.below(2) == 0) {
    service.set_ping(!service.ping());
  } else {
    service.set_reset_on_expiry(!service.reset_on_expiry());
  }
  return "option of service " + service.name();
}

// Nothing of what runs may hang on a position.
std::string ConfigWalk::shuffle() {
  const auto mix = [this](auto& list) {
    for (int i = list.size() - 1; i > 0; --i)
      list.SwapElements(i, static_cast<int>(rng_.below(static_cast<std::uint32_t>(i) + 1)));
  };
  mix(*config_.mutable_interface());
  mix(*config_.mutable_route());
  mix(*config_.mutable_service());
  mix(*config_.mutable_pool());
  for (Pool& pool : *config_.mutable_pool()) mix(*pool.mutable_backend());
  return "another order";
}

// A service with traffic goes to another pool: its flows stay where they are, also when the old pool is used no more.
std::string ConfigWalk::other_pool() {
  Service& service = any_service();
  if (!has_traffic(service) || service.address_size() != 2) return {};
  const Pool& pool = any_pool();
  if (pool.name() == "p-v4" || pool.name() == "p-v6") return {};
  service.set_pool(pool.name());
  return "service " + service.name() + " to " + pool.name();
}

std::string ConfigWalk::unused_service() {
  std::vector<int> there;
  for (int i = 0; i < config_.service_size(); ++i) {
    if (!has_traffic(config_.service(i))) there.push_back(i);
  }
  if (!there.empty() && (there.size() >= kUnusedMax || rng_.below(2) == 0)) {
    const int index = there[rng_.below(static_cast<std::uint32_t>(there.size()))];
    std::string what = "remove service " + config_.service(index).name();
    config_.mutable_service()->DeleteSubrange(index, 1);
    return what;
  }
  const unsigned number = kFirstUnused + rng_.below(50);
  const std::string address = front(number, true);
  for (const Service& other : config_.service()) {
    if (other.address(0) == address) return {};
  }
  static constexpr Service::Mode kModes[] = {Service::FULL_NAT, Service::NAT, Service::DSR, Service::TUNNEL};
  const std::string name = "unused" + std::to_string(++names_);
  Service& service = add_service(config_, name, number, rng_.below(2) == 0, kModes[rng_.below(4)]);
  const auto pools = static_cast<std::uint32_t>(config_.pool_size());
  const Pool* pool = &config_.pool(static_cast<int>(rng_.below(pools)));
  if (pool->name() == "p-v4" || pool->name() == "p-v6") pool = named(config_.pool(), "p-full-nat");
  service.set_pool(pool->name());
  return "add service " + name;
}

// Its policy may be any: it has no flows.
std::string ConfigWalk::unused_pool() {
  for (int i = 0; i < config_.pool_size(); ++i) {
    const std::string& name = config_.pool(i).name();
    const bool used = std::any_of(config_.service().begin(), config_.service().end(),
                                  [&](const Service& service) { return service.pool() == name; });
    if (name.starts_with("q") && !used) {
      std::string what = "remove pool " + name;
      config_.mutable_pool()->DeleteSubrange(i, 1);
      return what;
    }
  }
  if (config_.pool_size() > 20) return {};
  Pool& pool = *config_.add_pool();
  pool.set_name("q" + std::to_string(++names_));
  pool.set_algorithm(static_cast<Pool::Algorithm>(rng_.below(4)));
  pool.set_on_removal(static_cast<Pool::OnRemoval>(rng_.below(3)));
  for (unsigned i = 0, n = 1 + rng_.below(kServers); i < n; ++i) {
    Backend& backend = *pool.add_backend();
    backend.set_name("b" + std::to_string(i));
    for (const bool v4 : {true, false}) backend.add_address(inside(kFirstServer + i, v4));
  }
  return "add pool " + pool.name();
}

std::string ConfigWalk::unused_route() {
  for (int i = 0; i < config_.route_size(); ++i) {
    if (!config_.route(i).prefix().starts_with("198.51.100.")) continue;
    config_.mutable_route()->DeleteSubrange(i, 1);
    return "remove a route";
  }
  auto& route = *config_.add_route();
  route.set_prefix("198.51.100.0/" + std::to_string(24 + rng_.below(7)));
  route.add_next_hop()->set_gateway(front(10, true));
  return "add a route";
}

std::string ConfigWalk::unmatched() {
  config_.set_unmatched(config_.unmatched() == Config::DROP ? Config::REJECT : Config::DROP);
  return "unmatched: " + Config::Unmatched_Name(config_.unmatched());
}

}  // namespace headgate::sim
