// What health checks and agents may say, and where it is told when they may not.
#include <gtest/gtest.h>

#include "controlplane/config/health_check.h"
#include "controlplane/config/print.h"
#include "controlplane/config/tree.h"
#include "controlplane/config/validate.h"

namespace headgate::config {
namespace {

// Line 1; what is under test stands on line 2, in a pool that is sound otherwise.
constexpr const char* kSite =
    R"(interface { name: "servers" port: "servers" prefix: "10.10.0.0/24" address: "10.10.0.11" })"
    R"( local_address { prefix: "10.10.0.64/28" interface: "servers" } probe { port: "probe0" })"
    R"( service { name: "web" address: "10.10.0.100" port: 80 protocol: TCP pool: "web" })"
    R"( pool { name: "web" backend { name: "web1" address: "10.10.0.21" })"
    "\n";

std::string diagnostics_of(const std::string& in_pool, const std::string& beside = {}) {
  std::string all;
  for (const Diagnostic& diagnostic : load_text("x", kSite + in_pool + "\n}\n" + beside).diagnostics) {
    all += diagnostic.to_string() + "\n";
  }
  return all;
}

std::string of_check(const std::string& check) {
  return diagnostics_of("health_check { " + check + " }");
}

TEST(ValidateProbe, EveryKindIsAccepted) {
  for (const char* check : {
           "tcp {}",
           "icmp {}",
           R"(udp { payload: "ping\000" expect: "pong" })",
           "http {}",
           R"(http { port: 8080 method: HEAD path: "/up?x=1" host: "www.example.com:8080" header: "X-Probe: yes" )"
           R"(status: "200-299,301" })",
           R"(http { body: "all well" tls { sni: "www.example.com" ca_file: "/etc/ca.pem" } })",
           "http { tls { verify: false } }",
           R"(mysql { user: "probe" password: "s3cret" database: "d" query: "SELECT 1" })",
           R"(dns { name: "www.example.com." type: AAAA address: "2001:db8::1" })",
           R"(dns { name: "_http._tcp.example.com" type: SRV })",
           R"(dns { name: "." type: NS })",
           R"(external { program: "/usr/bin/test" argument: "a b" argument: "" })",
       }) {
    EXPECT_EQ(of_check(check), "") << check;
  }
}

TEST(ValidateProbe, ACheckHasOneKind) {
  EXPECT_EQ(of_check("interval_ms: 2000"),
            "x:2:1: health_check does not say what to probe; add one of tcp {}, icmp {}, udp {}, http {}, mysql {}, "
            "dns {} and external {}\n");
  EXPECT_EQ(of_check("http {} tcp {}"), "x:2:16: health_check has several kinds: tcp, http; keep one of them\n");
}

TEST(ValidateProbe, ValuesMakeAQuestion) {
  struct Case {
    const char* check;
    const char* expected;
  };
  for (const Case& c : {
           Case{"udp {}", "x:2:16: udp has no payload; add payload (what to send)\n"},
           Case{"udp { payload: \"\" }", "x:2:22: payload is empty; write what the server answers\n"},
           Case{"http { path: \"up\" }",
                "x:2:23: \"up\" is no path of a request; begin it with '/' and write spaces and what is not ASCII as "
                "%XX\n"},
           Case{"http { path: \"/a b\" }",
                "x:2:23: \"/a b\" is no path of a request; begin it with '/' and write spaces and what is not ASCII as "
                "%XX\n"},
           Case{"http { host: \"a b\" }", "x:2:23: \"a b\" is no host; write it like www.example.com\n"},
           Case{"http { status: \"200-\" }",
                "x:2:23: status is \"200-\"; write status codes of a healthy backend, like 200-299,301; it matches "
                "[1-5][0-9][0-9](-[1-5][0-9][0-9])?(,[1-5][0-9][0-9](-[1-5][0-9][0-9])?)*\n"},
           Case{"http { status: \"299-200\" }",
                "x:2:23: \"299-200\" has a range that falls; write the lower code first, like 200-299\n"},
           Case{"http { header: \"X Probe\" }", "x:2:23: \"X Probe\" is no header; write it like \"X-Probe: yes\"\n"},
           Case{"http { header: \"Host: x\" }", "x:2:23: the host has a field of its own; set host instead\n"},
           Case{"http { header: \"connection: x\" }", "x:2:23: a probe says \"connection\" itself; remove it\n"},
           Case{"http { method: HEAD body: \"x\" }",
                "x:2:36: an answer to HEAD has no body; remove body or use method: GET\n"},
           Case{"http { tls { ca_file: \"ca.pem\" } }", "x:2:29: \"ca.pem\" is no absolute path; begin it with '/'\n"},
           Case{"http { tls { sni: \"a..b\" } }",
                "x:2:29: \"a..b\" is no name of a host; write it like www.example.com\n"},
           Case{"http { tls { ca_file: \"/x\" verify: false } }",
                "x:2:29: warning: ca_file has no effect with verify: false; remove one of the two\n"},
           Case{"mysql {}", "x:2:16: mysql has no user; add user (user to log in as)\n"},
           Case{"dns { name: \"a b\" }", "x:2:22: \"a b\" is no name of the DNS; write it like www.example.com\n"},
           Case{"dns { name: \"a\" address: \"2001:db8::1\" }",
                "x:2:32: an answer of type A has no IPv6 address; use type: AAAA\n"},
           Case{"dns { name: \"a\" type: MX address: \"10.0.0.1\" }",
                "x:2:41: an answer of type MX has no IPv4 address; use type: A\n"},
           Case{"external { program: \"check\" }",
                "x:2:27: \"check\" is no absolute path; begin it with '/': no shell looks for it\n"},
       }) {
    EXPECT_EQ(of_check(c.check), c.expected) << c.check;
  }
  EXPECT_NE(of_check("http { header: \"X: a\\r\\nHost: b\" }").find("is no header"), std::string::npos);
  EXPECT_NE(of_check("udp { payload: \"" + std::string(1401, 'x') + "\" }").find("use at most 1400"),
            std::string::npos);
}

TEST(ValidateProbe, StatusCodesAreCodesAndRanges) {
  EXPECT_EQ(parse_status("200"), (StatusRanges{{200, 200}}));
  EXPECT_EQ(parse_status("200-299,301"), (StatusRanges{{200, 299}, {301, 301}}));
  for (const char* wrong :
       {"", ",", "200,", "299-200", "99", "600", "200-", "-299", "2xx", "200 ", "+200", "200--299"}) {
    EXPECT_FALSE(parse_status(wrong)) << wrong;
  }
}

TEST(ValidateProbe, AgentsAreHeldToTheSameRules) {
  const std::string check = "health_check { tcp {} } ";
  EXPECT_EQ(diagnostics_of(check + "agent { port: 9777 }"), "");
  EXPECT_EQ(diagnostics_of(check + "agent {}"), "x:2:25: agent has no port; add port (port of the agents)\n");
  EXPECT_EQ(diagnostics_of(check + "agent { port: 9777 timeout_ms: 5000 }"),
            "x:2:25: warning: timeout_ms 5000 is above interval_ms 2000: a dead backend is probed less often; raise "
            "interval_ms or lower timeout_ms\n");
}

TEST(ValidateProbe, APoolThatServesUdpOnlyIsNotProbedByTcpInSilence) {
  const std::string udp = R"(pool { name: "dns" backend { name: "a" address: "10.10.0.31" } health_check { CHECK } })"
                          R"( service { name: "dns" address: "10.10.0.101" port: 53 protocol: UDP pool: "dns" })";
  const auto with = [&](const std::string& check) {
    return diagnostics_of("health_check { tcp {} }", std::string(udp).replace(udp.find("CHECK"), 5, check));
  };
  EXPECT_EQ(with("tcp {}"),
            "x:4:64: warning: a TCP probe for a pool that only serves UDP; probe with udp { payload: ... } or dns { "
            "name: ... }, or set tcp { port: ... }\n");
  EXPECT_EQ(with("tcp { port: 53 }"), "");
  EXPECT_EQ(with(R"(dns { name: "a" })"), "");
}

TEST(ValidateProbe, ThePasswordOfAProbeIsASecret) {
  const Document document =
      load_text("x", std::string(kSite) + R"(health_check { mysql { user: "probe" password: "s3cret" } } })");
  ASSERT_TRUE(document.ok());
  for (const std::string& shown : {print(document.config, Secrets::redacted), set_commands(document.config)}) {
    EXPECT_EQ(shown.find("s3cret"), std::string::npos) << shown;
    EXPECT_NE(shown.find("password"), std::string::npos) << shown;
  }
  EXPECT_NE(print(document.config).find("s3cret"), std::string::npos) << "the file itself has to keep it";
}

}  // namespace
}  // namespace headgate::config
