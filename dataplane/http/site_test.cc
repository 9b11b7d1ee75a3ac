#include "dataplane/http/site.h"

#include <gtest/gtest.h>

namespace headgate::http {
namespace {

SiteSpec plain() {
  SiteSpec spec;
  spec.service = {7};
  spec.pool = {3};
  return spec;
}

snapshot::HttpRoute route(std::uint32_t id, std::string host) {
  snapshot::HttpRoute result;
  result.id = id;
  result.host = std::move(host);
  return result;
}

TEST(Site, DefaultsCompileAndSendEverythingToThePoolOfTheService) {
  const auto site = compile_site(plain());
  ASSERT_TRUE(site) << site.error().message;
  EXPECT_EQ((*site)->pool, PoolId{3});
  EXPECT_EQ((*site)->routes.size(), 0u);
  EXPECT_TRUE((*site)->forwarded.x_forwarded_for);
}

TEST(Site, ErrorsNameWhatIsWrong) {
  struct Case {
    const char* name;
    void (*spoil)(SiteSpec&);
    const char* said;
  };
  const Case cases[] = {
      {"a route with two paths",
       [](SiteSpec& s) {
         s.http.routes = {route(4, "a.test")};
         s.http.routes[0].name = "shop";
         s.http.routes[0].path = "/x";
         s.http.routes[0].path_prefix = "/y";
       },
       "route 4 (shop): has both"},
      {"one id twice", [](SiteSpec& s) { s.http.routes = {route(4, "a.test"), route(4, "b.test")}; },
       "route 4: another route has this id"},
      {"a host that is none", [](SiteSpec& s) { s.http.routes = {route(4, "a b")}; }, "route 4: host a b"},
      {"a redirect with status 200",
       [](SiteSpec& s) {
         s.http.routes = {route(4, "a.test")};
         s.http.routes[0].action = snapshot::HttpRedirect{.status = 200, .scheme = {}, .host = {}, .path = {}};
       },
       "route 4: a redirect has status"},
      {"a header rule of a route",
       [](SiteSpec& s) {
         s.http.routes = {route(4, "a.test")};
         s.http.routes[0].response_headers = {{snapshot::HttpHeaderRule::Action::set, "Connection", "x"}};
       },
       "route 4: response header Connection"},
      {"a header rule of the service",
       [](SiteSpec& s) { s.http.request_headers = {{snapshot::HttpHeaderRule::Action::add, "X", "${nothing}"}}; },
       "request header X: there is no variable"},
      {"no pool at all",
       [](SiteSpec& s) {
         s.pool = {};
         s.http.routes = {route(4, "a.test")};
       },
       "route 4: has no pool"},
      {"a timeout of nothing", [](SiteSpec& s) { s.http.response_timeout = 0; }, "response_timeout has to be"},
      {"too many attempts", [](SiteSpec& s) { s.proxy.connect_attempts = 9; }, "connect_attempts has to be"},
      {"a PROXY header", [](SiteSpec& s) { s.proxy.send_header = snapshot::ProxyHeader::v2; }, "send_header is not"},
      {"a bad cookie", [](SiteSpec& s) { s.http.cookie = {.name = "a b"}; }, "cookie name \"a b\""},
  };
  for (const Case& c : cases) {
    SiteSpec spec = plain();
    c.spoil(spec);
    const auto site = compile_site(spec);
    ASSERT_FALSE(site) << c.name;
    EXPECT_NE(site.error().message.find(c.said), std::string::npos) << c.name << ": " << site.error().message;
  }
}

TEST(Site, RulesOfARouteTakeThePlaceOfThoseOfTheService) {
  SiteSpec spec = plain();
  spec.http.request_headers = {{snapshot::HttpHeaderRule::Action::remove, "X-Service", ""}};
  spec.http.routes = {route(1, "a.test"), route(2, "b.test")};
  spec.http.routes[0].request_headers = {{snapshot::HttpHeaderRule::Action::remove, "X-Route", ""}};
  const auto site = compile_site(spec);
  ASSERT_TRUE(site) << site.error().message;
  RouteSpec first, second;
  first.id = 1;
  second.id = 2;
  EXPECT_TRUE((*site)->request_rules_of(&first).removes("x-route"));
  EXPECT_FALSE((*site)->request_rules_of(&first).removes("x-service"));
  EXPECT_TRUE((*site)->request_rules_of(&second).removes("x-service"));
  EXPECT_TRUE((*site)->request_rules_of(nullptr).removes("x-service"));
}

}  // namespace
}  // namespace headgate::http
