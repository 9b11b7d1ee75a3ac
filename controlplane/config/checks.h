// Inside of validate(): the passes and what they share.
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "controlplane/config/address.h"
#include "controlplane/config/document.h"

namespace headgate::config {

class Report {
 public:
  explicit Report(Document& document) : document_(document) {}
  // what: what is wrong. action: what to do about it, an imperative.
  void error(Location where, const std::string& what, const std::string& action) {
    add(Severity::error, where, what + "; " + action);
  }
  void warn(Location where, const std::string& what, const std::string& action) {
    add(Severity::warning, where, what + "; " + action);
  }
  // True when the field was written in the block there, and parse() has said what is wrong with it.
  bool is_unreadable(Location block, const std::string& field) const {
    return document_.unreadable.contains({block.line, block.column, field});
  }

 private:
  void add(Severity severity, Location where, std::string message) {
    document_.diagnostics.push_back({severity, document_.file, where, std::move(message)});
  }
  Document& document_;
};

// Options of single fields: required, range, format, reference, unique names.
void check_schema(const Node& root, Report& report);

struct InterfaceEntry {
  const v1::Interface* message;
  Node node;
  std::vector<Prefix> prefixes;  // those that parse
};

// Parsed once, read by all passes.
struct Site {
  const v1::Config* config;
  Node root;
  std::vector<InterfaceEntry> interfaces;
  std::set<std::string> local_v4, local_v6;  // names of local_address entries with addresses of that family
  bool any_local_v4 = false, any_local_v6 = false;
  std::map<std::string, const v1::Pool*> pools;                  // the first of each name
  std::map<std::string, std::vector<const v1::Service*>> users;  // services that use a pool, by its name
  std::set<Address>
      own_addresses;              // of interfaces (snat too) and services; local addresses are judged by their own pass
  std::set<std::string> on_link;  // prefixes of all interfaces

  const std::vector<const v1::Service*>& users_of(const std::string& pool) const;
  const InterfaceEntry* interface_named(const std::string& name) const;
  // The interface on whose link the address is; null when none.
  const InterfaceEntry* interface_of(const Address& address) const;
  bool has_route(const Address& address) const;  // on a link or behind a route
};

void check_interfaces(Site& site, Report& report);
void check_routes(const Site& site, Report& report);
void check_local_addresses(Site& site, Report& report);
void check_probe(const Site& site, Report& report);
void check_pool_rules(const Site& site, const Node& pool_node, const v1::Pool& pool, Report& report);
void check_probes(const Site& site, const Node& pool_node, const v1::Pool& pool, Report& report);
void check_pools(const Site& site, Report& report);
void check_services(const Site& site, Report& report);
// Of one service: whether its connections end here, and what follows; of its `http`.
void check_proxied(const Node& service_node, const v1::Service& service, Report& report);
void check_http(const Node& node, const v1::Http& http, Report& report);

void check_groups(const Site& site, Report& report);
void check_failover(const Site& site, Report& report);
// Do the local addresses that open connections on this box include one of that family for services of `group`?
bool has_local_for(const Site& site, const v1::Group* group, bool v4);
// More prefixes of a list than the dataplane takes of one service.
void check_prefix_count(const Node& node, const char* list, int count, Report& report);
void check_management(const Site& site, Report& report);
void check_log(const Site& site, Report& report);

inline const char* family_name(bool v4) {
  return v4 ? "IPv4" : "IPv6";
}
inline std::string quoted(const std::string& text) {
  return "\"" + text + "\"";
}

// No host has this address: unspecified, multicast, loopback, 0.0.0.0/8 or 224.0.0.0/3 (RFC 6890).
bool is_no_host(const Address& address);
// IPv6 link-local: every link has the same prefix, so the address alone does not tell the interface.
bool is_v6_link_local(const Address& address);
// Network or broadcast address of the link it is on.
bool is_reserved_on_link(const Site& site, const Address& address);

}  // namespace headgate::config
