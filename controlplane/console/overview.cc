#include "controlplane/console/overview.h"

#include <cstdio>

#include "controlplane/console/table.h"

namespace headgate::console {
namespace {

namespace mg = management::v1;

template <class Texts>
std::string joined(const Texts& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : " ") + text;
  return all.empty() ? "-" : all;
}

std::string speed(const pb::PortStats& port) {
  if (!port.link_up()) return "-";
  if (port.link_mbps() == 0 || port.link_mbps() == UINT32_MAX) return "unknown";
  return port.link_mbps() >= 1000 && port.link_mbps() % 1000 == 0 ? std::to_string(port.link_mbps() / 1000) + "G"
                                                                  : std::to_string(port.link_mbps()) + "M";
}

}  // namespace

int show_version(Client& client) {
  grpc::ClientContext context, onward;
  Client::soon(context);
  Client::soon(onward);
  mg::SystemReply system;
  if (const int code = client.check(client.stub().System(&context, {}, &system))) return code;
  pb::RunningReply running;
  const bool known = client.stub().Running(&onward, {}, &running).ok();
  if (client.json()) {
    if (const int code = print_json(system)) return code;
    return known ? print_json(running) : 0;
  }
  std::printf("console        %s\ncontrol plane  %s, up %s\ndataplane      %s\n", HEADGATE_VERSION,
              system.version().c_str(), duration(system.uptime_s() * 1000).c_str(),
              known ? (running.version() + ", pid " + std::to_string(running.pid())).c_str() : "DOES NOT ANSWER");
  return 0;
}

int show_interfaces(Client& client) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::InterfacesReply reply;
  if (const int code = client.check(client.stub().Interfaces(&context, {}, &reply))) return code;
  if (client.json()) return print_json(reply);
  Table table({"INTERFACE", "PORT", "LINK", ">SPEED", ">MTU", "MAC", "DRIVER", ">RX PKTS", ">RX BYTES", ">TX PKTS",
               ">TX BYTES", ">LOST", "EGRESS", "ADDRESSES", "NETWORKS"});
  for (const auto& i : reply.interface()) {
    const pb::PortStats& port = i.port_state();
    const bool known = i.has_port_state();
    const auto number = [&](std::uint64_t n) { return known ? count(n) : "-"; };
    table.row({i.name(), i.port() + (i.vlan() == 0 ? "" : "." + std::to_string(i.vlan())),
               !known           ? "unknown"
               : port.link_up() ? "up"
                                : "DOWN",
               known ? speed(port) : "-", std::to_string(i.mtu()), known ? port.mac() : "-",
               known ? port.driver() : "-", number(port.rx_packets()), number(port.rx_bytes()),
               number(port.tx_packets()), number(port.tx_bytes()),
               number(port.rx_missed() + port.rx_no_buffer() + port.rx_errors() + port.tx_errors()), i.egress(),
               joined(i.address()), joined(i.prefix())});
  }
  print(table);
  return 0;
}

int show_routes(Client& client) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::RoutesReply reply;
  if (const int code = client.check(client.stub().Routes(&context, {}, &reply))) return code;
  if (client.json()) return print_json(reply);
  Table table({"NETWORK", "GATEWAY", "INTERFACE", "SOURCE", "GATEWAY STATE"});
  for (const auto& route : reply.route()) {
    table.row(
        {route.prefix(), route.gateway().empty() ? "on the link" : route.gateway(), route.interface(), route.source(),
         route.gateway().empty() || !route.gateway_state().empty() ? route.gateway_state() : "not asked for yet"});
  }
  print(table);
  return 0;
}

}  // namespace headgate::console
