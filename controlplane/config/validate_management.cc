// The management API on TCP, and where the log goes.
#include "controlplane/config/checks.h"

namespace headgate::config {
namespace {

void check_file(const Node& node, const char* field, const std::string& path, Report& report) {
  if (path.empty() || path[0] == '/') return;  // an absent one is missed by its option `required`
  report.error(node.location_of(field), quoted(path) + " is no absolute path", "begin it with /");
}

void check_listen(const Node& node, const char* field, const std::string& text, Report& report) {
  const auto address = parse_address(text);
  if (!address || !address->is_multicast()) return;
  report.error(node.location_of(field), text + " is a multicast address", "use one of this box, or 0.0.0.0 or ::");
}

}  // namespace

void check_management(const Site& site, Report& report) {
  if (!site.config->has_management()) return;
  const v1::Management& management = site.config->management();
  const Node node = site.root.child("management");
  check_listen(node, "address", management.address(), report);
  check_file(node, "certificate", management.certificate(), report);
  check_file(node, "key", management.key(), report);
  check_file(node, "client_ca", management.client_ca(), report);
  for (int i = 0; i < management.client_size(); ++i) {
    const v1::Management::Client& client = management.client(i);
    if (!client.common_name().empty() || !client.organizational_unit().empty()) continue;
    report.error(node.child("client", i).location(), "client " + quoted(client.name()) + " names no certificate",
                 "add common_name or organizational_unit");
  }
  if (management.client().empty())
    report.warn(node.location(), "management has no client: nobody may call it", "add one, client { ... }");
}

void check_log(const Site& site, Report& report) {
  if (!site.config->has_log()) return;
  const auto address = parse_address(site.config->log().collector());
  if (!address || !(address->is_multicast() || address->is_unspecified())) return;
  report.error(site.root.child("log").location_of("collector"), address->to_string() + " is no host address",
               "use the collector's");
}

}  // namespace headgate::config
