#include "dataplane/http/explain.h"

#include <gtest/gtest.h>

namespace headgate::http {
namespace {

using To = Direction::To;

snapshot::HttpRoute route(std::uint32_t id, std::string name, std::string host, std::string prefix) {
  snapshot::HttpRoute result;
  result.id = id;
  result.name = std::move(name);
  result.host = std::move(host);
  result.path_prefix = std::move(prefix);
  return result;
}

std::shared_ptr<const Site> site() {
  SiteSpec spec;
  spec.service = {7};
  spec.pool = {3};
  spec.http.cookie = {.name = "SRV"};
  spec.http.trusted = {*parse_prefix("10.0.0.0/8")};
  spec.http.request_headers = {{snapshot::HttpHeaderRule::Action::set, "X-Real-IP", "${client_ip}"}};
  spec.http.routes = {route(1, "api", "api.example.com", "/v1"), route(2, "old", "", "/old"),
                      route(3, "admin", "", "/admin")};
  spec.http.routes[0].action = PoolId{4};
  spec.http.routes[1].action = snapshot::HttpRedirect{302, "", "", "/new"};
  spec.http.routes[2].action = snapshot::HttpRoute::Status{403};
  auto compiled = compile_site(spec);
  EXPECT_TRUE(compiled) << compiled.error().message;
  return *compiled;
}

const SipKey kKey{1, 2};

ExplainedRequest explain(const std::string& text, const char* client = "192.0.2.10") {
  RequestContext context;
  context.client = *parse_ip(client);
  context.client_port = 40000;
  context.service = *parse_ip("192.0.2.100");
  context.service_port = 80;
  return explain_request(*site(), CookieSigner(std::vector{kKey}), context, text);
}

std::string text_of(const ExplainedRequest& explained) {
  std::string out;
  for (const auto& step : explained.steps) out += step.stage + ": " + step.text + "\n";
  return out;
}

struct Row {
  const char* name;
  std::string request;
  To to;
  const char* says;
};

TEST(ExplainRequest, SaysWhichRouteAndWhatItDoes) {
  for (const Row& row : {
           Row{"the service's pool", "GET /x HTTP/1.1\r\nHost: www\r\n\r\n", To::pool, "route: none of 3 matches\n"},
           Row{"a route's pool", "GET /v1/a HTTP/1.1\r\nHost: API.example.com:80\r\n\r\n", To::pool,
               "route: api takes it: host api.example.com, path prefix /v1\n"},
           Row{"a redirect", "GET /old?q=1 HTTP/1.1\r\nHost: www\r\n\r\n", To::redirect,
               "answer: 302 to http://www/new\n"},
           Row{"an answer", "GET /admin/x HTTP/1.1\r\nHost: www\r\n\r\n", To::answer, "answer: 403, of the route\n"},
           Row{"another spelling", "GET /x/../%61dmin HTTP/1.1\r\nHost: www\r\n\r\n", To::answer,
               "path \"/admin\", written anew from \"/x/../%61dmin\"\n"},
           Row{"what is refused", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", To::refused,
               "request: refused, repeated_host: more than one Host\nanswer: 400, and the connection is closed\n"},
           Row{"a path above the root", "GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", To::refused, "above_root"},
           Row{"a header that ends another", "GET / HTTP/1.1\r\nHost: a\r\nA: b\nC: d\r\n\r\n", To::refused,
               "bad_line_end"},
           Row{"no end", "GET / HTTP/1.1\r\nHost: a\r\n", To::refused, "the head has no end"},
       }) {
    const ExplainedRequest explained = explain(row.request);
    EXPECT_EQ(explained.to, row.to) << row.name;
    EXPECT_NE(text_of(explained).find(row.says), std::string::npos) << row.name << ":\n" << text_of(explained);
  }
  EXPECT_EQ(explain("GET /v1/a HTTP/1.1\r\nHost: api.example.com\r\n\r\n").pool, PoolId{4});
}

TEST(ExplainRequest, ShowsTheHeadAsTheBackendSeesIt) {
  const std::string text =
      text_of(explain("GET /a?q=1 HTTP/1.1\r\nHost: www\r\nConnection: close\r\nX-Real-IP: 6.6.6.6\r\n\r\n"));
  for (const char* line : {"sent: GET /a?q=1 HTTP/1.1\n", "sent: Host: www\n", "sent: X-Real-IP: 192.0.2.10\n",
                           "sent: X-Forwarded-For: 192.0.2.10\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  EXPECT_EQ(text.find("6.6.6.6"), std::string::npos);
  EXPECT_EQ(text.find("close"), std::string::npos);
}

TEST(ExplainRequest, BelievesTrustedProxiesAndOurCookieAlone) {
  const std::string through = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.5\r\n\r\n";
  EXPECT_EQ(to_string(explain(through, "10.1.1.1").client), "203.0.113.5");
  EXPECT_EQ(to_string(explain(through, "192.0.2.10").client), "192.0.2.10");
  const auto value = CookieSigner(std::vector{kKey}).make(3, {.backend_id = 12, .given_s = 1});
  const std::string with =
      "GET / HTTP/1.1\r\nHost: a\r\nCookie: SRV=" + std::string(value.data(), value.size()) + "\r\n\r\n";
  EXPECT_EQ(explain(with).preferred, BackendId{12});
  EXPECT_EQ(explain("GET / HTTP/1.1\r\nHost: a\r\nCookie: SRV=x\r\n\r\n").preferred, BackendId{});
}

}  // namespace
}  // namespace headgate::http
