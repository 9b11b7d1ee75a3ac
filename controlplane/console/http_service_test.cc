// An HTTP service as an operator types and sees it. Nothing in the console knows of one: all of it is descriptors.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "controlplane/config/edit.h"
#include "controlplane/config/print.h"
#include "controlplane/config/tree.h"
#include "controlplane/config/validate.h"
#include "controlplane/console/grammar.h"
#include "controlplane/console/overview.h"
#include "controlplane/console/terminal.h"

namespace headgate::console {
namespace {

// The example of controlplane/README.md.
constexpr const char* kTyped[] = {
    "set service shop address 192.0.2.100",
    "set service shop port 8080",
    "set service shop protocol http",
    "set service shop pool web",
    "set service shop http cookie name SRV",
    "set service shop http request_header X-Real-IP value ${client_ip}",
    "set service shop http response_header Server action remove",
    "set service shop http route api host api.example.com",
    "set service shop http route api path_prefix /v1",
    "set service shop http route api pool api",
    "set service shop http route to-tls host www.example.com",
    "set service shop http route to-tls redirect scheme https",
    "set service shop http route admin path_prefix /admin",
    "set service shop http route admin status 403",
    "set service shop proxy idle_timeout_s 60",
};

constexpr const char* kSite = R"(
interface { name: "front" port: "front" prefix: "192.0.2.0/24" address: "192.0.2.11" }
interface { name: "servers" port: "servers" prefix: "10.10.0.0/24" address: "10.10.0.11" }
local_address { prefix: "10.10.0.64/28" interface: "servers" }
probe { port: "probe0" }
pool { name: "web" backend { name: "web1" address: "10.10.0.21" } health_check { http {} } }
pool { name: "api" backend { name: "api1" address: "10.10.0.31" } health_check { http {} } }
)";

class HttpService : public testing::Test {
 protected:
  HttpService() : site_(config::parse("x", kSite)) {
    EXPECT_TRUE(site_.readable);
    for (const char* line : kTyped) {
      Words words = split(line).parts[0];
      words.erase(words.begin());
      const auto done = config::set(site_.config, words);
      EXPECT_TRUE(done) << line << ": " << done.error().message;
    }
  }
  // The choices at the end of "set ..." or "delete ...", as ? and Tab see them.
  Choices at(const std::string& line, std::string& begun) const {
    Words words = split(line).parts[0];
    const Use use = words[0] == "set" ? Use::set : Use::existing;
    begun = split(line).open_word ? words.back() : "";
    if (split(line).open_word) words.pop_back();
    Choices found = choices(site_.config, Words(words.begin() + 1, words.end()), use);
    keep_begun(found, begun);
    return found;
  }
  std::string tab(const std::string& line) const {
    std::string begun;
    const Choices found = at(line, begun);
    return completed(line, begun, found);
  }
  std::string question_mark(const std::string& line) const {
    std::string begun;
    return help_text(at(line, begun));
  }
  std::string refusal(const Words& words) {
    const auto done = config::set(site_.config, words);
    return done ? "" : done.error().message;
  }

  config::Document site_;
};

TEST_F(HttpService, TypedAsInTheReadmeIsAGoodConfiguration) {
  const config::Document typed = config::load_text("x", config::print(site_.config));
  for (const config::Diagnostic& diagnostic : typed.diagnostics) ADD_FAILURE() << diagnostic.to_string();
}

TEST_F(HttpService, ShowsAsWhatWasTyped) {
  const std::string shown = config::set_commands(site_.config);
  for (const char* line : kTyped) EXPECT_NE(shown.find(line + std::string("\n")), std::string::npos) << line;
  EXPECT_NE(config::print(site_.config).find("redirect"), std::string::npos);
}

TEST_F(HttpService, CompletesWithTab) {
  EXPECT_EQ(tab("set service shop ht"), "set service shop http ");
  EXPECT_EQ(tab("set service shop http rou"), "set service shop http route ");
  EXPECT_EQ(tab("set service shop http route ap"), "set service shop http route api ");
  EXPECT_EQ(tab("set service shop http route api path_"), "set service shop http route api path_prefix ");
  EXPECT_EQ(tab("set service shop http route new pool a"), "set service shop http route new pool api ");
  EXPECT_EQ(tab("set service shop http route to-tls redirect scheme https"),
            "set service shop http route to-tls redirect scheme https ");
  EXPECT_EQ(tab("set service shop proxy send_proxy v"), "set service shop proxy send_proxy v");
  EXPECT_EQ(tab("set service shop protocol tcp_"), "set service shop protocol tcp_proxy ");
  EXPECT_EQ(tab("delete service shop http route admin st"), "delete service shop http route admin status ");
}

TEST_F(HttpService, ExplainsItselfWithAQuestionMark) {
  EXPECT_EQ(question_mark("set service shop http route "),
            "  api\n  to-tls\n  admin\n  <name>  a new route: name of the route\n");
  EXPECT_EQ(question_mark("set service shop http route new pool "), "  web  pool\n  api  pool\n");
  EXPECT_EQ(question_mark("set service shop http route new redirect scheme "),
            "  same   as the request; default\n  http\n  https\n");
  EXPECT_EQ(question_mark("set service shop proxy connect_timeout_ms "),
            "  <connect_timeout_ms>  a backend that takes no connection is given up after; 10 to 60000 ms; default "
            "5000\n");
  EXPECT_EQ(question_mark("set service shop http request_header "),
            "  X-Real-IP\n  <name>     a new request_header: name of the header\n");
  EXPECT_EQ(question_mark("delete service shop http route to-tls "),
            "  host      host asked for, www.example.com or *.example.com for all below; absent: any\n"
            "  redirect  send the client elsewhere, instead of a pool\n  <Enter>\n");
  const std::string route = question_mark("set service shop http route new ");
  for (const char* word : {"  host ", "  path ", "  path_prefix ", "  method ", "  header ", "  pool ", "  redirect ",
                           "  status ", "  request_header ", "  response_header ", "  comment "}) {
    EXPECT_NE(route.find(word), std::string::npos) << word;
  }
}

TEST_F(HttpService, RefusesWhileTypingWhatItsFieldsSayTheyAreNot) {
  EXPECT_EQ(refusal({"service", "shop", "http", "route", "a b", "pool", "api"}).substr(0, 16), "\"a b\" is no name");
  EXPECT_EQ(refusal({"service", "shop", "http", "request_header", "A:", "value", "x"}),
            "name is name of the header, not A:; it matches [!#$%&'*+.^_`|~0-9A-Za-z-]+");
  EXPECT_EQ(refusal({"service", "shop", "http", "route", "r", "status", "99"}),
            "status is a number from 200 to 599, not 99");
  EXPECT_EQ(refusal({"service", "shop", "http", "trusted_proxy", "192.0.2.1"}).substr(0, 23),
            "\"192.0.2.1\" is no prefi");
  EXPECT_EQ(refusal({"service", "shop", "http", "routes"}).substr(0, 49),
            "there is no routes in service shop http; possible");
}

TEST_F(HttpService, ARenamedPoolIsFollowedByItsRoutes) {
  EXPECT_EQ(config::rename(site_.config, {"pool", "api"}, "backend-api").value(), 1u);
  EXPECT_EQ(site_.config.service(0).http().route(0).pool(), "backend-api");
}

management::v1::ServicesReply services() {
  management::v1::ServicesReply reply;
  const auto add = [&](const char* name, const char* address, const char* protocol, const char* mode) {
    auto& service = *reply.add_service();
    service.set_name(name);
    service.set_address(address);
    service.set_protocol(protocol);
    service.set_mode(mode);
    service.set_pool("web/v4");
    auto& traffic = *service.mutable_stats()->mutable_traffic();
    traffic.set_flows_now(12'345);
    traffic.set_packets_in(18'446'744'073'709'551'615u);
  };
  add("web/v4", "192.0.2.100:80", "tcp", "full_nat");
  add("web-http/v6", "[2001:db8:1::100]:8080", "http", "proxy");
  reply.mutable_service(1)->set_routes(3);
  reply.mutable_service(1)->mutable_stats()->add_drop()->set_packets(7);
  add("mail", "192.0.2.100:8081", "tcp_proxy", "proxy");
  reply.mutable_service(2)->clear_stats();
  return reply;
}

TEST(ShowServices, SaysProtocolAndModeIn80Characters) {
  const std::string text = services_table(services()).text({.width = 80});
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
  EXPECT_EQ(text.substr(0, text.find("not shown")),
            "SERVICE      ADDRESS                 PROTOCOL   MODE      FLOWS  REFUSED  POOL\n"
            "web/v4       192.0.2.100:80          tcp        full_nat  12.3k        0  web/v4\n"
            "web-http/v6  [2001:db8:1::100]:8080  http       proxy     12.3k        7  web/v4\n"
            "mail         192.0.2.100:8081        tcp_proxy  proxy         -        -  web/v4\n");
}

TEST(ShowServices, SaysMoreWhereThereIsRoom) {
  const std::string text = services_table(services()).text({.width = 200});
  for (const char* heading : {"POOL", "ROUTES", "TOTAL", "PKTS IN", "BYTES OUT"})
    EXPECT_NE(text.find(heading), std::string::npos) << heading;
}

}  // namespace
}  // namespace headgate::console
