#include <gtest/gtest.h>

#include <chrono>

#include "controlplane/config/nearest.h"
#include "controlplane/config/validate.h"

namespace headgate::config {
namespace {

std::string diagnostics_of(const std::string& text) {
  std::string all;
  for (const Diagnostic& diagnostic : parse("x", text).diagnostics) all += diagnostic.to_string() + "\n";
  return all;
}

struct Case {
  const char* name;
  const char* text;
  const char* expected;
};

void expect_all(std::initializer_list<Case> cases) {
  for (const Case& c : cases) EXPECT_EQ(diagnostics_of(c.text), c.expected) << c.name;
}

TEST(Parse, ASyntaxErrorIsReportedAtItsFirstPlace) {
  expect_all({
      {"two values", "service {\n  port: 80 81\n  port: 82 83\n}\n",
       "x:2:12: syntax error: Expected identifier, got: 81\n"},
      {"no value", "service {\n  port:\n}\n", "x:3:1: syntax error: Expected integer, got: }\n"},
      {"no end", "service {\n  port: 80\n", "x:3:1: syntax error: Expected identifier, got: \n"},
      {"no end of a text", "service {\n  name: \"web", "x:2:13: syntax error: Unexpected end of string.\n"},
  });
}

TEST(Parse, UnknownFieldsAreAllReportedWithWhatWasMeant) {
  expect_all({
      {"in a block", "\n  timeouts {\n  udpp_s: 3 }\n",
       "x:3:3: unknown field \"udpp_s\" in this block; did you mean udp_s? possible are tcp_syn_s, tcp_established_s, "
       "tcp_transitory_s, tcp_closed_s, udp_s, udp_unreplied_s, icmp_s\n"},
      {"at the top, nothing near", "\nvip { }\n",
       "x:2:1: unknown field \"vip\" at the top level; possible are interface, route, local_address, pool, service, "
       "timeouts, probe, unmatched, group, failover, management, log\n"},
      {"a swap, capitals, and a name in a comment behind it", "servcie { }\nPROBE # PROBE\n { }\nunmatched: DROP\n",
       "x:1:1: unknown field \"servcie\" at the top level; did you mean service? possible are interface, route, "
       "local_address, pool, service, timeouts, probe, unmatched, group, failover, management, log\n"
       "x:2:1: unknown field \"PROBE\" at the top level; did you mean probe? possible are interface, route, "
       "local_address, pool, service, timeouts, probe, unmatched, group, failover, management, log\n"},
  });
}

TEST(Parse, ValuesThatAreNoneOfTheirFieldAreAllReported) {
  expect_all({
      {"types",
       "service {\n  name: web\n  port: \"80\", protocol: TPC;\n  ping: yes reset_on_expiry: 2\n  mode: \"DSR\"\n}\n"
       "timeouts: 3\nprobe { port { } prefix_v4: [\"10.0.0.0/8\"] }\npool { backend { weight: -1 port: 99999999999 } "
       "}\n",
       "x:2:9: name is web; write a text in quotes\n"
       "x:3:9: port is \"80\"; use a whole number, 1 to 65535\n"
       "x:3:25: unknown value TPC of protocol; did you mean TCP? possible are TCP, UDP, TCP_PROXY, HTTP\n"
       "x:4:9: ping is yes; use true or false\n"
       "x:4:30: reset_on_expiry is 2; use true or false\n"
       "x:5:9: mode is \"DSR\"; leave out the quotes; possible are FULL_NAT, NAT, DSR, TUNNEL\n"
       "x:7:11: timeouts is 3; write a block, timeouts { ... }\n"
       "x:8:14: port is a block or list; write a text in quotes\n"
       "x:8:29: prefix_v4 is a block or list; write a text in quotes\n"
       "x:9:26: weight is -1; use a whole number, 0 to 1000\n"
       "x:9:35: port is 99999999999; use a whole number, 1 to 65535\n"},
      {"the same word in two enumerations", "service { mode: X }\npool { algorithm: X }\ninterface { egress: X }\n",
       "x:1:17: unknown value X of mode; possible are FULL_NAT, NAT, DSR, TUNNEL\n"
       "x:2:19: unknown value X of algorithm; possible are ROUND_ROBIN, LEAST_CONNECTIONS, SOURCE_HASH, MAGLEV\n"
       "x:3:21: unknown value X of egress; possible are DROP, ROUTE, SNAT\n"},
      {"in lists", "service { address: [\"192.0.2.1\", 7, 8] }\npool: [ { name: a }, { name: \"b\" } ]\n",
       "x:1:34: address is 7; write a text in quotes\nx:2:17: name is a; write a text in quotes\n"},
      {"behind a tab", "service {\tport: x }\n", "x:1:23: port is x; use a whole number, 1 to 65535\n"},
      {"twice", "timeouts { udp_s: 3\n  udp_s: 4\n  udp_s: 5 }\ntimeouts { }\n",
       "x:2:3: a second udp_s in this block; remove one of the two\n"
       "x:3:3: a second udp_s in this block; remove one of the two\n"
       "x:4:1: a second timeouts in this block; remove one of the two\n"},
  });
}

TEST(Parse, MistakesBeforeASyntaxErrorAreReportedWithIt) {
  EXPECT_EQ(
      diagnostics_of("service { prot: 80\n port: x\n port: 80 80 }\n"),
      "x:1:11: unknown field \"prot\" in this block; did you mean port? possible are name, address, port, protocol, "
      "mode, pool, encapsulation, gue_port, local_address, ping, reset_on_expiry, group, proxy, http, comment\n"
      "x:2:8: port is x; use a whole number, 1 to 65535\n"
      "x:3:11: syntax error: Expected identifier, got: 80\n");
}

TEST(Parse, WhatElseIsWrongIsFoundToo) {
  std::string all;
  for (const Diagnostic& diagnostic :
       load_text("x",
                 "service {\n  name: \"web\"\n  prot: 80\n  port: http\n  protocol: TPC\n"
                 "  address: \"192.0.2.300\"\n  pool: \"wbe\"\n}\nunmatched: 7\n")
           .diagnostics)
    all += diagnostic.to_string() + "\n";
  EXPECT_EQ(
      all,
      "x:3:3: unknown field \"prot\" in this block; did you mean port? possible are name, address, port, protocol, "
      "mode, pool, encapsulation, gue_port, local_address, ping, reset_on_expiry, group, proxy, http, comment\n"
      "x:4:9: port is http; use a whole number, 1 to 65535\n"
      "x:5:13: unknown value TPC of protocol; did you mean TCP? possible are TCP, UDP, TCP_PROXY, HTTP\n"
      "x:6:3: \"192.0.2.300\" is no IP address; write it like 192.0.2.1 or 2001:db8::1\n"
      "x:7:3: there is no pool \"wbe\"; name an existing pool or add this one\n"
      "x:9:1: unmatched is 7; possible are REJECT, DROP\n");
}

TEST(Parse, AFileOfNothingButMistakesEndsSoon) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "service { port: x prot: 1 }\n";
  const auto start = std::chrono::steady_clock::now();
  const Document document = parse("x", text);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));  // loose: the machine is shared
  EXPECT_FALSE(document.readable);
  bool said = false;
  for (const Diagnostic& d : document.diagnostics)
    said |= d.message == "more than 100 values cannot be read; correct those above first";
  EXPECT_TRUE(said);
}

TEST(Parse, DeepAndTornTextsAreErrorsAndNoMore) {
  const auto repeated = [](const std::string& part, int times) {
    std::string text;
    for (int i = 0; i < times; ++i) text += part;
    return text;
  };
  for (const std::string& text : {repeated("a {", 100'000), repeated("a: [", 100'000), repeated("pool {", 100'000),
                                  repeated("backend: [ {", 1000), std::string("\xef\xbb\xbfpool { name: 3 }"),
                                  std::string("pool { name: 3 \0 }", 18), std::string("}"), std::string("port: [,"),
                                  std::string(":"), std::string("pool { name:"), std::string("pool { drain: \xff }")}) {
    EXPECT_FALSE(parse("x", text).ok()) << text.substr(0, 40);
  }
}

TEST(Nearest, IsTheWordThatFewLettersAwayIs) {
  const std::vector<std::string> words = {"address", "name", "protocol", "port"};
  EXPECT_EQ(nearest("adress", words), "address");
  EXPECT_EQ(nearest("protcol", words), "protocol");
  EXPECT_EQ(nearest("Port", words), "port");
  EXPECT_EQ(nearest("weight", words), "");
}

}  // namespace
}  // namespace headgate::config
