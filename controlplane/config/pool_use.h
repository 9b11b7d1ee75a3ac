// Which pools a service sends its clients to: its own, and those of its routes.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "controlplane/api/config.pb.h"

namespace headgate::config {

// Connections end here: a session with a connection of ours to the backend, instead of a flow.
inline bool is_proxied(const v1::Service& service) {
  return service.protocol() == v1::Service::TCP_PROXY || service.protocol() == v1::Service::HTTP;
}

// Each once: the service's own first, then its routes' in their order.
std::vector<std::string> pools_of(const v1::Service& service);

// Of all services, by name of the pool. Borrows from `config`.
std::map<std::string, std::vector<const v1::Service*>> users_of_pools(const v1::Config& config);

std::set<std::string> pools_in_use(const v1::Config& config);

}  // namespace headgate::config
