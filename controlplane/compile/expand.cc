#include "controlplane/compile/expand.h"

#include <map>
#include <optional>

namespace headgate::compile {
namespace {

using config::Address;

enum class Family { v4, v6, mixed };

const char* to_string(Family family) {
  switch (family) {
    case Family::v4:
      return "v4";
    case Family::v6:
      return "v6";
    case Family::mixed:
      return "mixed";
  }
  return "";
}

std::optional<Address> address_of(const config::v1::Backend& backend, bool v4) {
  for (const std::string& text : backend.address()) {
    const auto address = config::parse_address(text);
    if (address && address->is_v4() == v4) return address;
  }
  return std::nullopt;
}

// Mixed: IPv4 where there is one, since its outer header is the smaller.
std::optional<Address> address_of(const config::v1::Backend& backend, Family family) {
  if (family != Family::mixed) return address_of(backend, family == Family::v4);
  const auto v4 = address_of(backend, true);
  return v4 ? v4 : address_of(backend, false);
}

// A tunnel's outer family is free: it follows the service when all backends can, so that no backend is left out.
Family pool_family(const config::v1::Service& service, const config::v1::Pool& pool, bool v4) {
  const Family own = v4 ? Family::v4 : Family::v6;
  if (service.mode() != config::v1::Service::TUNNEL) return own;
  for (const config::v1::Backend& backend : pool.backend()) {
    if (!address_of(backend, v4)) return Family::mixed;
  }
  return own;
}

PoolPart make_pool(const config::v1::Pool& pool, Family family) {
  PoolPart part{.pool = &pool, .key = pool.name() + "/" + to_string(family), .name = pool.name(), .backends = {}};
  for (const config::v1::Backend& backend : pool.backend()) {
    if (const auto address = address_of(backend, family)) {
      part.backends.push_back({&backend, *address, part.key + "/" + backend.name()});
    }
  }
  return part;
}

class PoolParts {
 public:
  PoolParts(const config::v1::Config& config, std::vector<PoolPart>& parts) : parts_(parts) {
    for (const config::v1::Pool& pool : config.pool()) pools_.emplace(pool.name(), &pool);
  }

  // The part of the pool that serves that family of the service, made when it is needed first.
  std::size_t of(const config::v1::Service& service, const std::string& name, bool v4) {
    const config::v1::Pool& pool = *pools_.at(name);
    const Family family = pool_family(service, pool, v4);
    const auto [slot, fresh] = made_.try_emplace({name, family}, parts_.size());
    if (fresh) {
      parts_.push_back(make_pool(pool, family));
      ++variants_[name];
    }
    return slot->second;
  }

  void name_them() {
    for (PoolPart& part : parts_) {
      if (variants_[part.pool->name()] > 1) part.name = part.key;
    }
  }

 private:
  std::vector<PoolPart>& parts_;
  std::map<std::string, const config::v1::Pool*> pools_;
  std::map<std::pair<std::string, Family>, std::size_t> made_;
  std::map<std::string, int> variants_;
};

void expand_services(const config::v1::Config& config, Parts& parts) {
  PoolParts pools(config, parts.pools);
  for (const config::v1::Service& service : config.service()) {
    for (const std::string& text : service.address()) {
      const Address address = *config::parse_address(text);
      const std::string suffix = address.is_v4() ? "/v4" : "/v6";
      ServicePart& part =
          parts.services.emplace_back(ServicePart{.service = &service,
                                                  .address = address,
                                                  .key = service.name() + suffix,
                                                  .name = service.name() + (service.address_size() > 1 ? suffix : ""),
                                                  .pool = pools.of(service, service.pool(), address.is_v4()),
                                                  .route_pools = {}});
      for (const config::v1::Http::Route& route : service.http().route()) {
        if (route.has_pool()) part.route_pools.push_back(pools.of(service, route.pool(), address.is_v4()));
      }
    }
  }
  pools.name_them();
}

void expand_locals(const config::v1::Config& config, Parts& parts) {
  for (const config::v1::LocalAddress& entry : config.local_address()) {
    const auto add = [&](const Address& address) { parts.locals.push_back({&entry, address, address.to_string()}); };
    for (const std::string& text : entry.address()) add(*config::parse_address(text));
    for (const std::string& text : entry.prefix()) {
      const config::Prefix prefix = *config::parse_prefix(text);
      for (std::uint64_t i = 0; i < prefix.size(); ++i) add(*prefix.at(i));
    }
  }
}

}  // namespace

Parts expand(const config::v1::Config& config) {
  Parts parts;
  expand_services(config, parts);
  expand_locals(config, parts);
  return parts;
}

}  // namespace headgate::compile
