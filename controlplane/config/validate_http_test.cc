// Services whose connections end here: what may be said of them, and where it is told when it may not.
#include <gtest/gtest.h>

#include "controlplane/config/validate.h"

namespace headgate::config {
namespace {

// Line 1 is sound but for a pool "api" that only a route can use.
constexpr const char* kSite =
    R"(interface { name: "front" port: "front" prefix: "192.0.2.0/24" prefix: "2001:db8:1::/64" address: "192.0.2.11" })"
    R"( interface { name: "servers" port: "servers" prefix: "10.10.0.0/24" prefix: "2001:db8:2::/64" })"
    R"( local_address { prefix: "10.10.0.64/28" prefix: "2001:db8:2::a:0/124" interface: "servers" })"
    R"( probe { port: "probe0" })"
    R"( pool { name: "web" backend { name: "web1" address: "10.10.0.21" address: "2001:db8:2::21" } health_check { tcp {} } })"
    R"( pool { name: "api" backend { name: "api1" address: "10.10.0.31" address: "2001:db8:2::31" port: 8000 } health_check { http {} } })"
    "\n";

std::string diagnostics_of(const std::string& text) {
  std::string all;
  for (const Diagnostic& diagnostic : load_text("x", kSite + text).diagnostics) all += diagnostic.to_string() + "\n";
  return all;
}

// What is under test stands on line 4. The pool that routes name is used besides, so that nobody warns of it.
std::string of_block(const std::string& block, const std::string& protocol = "HTTP", const std::string& port = "8080") {
  return diagnostics_of(
      "service { name: \"api\" address: \"192.0.2.101\" port: 80 protocol: TCP pool: \"api\" }\n"
      "service {\n" +
      block + "\nname: \"s\" address: \"192.0.2.100\" address: \"2001:db8:1::100\" port: " + port +
      " protocol: " + protocol + " pool: \"web\" }");
}
std::string of_http(const std::string& http) {
  return of_block("http { " + http + " }");
}
std::string of_route(const std::string& route) {
  return of_http("route { name: \"r\" " + route + " }");
}

struct Case {
  const char *text, *expected;
};

TEST(ValidateHttp, WhatMakesSenseIsAccepted) {
  EXPECT_EQ(of_block(""), "");
  EXPECT_EQ(of_block("", "TCP_PROXY"), "");
  EXPECT_EQ(of_block("proxy { connect_timeout_ms: 1000 connect_attempts: 2 idle_timeout_s: 60 half_closed_timeout_s: 5 "
                     "queue_limit: 100 queue_timeout_ms: 2000 accept_proxy_from: \"192.0.2.64/28\" send_proxy: V2 }",
                     "TCP_PROXY"),
            "");
  EXPECT_EQ(
      of_block(
          R"(proxy {} http { request_timeout_ms: 5000 keepalive_timeout_s: 30 response_timeout_s: 20 requests_per_connection: 1000
  reuse_connections: false x_forwarded_for: false x_forwarded_proto: false x_forwarded_port: true x_forwarded_host: true
  forwarded: true trusted_proxy: "192.0.2.64/28" access_log: true cookie { name: "SRV" max_age_s: 3600 }
  request_header { name: "X-Real-IP" value: "${client_ip}" }
  response_header { name: "Server" action: REMOVE } response_header { name: "Strict-Transport-Security" action: ADD value: "max-age=1" }
  route { name: "api" host: "api.example.com" path_prefix: "/v1" pool: "api" }
  route { name: "sub" host: "*.example.com" method: "POST" header { name: "X-Beta" value: "1" } pool: "api"
    request_header { name: "Host" value: "internal" } response_header { name: "X-By" value: "sub" } }
  route { name: "tls" path: "/old" redirect { status: 308 scheme: HTTPS host: "www.example.com:8443" path: "/new?x=y" } }
  route { name: "to-tls" host: "www.example.com" redirect { scheme: HTTPS } }
  route { name: "no" path_prefix: "/admin" status: 403 }
  route { name: "own" path: "/own" } })"),
      "");
}

TEST(ValidateHttp, AProxiedServiceIsFullNatAndHasTheRightBlocks) {
  EXPECT_EQ(of_block("mode: DSR", "TCP_PROXY"),
            "x:4:1: connections of protocol TCP_PROXY end here, and mode DSR would pass them on; remove mode, or use "
            "protocol: TCP\n");
  EXPECT_NE(of_block("mode: TUNNEL").find("connections of protocol HTTP end here"), std::string::npos);
  EXPECT_EQ(of_block("mode: FULL_NAT"), "");
  EXPECT_EQ(of_block("proxy {}", "TCP"),
            "x:4:1: proxy is for sessions, and a service with protocol TCP has none; remove it or use protocol: "
            "TCP_PROXY\n");
  EXPECT_EQ(of_block("http {}", "TCP_PROXY"),
            "x:4:1: a service with protocol TCP_PROXY does not look at requests; remove http or use protocol: HTTP\n");
  EXPECT_NE(of_block("", "HTTP", "443").find("warning: clients speak TLS to port 443, and protocol HTTP does not"),
            std::string::npos);
  EXPECT_EQ(of_block("", "TCP_PROXY", "443"), "");
}

TEST(ValidateHttp, OneEndpointIsOneServiceHoweverItsTcpIsServed) {
  const auto two = [](const std::string& first, const std::string& second) {
    return diagnostics_of("service { name: \"api\" address: \"192.0.2.101\" port: 80 protocol: " + first +
                          " pool: \"api\" }\nservice {\n address: \"192.0.2.101\" name: \"s\" port: 80 protocol: " +
                          second + " pool: \"web\" }");
  };
  EXPECT_EQ(two("TCP", "HTTP"),
            "x:4:2: 192.0.2.101:80 is already taken by service \"api\" with protocol TCP, which is TCP, too; change "
            "the address or port of one of the two\n");
  EXPECT_NE(two("TCP_PROXY", "TCP").find("already taken"), std::string::npos);
  EXPECT_NE(two("HTTP", "TCP_PROXY").find("already taken"), std::string::npos);
  EXPECT_NE(two("HTTP", "HTTP").find("change the address, port or protocol of one of the two"), std::string::npos);
  EXPECT_EQ(two("UDP", "HTTP").find("already taken"), std::string::npos);
}

TEST(ValidateHttp, SessionsAreHeldToTheirOptions) {
  for (const Case& c : {
           Case{"proxy { connect_attempts: 0 }", "x:4:9: connect_attempts is 0; use 1 to 8 backends\n"},
           Case{"proxy { queue_limit: 65537 }", "x:4:9: queue_limit is 65537; use 0 to 65536 clients\n"},
           Case{"proxy { idle_timeout_s: 0 }", "x:4:9: idle_timeout_s is 0; use 1 to 604800 s\n"},
           Case{"proxy { queue_timeout_ms: 10 }",
                "x:4:9: warning: queue_timeout_ms has no effect without queue_limit; set queue_limit or remove it\n"},
           Case{"proxy { accept_proxy_from: \"192.0.2.1\" }",
                "x:4:9: \"192.0.2.1\" is no prefix; write it like 192.0.2.0/24 or 2001:db8::/64\n"},
           Case{"proxy { accept_proxy_from: \"192.0.2.0/24\" accept_proxy_from: \"0.0.0.0/0\" }",
                "x:4:43: warning: every client has to send a PROXY protocol header, and may say in it that it is "
                "another; name only the proxies before this box\n"},
       }) {
    EXPECT_EQ(of_block(c.text, "TCP_PROXY"), c.expected) << c.text;
  }
  EXPECT_EQ(of_block("proxy { send_proxy: V1 accept_proxy_from: \"192.0.2.0/24\" }"),
            "x:4:9: send_proxy is for TCP_PROXY: with HTTP requests of many clients share a connection to a backend; "
            "remove it; X-Forwarded-For tells backends who the client is\n"
            "x:4:24: accept_proxy_from is for TCP_PROXY alone; remove it, and name the proxies before this box in "
            "trusted_proxy of http\n");
  EXPECT_EQ(of_block("proxy { send_proxy: NONE queue_limit: 9 }"), "");
}

TEST(ValidateHttp, ConditionsAreThoseOfRequests) {
  for (const Case& c : {
           Case{
               "host: \"a b\"",
               "x:4:26: \"a b\" is no host of a route; write it like www.example.com or *.example.com, without port\n"},
           Case{
               "host: \"a.*\"",
               "x:4:26: \"a.*\" is no host of a route; write it like www.example.com or *.example.com, without port\n"},
           Case{"host: \"a.test:80\"",
                "x:4:26: \"a.test:80\" is no host of a route; write it like www.example.com or *.example.com, without "
                "port\n"},
           Case{"host: \"*.1.2.3.4.5.6.7.8.9\"",
                "x:4:26: \"*.1.2.3.4.5.6.7.8.9\" has 9 labels behind its \"*.\"; use at most 8\n"},
           Case{"path: \"api\"",
                "x:4:26: \"api\" is no path of a route; begin it with '/', leave out '?' and ';' and what is behind "
                "them, and write spaces and what is not ASCII as %XX\n"},
           Case{"path_prefix: \"/a?b\"",
                "x:4:26: \"/a?b\" is no path of a route; begin it with '/', leave out '?' and ';' and what is behind "
                "them, and write spaces and what is not ASCII as %XX\n"},
           Case{"path: \"/a%2fb\"",
                "x:4:26: \"/a%2fb\" has an encoded zero byte, slash or backslash, and requests with one are refused; "
                "leave it out\n"},
           Case{"path: \"/..\"", "x:4:26: \"/..\" leads above the root; remove the \"..\"\n"},
           Case{"path: \"/a\" path_prefix: \"/b\"", "x:4:37: route \"r\" has path and path_prefix; keep one of them\n"},
           Case{"method: \"G T\"",
                "x:4:26: method is \"G T\"; write method, in capitals; absent: any; it matches "
                "[!#$%&'*+.^_`|~0-9A-Za-z-]+\n"},
           Case{"method: \"get\"",
                "x:4:26: warning: route \"r\" never matches: methods have a case, and \"get\" is none that clients "
                "use; write it in capitals\n"},
           Case{"header { name: \"a b\" }",
                "x:4:35: name is \"a b\"; write name of the header; it matches [!#$%&'*+.^_`|~0-9A-Za-z-]+\n"},
           Case{"header { name: \"a\" value: \"x\\ny\" }",
                "x:4:45: \"a\" has no header's value; leave out control bytes, and use at most 4096 bytes\n"},
           Case{"header { name: \"a\" value: \" x\" }",
                "x:4:45: warning: route \"r\" never matches: values are compared without the blanks around them; "
                "remove those here\n"},
           Case{"header { name: \"X-A\" } header { name: \"x-a\" }",
                "x:4:49: headers have no case: header \"X-A\" is the same as \"x-a\"; name each header once\n"},
       }) {
    EXPECT_EQ(of_route(c.text), c.expected) << c.text;
  }
}

TEST(ValidateHttp, ARouteDoesOneThing) {
  for (const Case& c : {
           Case{"pool: \"api\" status: 403",
                "x:4:38: route \"r\" has several actions: pool, status; keep one of them\n"},
           Case{"pool: \"api\" redirect { scheme: HTTPS }",
                "x:4:38: route \"r\" has several actions: pool, redirect; keep one of them\n"},
           Case{"pool: \"apii\"", "x:4:26: there is no pool \"apii\"; name an existing pool or add this one\n"},
           Case{"status: 299",
                "x:4:26: there is no page for status 299; possible are 200, 400, 403, 404, 405, 408, 413, 414, 417, "
                "421, 429, 431, 500, 501, 502, 503, 504, 505\n"},
           Case{"status: 302", "x:4:26: status 302 needs a place to go to; use redirect { ... }\n"},
           Case{"status: 100",
                "x:4:26: status is 100; use 200 to 599\n"
                "x:4:26: there is no page for status 100; possible are 200, 400, 403, 404, 405, 408, "
                "413, 414, 417, 421, 429, 431, 500, 501, 502, 503, 504, 505\n"},
           Case{"redirect {}", "x:4:26: the redirect leads where the client came from; set scheme, host or path\n"},
           Case{"redirect { scheme: HTTPS status: 305 }",
                "x:4:51: status 305 is no redirect; use 301, 302, 303, 307 or 308\n"},
           Case{
               "redirect { host: \"a\\r\\nb\" }",
               "x:4:37: \"a\r\nb\" is no host to redirect to; write it like www.example.com or www.example.com:8080\n"},
           Case{"redirect { path: \"x\" }",
                "x:4:37: \"x\" is no path of a redirect; begin it with '/' and write spaces and what is not ASCII as "
                "%XX\n"},
           Case{"status: 403 request_header { name: \"A\" value: \"b\" }",
                "x:4:38: warning: request_header has no effect: this box answers route \"r\" itself; remove it\n"},
           Case{"redirect { scheme: HTTPS } response_header { name: \"A\" value: \"b\" }",
                "x:4:53: warning: response_header has no effect: this box answers route \"r\" itself; remove it\n"},
       }) {
    EXPECT_EQ(of_route(c.text), c.expected) << c.text;
  }
}

TEST(ValidateHttp, HeaderRulesLeaveMessagesWhole) {
  for (const Case& c : {
           Case{"request_header { name: \"Content-Length\" value: \"5\" }",
                "x:4:8: no rule may touch header \"Content-Length\": it frames messages or belongs to one connection; "
                "remove the rule\n"},
           Case{"response_header { name: \"transfer-encoding\" action: REMOVE }",
                "x:4:8: no rule may touch header \"transfer-encoding\": it frames messages or belongs to one "
                "connection; remove the rule\n"},
           Case{"request_header { name: \"X-Forwarded-For\" value: \"x\" }",
                "x:4:8: no rule may touch header \"X-Forwarded-For\": it tells who the client is; use x_forwarded_for "
                "of http, and trusted_proxy\n"},
           Case{"request_header { name: \"Host\" action: REMOVE }",
                "x:4:8: a request has exactly one host; use action: SET\n"},
           Case{"request_header { name: \"A\" value: \"x\\r\\nB: c\" }",
                "x:4:35: the value has a control byte; leave out line ends and the like\n"},
           Case{"request_header { name: \"A\" value: \"${nobody}\" }",
                "x:4:35: there is no variable \"nobody\"; possible are client_ip, client_port, service_ip, "
                "service_port, scheme, host, method, path, request_id\n"},
           Case{"request_header { name: \"A\" value: \"${host\" }",
                "x:4:35: the value has a \"${\" without its \"}\"; close it\n"},
           Case{"request_header { name: \"A b\" value: \"c\" }",
                "x:4:25: name is \"A b\"; write name of the header; it matches [!#$%&'*+.^_`|~0-9A-Za-z-]+\n"},
           Case{"request_header { name: \"A\" }",
                "x:4:8: warning: header \"A\" has no value and is sent empty; set value, or use action: REMOVE\n"},
           Case{"request_header { name: \"A\" action: REMOVE value: \"c\" }",
                "x:4:50: warning: value has no effect with action REMOVE; remove it or use action: SET\n"},
           Case{"request_header { name: \"A\" value: \"b\" } request_header { name: \"a\" value: \"c\" }",
                "x:4:48: headers have no case: request_header \"A\" is the same as \"a\"; name each header once\n"},
           Case{"cookie { name: \"a;b\" }",
                "x:4:17: name is \"a;b\"; write name of the cookie; it matches [!#$%&'*+.^_`|~0-9A-Za-z-]+\n"},
           Case{"cookie {}", "x:4:8: cookie has no name; add name (name of the cookie)\n"},
           Case{"cookie { name: \"__Host-srv\" }",
                "x:4:17: warning: browsers take a cookie named \"__Host-srv\" by https alone; choose another name\n"},
           Case{"trusted_proxy: \"::/0\"",
                "x:4:8: warning: every client is believed what it says of who it is; name only the proxies before this "
                "box\n"},
       }) {
    EXPECT_EQ(of_http(c.text), c.expected) << c.text;
  }
  std::string prefixes, routes;
  for (int i = 0; i < 257; ++i) prefixes += "trusted_proxy: \"2001:db8:" + std::to_string(i) + "::/48\" ";
  EXPECT_EQ(of_http(prefixes), "x:4:8: 257 times trusted_proxy; use at most 256, or shorter prefixes\n");
  for (int i = 0; i < 1025; ++i) {
    const std::string n = std::to_string(i);
    routes += "route { name: \"r" + n + "\" path: \"/" + n + "\" } ";
  }
  EXPECT_EQ(of_http(routes), "x:4:1: 1025 routes; use at most 1024\n");
  EXPECT_NE(of_http("cookie { name: \"" + std::string(65, 'x') + "\" }").find("use at most 64"), std::string::npos);
  std::string many;
  for (int i = 0; i < 33; ++i)
    many += "request_header { name: \"A" + std::to_string(i) + "\" value: \"" + std::string(500, 'x') + "\" } ";
  EXPECT_NE(of_http(many).find("33 times request_header; use at most 32"), std::string::npos);
  EXPECT_NE(of_http(many).find("all request_header have 16589 bytes; use at most 16384"), std::string::npos);
  EXPECT_NE(
      of_http("request_header { name: \"A\" value: \"" + std::string(4096, 'x') + "\" }").find("use at most 4096"),
      std::string::npos);
}

TEST(ValidateHttp, ARouteThatNoRequestReachesIsTold) {
  const auto routes = [](const std::string& first, const std::string& second) {
    return of_http("route { name: \"a\" " + first + " }\nroute { name: \"b\" " + second + " }");
  };
  const std::string same =
      "x:5:1: route \"b\" is never reached: route \"a\" has the same conditions; remove one of the two\n";
  EXPECT_EQ(routes("", ""), same);
  EXPECT_EQ(routes("host: \"A.test\" path_prefix: \"/x/\"", "host: \"a.test.\" path_prefix: \"//x\""), same);
  EXPECT_EQ(routes("path_prefix: \"/\"", ""), same);
  EXPECT_EQ(routes("header { name: \"X\" } header { name: \"Y\" }", "header { name: \"y\" } header { name: \"x\" }"),
            same);
  EXPECT_EQ(routes("header { name: \"X\" }", "header { name: \"X\" value: \"1\" }"),
            "x:5:1: warning: route \"b\" never matches: route \"a\" before it takes all of its requests; write it "
            "before that one\n");
  EXPECT_EQ(routes("header { name: \"X\" value: \"1\" }", "header { name: \"X\" }"), "");
  EXPECT_EQ(routes("", "method: \"GET\""), "");
  EXPECT_EQ(routes("path: \"/x\"", "path_prefix: \"/x\""), "");
  EXPECT_EQ(routes("host: \"*.a.test\"", "host: \"a.test\""), "");
  EXPECT_EQ(of_http("route { name: \"a\" path: \"/x\" } route { name: \"a\" path: \"/y\" }"),
            "x:4:39: a second route is named \"a\"; choose another name\n");
  std::string many;
  for (int i = 0; i < 65; ++i)
    many += "route { name: \"r" + std::to_string(i) + "\" path: \"/x\" method: \"M" + std::to_string(i) + "\" } ";
  EXPECT_NE(of_http(many).find("more than 64 routes have this host and path; tell them apart by path"),
            std::string::npos);
}

TEST(ValidateHttp, APoolOfARouteIsUsedAndHasToServeTheService) {
  const auto with = [](const std::string& backend, const std::string& check) {
    return diagnostics_of("pool { name: \"p\" backend { name: \"b\" " + backend + " } health_check { " + check +
                          " } }\n"
                          "service { name: \"api\" address: \"192.0.2.101\" port: 80 protocol: TCP pool: \"api\" }\n"
                          "service { name: \"s\" address: \"192.0.2.100\" address: \"2001:db8:1::100\" port: 8080 "
                          "protocol: HTTP pool: \"web\" http {\n route { name: \"r\" path: \"/x\"\n pool: \"p\" } "
                          "route { name: \"q\" path: \"/y\" pool: \"p\" } } }");
  };
  EXPECT_EQ(with("address: \"10.10.0.41\" address: \"2001:db8:2::41\"", "tcp {}"), "");
  EXPECT_EQ(with("address: \"10.10.0.41\"", "tcp {}"),
            "x:6:2: no backend of pool \"p\" has an IPv6 address; give them one or remove the service's IPv6 "
            "address\n");
  EXPECT_EQ(diagnostics_of("service { name: \"s\" address: \"192.0.2.100\" port: 80 protocol: TCP pool: \"web\" }"),
            "x:1:445: warning: pool \"api\" is used by no service: it is not probed; name it in a service or remove "
            "it\n");
}

TEST(ValidateHttp, APoolOfTwoPortsHasToSayWhichOneIsProbed) {
  EXPECT_NE(diagnostics_of("service { name: \"api\" address: \"192.0.2.101\" port: 80 protocol: TCP pool: \"api\" }\n"
                           "service { name: \"s\" address: \"192.0.2.100\" port: 8080 protocol: HTTP pool: \"api\" "
                           "http { route { name: \"r\" pool: \"web\" } } }\n"
                           "service { name: \"t\" address: \"192.0.2.100\" port: 81 protocol: TCP pool: \"web\" }")
                .find("services on several ports use pool \"web\": it is open which one to probe"),
            std::string::npos);
}

TEST(ValidateHttp, PassiveDetectionSeesTheConnectionsOfSessions) {
  EXPECT_EQ(diagnostics_of(
                R"(pool { name: "p" backend { name: "b" address: "10.10.0.41" } health_check { tcp {} } passive {} }
service { name: "api" address: "192.0.2.101" port: 80 protocol: TCP pool: "api" }
service { name: "s" address: "192.0.2.100" port: 8080 protocol: HTTP pool: "web" http { route { name: "r" pool: "p" } } })"),
            "");
}

TEST(ValidateHttp, ThousandsOfRoutesTakeWellUnderASecond) {
  std::string services = "service { name: \"web\" address: \"192.0.2.101\" port: 80 protocol: TCP pool: \"web\" }\n";
  for (int i = 0; i < 20; ++i) {
    services += "service { name: \"s" + std::to_string(i) +
                "\" address: \"192.0.2.100\" port: " + std::to_string(i + 1) + " protocol: HTTP pool: \"api\" http {\n";
    for (int k = 0; k < 1000; ++k) {
      const std::string n = std::to_string(k);
      services += "route { name: \"r" + n + "\" host: \"h" + n + ".test\" path_prefix: \"/a\" pool: \"api\" }\n";
    }
    services += "} }\n";
  }
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(diagnostics_of(services), "");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));  // loose: the machine is shared
}

}  // namespace
}  // namespace headgate::config
