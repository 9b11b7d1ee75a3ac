// A configuration taken apart into what the dataplane knows: single-family pools, one service per address, single local
// addresses. Every part carries the key its id hangs on:
//
//   interface      name
//   local_address  the address itself: renaming or regrouping a block moves no flow
//   pool           name/family     family: v4, v6, or mixed (mode TUNNEL towards backends of both families)
//   backend        pool's key/name
//   service        name/family
//   group          name
//   route          service's name/name: of both families
//
// The family is always in the key, so that giving a service its second family does not renumber the first. In the name
// that people see it appears only when there are several.
#pragma once

#include <string>
#include <vector>

#include "controlplane/api/config.pb.h"
#include "controlplane/config/address.h"

namespace headgate::compile {

struct BackendPart {
  const config::v1::Backend* backend = nullptr;
  config::Address address;
  std::string key;
};

struct PoolPart {
  const config::v1::Pool* pool = nullptr;
  std::string key, name;
  std::vector<BackendPart> backends;
};

struct ServicePart {
  const config::v1::Service* service = nullptr;
  config::Address address;
  std::string key, name;
  std::size_t pool = 0;  // index into Parts::pools
  // Of the routes that name a pool, in their order: index into Parts::pools.
  std::vector<std::size_t> route_pools;
};

struct LocalPart {
  const config::v1::LocalAddress* entry = nullptr;
  config::Address address;
  std::string key;
};

struct Parts {
  std::vector<PoolPart> pools;  // those that a service or one of its routes uses
  std::vector<ServicePart> services;
  std::vector<LocalPart> locals;
};

// Borrows from `config`, in its order. Requires: config passed validate().
Parts expand(const config::v1::Config& config);

}  // namespace headgate::compile
