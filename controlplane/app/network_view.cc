#include "controlplane/app/network_view.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "controlplane/config/address.h"

namespace headgate::app {
namespace {

namespace pb = management::v1;
namespace dp = dataplane::v1;
namespace cf = config::v1;

constexpr std::uint32_t kMtuDefault = 1500;

const char* egress_word(cf::Interface::Egress egress) {
  return egress == cf::Interface::ROUTE ? "route" : egress == cf::Interface::SNAT ? "snat" : "drop";
}

// The interface whose link holds the address; empty: none.
std::string interface_of(const cf::Config& config, const std::string& text) {
  const auto address = config::parse_address(text);
  for (const auto& interface : config.interface()) {
    for (const std::string& prefix_text : interface.prefix()) {
      const auto prefix = config::parse_prefix(prefix_text);
      if (address && prefix && prefix->contains(*address)) return interface.name();
    }
  }
  return {};
}

using States = std::map<std::string, std::string>;  // of neighbors, by address

void add(pb::RoutesReply& reply, const std::string& prefix, const std::string& interface, const char* source) {
  auto* route = reply.add_route();
  route->set_prefix(prefix);
  route->set_interface(interface);
  route->set_source(source);
}

void add_configured(pb::RoutesReply& reply, const cf::Config& config, const cf::Route& route, const States& states) {
  for (const auto& hop : route.next_hop()) {
    add(reply, route.prefix(), hop.interface().empty() ? interface_of(config, hop.gateway()) : hop.interface(),
        "configured");
    auto& added = *reply.mutable_route(reply.route_size() - 1);
    added.set_gateway(hop.gateway());
    const auto state = states.find(hop.gateway());
    if (state != states.end()) added.set_gateway_state(state->second);
  }
}

// IPv4 first, then the order in which a lookup would find them.
auto rank(const pb::RouteState& route) {
  const auto prefix = config::parse_prefix(route.prefix());
  return std::tuple(prefix && prefix->address.is_v6(), prefix ? -static_cast<int>(prefix->length) : 1, route.prefix(),
                    route.source(), route.gateway());
}

}  // namespace

void describe_interfaces(const cf::Config& config, const dp::StatsReply* stats, pb::InterfacesReply& reply) {
  std::map<std::string, const dp::PortStats*> ports;
  if (stats != nullptr) {
    for (const auto& port : stats->port()) ports[port.name()] = &port;
  }
  for (const auto& interface : config.interface()) {
    auto* out = reply.add_interface();
    out->set_name(interface.name());
    out->set_port(interface.port());
    out->set_vlan(interface.vlan());
    out->set_mtu(interface.has_mtu() ? interface.mtu() : kMtuDefault);
    *out->mutable_prefix() = interface.prefix();
    *out->mutable_address() = interface.address();
    for (const auto& floating : interface.floating()) out->add_floating(floating.address());
    out->set_egress(egress_word(interface.egress()));
    *out->mutable_snat_address() = interface.snat_address();
    out->set_gateway(interface.gateway());
    const auto port = ports.find(interface.port());
    if (port != ports.end()) *out->mutable_port_state() = *port->second;
  }
}

void describe_routes(const cf::Config& config, const dp::NeighborsReply* neighbors, pb::RoutesReply& reply) {
  States states;
  if (neighbors != nullptr) {
    for (const auto& neighbor : neighbors->neighbor()) states[neighbor.address()] = neighbor.state();
  }
  for (const auto& interface : config.interface()) {
    for (const std::string& prefix : interface.prefix()) add(reply, prefix, interface.name(), "connected");
  }
  for (const auto& route : config.route()) add_configured(reply, config, route, states);
  std::sort(reply.mutable_route()->begin(), reply.mutable_route()->end(),
            [](const auto& a, const auto& b) { return rank(a) < rank(b); });
}

}  // namespace headgate::app
