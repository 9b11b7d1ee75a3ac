#include "controlplane/config/pool_use.h"

namespace headgate::config {

std::vector<std::string> pools_of(const v1::Service& service) {
  std::vector<std::string> pools{service.pool()};
  std::set<std::string> seen{service.pool()};
  for (const v1::Http::Route& route : service.http().route()) {
    if (route.has_pool() && seen.insert(route.pool()).second) pools.push_back(route.pool());
  }
  return pools;
}

std::map<std::string, std::vector<const v1::Service*>> users_of_pools(const v1::Config& config) {
  std::map<std::string, std::vector<const v1::Service*>> users;
  for (const v1::Service& service : config.service()) {
    for (const std::string& pool : pools_of(service)) users[pool].push_back(&service);
  }
  return users;
}

std::set<std::string> pools_in_use(const v1::Config& config) {
  std::set<std::string> names;
  for (const v1::Service& service : config.service()) {
    names.insert(service.pool());
    for (const v1::Http::Route& route : service.http().route()) {
      if (route.has_pool()) names.insert(route.pool());
    }
  }
  return names;
}

}  // namespace headgate::config
