#include "controlplane/config/validate.h"

#include <algorithm>
#include <map>
#include <utility>

#include "controlplane/config/checks.h"
#include "controlplane/config/durable_file.h"
#include "controlplane/config/place_names.h"
#include "controlplane/config/pool_use.h"

namespace headgate::config {
namespace {

template <class Texts>
void add_own(const Texts& texts, Site& site) {
  for (const std::string& text : texts) {
    if (const auto address = parse_address(text)) site.own_addresses.insert(*address);
  }
}

Site make_site(const Document& document) {
  Site site{.config = &document.config,
            .root = document.root(),
            .interfaces = {},
            .local_v4 = {},
            .local_v6 = {},
            .pools = {},
            .users = users_of_pools(document.config),
            .own_addresses = {},
            .on_link = {}};
  for (int i = 0; i < document.config.interface_size(); ++i) {
    InterfaceEntry entry{&document.config.interface(i), site.root.child("interface", i), {}};
    for (const std::string& text : entry.message->prefix()) {
      const auto prefix = parse_prefix(text);
      if (!prefix) continue;
      entry.prefixes.push_back(prefix->network());
      site.on_link.insert(prefix->network().to_string());
    }
    add_own(entry.message->address(), site);
    add_own(entry.message->snat_address(), site);
    for (const v1::FloatingAddress& floating : entry.message->floating()) {
      if (const auto address = parse_address(floating.address())) site.own_addresses.insert(*address);
    }
    site.interfaces.push_back(std::move(entry));
  }
  for (const v1::Service& service : document.config.service()) add_own(service.address(), site);
  for (const v1::Pool& pool : document.config.pool()) site.pools.emplace(pool.name(), &pool);
  return site;
}

}  // namespace

const std::vector<const v1::Service*>& Site::users_of(const std::string& pool) const {
  static const std::vector<const v1::Service*> kNone;
  const auto found = users.find(pool);
  return found == users.end() ? kNone : found->second;
}

const InterfaceEntry* Site::interface_named(const std::string& name) const {
  for (const InterfaceEntry& entry : interfaces) {
    if (entry.message->name() == name) return &entry;
  }
  return nullptr;
}

const InterfaceEntry* Site::interface_of(const Address& address) const {
  for (const InterfaceEntry& entry : interfaces) {
    for (const Prefix& prefix : entry.prefixes) {
      if (prefix.contains(address)) return &entry;
    }
  }
  return nullptr;
}

bool Site::has_route(const Address& address) const {
  if (interface_of(address) != nullptr) return true;
  return std::any_of(config->route().begin(), config->route().end(), [&](const v1::Route& route) {
    const auto prefix = parse_prefix(route.prefix());
    return prefix && prefix->contains(address);
  });
}

bool is_no_host(const Address& address) {
  if (address.is_unspecified() || address.is_multicast() || address.is_loopback()) return true;
  return address.is_v4() && (address.to_v4().to_uint() >> 24 == 0 || address.to_v4().to_uint() >= 0xe0000000u);
}

bool is_v6_link_local(const Address& address) {
  return address.is_v6() && address.to_v6().is_link_local();
}

bool is_reserved_on_link(const Site& site, const Address& address) {
  const InterfaceEntry* link = site.interface_of(address);
  return link != nullptr && std::any_of(link->prefixes.begin(), link->prefixes.end(),
                                        [&](const Prefix& prefix) { return is_reserved_in(address, prefix); });
}

void validate(Document& document) {
  if (!document.readable) return;
  Report report(document);
  check_schema(document.root(), report);
  Site site = make_site(document);
  check_interfaces(site, report);
  check_routes(site, report);
  check_local_addresses(site, report);
  check_probe(site, report);
  check_services(site, report);
  check_pools(site, report);
  check_groups(site, report);
  check_failover(site, report);
  check_management(site, report);
  check_log(site, report);
  if (document.config.service().empty())
    report.warn(site.root.location(), "there is no service: nothing is balanced", "add one, service { ... }");
  sort_by_place(document.diagnostics);
}

Document load_text(std::string file, const std::string& text) {
  Document document = parse(std::move(file), text);
  validate(document);
  name_places(document, text);
  return document;
}

Document load_file(const std::string& path) {
  const auto text = read_file(path);
  if (text) return load_text(path, *text);
  Document document;
  document.file = path;
  document.diagnostics.push_back(
      {Severity::error, path, {}, text.error().message + "; check the path and its permissions"});
  return document;
}

}  // namespace headgate::config
