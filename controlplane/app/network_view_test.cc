#include "controlplane/app/network_view.h"

#include <gtest/gtest.h>

#include "controlplane/config/validate.h"

namespace headgate::app {
namespace {

constexpr const char* kSite = R"(
interface { name: "front" port: "p0" prefix: "192.0.2.0/24" prefix: "2001:db8:1::/64" address: "192.0.2.11" floating { address: "192.0.2.9" } }
interface { name: "servers" port: "p1" vlan: 7 mtu: 9000 prefix: "10.0.0.0/24" egress: SNAT snat_address: "192.0.2.12" }
route { prefix: "0.0.0.0/0" next_hop { gateway: "192.0.2.1" } next_hop { gateway: "192.0.2.2" } }
route { prefix: "10.1.0.0/16" next_hop { interface: "servers" } }
)";

TEST(NetworkView, AnInterfaceHasItsPortsState) {
  const config::Document site = config::parse("", kSite);
  dataplane::v1::StatsReply stats;
  auto* port = stats.add_port();
  port->set_name("p1");
  port->set_link_up(true);
  management::v1::InterfacesReply reply;
  describe_interfaces(site.config, &stats, reply);
  ASSERT_EQ(reply.interface_size(), 2);
  EXPECT_EQ(reply.interface(0).mtu(), 1500u);
  EXPECT_FALSE(reply.interface(0).has_port_state());
  EXPECT_EQ(reply.interface(0).address_size(), 1);
  ASSERT_EQ(reply.interface(0).floating_size(), 1);
  EXPECT_EQ(reply.interface(0).floating(0), "192.0.2.9");
  EXPECT_EQ(reply.interface(1).vlan(), 7u);
  EXPECT_EQ(reply.interface(1).mtu(), 9000u);
  EXPECT_EQ(reply.interface(1).egress(), "snat");
  EXPECT_TRUE(reply.interface(1).port_state().link_up());
  reply.Clear();
  describe_interfaces(site.config, nullptr, reply);
  EXPECT_EQ(reply.interface_size(), 2);
}

TEST(NetworkView, RoutesComeInTheOrderOfALookup) {
  const config::Document site = config::parse("", kSite);
  dataplane::v1::NeighborsReply neighbors;
  auto* neighbor = neighbors.add_neighbor();
  neighbor->set_address("192.0.2.2");
  neighbor->set_state("reachable");
  management::v1::RoutesReply reply;
  describe_routes(site.config, &neighbors, reply);
  std::string text;
  for (const auto& route : reply.route()) {
    text += route.prefix() + " " + route.gateway() + " " + route.interface() + " " + route.source() + " " +
            route.gateway_state() + "\n";
  }
  EXPECT_EQ(text,
            "10.0.0.0/24  servers connected \n192.0.2.0/24  front connected \n10.1.0.0/16  servers configured \n"
            "0.0.0.0/0 192.0.2.1 front configured \n0.0.0.0/0 192.0.2.2 front configured reachable\n"
            "2001:db8:1::/64  front connected \n");
}

}  // namespace
}  // namespace headgate::app
