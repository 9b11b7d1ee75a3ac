#include "controlplane/compile/failover.h"

#include <algorithm>

#include "controlplane/config/groups.h"
#include "controlplane/config/validate.h"

namespace headgate::compile {
namespace {

namespace in = config::v1;
namespace out = dataplane::v1;

// The enumerations agree in order.
static_assert(static_cast<int>(out::CHECKSUM_PSEUDO_HEADER) == static_cast<int>(in::Group::Router::PSEUDO_HEADER));
static_assert(static_cast<int>(out::MANUAL) == static_cast<int>(in::Group::MANUAL));

constexpr std::uint32_t kPreemptDelayDefault_s = 60;

const in::Interface* interface_named(const in::Config& config, const std::string& name) {
  for (const in::Interface& interface : config.interface()) {
    if (interface.name() == name) return &interface;
  }
  return nullptr;
}

void add_router(const in::Config& config, const in::Group& group, const in::Group::Router& from, bool v4,
                const IdTable& ids, out::Group& to) {
  const std::uint32_t version = from.has_version() ? from.version() : 3;
  if (!v4 && version == 2) return;
  const auto addresses = config::group_addresses(config, group, *interface_named(config, from.interface()), v4);
  if (addresses.empty()) return;
  out::VirtualRouter& router = *to.add_router();
  router.set_interface_id(ids.find(Kind::interface, from.interface()));
  router.set_vrid(from.vrid());
  router.set_ipv6(!v4);
  router.set_version(version);
  if (v4 && version == 3) router.set_checksum(static_cast<out::ChecksumRule>(from.checksum()));
  if (const auto source = config::advert_source(config, from, v4)) router.set_source(source->to_string());
  for (std::size_t i = 0; i < std::min(addresses.size(), config::kAdvertAddressesMax); ++i) {
    router.add_address(addresses[i].to_string());
  }
  for (const std::string& text : from.peer()) {
    const auto peer = config::parse_address(text);
    if (peer && peer->is_v4() == v4) router.add_peer(peer->to_string());
  }
}

void add_group(const in::Config& config, const in::Group& from, const IdTable& ids, out::Failover& failover) {
  out::Group& to = *failover.add_group();
  const in::Side side = config.failover().side();
  to.set_id(ids.find(Kind::group, from.name()));
  to.set_name(from.name());
  to.set_priority(config::priority_of(from, side));
  to.set_degraded_priority(config::degraded_priority_of(from, side));
  to.set_interval_ms(from.has_interval_ms() ? from.interval_ms() : 100);
  to.set_preemption(static_cast<out::Preemption>(from.preemption()));
  if (from.preemption() == in::Group::AFTER) {
    to.set_preempt_delay_ms(1000 * (from.has_preempt_delay_s() ? from.preempt_delay_s() : kPreemptDelayDefault_s));
  }
  to.set_physical_mac(from.has_virtual_mac() && !from.virtual_mac());
  for (const in::Group::Router& router : from.router()) {
    for (const bool v4 : {true, false}) add_router(config, from, router, v4, ids, to);
  }
}

}  // namespace

std::uint32_t group_id(const in::Config& config, const std::string& name, const IdTable& ids) {
  const in::Group* group = config::group_of(config, name);
  return group == nullptr ? 0 : ids.find(Kind::group, group->name());
}

void add_failover(const in::Config& config, const IdTable& ids, out::Snapshot& snapshot) {
  out::Failover& to = *snapshot.mutable_failover();
  const in::Failover& from = config.failover();
  for (const in::Group& group : config.group()) add_group(config, group, ids, to);
  // 0 means the default to the dataplane, and no wait to an operator.
  to.set_startup_wait_ms(from.has_startup_wait_ms() ? std::max(from.startup_wait_ms(), 1u) : 3000);
  to.set_solo_lease_ms(from.has_solo_lease_ms() ? from.solo_lease_ms() : 1000);
  to.set_control_grace_ms(1000 * (from.has_control_grace_s() ? from.control_grace_s() : 30));
  to.set_has_peer(config::is_pair(config));
}

std::vector<const LocalPart*> local_addresses(const ServicePart& service, const Parts& parts,
                                              const in::Config& config) {
  const bool v4 = service.address.is_v4();
  const auto fits = [&](const LocalPart& local) {
    return local.address.is_v4() == v4 && config::allocates_here(config, *local.entry);
  };
  std::vector<const LocalPart*> named;
  for (const std::string& name : service.service->local_address()) {
    for (const LocalPart& local : parts.locals) {
      if (local.entry->name() == name && fits(local)) named.push_back(&local);
    }
  }
  const in::Group* group = config::group_of(config, service.service->group());
  if (group == nullptr) return named;
  if (service.service->local_address_size() == 0) {
    for (const LocalPart& local : parts.locals) {
      if (fits(local)) named.push_back(&local);
    }
  }
  std::vector<const LocalPart*> of_group, own;
  for (const LocalPart* local : named) {
    if (!config::floats(config, *local->entry)) {
      own.push_back(local);
    } else if (config::group_of(config, local->entry->group()) == group) {
      of_group.push_back(local);
    }
  }
  return of_group.empty() ? own : of_group;
}

}  // namespace headgate::compile
