// Which Site each service of this worker has now, and which ones requests under way still follow. Counts are plain
// numbers: the shared_ptr, whose count all workers write, is touched when a configuration changes and not for requests.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "dataplane/http/site.h"
#include "dataplane/tcp/slab.h"

namespace headgate::http {

class SiteTable {
 public:
  // A session of the service begins; its place. slot: the service's, for counters.
  std::uint32_t open(ServiceId service, Slot slot, const std::shared_ptr<const Site>& site);
  void close(std::uint32_t place);
  // Null: gone or draining.
  void update(ServiceId service, const std::shared_ptr<const Site>& site);

  bool draining(std::uint32_t place) const { return services_[place].draining; }
  std::uint32_t& queued(std::uint32_t place) { return services_[place].queued; }
  Slot slot(std::uint32_t place) const { return services_[place].slot; }
  const Site& current(std::uint32_t place) const { return *versions_[services_[place].version].site; }

  // A request that follows the service's current site until release().
  std::uint32_t hold(std::uint32_t place);
  void release(std::uint32_t version);
  const Site& of(std::uint32_t version) const { return *versions_[version].site; }

  std::uint64_t sessions() const;  // for audits: of all services
  std::uint64_t holds() const;     // requests

 private:
  struct Version {
    std::shared_ptr<const Site> site;
    std::uint32_t users = 0;  // requests, and one while it is current
  };
  struct Service {
    ServiceId id;
    Slot slot = kNoSlot;
    std::uint32_t version = tcp::kNone;
    std::uint32_t sessions = 0, queued = 0;
    bool draining = false;
  };

  std::uint32_t add_version(const std::shared_ptr<const Site>& site);
  void adopt(Service& service, const std::shared_ptr<const Site>& site);

  std::vector<Service> services_;
  std::vector<Version> versions_;
  std::vector<std::uint32_t> free_services_, free_versions_;
  std::unordered_map<ServiceId, std::uint32_t> places_;
};

}  // namespace headgate::http
