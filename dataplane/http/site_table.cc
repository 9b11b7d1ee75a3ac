#include "dataplane/http/site_table.h"

#include "dataplane/base/check.h"

namespace headgate::http {
namespace {

template <class T>
std::uint32_t take(std::vector<T>& all, std::vector<std::uint32_t>& free) {
  if (free.empty()) {
    all.emplace_back();
    return static_cast<std::uint32_t>(all.size() - 1);
  }
  const std::uint32_t place = free.back();
  free.pop_back();
  return place;
}

}  // namespace

std::uint32_t SiteTable::add_version(const std::shared_ptr<const Site>& site) {
  HEADGATE_CHECK(site != nullptr);
  const std::uint32_t version = take(versions_, free_versions_);
  versions_[version] = {site, 1};
  return version;
}

void SiteTable::adopt(Service& service, const std::shared_ptr<const Site>& site) {
  service.draining = false;
  if (service.version != tcp::kNone) {
    if (versions_[service.version].site == site) return;
    release(service.version);
  }
  service.version = add_version(site);
}

std::uint32_t SiteTable::open(ServiceId service, Slot slot, const std::shared_ptr<const Site>& site) {
  const auto [entry, added] = places_.try_emplace(service, 0);
  if (added) {
    entry->second = take(services_, free_services_);
    services_[entry->second] = {.id = service, .slot = slot};
  }
  adopt(services_[entry->second], site);
  ++services_[entry->second].sessions;
  return entry->second;
}

void SiteTable::close(std::uint32_t place) {
  Service& service = services_[place];
  HEADGATE_CHECK(service.sessions > 0);
  if (--service.sessions != 0 || !service.draining) return;
  release(service.version);
  places_.erase(service.id);
  service = {};
  free_services_.push_back(place);
}

void SiteTable::update(ServiceId service, const std::shared_ptr<const Site>& site) {
  const auto found = places_.find(service);
  if (found == places_.end()) return;
  if (site != nullptr) {
    adopt(services_[found->second], site);
    return;
  }
  services_[found->second].draining = true;
  ++services_[found->second].sessions;  // for close(), which forgets a service without sessions
  close(found->second);
}

std::uint32_t SiteTable::hold(std::uint32_t place) {
  const std::uint32_t version = services_[place].version;
  ++versions_[version].users;
  return version;
}

void SiteTable::release(std::uint32_t version) {
  HEADGATE_CHECK(versions_[version].users > 0);
  if (--versions_[version].users != 0) return;
  versions_[version].site.reset();
  free_versions_.push_back(version);
}

std::uint64_t SiteTable::sessions() const {
  std::uint64_t sum = 0;
  for (const Service& service : services_) sum += service.sessions;
  return sum;
}

std::uint64_t SiteTable::holds() const {
  std::uint64_t sum = 0;
  for (const Version& version : versions_) sum += version.users;
  for (const Service& service : services_) sum -= service.version != tcp::kNone ? 1 : 0;
  return sum;
}

}  // namespace headgate::http
