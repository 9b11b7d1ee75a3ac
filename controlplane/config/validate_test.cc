#include "controlplane/config/validate.h"

#include <gtest/gtest.h>

namespace headgate::config {
namespace {

// Clean: no error, no warning. Faulty lines are appended from line 2 on.
constexpr const char* kSite =
    R"(interface { name: "front" port: "front" prefix: "192.0.2.0/24" prefix: "2001:db8:1::/64" address: "192.0.2.11" })"
    R"( interface { name: "servers" port: "servers" prefix: "10.10.0.0/24" prefix: "2001:db8:2::/64" address: "10.10.0.11" })"
    R"( local_address { name: "snat" prefix: "10.10.0.64/28" prefix: "2001:db8:2::a:0/124" interface: "servers" })"
    R"( probe { port: "probe0" })"
    R"( pool { name: "web" backend { name: "web1" address: "10.10.0.21" address: "2001:db8:2::21" } health_check { tcp {} } })"
    R"( service { name: "web" address: "192.0.2.100" address: "2001:db8:1::100" port: 80 protocol: TCP pool: "web" })"
    "\n";

std::string diagnostics_of(const std::string& text) {
  std::string all;
  for (const Diagnostic& diagnostic : load_text("x", text).diagnostics) all += diagnostic.to_string() + "\n";
  return all;
}

struct Case {
  const char* name;
  const char* text;  // appended to kSite
  const char* expected;
};

void expect_all(std::initializer_list<Case> cases) {
  for (const Case& c : cases) EXPECT_EQ(diagnostics_of(std::string(kSite) + c.text), c.expected) << c.name;
}

TEST(Validate, AGoodConfigurationHasNoDiagnostics) {
  EXPECT_EQ(diagnostics_of(kSite), "");
}

TEST(Validate, FieldsAreHeldToTheirOptions) {
  expect_all({
      {"range", "timeouts { udp_s: 0 }", "x:2:12: udp_s is 0; use 1 to 86400 s\n"},
      {"name", "local_address { name: \"a b\" address: \"10.10.0.5\" interface: \"servers\" }",
       "x:2:17: \"a b\" is no name; use letters, digits, '.', '_' and '-', starting with a letter or digit, at most "
       "63\n"},
      {"address", "local_address { address: \"10.10.0.5/24\" interface: \"servers\" }",
       "x:2:17: \"10.10.0.5/24\" is no IP address; leave out the prefix length\n"},
      {"host bits", "route { prefix: \"10.20.0.1/16\" next_hop { gateway: \"10.10.0.250\" } }",
       "x:2:9: \"10.20.0.1/16\" has bits set after the prefix length; write 10.20.0.0/16\n"},
      {"required", "route { prefix: \"10.20.0.0/16\" }",
       "x:2:1: route has no next_hop; add next_hop (where to send; several share by flow)\n"},
      {"reference", "route { prefix: \"10.20.0.0/16\" next_hop { interface: \"dmz\" } }",
       "x:2:43: there is no interface \"dmz\"; name an existing interface or add this one\n"},
  });
}

TEST(Validate, RulesOfAPoolMustMakeSense) {
  const auto of = [](const std::string& rules) {
    return diagnostics_of(std::string(kSite) + "pool { name: \"p\" backend { name: \"b\" address: \"10.10.0.22\" } " +
                          rules +
                          " }\nservice { name: \"s\" address: \"192.0.2.101\" port: 80 protocol: TCP pool: \"p\" }");
  };
  const std::string check = "health_check { tcp {} } ";
  EXPECT_EQ(of(check + "minimum_healthy: 1 below_minimum: FAIL passive {} slow_start_s: 9"), "");
  EXPECT_EQ(
      of(check + "minimum_healthy: 2"),
      "x:2:86: warning: minimum_healthy is 2, but pool \"p\" has 1 backends: the alarm never ends; lower it or add "
      "backends\n");
  EXPECT_EQ(of(check + "below_minimum: USE_ALL"),
            "x:2:86: warning: below_minimum has no effect without minimum_healthy; set minimum_healthy or remove it\n");
  EXPECT_EQ(
      of(check + "algorithm: MAGLEV slow_start_s: 9"),
      "x:2:104: warning: with algorithm MAGLEV each step of a slow start moves clients to another backend; remove "
      "slow_start_s or use ROUND_ROBIN or LEAST_CONNECTIONS\n");
  EXPECT_NE(of("passive {}").find("passive takes a backend down and nothing would bring it back"), std::string::npos);
  EXPECT_NE(of("health_check { tcp {} fast_interval_ms: 3000 }").find("is above interval_ms 2000 and has no effect"),
            std::string::npos);
  EXPECT_NE(diagnostics_of(std::string(kSite) + "pool { name: \"p\" backend { name: \"b\" address: \"10.10.0.22\" "
                                                "backup: 1 } health_check { tcp {} } }")
                .find("every backend of pool \"p\" is a backup"),
            std::string::npos);
}

TEST(Validate, AllSemanticErrorsComeAtOnceInOrder) {
  EXPECT_EQ(diagnostics_of(std::string(kSite) + R"(service {
  name: "web"
  address: "192.0.2.100"
  port: 80
  protocol: TCP
  pool: "wbe"
}
route { prefix: "::/0" next_hop { gateway: "192.0.2.1" } }
)"),
            "x:2:1: a second service is named \"web\"; choose another name\n"
            "x:4:3: 192.0.2.100:80 is already taken by service \"web\"; change the address, port or protocol of one of "
            "the two\n"
            "x:7:3: there is no pool \"wbe\"; name an existing pool or add this one\n"
            "x:9:35: the gateway is not IPv6 as the prefix is; use a gateway of the same family\n");
}

TEST(Validate, NetworkMistakes) {
  expect_all({
      {"overlap", "interface { name: \"b\" port: \"b\" prefix: \"10.10.0.0/16\" }",
       "x:2:33: 10.10.0.0/16 overlaps 10.10.0.0/24 of interface \"servers\"; give each link its own network\n"},
      {"same link", "interface { name: \"b\" port: \"front\" prefix: \"10.11.0.0/16\" }",
       "x:2:23: interface \"front\" is already on this port and VLAN; use another vlan or port\n"},
      {"address outside", "interface { name: \"b\" port: \"b\" prefix: \"10.11.0.0/16\" address: \"10.12.0.1\" }",
       "x:2:56: 10.12.0.1 is in no prefix of interface \"b\"; add its prefix or correct the address\n"},
      {"snat", "interface { name: \"b\" port: \"b\" prefix: \"10.11.0.0/16\" egress: SNAT }",
       "x:2:56: egress SNAT has no snat_address; add the source addresses to use\n"},
      {"gateway", "route { prefix: \"0.0.0.0/0\" next_hop { gateway: \"10.99.0.1\" } }",
       "x:2:40: gateway 10.99.0.1 is in no interface's prefix; use a router on a link of this box\n"},
      {"local in use", "local_address { address: \"10.10.0.21\" interface: \"servers\" }",
       "x:2:17: 10.10.0.21 is already in use as backend \"web1\"; keep local addresses apart from all others\n"},
      {"local off link, once", "local_address { prefix: \"10.11.0.0/28\" interface: \"servers\" }",
       "x:2:17: 10.11.0.0 is in no prefix of interface \"servers\"; correct the address or the interface\n"},
      {"too many", "local_address { prefix: \"2001:db8:2::/64\" interface: \"servers\" }",
       "x:2:1: more than 1024 local and snat addresses up to here; use fewer or longer prefixes\n"},
  });
}

TEST(Validate, ServiceMistakes) {
  expect_all({
      {"two of a family",
       "service { name: \"b\" address: \"192.0.2.101\" address: \"192.0.2.102\" port: 1 protocol: UDP pool: \"web\" }",
       "x:1:454: services on several ports use pool \"web\": it is open which one to probe; set tcp { port: ... }\n"
       "x:2:44: a second IPv4 address of service \"b\"; write another service with the same pool\n"},
      {"dsr port",
       "pool { name: \"p\" backend { name: \"b1\" address: \"10.10.0.30\" port: 8080 } health_check { tcp {} } }\n"
       "service { name: \"b\" address: \"192.0.2.101\" port: 80 protocol: TCP mode: DSR pool: \"p\" }",
       "x:3:67: backend \"b1\" of pool \"p\" has port 8080, but mode DSR keeps the service's port 80; remove the "
       "backend's "
       "port or use another mode\n"},
      {"family",
       "pool { name: \"p\" backend { name: \"b1\" address: \"10.10.0.30\" } health_check { tcp {} } }\n"
       "service { name: \"b\" address: \"2001:db8:1::101\" port: 80 protocol: TCP pool: \"p\" }",
       "x:3:21: no backend of pool \"p\" has an IPv6 address; give them one or remove this address\n"},
      {"backend of two addresses",
       "pool { name: \"p\" backend { name: \"b1\" address: \"10.10.0.30\" address: \"10.10.0.31\" } health_check { tcp "
       "{} } }\n"
       "service { name: \"b\" address: \"192.0.2.101\" port: 80 protocol: TCP pool: \"p\" }",
       "x:2:61: a second IPv4 address of backend \"b1\"; write another backend\n"},
  });
}

TEST(Validate, FullNatNeedsLocalAddressesOfTheFamily) {
  EXPECT_EQ(diagnostics_of(R"(interface { name: "front" port: "f" prefix: "192.0.2.0/24" prefix: "2001:db8:1::/64" }
local_address { address: "192.0.2.50" interface: "front" }
pool { name: "p" backend { name: "b" address: "192.0.2.30" address: "2001:db8:1::30" } health_check { tcp {} via: KERNEL } }
service { name: "s"
  address: "192.0.2.101"
  address: "2001:db8:1::101"
  port: 80 protocol: TCP pool: "p" }
)"),
            "x:6:3: mode FULL_NAT needs IPv6 local addresses and there are none; add a local_address with an IPv6 "
            "address or prefix\n");
}

TEST(Validate, RefusesWhatTheDataplaneWouldRefuse) {
  const auto first_line = [](const std::string& text) {
    const std::string all = diagnostics_of(std::string(kSite) + text);
    return all.substr(0, all.find('\n'));
  };
  const std::string pool = "pool { name: \"p\" health_check { tcp {} } backend { name: \"b\" address: ";
  const std::string service =
      " } }\nservice { name: \"s\" address: \"192.0.2.101\" address: \"2001:db8:1::101\" port: 80 protocol: TCP pool: "
      "\"p\" }";
  for (const auto& [address, why] : std::initializer_list<std::pair<const char*, const char*>>{
           {"240.0.0.1", " cannot be a backend's address; use a global or private unicast address"},
           {"0.1.2.3", " cannot be a backend's address; use a global or private unicast address"},
           {"fe80::1", " cannot be a backend's address; use a global or private unicast address"},
           {"10.10.0.255", " cannot be a backend's address; use a global or private unicast address"},
           {"192.0.2.100", " is an address of this box; a backend is another machine"}}) {
    const std::string all = diagnostics_of(kSite + pool + "\"" + address + "\"" + service);
    EXPECT_NE(all.find(address + std::string(why)), std::string::npos) << all;
  }
  EXPECT_NE(diagnostics_of(std::string(kSite) + "interface { name: \"b\" port: \"b\" prefix: \"0.0.0.0/0\" }")
                .find("x:2:33: 0.0.0.0/0 would put everything on this link; "),
            std::string::npos);
  EXPECT_EQ(first_line("interface { name: \"b\" port: \"b\" prefix: \"10.11.0.0/16\" mtu: 9001 }"),
            "x:2:56: mtu is 9001; use 1280 to 9000 bytes");
  EXPECT_EQ(first_line("route { prefix: \"10.10.0.0/24\" next_hop { gateway: \"10.10.0.9\" } }"),
            "x:2:9: 10.10.0.0/24 is the network of an interface already; remove the route");
  EXPECT_EQ(first_line("route { prefix: \"10.11.0.0/24\" next_hop { gateway: \"10.10.0.11\" } }"),
            "x:2:43: 10.10.0.11 is an address of this box; a gateway is another router");
  EXPECT_EQ(first_line("route { prefix: \"10.11.0.0/24\" next_hop { gateway: \"10.10.0.9\" } next_hop { gateway: "
                       "\"10.10.0.9\" interface: \"servers\" } }"),
            "x:2:66: this next hop is listed twice; remove one of the two");
}

TEST(Validate, DsrAsksOnlyForTheFamiliesTheServiceHas) {
  EXPECT_EQ(
      diagnostics_of(std::string(kSite) +
                     "pool { name: \"p\" health_check { tcp {} } backend { name: \"b\" address: \"10.10.0.30\" "
                     "address: \"2001:db8:2::30\" } }\n"
                     "service { name: \"s\" address: \"192.0.2.101\" port: 80 protocol: TCP mode: DSR pool: \"p\" }"),
      "");
}

TEST(Validate, LegalButLikelyWrongIsAWarning) {
  const Document document =
      load_text("x", std::string(kSite) +
                         "pool { name: \"p\" backend { name: \"b1\" address: \"10.99.0.30\" } }\n"
                         "service { name: \"b\" address: \"198.51.100.1\" port: 80 protocol: TCP pool: \"p\" }\n");
  EXPECT_TRUE(document.ok());
  ASSERT_EQ(document.diagnostics.size(), 3u);
  EXPECT_EQ(document.diagnostics[0].to_string(),
            "x:2:1: warning: pool \"p\" has no health_check: a dead backend keeps getting flows; add health_check { "
            "tcp {} }");
  EXPECT_EQ(document.diagnostics[1].to_string(),
            "x:2:39: warning: 10.99.0.30 is on no link and behind no route; add a route or correct the address");
  EXPECT_EQ(document.diagnostics[2].location.line, 3);
}

TEST(Validate, AFileThatWouldTakeEveryServiceAwayIsNotAcceptedInSilence) {
  EXPECT_EQ(diagnostics_of(""), "x:1:1: warning: there is no service: nothing is balanced; add one, service { ... }\n");
  EXPECT_EQ(diagnostics_of("# cut off here\n"),
            "x:1:1: warning: there is no service: nothing is balanced; add one, service { ... }\n");
}

TEST(Validate, ProbesAlongThePathNeedAProbeBlock) {
  EXPECT_EQ(diagnostics_of("interface { name: \"f\" port: \"f\" prefix: \"192.0.2.0/24\" }\n"
                           "local_address { address: \"192.0.2.50\" interface: \"f\" }\n"
                           "pool { name: \"p\" backend { name: \"b\" address: \"192.0.2.30\" }\n"
                           "  health_check { tcp {} } }\n"
                           "service { name: \"s\" address: \"192.0.2.101\" port: 80 protocol: TCP pool: \"p\" }\n"),
            "x:4:3: probes along the path of traffic need a probe block and there is none; add probe { port: ... } or "
            "set via: KERNEL\n");
}

TEST(Validate, ThousandsOfServicesTakeWellUnderASecond) {
  std::string text = kSite;
  for (int i = 0; i < 2000; ++i) {
    const std::string n = std::to_string(i);
    text += "pool { name: \"p" + n +
            "\" health_check { tcp {} } backend { name: \"b\" address: \"10.10.0.30\" port: " + std::to_string(i + 1) +
            " } }\nservice { name: \"s" + n + "\" address: \"192.0.2.100\" port: " + std::to_string(i + 100) +
            " protocol: TCP pool: \"p" + n + "\" }\n";
  }
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(diagnostics_of(text), "");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));  // loose: the machine is shared
}

TEST(Validate, AMissingFileSaysSo) {
  const Document document = load_file("/nonexistent.txtpb");
  ASSERT_FALSE(document.ok());
  EXPECT_EQ(document.diagnostics[0].to_string(),
            "/nonexistent.txtpb: cannot open /nonexistent.txtpb: No such file or directory; check the path and its "
            "permissions");
}

}  // namespace
}  // namespace headgate::config
