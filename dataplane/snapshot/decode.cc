#include "dataplane/snapshot/decode.h"

namespace headgate::snapshot::internal {

std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 64;
  std::string out = "\"";
  for (const char c : text.substr(0, kShown)) out += c >= 0x20 && c < 0x7f && c != '"' ? c : '?';
  return out + (text.size() > kShown ? "...\"" : "\"");
}

std::string at(std::string_view list, int index, std::string_view field) {
  std::string path = sentence(list, "[", static_cast<std::uint64_t>(index), "]");
  if (!field.empty()) path.append(".").append(field);
  return path;
}

std::string at(const std::string& entry, std::string_view list, int index, std::string_view field) {
  return entry + "." + at(list, index, field);
}

void Errors::add(std::string path, std::string message) {
  if (errors_.size() == kErrorsMax) {
    ++omitted_;
    return;
  }
  errors_.push_back({std::move(path), std::move(message)});
}

std::vector<SnapshotError> Errors::take() {
  if (omitted_ > 0) errors_.push_back({"", sentence(omitted_, " more errors are not listed; mend these first.")});
  return std::move(errors_);
}

std::string name_problem(const std::string& name) {
  if (name.size() <= kNameBytesMax) return {};
  return sentence("The name has ", name.size(), " bytes; at most ", kNameBytesMax,
                  " are allowed. Choose a shorter one.");
}

bool is_v6_link_local(const IpAddress& address) {
  return !address.is_v4() && address.is_link_local();
}

std::optional<IpAddress> parse_unicast(const std::string& text, std::string& why) {
  const auto address = parse_ip(text);
  if (!address) {
    why = text.empty() ? "The address is missing; write an IPv4 or IPv6 address."
                       : sentence(quoted(text), " is not an IP address; write one like 192.0.2.1 or 2001:db8::1.");
    return std::nullopt;
  }
  const bool reserved_v4 = address->is_v4() && (address->v4() >> 24 == 0 || address->v4() >= 0xe0000000u);
  if (address->is_unspecified() || address->is_multicast() || address->is_loopback() || reserved_v4) {
    why = sentence(to_string(*address), " is not a unicast address that can be used on a network; choose another.");
    return std::nullopt;
  }
  return address;
}

std::optional<IpPrefix> parse_network(const std::string& text, std::string& why) {
  const auto prefix = parse_prefix(text);
  if (!prefix) {
    why = text.empty() ? "The prefix is missing; write one like 192.0.2.0/24 or 2001:db8::/64."
                       : sentence(quoted(text), " is not a prefix; write one like 192.0.2.0/24 or 2001:db8::/64.");
    return std::nullopt;
  }
  return prefix->network();
}

std::string not_a_host(const Context& context, const IpAddress& address) {
  const Route* route = context.on_link_route(address);
  if (route == nullptr || !address.is_v4() || route->prefix.length > 30) return {};  // RFC 3021: /31 has no broadcast
  const std::uint32_t host_mask = 0xffffffffu >> route->prefix.length;
  const std::uint32_t host = address.v4() & host_mask;
  if (host != 0 && host != host_mask) return {};
  return sentence(to_string(address), " is the ", host == 0 ? "network" : "broadcast", " address of ",
                  to_string(route->prefix), "; choose a host's address.");
}

namespace {

void check_count(Context& context, std::string_view path, int count, std::size_t limit) {
  const auto size = static_cast<std::size_t>(count);
  if (size <= limit) return;
  context.errors.add(std::string(path),
                     sentence(size, " entries are larger than the tables; the limit is ", limit, "."));
}

}  // namespace

bool check_limits(Context& context) {
  const pb::Snapshot& m = context.message;
  check_count(context, "interface", m.interface_size(), kInterfacesMax);
  check_count(context, "route", m.route_size(), kRoutesMax);
  check_count(context, "local_address", m.local_address_size(), kLocalAddressesMax);
  check_count(context, "pool", m.pool_size(), kPoolsMax);
  check_count(context, "service", m.service_size(), kServicesMax);
  check_count(context, "failover.group", m.failover().group_size(), vrrp::kGroupsMax);
  if (!context.errors.empty()) return false;

  std::size_t backends = 0, maglev_pools = 0, on_link = 0, snat = 0;
  for (const pb::Pool& pool : m.pool()) {
    backends += static_cast<std::size_t>(pool.backend_size());
    maglev_pools += pool.algorithm() == pb::MAGLEV ? 1 : 0;
  }
  for (int i = 0; i < m.interface_size(); ++i) {
    const pb::Interface& interface = m.interface(i);
    check_count(context, at("interface", i, "prefix"), interface.prefix_size(), kInterfaceEntriesMax);
    check_count(context, at("interface", i, "address"), interface.address_size(), kInterfaceEntriesMax);
    check_count(context, at("interface", i, "floating"), interface.floating_size(), kInterfaceEntriesMax);
    check_count(context, at("interface", i, "snat_address"), interface.snat_address_size(), kInterfaceEntriesMax);
    on_link += static_cast<std::size_t>(interface.prefix_size());
    snat += static_cast<std::size_t>(interface.snat_address_size());
  }
  const auto total = [&context](std::string_view path, std::string_view what, std::size_t count, std::size_t limit) {
    if (count <= limit) return;
    context.errors.add(std::string(path),
                       sentence(count, " ", what, " are larger than the tables; the limit is ", limit, "."));
  };
  total("pool", "backends of all pools together", backends, kBackendsMax);
  total("pool", "pools with algorithm MAGLEV", maglev_pools, kMaglevPoolsMax);
  total("route", "routes and on-link prefixes together", on_link + static_cast<std::size_t>(m.route_size()),
        kRoutesMax);
  total("local_address", "local and snat addresses together", snat + static_cast<std::size_t>(m.local_address_size()),
        kLocalAddressesMax);
  for (int i = 0; i < m.route_size(); ++i) {
    check_count(context, at("route", i, "next_hop"), m.route(i).next_hop_size(), kNextHopsMax);
  }
  for (int i = 0; i < m.service_size(); ++i) {
    check_count(context, at("service", i, "local_address_id"), m.service(i).local_address_id_size(),
                kLocalAddressesMax);
  }
  if (m.digest().size() > kNameBytesMax) {
    context.errors.add("digest",
                       sentence("The digest has ", m.digest().size(), " bytes; the limit is ", kNameBytesMax, "."));
  }
  return context.errors.empty();
}

}  // namespace headgate::snapshot::internal
