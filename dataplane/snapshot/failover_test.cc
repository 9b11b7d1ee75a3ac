// Groups of a snapshot: which addresses are whose, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/snapshot/testing.h"

namespace headgate::snapshot {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using testing::Source;

const std::string kGroup =
    "failover { has_peer: true group { id: 7 name: \"site\" priority: 200 interval_ms: 100"
    " router { interface_id: 1 vrid: 51 source: \"192.0.2.11\" address: \"192.0.2.100\" }"
    " router { interface_id: 2 vrid: 52 source: \"10.10.0.11\" address: \"10.10.0.1\" } } } ";

std::string site(const std::string& failover = kGroup) {
  return failover +
         "interface { id: 1 name: \"front\" port: \"p0\" prefix: \"192.0.2.0/24\" address: \"192.0.2.13\" }"
         "interface { id: 2 name: \"servers\" port: \"p1\" prefix: \"10.10.0.0/24\" gateway: true egress: EGRESS_SNAT"
         "  floating { address: \"10.10.0.1\" group_id: 7 } snat_address: \"192.0.2.50\" }"
         "local_address { id: 1 address: \"10.10.0.64\" }"
         "local_address { id: 2 address: \"10.10.0.65\" group_id: 7 }"
         "local_address { id: 3 address: \"10.10.0.81\" group_id: 7 allocate_elsewhere: true }"
         "pool { id: 1 name: \"web\" algorithm: ROUND_ROBIN backend { id: 1 address: \"10.10.0.21\" weight: 1 } }"
         "service { id: 1 address: \"192.0.2.100\" port: 80 protocol: TCP mode: FULL_NAT pool_id: 1 group_id: 7 }";
}

IpAddress ip(const char* text) {
  return *parse_ip(text);
}

const OwnAddress& own(const Snapshot& snapshot, const char* text) {
  return *snapshot.own_addresses.find(ip(text));
}

TEST(Failover, AddressesKnowTheirGroupAndItsVirtualMac) {
  Source source;
  const auto snapshot = source.accept(site());
  const GroupSlot slot = snapshot->groups.at(0).slot;
  EXPECT_NE(slot, kNoGroup);
  EXPECT_EQ(own(*snapshot, "192.0.2.100").group, slot);
  EXPECT_EQ(own(*snapshot, "192.0.2.100").vrid, 51);
  EXPECT_EQ(own(*snapshot, "10.10.0.1").group, slot);
  EXPECT_EQ(own(*snapshot, "10.10.0.1").vrid, 52);
  EXPECT_EQ(own(*snapshot, "10.10.0.65").vrid, 52);
  EXPECT_EQ(own(*snapshot, "192.0.2.13").group, kNoGroup);
  EXPECT_EQ(own(*snapshot, "10.10.0.64").group, kNoGroup);
  EXPECT_EQ(own(*snapshot, "192.0.2.50").group, slot) << "the servers' own traffic goes by their gateway's box";
  EXPECT_EQ(snapshot->interfaces[1].group, slot);
}

TEST(Failover, FlowsOpenFromThisBoxesShareAndProbesFromItsOwn) {
  Source source;
  const auto snapshot = source.accept(site());
  const Service& service = snapshot->services[0];
  ASSERT_EQ(service.local_v4.size(), 1u);
  EXPECT_EQ(to_string(snapshot->local_addresses[service.local_v4[0]].address), "10.10.0.65");
  ASSERT_EQ(snapshot->own_local_v4.size(), 1u);
  EXPECT_EQ(to_string(snapshot->local_addresses[snapshot->own_local_v4[0]].address), "10.10.0.64");
}

TEST(Failover, NeighborsAreAskedFromAddressesThatStay) {
  Source source;
  const auto snapshot = source.accept(site());
  EXPECT_EQ(to_string(snapshot->interfaces[0].resolve_from[0]), "192.0.2.13");
  EXPECT_EQ(to_string(snapshot->interfaces[1].resolve_from[0]), "10.10.0.64") << "not the gateway, which floats";
}

TEST(Failover, ASlotStaysWithItsGroup) {
  Source source;
  const GroupSlot before = source.accept(site())->groups.at(0).slot;
  std::string two = kGroup;
  two.insert(two.find("group {"),
             "group { id: 3 name: \"a\" priority: 100 interval_ms: 50"
             " router { interface_id: 1 vrid: 9 source: \"192.0.2.11\" address: \"192.0.2.9\" } } ");
  const auto snapshot = source.accept(site(two));
  EXPECT_EQ(snapshot->groups.at(1).slot, before);
  EXPECT_NE(snapshot->groups.at(0).slot, before);
}

TEST(Failover, Ipv6AdvertsListTheVirtualRoutersLinkLocalAddressFirst) {
  Source source;
  std::string v6 = kGroup;
  v6.insert(v6.rfind("} } "), "router { interface_id: 1 vrid: 51 ipv6: true address: \"2001:db8:1::100\" } ");
  const auto snapshot = source.accept(site(v6));
  const auto& addresses = snapshot->groups.at(0).config.routers.at(2).addresses;
  EXPECT_EQ(to_string(addresses.at(0)), "fe80::200:5eff:fe00:233");
  EXPECT_EQ(to_string(addresses.at(1)), "2001:db8:1::100");
}

struct Refusal {
  const char* name;
  const char* from;
  const char* to;
  const char* error;
};
class Refused : public ::testing::TestWithParam<Refusal> {};

TEST_P(Refused, SaysWhere) {
  std::string text = site();
  const std::size_t place = text.find(GetParam().from);
  ASSERT_NE(place, std::string::npos);
  text.replace(place, std::string(GetParam().from).size(), GetParam().to);
  Source source;
  EXPECT_THAT(source.refuse(text), Contains(HasSubstr(GetParam().error)));
}

INSTANTIATE_TEST_SUITE_P(
    Groups, Refused,
    ::testing::Values(
        Refusal{"priority", "priority: 200", "priority: 255", "failover.group[0].priority"},
        Refusal{"interval", "interval_ms: 100", "interval_ms: 15", "in steps of 10"},
        Refusal{"vrid", "vrid: 51", "vrid: 256", "failover.group[0].router[0].vrid"},
        Refusal{"interface", "interface_id: 1 vrid", "interface_id: 9 vrid", "router[0].interface_id"},
        Refusal{"source", "source: \"192.0.2.11\"", "", "The source is missing"},
        Refusal{"family", "source: \"192.0.2.11\"", "source: \"2001:db8::1\"", "of the other family"},
        Refusal{"twice", "interface_id: 2 vrid: 52", "interface_id: 1 vrid: 51", "is used twice on this network"},
        Refusal{"unknown", "pool_id: 1 group_id: 7", "pool_id: 1 group_id: 8", "There is no group with id 8"},
        Refusal{"share", "10.10.0.65\" group_id: 7", "10.10.0.65\" group_id: 7 allocate_elsewhere: true",
                "FULL_NAT needs"},
        Refusal{"version", "vrid: 52", "vrid: 52 version: 4", "no version of VRRP"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace headgate::snapshot
