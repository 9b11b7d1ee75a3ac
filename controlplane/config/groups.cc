#include "controlplane/config/groups.h"

#include <algorithm>
#include <set>

namespace headgate::config {
namespace {

constexpr std::uint64_t kBlockMax = 1024;  // validate.h: kLocalAddressesMax; no block in use is larger

const v1::Interface* interface_named(const v1::Config& config, const std::string& name) {
  for (const v1::Interface& interface : config.interface()) {
    if (interface.name() == name) return &interface;
  }
  return nullptr;
}

// Collects addresses of one family, each once.
class Listing {
 public:
  explicit Listing(bool v4) : v4_(v4) {}
  void add(const Address& address) {
    if (address.is_v4() == v4_ && seen_.insert(address).second) list_.push_back(address);
  }
  void add(const std::string& text) {
    if (const auto address = parse_address(text)) add(*address);
  }
  std::vector<Address> take() { return std::move(list_); }
  bool empty() const { return list_.empty(); }

 private:
  const bool v4_;
  std::set<Address> seen_;
  std::vector<Address> list_;
};

void add_local(const v1::LocalAddress& entry, Listing& listing) {
  for (const std::string& text : entry.address()) listing.add(text);
  for (const std::string& text : entry.prefix()) {
    const auto prefix = parse_prefix(text);
    if (!prefix) continue;
    for (std::uint64_t i = 0; i < std::min(prefix->size(), kBlockMax); ++i) listing.add(*prefix->at(i));
  }
}

}  // namespace

const v1::Group* group_of(const v1::Config& config, const std::string& name) {
  for (const v1::Group& group : config.group()) {
    if (name.empty() || group.name() == name) return &group;
  }
  return nullptr;
}

std::uint32_t priority_of(const v1::Group& group, v1::Side side) {
  if (side == v1::A) return group.has_priority_a() ? group.priority_a() : 200;
  return group.has_priority_b() ? group.priority_b() : 150;
}

std::uint32_t degraded_priority_of(const v1::Group& group, v1::Side side) {
  const std::uint32_t own = priority_of(group, side);
  const std::uint32_t other = priority_of(group, side == v1::A ? v1::B : v1::A);
  const std::uint32_t half = std::max(own / 2, 1u);
  if (own < other) return half;
  const std::uint32_t highest = std::max(other, 2u) - 1;
  const std::uint32_t others = std::max(other / 2, 1u);
  return std::min(std::max(half, others + 1), highest);
}

bool floats(const v1::Config& config, const v1::LocalAddress& entry) {
  return config.group_size() != 0 && (!entry.has_floats() || entry.floats());
}

bool allocates_here(const v1::Config& config, const v1::LocalAddress& entry) {
  return !entry.has_allocate_on() || !config.has_failover() || entry.allocate_on() == config.failover().side();
}

bool is_here(const v1::Config& config, const v1::LocalAddress& entry) {
  return floats(config, entry) || allocates_here(config, entry);
}

std::vector<Address> group_addresses(const v1::Config& config, const v1::Group& group, const v1::Interface& interface,
                                     bool v4) {
  std::vector<Prefix> prefixes;  // no two interfaces share one
  for (const std::string& text : interface.prefix()) {
    if (const auto prefix = parse_prefix(text)) prefixes.push_back(*prefix);
  }
  Listing listing(v4);
  for (const v1::Service& service : config.service()) {
    if (group_of(config, service.group()) != &group) continue;
    for (const std::string& text : service.address()) {
      const auto address = parse_address(text);
      const auto holds = [&](const Prefix& prefix) { return prefix.contains(*address); };
      if (address && std::any_of(prefixes.begin(), prefixes.end(), holds)) listing.add(*address);
    }
  }
  for (const v1::FloatingAddress& floating : interface.floating()) {
    if (group_of(config, floating.group()) == &group) listing.add(floating.address());
  }
  if (!listing.empty()) return listing.take();
  for (const v1::LocalAddress& entry : config.local_address()) {
    if (entry.interface() != interface.name() || !floats(config, entry)) continue;
    if (group_of(config, entry.group()) == &group) add_local(entry, listing);
  }
  return listing.take();
}

std::optional<Address> advert_source(const v1::Config& config, const v1::Group::Router& router, bool v4) {
  const auto first = [v4](const auto& texts) -> std::optional<Address> {
    for (const std::string& text : texts) {
      const auto address = parse_address(text);
      if (address && address->is_v4() == v4) return address;
    }
    return std::nullopt;
  };
  if (const auto named = first(router.source())) return named;
  const v1::Interface* interface = interface_named(config, router.interface());
  if (interface == nullptr || !v4) return std::nullopt;  // IPv6: the dataplane makes a link-local one of the port's MAC
  return first(interface->address());
}

}  // namespace headgate::config
