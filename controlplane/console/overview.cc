#include "controlplane/console/overview.h"

#include <google/protobuf/struct.pb.h>

#include <cstdio>
#include <string>
#include <vector>

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
    // One document: what jq and the like take.
    google::protobuf::Struct all;
    auto& fields = *all.mutable_fields();
    fields["console"].set_string_value(HEADGATE_VERSION);
    auto& control = *fields["controlplane"].mutable_struct_value()->mutable_fields();
    control["version"].set_string_value(system.version());
    control["uptime_s"].set_number_value(static_cast<double>(system.uptime_s()));
    fields["dataplane"].set_null_value({});
    if (known) {
      auto& data = *fields["dataplane"].mutable_struct_value()->mutable_fields();
      data["version"].set_string_value(running.version());
      data["pid"].set_number_value(static_cast<double>(running.pid()));
    }
    return print_json(all);
  }
  std::printf("console        %s\ncontrol plane  %s, up %s\ndataplane      %s\n", HEADGATE_VERSION,
              system.version().c_str(), duration(system.uptime_s() * 1000).c_str(),
              known ? (running.version() + ", pid " + std::to_string(running.pid())).c_str() : "DOES NOT ANSWER");
  return 0;
}

Table services_table(const mg::ServicesReply& reply) {
  Table table({"SERVICE", "ADDRESS", "PROTOCOL", "MODE", ">FLOWS", ">REFUSED", "?POOL", ">?ROUTES", ">?TOTAL",
               ">?PKTS IN", ">?BYTES IN", ">?PKTS OUT", ">?BYTES OUT"});
  for (const auto& service : reply.service()) {
    const auto number = [&service](std::uint64_t n) { return service.has_stats() ? count(n) : "-"; };
    const pb::TrafficCounters& t = service.stats().traffic();
    std::uint64_t refused = 0;
    for (const auto& drop : service.stats().drop()) refused += drop.packets();
    table.row({service.name(), service.address(), service.protocol(), service.mode(), number(t.flows_now()),
               number(refused), service.pool(), service.protocol() == "http" ? std::to_string(service.routes()) : "-",
               number(t.flows_total()), number(t.packets_in()), number(t.bytes_in()), number(t.packets_out()),
               number(t.bytes_out())});
  }
  return table;
}

int show_services(Client& client) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::ServicesReply reply;
  if (const int code = client.check(client.stub().Services(&context, {}, &reply))) return code;
  if (client.json()) return print_json(reply);
  print(services_table(reply), client.look());
  return 0;
}

int show_interfaces(Client& client) {
  grpc::ClientContext context;
  Client::soon(context);
  mg::InterfacesReply reply;
  if (const int code = client.check(client.stub().Interfaces(&context, {}, &reply))) return code;
  if (client.json()) return print_json(reply);
  Table table({"INTERFACE", "PORT", "!LINK", ">SPEED", ">RX PKTS", ">?RX BYTES", ">TX PKTS", ">?TX BYTES", ">LOST",
               ">?MTU", "?MAC", "?DRIVER", "?EGRESS", "?NETWORKS", "ADDRESSES"});
  for (const auto& i : reply.interface()) {
    const pb::PortStats& port = i.port_state();
    const bool known = i.has_port_state();
    std::vector<std::string> addresses(i.address().begin(), i.address().end());
    for (const std::string& floating : i.floating()) addresses.push_back(floating + "(floats)");
    const auto number = [&](std::uint64_t n) { return known ? count(n) : "-"; };
    table.row({i.name(), i.port() + (i.vlan() == 0 ? "" : "." + std::to_string(i.vlan())),
               !known           ? "unknown"
               : port.link_up() ? "up"
                                : "DOWN",
               known ? speed(port) : "-", number(port.rx_packets()), number(port.rx_bytes()), number(port.tx_packets()),
               number(port.tx_bytes()),
               number(port.rx_missed() + port.rx_no_buffer() + port.rx_errors() + port.tx_errors()),
               std::to_string(i.mtu()), known ? port.mac() : "-", known ? port.driver() : "-", i.egress(),
               joined(i.prefix()), joined(addresses)});
  }
  print(table, client.look());
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
  print(table, client.look());
  return 0;
}

}  // namespace headgate::console
