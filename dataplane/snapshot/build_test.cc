#include "dataplane/snapshot/build.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "dataplane/snapshot/testing.h"

namespace headgate::snapshot {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

IpAddress ip(std::string_view text) {
  return parse_ip(text).value();
}

// Clients on p0, servers on p1; one service of each mode.
constexpr std::string_view kBase = R"text(
  epoch: 7 digest: "d1"
  interface { id: 1 name: "outside" port: "p0" prefix: "192.0.2.0/24" prefix: "2001:db8:1::/64" }
  interface { id: 2 name: "inside" port: "p1" vlan: 20 mtu: 9000 prefix: "10.10.0.0/24" address: "10.10.0.1"
              egress: EGRESS_SNAT snat_address: "192.0.2.77" gateway: true }
  route { prefix: "0.0.0.0/0" next_hop { gateway: "192.0.2.1" interface: "outside" } }
  local_address { id: 5 address: "10.10.0.64" interface_id: 2 }
  pool { id: 11 name: "web" algorithm: ROUND_ROBIN
         backend { id: 101 name: "a" address: "10.10.0.21" port: 8080 weight: 3 }
         backend { id: 102 name: "b" address: "10.10.0.22" port: 8080 weight: 2 }
         backend { id: 103 name: "c" address: "10.10.0.23" port: 8080 weight: 1 health: DOWN }
         persistence { prefix_length_v4: 24 timeout_s: 60 } }
  pool { id: 12 name: "dns" algorithm: MAGLEV
         backend { id: 104 address: "10.10.0.31" weight: 1 } backend { id: 105 address: "10.10.0.32" weight: 1 drain: true } }
  service { id: 21 name: "www" address: "192.0.2.100" port: 80 protocol: TCP mode: FULL_NAT pool_id: 11 }
  service { id: 22 name: "natted" address: "192.0.2.101" port: 80 protocol: TCP mode: NAT pool_id: 11 no_ping: true }
  service { id: 23 name: "dns" address: "192.0.2.100" port: 53 protocol: UDP mode: DSR pool_id: 12 }
  service { id: 24 name: "far" address: "2001:db8:1::100" port: 53 protocol: UDP mode: TUNNEL encapsulation: GUE pool_id: 12 }
  timeouts { udp_s: 30 }
  probe { port: "p1" prefix_v4: "198.18.0.0/15" }
)text";

std::string with(std::string_view extra) {
  return std::string(kBase) + std::string(extra);
}
// kBase with one text replaced, which must be there.
std::string replaced(std::string_view from, std::string_view to) {
  std::string text(kBase);
  const auto where = text.find(from);
  EXPECT_NE(where, std::string::npos) << from;
  return text.replace(where, from.size(), to);
}

std::string proxied(const std::string& proxy) {
  return replaced("TCP mode: FULL_NAT pool_id: 11 }", "TCP_PROXY mode: FULL_NAT pool_id: 11 proxy { " + proxy + " } }");
}

TEST(Build, CookieKeysAreTakenInOrderAndNotShownWhenTheyAreWrong) {
  testing::Source source;
  const auto s = source.accept(with("cookie_key: \"0123456789abcdef\" cookie_key: \"fedcba9876543210\""));
  ASSERT_EQ(s->cookie_keys.size(), 2u);
  EXPECT_EQ(std::memcmp(s->cookie_keys[0].data(), "0123456789abcdef", 16), 0);
  EXPECT_THAT(source.accept(kBase)->cookie_keys, IsEmpty());
  EXPECT_THAT(source.refuse(with("cookie_key: \"secret\"")),
              ElementsAre("cookie_key[0]: A key has 16 bytes and this one 6."));
  std::string many;
  for (int i = 0; i < 4; ++i) many += "cookie_key: \"0123456789abcdef\" ";
  EXPECT_THAT(source.refuse(with(many)), ElementsAre("cookie_key: At most 3 keys; leave the oldest out."));
}

TEST(Build, AProxiedServiceKnowsItsTimesAndIsFoundById) {
  testing::Source source;
  const auto s = source.accept(
      proxied("connect_timeout_ms: 250 queue_limit: 7 header_from: \"192.0.2.0/25\" send_header: PROXY_HEADER_V2"));
  const Service& service = *s->service_of(ServiceId{21});
  EXPECT_EQ(service.ends, Ends::tcp_proxy);
  EXPECT_EQ(service.protocol, kProtocolTcp);
  EXPECT_EQ(service.proxy->connect_timeout, 250 * kMillisecond);
  EXPECT_EQ(service.proxy->connect_attempts, 3u);
  EXPECT_EQ(service.proxy->idle_timeout, 300 * kSecond);
  EXPECT_EQ(service.proxy->queue_limit, 7u);
  EXPECT_TRUE(service.proxy->header_from.at(0).contains(ip("192.0.2.10")));
  EXPECT_EQ(service.proxy->send_header, ProxyHeader::v2);
  EXPECT_EQ(s->pool_of(PoolId{12})->id, PoolId{12});
  EXPECT_EQ(s->backend_of(BackendId{104})->address, ip("10.10.0.31"));
  EXPECT_EQ(s->backend_of(BackendId{999}), nullptr);
}

TEST(Build, AnAcceptedMessageBecomesWhatAPacketNeeds) {
  testing::Source source;
  const auto s = source.accept(kBase);
  EXPECT_EQ(s->generation, 1u);
  EXPECT_EQ(s->epoch, 7u);
  EXPECT_EQ(s->digest, "d1");
  EXPECT_EQ(s->timeouts.udp, 30 * kSecond);
  EXPECT_EQ(s->timeouts.tcp_established, 7440 * kSecond);

  const Service* www = s->find_service(ip("192.0.2.100"), 80, kProtocolTcp);
  ASSERT_NE(www, nullptr);
  EXPECT_EQ(s->name_of(*www), "www");
  EXPECT_EQ(www->mode, Mode::full_nat);
  EXPECT_THAT(www->local_v4, ElementsAre(0));
  EXPECT_THAT(www->local_v6, IsEmpty());
  EXPECT_EQ(s->service_of_slot(www->slot), www);
  EXPECT_EQ(s->find_service(ip("192.0.2.100"), 80, kProtocolUdp), nullptr);
  EXPECT_EQ(s->find_service(ip("2001:db8:1::100"), 53, kProtocolUdp)->gue_port, 6080);

  const Pool& web = s->pools[www->pool];
  EXPECT_THAT(web.usable, ElementsAre(0, 1));
  EXPECT_THAT(web.cumulative_weight, ElementsAre(3, 5));
  EXPECT_FALSE(web.equal_weights);
  EXPECT_EQ(web.persistence_v4, 24);
  EXPECT_EQ(web.persistence_v6, 128);
  EXPECT_EQ(web.persistence_timeout, 60 * kSecond);
  EXPECT_EQ(s->backend_of_slot(s->backends[1].slot)->address, ip("10.10.0.22"));

  const Pool& dns = s->pools[1];
  EXPECT_TRUE(dns.equal_weights);
  EXPECT_THAT(dns.usable, ElementsAre(3));
  ASSERT_NE(dns.maglev, nullptr);
  EXPECT_THAT(*dns.maglev, Contains(1)) << "drained backends stay in the table, so that only their clients move";

  EXPECT_EQ(*s->nat_endpoints.find({ip("10.10.0.22"), 8080, kProtocolTcp}), 1);
  EXPECT_EQ(s->nat_endpoints.find({ip("10.10.0.31"), 53, kProtocolUdp}), nullptr);
}

TEST(Build, NetworksBecomeRoutesOwnAddressesAndResolvers) {
  testing::Source source;
  const auto s = source.accept(kBase);
  const auto route_to = [&](std::string_view a) { return s->routes[s->route_table.find(ip(a))]; };
  EXPECT_EQ(route_to("203.0.113.9").next_hops[0].gateway, ip("192.0.2.1"));
  EXPECT_TRUE(route_to("10.10.0.9").next_hops[0].gateway.is_unspecified());
  EXPECT_EQ(route_to("10.10.0.9").next_hops[0].interface, 1);
  EXPECT_EQ(s->route_table.find(ip("2001:db8:2::1")), kNone);
  EXPECT_EQ(s->interface_at(1, 20), &s->interfaces[1]);
  EXPECT_EQ(s->interface_at(1, 0), nullptr);
  EXPECT_EQ(s->interface_at(9, 0), nullptr);

  // Interface address first; then local (snat) addresses, then service addresses inside the prefix.
  EXPECT_THAT(s->interfaces[1].resolve_from, ElementsAre(ip("10.10.0.1")));
  EXPECT_THAT(s->interfaces[0].resolve_from, ElementsAre(ip("192.0.2.77"), ip("2001:db8:1::100")));
  EXPECT_THAT(s->interfaces[1].snat_addresses, ElementsAre(1));
  EXPECT_EQ(s->local_addresses[1].id, LocalAddressId{});
  EXPECT_NE(s->local_addresses[1].slot, s->local_addresses[0].slot);

  const OwnAddress* own = s->own_addresses.find(ip("192.0.2.100"));
  ASSERT_NE(own, nullptr);
  EXPECT_TRUE(own->service);
  EXPECT_EQ(own->interface, 0);
  EXPECT_EQ(own->local_address, kNone);
  EXPECT_EQ(s->own_addresses.find(ip("10.10.0.64"))->local_address, 0);
  EXPECT_TRUE(s->own_addresses.find(ip("10.10.0.1"))->interface_address);
  EXPECT_EQ(s->own_addresses.find(ip("10.10.0.21")), nullptr);

  EXPECT_EQ(s->probe_port, 1);
  ASSERT_NE(s->probe_targets.find(102), nullptr);
  EXPECT_EQ(s->probe_targets.find(102)->backend, 1);
  EXPECT_EQ(s->probe_targets.find(102)->service, 0);
  EXPECT_EQ(s->probe_targets.find(999), nullptr);
}

struct Refusal {
  std::string_view name;
  std::string text;
  std::string_view path, part;
};

class BuildRefuses : public ::testing::TestWithParam<Refusal> {};

TEST_P(BuildRefuses, WithPathAndRemedy) {
  testing::Source source;
  source.accept(kBase);
  const auto lines = source.refuse(GetParam().text);
  EXPECT_THAT(lines, Contains(::testing::AllOf(StartsWith(std::string(GetParam().path) + ": "),
                                               HasSubstr(std::string(GetParam().part)))));
  // Nothing changed: the slots are as before.
  EXPECT_THAT(source.slots().retired(SlotKind::backend), IsEmpty());
  EXPECT_EQ(source.slots().used(SlotKind::backend), 5u);
}

const Refusal kRefusals[] = {
    {"InterfaceIdZero", replaced("id: 1 name: \"outside\"", "name: \"outside\""), "interface[0].id",
     "an id of its own"},
    {"InterfaceIdTwice", replaced("id: 2 name", "id: 1 name"), "interface[1].id", "used twice"},
    {"InterfaceNameTwice", replaced("\"inside\"", "\"outside\""), "interface[1].name", "used twice"},
    {"UnknownPort", replaced("port: \"p1\"", "port: \"p9\""), "interface[1].port", "known ports: p0, p1"},
    {"Vlan", replaced("vlan: 20", "vlan: 4095"), "interface[1].vlan", "1 to 4094"},
    {"Mtu", replaced("mtu: 9000", "mtu: 1000"), "interface[1].mtu", "1280 to 9000"},
    {"SamePortAndVlan", with(R"text(interface { id: 3 name: "x" port: "p1" vlan: 20 })text"), "interface[2].vlan",
     "\"inside\" already"},
    {"BadPrefix", replaced("10.10.0.0/24", "10.10.0.0/33"), "interface[1].prefix[0]", "is not a prefix"},
    {"SamePrefixTwice", with(R"text(interface { id: 3 name: "x" port: "p1" prefix: "10.10.0.0/24" })text"),
     "interface[2].prefix", "\"inside\" too"},
    {"AddressOutside", replaced("address: \"10.10.0.1\"", "address: \"10.11.0.1\""), "interface[1].address[0]",
     "outside the interface's prefixes"},
    {"BroadcastAddress", replaced("address: \"10.10.0.1\"", "address: \"10.10.0.255\""), "interface[1].address",
     "broadcast address"},
    {"SnatWithoutAddress", replaced("snat_address: \"192.0.2.77\"", ""), "interface[1].snat_address",
     "needs a source address"},
    {"UnknownInterfaceOfRoute", replaced("interface: \"outside\"", "interface: \"nowhere\""),
     "route[0].next_hop[0].interface", "no interface \"nowhere\""},
    {"GatewayOffLink", replaced("gateway: \"192.0.2.1\"", "gateway: \"10.10.0.9\""), "route[0].next_hop[0].gateway",
     "not on-link"},
    {"GatewayOfOtherFamily", replaced("gateway: \"192.0.2.1\"", "gateway: \"2001:db8:1::1\""),
     "route[0].next_hop[0].gateway", "another family"},
    {"GatewayIsUs", replaced("gateway: \"192.0.2.1\"", "gateway: \"192.0.2.100\""), "route[0].next_hop[0].gateway",
     "of this box"},
    {"RouteWithoutNextHop", with(R"text(route { prefix: "172.16.0.0/12" })text"), "route[1].next_hop",
     "needs a next hop"},
    {"RouteTwice", with(R"text(route { prefix: "0.0.0.0/0" next_hop { interface: "outside" } })text"),
     "route[1].prefix", "merge"},
    {"RouteOfOnLinkPrefix", with(R"text(route { prefix: "10.10.0.0/24" next_hop { interface: "outside" } })text"),
     "route[1].prefix", "on-link already"},
    {"LocalAddressIdZero", with(R"text(local_address { address: "10.10.0.65" })text"), "local_address[1].id",
     "0 means none"},
    {"LocalAddressIsInterfaceAddress", with(R"text(local_address { id: 6 address: "10.10.0.1" })text"),
     "local_address[1].address", "interface's own"},
    {"LocalAddressIsServiceAddress", with(R"text(local_address { id: 6 address: "192.0.2.100" })text"),
     "service[0].address", "local address too"},
    {"LocalAddressOffItsInterface", with(R"text(local_address { id: 6 address: "192.0.2.66" interface_id: 2 })text"),
     "local_address[1].interface_id", "outside the prefixes"},
    {"LocalAddressInterfaceUnknown", with(R"text(local_address { id: 6 address: "192.0.2.66" interface_id: 9 })text"),
     "local_address[1].interface_id", "no interface with id 9"},
    {"PoolIdTwice", with(R"text(pool { id: 11 algorithm: MAGLEV })text"), "pool[2].id", "used twice"},
    {"PoolWithoutAlgorithm", with("pool { id: 13 }"), "pool[2].algorithm", "ROUND_ROBIN"},
    {"BackendIdTwiceAcrossPools", replaced("id: 104", "id: 101"), "pool[1].backend[0].id", "used twice"},
    {"BackendAddress", replaced("10.10.0.21", "10.10.0"), "pool[0].backend[0].address", "is not an IP address"},
    {"BackendIsMapped", replaced("10.10.0.21", "::ffff:10.10.0.21"), "pool[0].backend[0].address",
     "is not an IP address"},
    {"BackendIsMulticast", replaced("10.10.0.21", "224.0.0.1"), "pool[0].backend[0].address", "not a unicast"},
    {"BackendIsUs", replaced("10.10.0.21", "10.10.0.64"), "pool[0].backend[0].address", "of this box"},
    {"BackendTwice", replaced("10.10.0.22", "10.10.0.21"), "pool[0].backend[1].address", "same address and port"},
    {"BackendPort", replaced("port: 8080", "port: 65536"), "pool[0].backend[0].port", "1 to 65535"},
    {"Weight", replaced("weight: 3", "weight: 1001"), "pool[0].backend[0].weight", "0 to 1000"},
    {"PersistenceWithoutTimeout", replaced("timeout_s: 60", ""), "pool[0].persistence.timeout_s", "no timeout"},
    {"PersistencePrefix", replaced("prefix_length_v4: 24", "prefix_length_v4: 33"),
     "pool[0].persistence.prefix_length_v4", "1 to 32"},
    {"MixedFamilies", replaced("address: \"10.10.0.31\"", "address: \"2001:db8:1::31\""), "service[2].pool_id",
     "no NAT64"},
    {"MixedFamiliesOfAnUnusedPool",
     with(
         R"text(pool { id: 13 algorithm: MAGLEV backend { id: 1 address: "10.10.0.40" } backend { id: 2 address: "2001:db8::1" } })text"),
     "pool[2].backend", "split it"},
    {"ServiceIdTwice", replaced("id: 22", "id: 21"), "service[1].id", "used twice"},
    {"ServiceNameTwice", replaced("\"natted\"", "\"www\""), "service[1].name", "used twice"},
    {"ServicesOverlap", replaced("192.0.2.101", "192.0.2.100"), "service[1].address", "service[0] has the same"},
    {"DanglingPool", replaced("NAT pool_id: 11", "NAT pool_id: 99"), "service[0].pool_id", "no pool with id 99"},
    {"ServicePort", replaced("port: 80 protocol", "port: 0 protocol"), "service[0].port", "1 to 65535"},
    {"NoProtocol", replaced("protocol: TCP", ""), "service[0].protocol", "TCP, UDP, TCP_PROXY or HTTP"},
    {"ProxyInModeNat", replaced("TCP mode: NAT", "TCP_PROXY mode: NAT"), "service[1].mode", "use FULL_NAT"},
    {"ProxyOfPlainTcp", replaced("pool_id: 11 }", "pool_id: 11 proxy {} }"), "service[0].proxy", "TCP_PROXY and HTTP"},
    {"HttpOfProxy", replaced("TCP mode: FULL_NAT pool_id: 11 }", "TCP_PROXY mode: FULL_NAT pool_id: 11 http {} }"),
     "service[0].http", "Only services of protocol HTTP"},
    {"ProxyTimeout", proxied("connect_timeout_ms: 3600001"), "service[0].proxy.connect_timeout_ms", "at most 3600000"},
    {"ProxyIdle", proxied("idle_timeout_s: 604801"), "service[0].proxy.idle_timeout_s", "at most 604800"},
    {"ProxyAttempts", proxied("connect_attempts: 9"), "service[0].proxy.connect_attempts", "at most 8"},
    {"ProxyQueue", proxied("queue_limit: 65537"), "service[0].proxy.queue_limit", "at most 65536"},
    {"ProxyPrefix", proxied("header_from: \"10.0.0.0/8\" header_from: \"nowhere\""), "service[0].proxy.header_from[1]",
     ""},
    {"ProxyHeader", proxied("send_header: 7"), "service[0].proxy.send_header", "PROXY_HEADER_V2"},
    {"HttpWithoutCompiler", replaced("TCP mode: FULL_NAT", "HTTP mode: FULL_NAT"), "service[0].protocol",
     "serves no HTTP"},
    {"HttpPoolOfRoute",
     replaced("TCP mode: FULL_NAT pool_id: 11 }",
              "HTTP mode: FULL_NAT pool_id: 11 http { route { id: 1 pool_id: 99 } } }"),
     "service[0].http.route[0].pool_id", "no pool with id 99"},
    {"HttpRouteTwice",
     replaced("TCP mode: FULL_NAT pool_id: 11 }",
              "HTTP mode: FULL_NAT pool_id: 11 http { route { id: 1 } route { id: 1 } } }"),
     "service[0].http.route[1].id", "used twice"},
    {"HttpStatus",
     replaced("TCP mode: FULL_NAT pool_id: 11 }",
              "HTTP mode: FULL_NAT pool_id: 11 http { route { id: 1 status: 99 } } }"),
     "service[0].http.route[0].status", "200 to 599"},
    {"NoMode", replaced("mode: FULL_NAT", ""), "service[0].mode", "FULL_NAT, NAT, DSR or TUNNEL"},
    {"NoLocalAddressOfTheFamily", replaced("address: \"10.10.0.64\" interface_id: 2", "address: \"2001:db8:1::64\""),
     "service[0].local_address_id", "add an IPv4 local address"},
    {"DanglingLocalAddress", replaced("mode: FULL_NAT", "mode: FULL_NAT local_address_id: 9"),
     "service[0].local_address_id[0]", "no local address with id 9"},
    {"DsrBackendBehindARouter", replaced("10.10.0.31", "172.16.0.31"), "service[2].pool_id", "not on-link"},
    {"DsrCannotChangePorts", replaced("address: \"10.10.0.31\"", "address: \"10.10.0.31\" port: 5353"),
     "service[2].pool_id", "cannot change ports"},
    {"Timeout", replaced("udp_s: 30", "udp_s: 4000000000"), "timeouts.udp_s", "too long"},
    {"ProbePort", replaced("probe { port: \"p1\"", "probe { port: \"p7\""), "probe.port", "known ports"},
    {"ProbeFamily", replaced("198.18.0.0/15", "2001:db8:ff::/96"), "probe.prefix_v4", "other family"},
    {"ProbeTooSmall", replaced("198.18.0.0/15", "198.18.0.0/28"), "probe.prefix_v4", "too small"},
    {"ProbeOverlaps", replaced("198.18.0.0/15", "10.10.0.0/16"), "probe.prefix_v4", "overlaps"},
};
INSTANTIATE_TEST_SUITE_P(Table, BuildRefuses, ::testing::ValuesIn(kRefusals),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Build, AllErrorsAreFoundAtOnceAndTheirNumberIsBounded) {
  testing::Source source;
  std::string text = R"text(interface { name: "x" port: "?" vlan: 5000 mtu: 1 })text";
  EXPECT_EQ(source.refuse(text).size(), 4u);
  for (int i = 0; i < 300; ++i) text += "service { }";
  EXPECT_EQ(source.refuse(text).size(), kErrorsMax + 1);
}

TEST(Build, TooMuchIsRefusedWithTheLimit) {
  testing::Source source;
  std::string text;
  for (std::size_t i = 0; i <= kInterfacesMax; ++i) text += "interface { }";
  EXPECT_THAT(source.refuse(text), ElementsAre(HasSubstr("larger than the tables; the limit is 256")));
}

TEST(Build, AnInterfaceAddressMayBeAServiceAddress) {
  testing::Source source;
  const auto s = source.accept(with(
      R"text(service { id: 30 name: "gw" address: "10.10.0.1" port: 443 protocol: TCP mode: FULL_NAT pool_id: 11 })text"));
  const OwnAddress* own = s->own_addresses.find(ip("10.10.0.1"));
  EXPECT_TRUE(own->service && own->interface_address);
}

TEST(Build, ALinkLocalGatewayNeedsNoPrefix) {
  testing::Source source;
  const auto s =
      source.accept(with(R"text(route { prefix: "::/0" next_hop { gateway: "fe80::1" interface: "outside" } })text"));
  EXPECT_EQ(s->routes[s->route_table.find(ip("2001:db8:9::1"))].next_hops[0].gateway, ip("fe80::1"));
}

TEST(Build, TheLongestPrefixWins) {
  testing::Source source;
  const auto s = source.accept(with(
      R"text(route { prefix: "10.0.0.0/8" next_hop { gateway: "192.0.2.2" interface: "outside" } } route { prefix: "10.10.0.128/25" next_hop { gateway: "192.0.2.3" interface: "outside" } })text"));
  const auto gateway = [&](std::string_view a) { return s->routes[s->route_table.find(ip(a))].next_hops[0].gateway; };
  EXPECT_EQ(gateway("10.1.1.1"), ip("192.0.2.2"));
  EXPECT_EQ(gateway("10.10.0.129"), ip("192.0.2.3"));
  EXPECT_TRUE(gateway("10.10.0.1").is_unspecified());
  EXPECT_EQ(gateway("8.8.8.8"), ip("192.0.2.1"));
}

TEST(Build, SlotsStayWithIdsWhenPositionsChange) {
  testing::Source source;
  const auto before = source.accept(kBase);
  const Slot kept = before->backends[1].slot;
  const Slot gone = before->backends[0].slot;
  std::string text = replaced(R"(backend { id: 101 name: "a" address: "10.10.0.21" port: 8080 weight: 3 })", "");
  const auto after = source.accept(text);
  EXPECT_EQ(after->backends[0].id, BackendId{102});
  EXPECT_EQ(after->backends[0].slot, kept);
  EXPECT_EQ(after->backend_of_slot(gone), nullptr);
  EXPECT_THAT(source.slots().retired(SlotKind::backend), ElementsAre(gone));
}

TEST(Build, AMaglevTableIsSharedUntilMembersOrWeightsChange) {
  testing::Source source;
  const auto a = source.accept(kBase);
  const auto b = source.accept(replaced("weight: 1 drain: true", "weight: 1"));  // health and drain leave it alone
  EXPECT_EQ(a->pools[1].maglev, b->pools[1].maglev);
  const auto c = source.accept(replaced("weight: 1 drain: true", "weight: 2"));
  EXPECT_NE(a->pools[1].maglev, c->pools[1].maglev);
}

TEST(Build, AConnectionLimitThatCannotBindIsDropped) {
  testing::Source source;
  const std::string text = replaced("weight: 3", "weight: 3 max_connections: 100");
  EXPECT_EQ(source.accept(text)->backends[0].max_connections, 100u);
  source.flow_limit = 100;
  EXPECT_EQ(source.accept(text)->backends[0].max_connections, 0u);
}

}  // namespace
}  // namespace headgate::snapshot
