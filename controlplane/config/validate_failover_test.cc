// What is said about groups and failover, with its place.
#include <gtest/gtest.h>

#include "controlplane/config/groups.h"
#include "controlplane/config/validate.h"

namespace headgate::config {
namespace {

// Clean: box A of a pair. Faulty lines are appended from line 2 on.
constexpr const char* kPair =
    R"(interface { name: "front" port: "front" prefix: "192.0.2.0/24" prefix: "2001:db8:1::/64" address: "192.0.2.11" })"
    R"( interface { name: "servers" port: "servers" prefix: "10.10.0.0/24" address: "10.10.0.11")"
    R"(   floating { address: "10.10.0.1" } })"
    R"( interface { name: "six" port: "six" prefix: "2001:db8:6::/64" })"
    R"( local_address { prefix: "10.10.0.64/28" interface: "servers" allocate_on: A })"
    R"( local_address { prefix: "10.10.0.80/28" interface: "servers" allocate_on: B })"
    R"( local_address { address: "10.10.0.13" interface: "servers" allocate_on: A floats: false })"
    R"( probe { port: "probe0" })"
    R"( pool { name: "web" backend { name: "web1" address: "10.10.0.21" } health_check { tcp {} } })"
    R"( service { name: "web" address: "192.0.2.100" port: 80 protocol: TCP pool: "web" })"
    R"( group { name: "main" router { interface: "front" vrid: 51 } router { interface: "servers" vrid: 51 } })"
    R"( failover { side: A ha_link { address: "10.20.0.1" peer_address: "10.20.0.2" } })"
    "\n";

std::string diagnostics_of(const std::string& text) {
  std::string all;
  for (const Diagnostic& diagnostic : load_text("x", text).diagnostics) all += diagnostic.to_string() + "\n";
  return all;
}

// kPair with one part of it replaced.
std::string pair_with(const std::string& from, const std::string& to) {
  std::string text = kPair;
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

struct Case {
  const char* name;
  std::string text;
  const char* expected;  // part of what is said
};

void expect_said(std::initializer_list<Case> cases) {
  for (const Case& c : cases) {
    const std::string all = diagnostics_of(c.text);
    EXPECT_NE(all.find(c.expected), std::string::npos) << c.name << ": " << all;
  }
}

// A group of its own on the network `six`, with what a case adds to it.
std::string group(const std::string& fields, const std::string& router = "") {
  return std::string(kPair) + "interface { name: \"x\" port: \"x\" prefix: \"10.11.0.0/24\" address: \"10.11.0.11\"\n" +
         "floating { address: \"10.11.0.1\" group: \"g\" } }\ngroup { name: \"g\" router { interface: \"x\" vrid: 9 " +
         router + " }\n" + fields + " }\n";
}

TEST(ValidateFailover, AGoodPairHasNoDiagnostics) {
  EXPECT_EQ(diagnostics_of(kPair), "");
  EXPECT_EQ(diagnostics_of(group("")), "");
  EXPECT_EQ(diagnostics_of(group("interval_ms: 2000", "version: 2")), "");
  EXPECT_EQ(diagnostics_of(group("", R"(source: "10.11.0.11" peer: "10.11.0.12" source: "fe80::1")")), "");
}

TEST(ValidateFailover, EveryMistakeIsSaidWithItsPlace) {
  EXPECT_EQ(diagnostics_of(group("priority_a: 150")),
            "x:5:1: both boxes have priority 150: after a start both would be active for a moment; make one of them "
            "the higher one\n");
  EXPECT_EQ(diagnostics_of(group("priority_b: 255")), "x:5:1: priority_b is 255; use 1 to 254\n");
  EXPECT_EQ(diagnostics_of(group("interval_ms: 15")),
            "x:5:1: interval_ms is 15; use a multiple of 10: VRRP counts hundredths of a second\n");
  EXPECT_EQ(diagnostics_of(group("preempt_delay_s: 9")),
            "x:5:1: warning: preempt_delay_s has no effect with preemption STAY; remove it or set preemption: AFTER\n");
  EXPECT_EQ(diagnostics_of(group("track { }")),
            "x:5:1: track names nothing; write exactly one of interface, pool and gateway in each track\n");
  EXPECT_EQ(diagnostics_of(group("track { pool: \"web\" }")),
            "x:5:9: pool \"web\" has no minimum_healthy to fall below; set minimum_healthy of the pool\n");
  EXPECT_EQ(diagnostics_of(group("track { gateway: \"10.11.0.11\" }")),
            "x:5:9: 10.11.0.11 is an address of this box and answers always; track another machine\n");
  EXPECT_EQ(diagnostics_of(group("", "version: 2")),
            "x:4:51: version 2 counts whole seconds, and interval_ms is 100; set interval_ms of the group to 1000 or a "
            "multiple of it\n");
}

TEST(ValidateFailover, RoutersMustBeAbleToSpeak) {
  expect_said({
      {"no source", pair_with(R"(prefix: "10.10.0.0/24" address: "10.10.0.11")", R"(prefix: "10.10.0.0/24")"),
       "interface \"servers\" has no IPv4 address to send adverts from; add an address"},
      {"source elsewhere", group("", R"(source: "10.12.0.1")"), "10.12.0.1 is in no prefix of interface \"x\""},
      {"floating source", group("", R"(source: "10.11.0.1")"), "10.11.0.1 fails over: it does not tell the two boxes"},
      {"two sources", group("", R"(source: "10.11.0.11" source: "10.11.0.12")"), "a second IPv4 source"},
      {"global source", group("", R"(source: "2001:db8::1")"), "2001:db8::1 is not link-local"},
      {"own peer", group("", R"(peer: "10.11.0.11")"), "10.11.0.11 is an address of this box; a peer is the other"},
      {"source as peer", group("", R"(source: "10.11.0.5" peer: "10.11.0.5")"), "10.11.0.5 is an address of this box"},
      {"peer twice", group("", R"(peer: "10.11.0.12" peer: "10.11.0.12")"), "10.11.0.12 is listed twice"},
      {"same vrid", std::string(kPair) + "group { name: \"g\" router { interface: \"front\" vrid: 51 } }",
       "x:2:47: vrid 51 is group \"main\"'s on interface \"front\"; use another one"},
      {"two routers",
       pair_with("router { interface: \"servers\" vrid: 51 }", "router { interface: \"front\" vrid: 52 }"),
       "a second router of group \"main\" on interface \"front\""},
      {"nothing to say", group("router { interface: \"six\" vrid: 9 }"),
       "group \"g\" has no address on interface \"six\": this router says nothing"},
      {"no address at all", std::string(kPair) + "group { name: \"g\" router { interface: \"six\" vrid: 9 } }",
       "group \"g\" has no address where it has a router"},
      {"version 2 on IPv6", group("interval_ms: 1000 router { interface: \"six\" vrid: 9 version: 2 }"),
       "version 2 is IPv4 only, and interface \"six\" has no IPv4 prefix"},
      {"vrid 0", group("router { interface: \"six\" vrid: 0 }"), "vrid is 0; use 1 to 255"},
  });
}

TEST(ValidateFailover, AddressesMustFailOverAsOne) {
  const std::string second = "group { name: \"g\" router { interface: \"front\" vrid: 9 } }\n";
  expect_said({
      {"floating outside", pair_with("floating { address: \"10.10.0.1\" }", "floating { address: \"10.11.0.1\" }"),
       "10.11.0.1 is in no prefix of interface \"servers\""},
      {"floating is own", pair_with("floating { address: \"10.10.0.1\" }", "floating { address: \"10.10.0.11\" }"),
       "10.10.0.11 is already this box's own on interface \"servers\""},
      {"floating without router", pair_with(" router { interface: \"servers\" vrid: 51 }", ""),
       "group \"main\" has no router on interface \"servers\"; add router"},
      {"two groups",
       std::string(kPair) + second +
           "service { name: \"s\" address: \"192.0.2.100\" port: 81 protocol: TCP pool: \"web\" mode: DSR group: \"g\" "
           "}",
       "192.0.2.100 is in group \"main\" already"},
      {"no announcement",
       std::string(kPair) +
           "service { name: \"s\" address: \"2001:db8:6::1\" port: 81 protocol: UDP pool: \"web\" mode: TUNNEL }",
       "x:2:21: warning: nobody announces 2001:db8:6::1 after a failover: group \"main\" has no router on interface "
       "\"six\""},
      {"no local address of the group",
       pair_with("allocate_on: A floats: false", "allocate_on: B floats: false") + second +
           "service { name: \"s\" address: \"192.0.2.101\" port: 81 protocol: TCP pool: \"web\" group: \"g\" }",
       "no IPv4 local address is in this service's group \"g\" or stays on this box"},
      {"unknown group", pair_with("pool: \"web\" }", "pool: \"web\" group: \"mian\" }"), "there is no group \"mian\""},
  });
}

TEST(ValidateFailover, LocalAddressesHaveAnOwner) {
  expect_said({
      {"no owner", pair_with("allocate_on: B }", "}"), "both boxes would open connections from these addresses"},
      {"stay where", pair_with("allocate_on: A floats: false", "floats: false"), "on which box do they stay?"},
      {"no probing", pair_with("allocate_on: A floats: false", "allocate_on: B floats: false"),
       "box A has no IPv4 local address that stays: while it is passive it cannot probe pool \"web\" along the path"},
  });
  EXPECT_NE(diagnostics_of(R"(interface { name: "s" port: "s" prefix: "10.10.0.0/24" })"
                           R"(local_address { address: "10.10.0.5" interface: "s" allocate_on: A })")
                .find("allocate_on without failover"),
            std::string::npos);
  std::string none_left =
      pair_with("interface: \"servers\" allocate_on: A }", "interface: \"servers\" allocate_on: B }");
  const auto own = none_left.find("allocate_on: A floats");
  none_left.replace(own, 14, "allocate_on: B");
  EXPECT_NE(diagnostics_of(none_left).find("mode FULL_NAT needs IPv4 local addresses and there are none"),
            std::string::npos);
}

TEST(ValidateFailover, WhatDoesNotFollowAGroupIsSaid) {
  const std::string network = "interface { name: \"x\" port: \"x\" prefix: \"10.11.0.0/24\" ";
  EXPECT_EQ(diagnostics_of(kPair + network + "gateway: true }"),
            "x:2:56: warning: servers on interface \"x\" would go on sending to this box after a failover; add a "
            "floating address and let it be their gateway\n");
  EXPECT_EQ(diagnostics_of(kPair + network + "egress: SNAT snat_address: \"192.0.2.9\" }"),
            "x:2:69: warning: snat_address does not fail over: two boxes with it would both answer for it; use egress "
            "ROUTE or DROP on a pair\n");
}

TEST(ValidateFailover, ThePairMustBeOne) {
  expect_said({
      {"no side", pair_with("side: A ", ""), "failover has no side; add side (which box of the pair this is)"},
      {"no failover",
       pair_with("failover { side: A ha_link { address: \"10.20.0.1\" peer_address: \"10.20.0.2\" } }", ""),
       "a group without failover: this box does not know its side; add failover { side: A } here"},
      {"same ends", pair_with("peer_address: \"10.20.0.2\"", "peer_address: \"10.20.0.1\""),
       "both ends of the HA link are 10.20.0.1"},
      {"families", pair_with("peer_address: \"10.20.0.2\"", "peer_address: \"fd00::2\""), "are of two families"},
      {"dataplane's", pair_with("address: \"10.20.0.1\"", "address: \"192.0.2.11\""), "is an address of the dataplane"},
      {"one cut", pair_with("address: \"10.20.0.1\"", "address: \"192.0.2.15\""), "one cut would silence"},
      {"witness", pair_with("side: A", "side: A witness: \"10.20.0.2\""), "is an address of the pair"},
      {"witness is ours", pair_with("side: A", "side: A witness: \"192.0.2.100\""), "is an address of the pair"},
      {"witness twice", pair_with("side: A", "side: A witness: \"192.0.2.1\" witness: \"192.0.2.1\""), "listed twice"},
  });
  EXPECT_EQ(diagnostics_of(pair_with("side: A", "side: A witness: \"192.0.2.1\"")), "");
}

TEST(Groups, ADegradedBoxIsNeverPreferredToAHealthyOne) {
  for (std::uint32_t a = 1; a < 255; ++a) {
    for (std::uint32_t b = 1; b < 255; ++b) {
      if (a == b || std::min(a, b) < kPriorityWithRoom) continue;
      v1::Group group;
      group.set_priority_a(a);
      group.set_priority_b(b);
      const std::uint32_t degraded_a = degraded_priority_of(group, v1::A),
                          degraded_b = degraded_priority_of(group, v1::B);
      ASSERT_GE(std::min(degraded_a, degraded_b), 1u);
      ASSERT_LT(degraded_a, b) << a << " " << b;
      ASSERT_LT(degraded_b, a) << a << " " << b;
      ASSERT_EQ(degraded_a < degraded_b, a < b) << a << " " << b;
    }
  }
}

}  // namespace
}  // namespace headgate::config
