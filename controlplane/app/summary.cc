#include <algorithm>
#include <map>

#include "controlplane/app/daemon.h"
#include "controlplane/config/address.h"

namespace headgate::app {
namespace {

using dataplane::v1::Snapshot;

std::string endpoint(const std::string& address, unsigned port) {
  return config::endpoint_text(*config::parse_address(address), port);
}

using Pools = std::map<std::uint32_t, const dataplane::v1::Pool*>;

void describe(const dataplane::v1::Pool& pool, unsigned service_port, const std::string& indent, std::string& text) {
  for (const auto& backend : pool.backend()) {
    text += indent + "backend " + backend.name() + ": " +
            endpoint(backend.address(), backend.port() != 0 ? backend.port() : service_port) + ", weight " +
            std::to_string(backend.weight()) + (backend.drain() ? ", draining" : "") + "\n";
  }
}

void describe(const dataplane::v1::HttpRoute& route, const Pools& pools, unsigned service_port, std::string& text) {
  text += "  route " + route.name() + ": " + (route.host().empty() ? "any host" : route.host()) + ", " +
          (!route.path().empty()          ? route.path()
           : !route.path_prefix().empty() ? route.path_prefix() + " and below"
                                          : "any path");
  if (!route.method().empty()) text += ", " + route.method();
  for (const auto& header : route.header()) text += ", header " + header.name();
  if (route.has_redirect()) text += ", redirected\n";
  if (route.has_status()) text += ", answered with status " + std::to_string(route.status()) + "\n";
  if (route.action_case() == dataplane::v1::HttpRoute::ACTION_NOT_SET) text += ", the service's pool\n";
  if (!route.has_pool_id()) return;
  const dataplane::v1::Pool& pool = *pools.at(route.pool_id());
  text += ", pool " + pool.name() + " (" + Algorithm_Name(pool.algorithm()) + ")\n";
  describe(pool, service_port, "    ", text);
}

void describe(const Snapshot& snapshot, std::string& text) {
  Pools pools;
  for (const auto& pool : snapshot.pool()) pools[pool.id()] = &pool;
  for (const auto& service : snapshot.service()) {
    const dataplane::v1::Pool& pool = *pools.at(service.pool_id());
    text += "service " + service.name() + ": " + Protocol_Name(service.protocol()) + " " +
            endpoint(service.address(), service.port()) + ", " + Mode_Name(service.mode()) + ", pool " + pool.name() +
            " (" + Algorithm_Name(pool.algorithm()) + ")\n";
    describe(pool, service.port(), "  ", text);
    for (const auto& route : service.http().route()) describe(route, pools, service.port(), text);
  }
  for (const auto& group : snapshot.failover().group()) {
    text += "group " + group.name() + ": priority " + std::to_string(group.priority()) + ", degraded " +
            std::to_string(group.degraded_priority()) + ", " + std::to_string(group.router_size()) + " routers\n";
  }
}

}  // namespace

bool check(const std::string& config_file, const std::string& state_dir, std::string& text) {
  const config::Document document = config::load_file(config_file);
  for (const config::Diagnostic& diagnostic : document.diagnostics) text += diagnostic.described() + "\n";
  if (!document.ok()) {
    const auto errors = std::count_if(document.diagnostics.begin(), document.diagnostics.end(),
                                      [](const auto& d) { return d.severity == config::Severity::error; });
    text += std::to_string(errors) + (errors == 1 ? " error" : " errors") + "; nothing would be applied\n";
    return false;
  }
  // Ids as they would be given, without writing them down.
  config::KernelDisk disk;
  auto ids = compile::load_ids(disk, state_dir + "/ids.txtpb");
  if (!ids) {
    text += ids.error().message + "\n";
    return false;
  }
  compile::assign_ids(document.config, *ids);
  if (const std::string problem = compile::probe_prefix_problem(document.config, *ids); !problem.empty()) {
    text += config_file + ": " + problem + "\n";
    return false;
  }
  const Snapshot snapshot = compile::compile(document.config, *ids);
  describe(snapshot, text);
  for (const health::Target& target : compile::probe_targets(document.config, *ids)) {
    text += "probe " + target.name + (target.via_path ? " through the dataplane by " : " from the kernel to ") +
            config::endpoint_text(target.endpoint.address(), target.endpoint.port()) + "\n";
  }
  text += "snapshot: " + std::to_string(snapshot.interface_size()) + " interfaces, " +
          std::to_string(snapshot.route_size()) + " routes, " + std::to_string(snapshot.local_address_size()) +
          " local addresses, " + std::to_string(snapshot.pool_size()) + " pools, " +
          std::to_string(snapshot.service_size()) + " services; digest " + snapshot.digest().substr(0, 12) + "\n";
  return true;
}

}  // namespace headgate::app
