// A configuration that changes at random, step after step, in ways that may hurt nobody: backends come and go (flows of
// removed ones are kept), weights, drains, backups, algorithms, persistence, probing, longer timeouts, comments, the
// order of the text, services and pools that no traffic uses. Every service with traffic always has a backend that may
// serve.
//
// The site is that of site.h: services 100 to 106, TCP port 80 and UDP port 53, and what is around them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "controlplane/api/config.pb.h"
#include "dataplane/base/rng.h"

namespace headgate::sim {

// Servers .21 to .29 on the inside, both families.
inline constexpr unsigned kFirstServer = 21, kServers = 9;
// No flow may be left after this long; timeouts are never raised above it.
inline constexpr std::uint32_t kTimeoutMaxS = 7900;

class ConfigWalk {
 public:
  explicit ConfigWalk(std::uint64_t seed);

  const config::v1::Config& config() const { return config_; }
  // One change; says what it was. Nothing is changed when it would have hurt somebody, and then it says nothing.
  std::string step();

 private:
  struct Kind {
    std::function<std::string(ConfigWalk&)> change;
    unsigned weight;
  };
  static const std::vector<Kind>& kinds();

  config::v1::Pool& any_pool();  // of those with traffic
  config::v1::Backend& any_backend(config::v1::Pool& pool);
  config::v1::Service& any_service();
  bool everybody_can_serve() const;
  void build_pools();
  void build_services();

  std::string add_backend();
  std::string remove_backend();
  std::string reweight();
  std::string drain();
  std::string backup();
  std::string limit();
  std::string algorithm();
  std::string persistence();
  std::string health_check();
  std::string minimum();
  std::string slow_start();
  std::string comment();
  std::string timeout();
  std::string service_option();
  std::string shuffle();
  std::string other_pool();
  std::string unused_service();
  std::string unused_pool();
  std::string unused_route();
  std::string unmatched();

  Rng rng_;
  config::v1::Config config_;
  unsigned names_ = 0;  // given to what was new
};

}  // namespace headgate::sim
