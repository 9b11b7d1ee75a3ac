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

void describe(const Snapshot& snapshot, std::string& text) {
  std::map<std::uint32_t, const dataplane::v1::Pool*> pools;
  for (const auto& pool : snapshot.pool()) pools[pool.id()] = &pool;
  for (const auto& service : snapshot.service()) {
    const dataplane::v1::Pool& pool = *pools.at(service.pool_id());
    text += "service " + service.name() + ": " + Protocol_Name(service.protocol()) + " " +
            endpoint(service.address(), service.port()) + ", " + Mode_Name(service.mode()) + ", pool " + pool.name() +
            " (" + Algorithm_Name(pool.algorithm()) + ")\n";
    for (const auto& backend : pool.backend()) {
      text += "  backend " + backend.name() + ": " +
              endpoint(backend.address(), backend.port() != 0 ? backend.port() : service.port()) + ", weight " +
              std::to_string(backend.weight()) + (backend.drain() ? ", draining" : "") + "\n";
    }
  }
}

}  // namespace

bool check(const std::string& config_file, const std::string& state_dir, std::string& text) {
  const config::Document document = config::load_file(config_file);
  for (const config::Diagnostic& diagnostic : document.diagnostics) text += diagnostic.to_string() + "\n";
  if (!document.ok()) {
    const auto errors = std::count_if(document.diagnostics.begin(), document.diagnostics.end(),
                                      [](const auto& d) { return d.severity == config::Severity::error; });
    text += std::to_string(errors) + (errors == 1 ? " error" : " errors") + "; nothing would be applied\n";
    return false;
  }
  // Ids as they would be given, without writing them down.
  auto ids = compile::load_ids(state_dir + "/ids.txtpb");
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
