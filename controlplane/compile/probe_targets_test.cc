// What of the configuration reaches a prober.
#include <gtest/gtest.h>

#include "controlplane/compile/compile.h"
#include "controlplane/config/validate.h"

namespace headgate::compile {
namespace {

using namespace std::chrono_literals;

constexpr const char* kSite =
    R"(interface { name: "servers" port: "servers" prefix: "10.10.0.0/24" prefix: "2001:db8:2::/64" address: "10.10.0.11" }
local_address { prefix: "10.10.0.64/28" prefix: "2001:db8:2::a:0/124" interface: "servers" }
probe { port: "probe0" }
service { name: "web" address: "10.10.0.100" address: "2001:db8:2::100" port: 80 protocol: TCP pool: "web" }
pool { name: "web"
  backend { name: "web1" address: "10.10.0.21" address: "2001:db8:2::21" }
  backend { name: "web2" address: "10.10.0.22" address: "2001:db8:2::22" port: 8080 }
)";

struct Targets {
  explicit Targets(const std::string& in_pool) {
    const config::Document document = config::load_text("x", kSite + in_pool + "\n}\n");
    for (const config::Diagnostic& diagnostic : document.diagnostics) ADD_FAILURE() << diagnostic.to_string();
    IdTable ids;
    assign_ids(document.config, ids);
    probes = probe_targets(document.config, ids);
    agents = agent_targets(document.config, ids);
  }
  std::vector<health::Target> probes, agents;
};

template <class Kind>
Kind check_of(const std::string& check) {
  const Targets targets("health_check { " + check + " }");
  EXPECT_EQ(targets.probes.size(), 4u);
  for (const health::Target& target : targets.probes) EXPECT_EQ(target.check, targets.probes.front().check);
  const Kind* kind = std::get_if<Kind>(&*targets.probes.front().check);
  EXPECT_NE(kind, nullptr) << check;
  return kind != nullptr ? *kind : Kind{};
}

TEST(ProbeTargets, CarryTheCheckAsItWasWritten) {
  check_of<health::TcpCheck>("tcp {}");
  check_of<health::IcmpCheck>("icmp {}");
  EXPECT_EQ(check_of<health::UdpCheck>(R"(udp { payload: "a" expect: "b" })"),
            (health::UdpCheck{.payload = "a", .expect = "b"}));
  EXPECT_EQ(check_of<health::HttpCheck>("http {}"), health::HttpCheck{});
  health::HttpCheck https;
  https.tls = health::HttpTls{.sni = "x.example", .verify = false, .ca_file = ""};
  https.method = "HEAD";
  https.path = "/up";
  https.host = "www.example";
  https.headers = {"A: b", "C: d"};
  https.status = {{200, 299}, {301, 301}};
  EXPECT_EQ(check_of<health::HttpCheck>(
                R"(http { method: HEAD path: "/up" host: "www.example" header: "A: b" header: "C: d" )"
                R"(status: "200-299,301" tls { sni: "x.example" verify: false } })"),
            https);
  EXPECT_EQ(check_of<health::MysqlCheck>(R"(mysql { user: "u" password: "p" database: "d" query: "q" })"),
            (health::MysqlCheck{.user = "u", .password = "p", .database = "d", .query = "q"}));
  EXPECT_EQ(check_of<health::DnsCheck>(R"(dns { name: "n" type: AAAA address: "2001:db8::1" })"),
            (health::DnsCheck{.name = "n", .type = 28, .expect = asio::ip::make_address("2001:db8::1")}));
  EXPECT_EQ(check_of<health::ExternalCheck>(R"(external { program: "/bin/x" argument: "a b" })"),
            (health::ExternalCheck{.program = "/bin/x", .arguments = {"a b"}, .pool = "web"}));
}

TEST(ProbeTargets, KnowTheBackendItselfBesideItsProbeAddress) {
  const Targets targets("health_check { http {} }");
  ASSERT_EQ(targets.probes.size(), 4u);
  const health::Target& target = targets.probes.front();
  EXPECT_EQ(target.backend, "web1");
  EXPECT_EQ(target.address, asio::ip::make_address("10.10.0.21"));
  EXPECT_EQ(target.endpoint.address(), asio::ip::make_address("198.18.0." + std::to_string(target.backend_id)));
  EXPECT_EQ(target.endpoint.port(), 80);
}

TEST(ProbeTargets, APortIsTheChecksOrTheBackendsOrTheServices) {
  const auto ports = [](const std::string& check) {
    std::vector<unsigned> all;
    for (const health::Target& target : Targets("health_check { " + check + " }").probes) {
      all.push_back(target.endpoint.port());
    }
    return all;
  };
  EXPECT_EQ(ports("http {}"), (std::vector<unsigned>{80, 8080, 80, 8080}));
  EXPECT_EQ(ports("http { port: 81 }"), (std::vector<unsigned>{81, 81, 81, 81}));
  EXPECT_EQ(ports("icmp {}"), (std::vector<unsigned>{0, 0, 0, 0}));
}

TEST(ProbeTargets, APoolOfARouteIsProbedAtTheServicesPort) {
  const config::Document document = config::load_text("x", std::string(kSite) + R"(health_check { tcp {} } }
pool { name: "api" backend { name: "api1" address: "10.10.0.31" address: "2001:db8:2::31" } health_check { tcp {} } agent { port: 9 } }
service { name: "shop" address: "10.10.0.101" address: "2001:db8:2::101" port: 8080 protocol: HTTP pool: "web2"
  http { route { name: "r" pool: "api" } } }
pool { name: "web2" backend { name: "w" address: "10.10.0.41" address: "2001:db8:2::41" } health_check { icmp {} } }
)");
  for (const config::Diagnostic& diagnostic : document.diagnostics) ADD_FAILURE() << diagnostic.to_string();
  IdTable ids;
  assign_ids(document.config, ids);
  std::vector<std::string> names;
  for (const health::Target& target : probe_targets(document.config, ids)) {
    if (target.backend == "api1") names.push_back(target.name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"api1 (pool api/v4, 10.10.0.31:8080)",
                                             "api1 (pool api/v6, [2001:db8:2::31]:8080)"}));
  EXPECT_EQ(agent_targets(document.config, ids).size(), 2u);
  std::size_t rules = 0;
  for (const health::PoolRules& pool : pool_rules(document.config, ids)) rules += pool.name.starts_with("api/") ? 1 : 0;
  EXPECT_EQ(rules, 2u);
}

TEST(AgentTargets, AreThePoolsBackends) {
  EXPECT_TRUE(Targets("health_check { tcp {} }").agents.empty());
  const Targets targets(
      R"(health_check { tcp {} } agent { port: 9777 interval_ms: 5000 timeout_ms: 300 send: "?" via: KERNEL })");
  ASSERT_EQ(targets.agents.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(targets.agents[i].backend_id, targets.probes[i].backend_id);
  const health::Target& agent = targets.agents.front();
  EXPECT_EQ(*agent.check, health::Check(health::AgentCheck{.send = "?"}));
  EXPECT_EQ(agent.endpoint, (asio::ip::tcp::endpoint{asio::ip::make_address("10.10.0.21"), 9777}));
  EXPECT_EQ(agent.interval, 5s);
  EXPECT_EQ(agent.timeout, 300ms);
}

}  // namespace
}  // namespace headgate::compile
