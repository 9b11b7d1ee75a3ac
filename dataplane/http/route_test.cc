#include "dataplane/http/route.h"

#include <gtest/gtest.h>

#include "dataplane/base/rng.h"
#include "dataplane/http/host.h"
#include "dataplane/http/request_parser.h"
#include "dataplane/http/testing.h"

namespace headgate::http {
namespace {

using Path = RouteSpec::Path;

RouteSpec route(std::uint32_t id, const std::string& host, Path kind = Path::any, const std::string& path = "",
                const std::string& method = "", std::vector<HeaderCondition> headers = {}) {
  RouteSpec spec;
  spec.id = id;
  spec.host = host;
  spec.path_kind = kind;
  spec.path = path;
  spec.method = method;
  spec.headers = std::move(headers);
  return spec;
}

// As the proxy does: parse, normalize, find. 0: no route or refused.
std::uint32_t find(const RouteTable& table, const std::string& method, const std::string& target,
                   const std::string& host, const std::string& fields = "") {
  const std::string text = method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + fields + "\r\n";
  RequestOptions options;
  RequestParser parser(options);
  if (parser.parse(text) != Progress::complete) return 0;
  NormalPath path{"*", "*"};
  std::vector<char> space(2 * text.size());
  if (parser.head().form != TargetForm::asterisk &&
      normalize_path(parser.head().path.of(text), {}, space, path) != Reason::none) {
    return 0;
  }
  std::array<char, kHostMax> host_space;
  const auto authority = parse_authority(parser.head().authority.of(text));
  const RouteSpec* found = table.find(normal_host(authority->host, host_space), path.match, text, parser.head());
  return found != nullptr ? found->id : 0;
}

TEST(Routes, WinByHowExactlyTheyNameHostThenPathThenMethodThenHeaders) {
  const std::vector<RouteSpec> specs{
      route(1, ""),
      route(2, "a.test"),
      route(3, "*.test"),
      route(4, "*.a.test"),
      route(5, "a.test", Path::prefix, "/api"),
      route(6, "a.test", Path::prefix, "/api/v1/"),
      route(7, "a.test", Path::exact, "/api/v1"),
      route(8, "a.test", Path::prefix, "/api", "POST"),
      route(9, "a.test", Path::prefix, "/api", "", {{"X-A", "1"}}),
      route(10, "a.test", Path::prefix, "/api", "", {{"X-A", "1"}, {"x-b", ""}}),
      route(11, "", Path::prefix, "/any"),
      route(12, "", Path::exact, "/only", "GET"),
      route(13, "B.Test.", Path::exact, "/b"),
      route(14, "[2001:DB8::1]"),
  };
  const auto table = RouteTable::compile(specs);
  ASSERT_TRUE(table) << table.error().message;
  struct Row {
    const char *method, *target, *host;
    std::uint32_t id;
    const char* fields = "";
  };
  for (const Row& row : {
           Row{"GET", "/", "other", 1},
           Row{"GET", "/", "a.test", 2},
           Row{"GET", "/", "A.TEST.:8080", 2},
           Row{"GET", "/", "b.test", 3},
           Row{"GET", "/b", "b.test", 13},
           Row{"GET", "/", "x.b.test", 3},
           Row{"GET", "/", "x.a.test", 4},
           Row{"GET", "/", "x.y.a.test", 4},
           Row{"GET", "/", "xa.test", 3},
           Row{"GET", "/", "test", 1},
           Row{"GET", "/api", "a.test", 5},
           Row{"GET", "/api/", "a.test", 5},
           Row{"GET", "/api/x/y?z", "a.test", 5},
           Row{"GET", "/apix", "a.test", 2},
           Row{"GET", "/api/v1", "a.test", 7},
           Row{"GET", "/api/v1/", "a.test", 6},
           Row{"GET", "/api/v1/x", "a.test", 6},
           Row{"GET", "/api/v12", "a.test", 5},
           Row{"POST", "/api/x", "a.test", 8},
           Row{"POST", "/api/x", "a.test", 8, "X-A: 1\r\nX-B: 2\r\n"},
           Row{"GET", "/api/x", "a.test", 9, "x-a: 1\r\n"},
           Row{"GET", "/api/x", "a.test", 5, "X-A: 2\r\n"},
           Row{"GET", "/api/x", "a.test", 10, "X-A: 1\r\nX-B: 2\r\n"},
           Row{"GET", "/any/x", "other", 11},
           Row{"GET", "/any/x", "a.test", 2},
           Row{"GET", "/only", "other", 12},
           Row{"PUT", "/only", "other", 1},
           Row{"OPTIONS", "*", "other", 1},
           Row{"OPTIONS", "*", "a.test", 2},
           Row{"GET", "/", "[2001:db8::1]:80", 14},
       }) {
    EXPECT_EQ(find(*table, row.method, row.target, row.host, row.fields), row.id)
        << row.method << row.target << row.host << row.fields;
  }
}

TEST(Routes, FallThroughToLessExactOnesAndToNone) {
  const auto table = RouteTable::compile(
      std::vector{route(1, "a.test", Path::exact, "/x", "GET"), route(2, "a.test", Path::prefix, "/x/y"),
                  route(3, "*.test", Path::prefix, "/x"), route(4, "", Path::exact, "/")});
  EXPECT_EQ(find(*table, "GET", "/x", "a.test"), 1u);
  EXPECT_EQ(find(*table, "PUT", "/x", "a.test"), 3u);
  EXPECT_EQ(find(*table, "PUT", "/x/y", "a.test"), 2u);
  EXPECT_EQ(find(*table, "GET", "/", "a.test"), 4u);
  EXPECT_EQ(find(*table, "GET", "/z", "a.test"), 0u);
}

TEST(Routes, NoSpellingOfAPathGetsAroundOne) {
  const auto table = RouteTable::compile(
      std::vector{route(1, ""), route(2, "", Path::prefix, "/admin"), route(3, "", Path::exact, "/a b+c")});
  ASSERT_FALSE(table);  // a blank has to be encoded
  const auto good = RouteTable::compile(
      std::vector{route(1, ""), route(2, "", Path::prefix, "/admin"), route(3, "", Path::exact, "/a%20b+c")});
  ASSERT_TRUE(good);
  for (const char* target :
       {"/admin", "/admin/", "//admin", "/./admin", "/x/../admin", "/%61dmin", "/%61%64%6d%69%6E/x", "/admin;x",
        "/admin;x=y/z", "/admin/../admin", "/x//..//admin", "/admin%20/../admin", "/x/%2e%2e/admin", "/admin/.",
        "http://h/x/../admin", "/admin?x", "/admin%3f/../admin"}) {
    EXPECT_EQ(find(*good, "GET", target, "h"), 2u) << target;
  }
  for (const char* target : {"/..;/admin", "/x/..;/admin", "/%2fadmin", "/x%2f..%2fadmin", "/..\\admin", "/%5cadmin",
                             "/../admin", "/admin%00", "/x/%252e%252e/admin%"}) {
    EXPECT_EQ(find(*good, "GET", target, "h"), 0u) << target;
  }
  EXPECT_EQ(find(*good, "GET", "/Admin", "h"), 1u);
  EXPECT_EQ(find(*good, "GET", "/a%20b%2bc", "h"), 3u);
}

TEST(Routes, AreRefusedWithTheirNumberAndWhatToDo) {
  RouteSpec redirect = route(9, "");
  redirect.action = RouteSpec::Action::redirect;
  redirect.redirect.status = 300;
  RouteSpec evil = redirect;
  evil.redirect = {.status = 301, .scheme = "", .host = "a\r\nb", .path = ""};
  RouteSpec scheme = redirect;
  scheme.redirect = {.status = 301, .scheme = "ftp", .host = "", .path = ""};
  RouteSpec answer = route(9, "");
  answer.action = RouteSpec::Action::answer;
  answer.status = 299;
  for (const RouteSpec& spec : std::vector<RouteSpec>{
           route(9, "a b"), route(9, "a:80"), route(9, "*"), route(9, "*.*.a"), route(9, "a.*"),
           route(9, "*.1.2.3.4.5.6.7.8.9"), route(9, "", Path::exact, "x"), route(9, "", Path::exact, "/a?b"),
           route(9, "", Path::exact, "/a;b"), route(9, "", Path::exact, "/.."), route(9, "", Path::exact, "/a%2fb"),
           route(9, "", Path::prefix, "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17"), route(9, "", Path::any, "", "G T"),
           route(9, "", Path::any, "", "", {{"a b", ""}}), redirect, evil, scheme, answer}) {
    const auto table = RouteTable::compile(std::vector{spec});
    ASSERT_FALSE(table) << spec.host << spec.path;
    EXPECT_TRUE(table.error().message.starts_with("route 9: ")) << table.error().message;
  }
  const auto twice =
      RouteTable::compile(std::vector{route(1, "a.test", Path::prefix, "/x"), route(2, "A.test", Path::prefix, "/x/")});
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().message, "route 2: is never reached: route 1 has the same conditions");
}

// Against a search through all routes with the documented order.
TEST(Routes, AgreeWithASlowSearch) {
  Rng rng(testing::seed());
  const std::vector<std::string> hosts{"", "a.test", "b.test", "*.test", "*.a.test", "x.a.test"};
  const std::vector<std::string> paths{"/", "/a", "/a/b", "/a/b/c", "/b"};
  for (unsigned round = 0; round < testing::rounds(200); ++round) {
    std::vector<RouteSpec> specs;
    for (std::uint32_t id = 1; id <= 12; ++id) {
      RouteSpec spec = route(id, hosts[rng.below(6)], static_cast<Path>(rng.below(3)), paths[1 + rng.below(4)],
                             rng.chance(0.3) ? "PUT" : "");
      if (rng.chance(0.3)) spec.headers = {{"X", rng.chance(0.5) ? "1" : ""}};
      const std::vector<RouteSpec> more{spec};
      specs.push_back(spec);
      if (!RouteTable::compile(specs)) specs.pop_back();
    }
    const auto table = RouteTable::compile(specs);
    for (int request = 0; request < 40; ++request) {
      const std::string& host = hosts[rng.below(3) == 0 ? 5 : 1 + rng.below(2)];
      const std::string& path = paths[rng.below(5)];
      const std::string method = rng.chance(0.5) ? "PUT" : "GET";
      const bool field = rng.chance(0.5);
      using Rank = std::array<std::size_t, 5>;
      std::uint32_t best = 0;
      Rank best_rank{};
      for (const RouteSpec& spec : specs) {
        const bool wild = spec.host.starts_with("*");
        if (!spec.host.empty() && (wild ? !host.ends_with(spec.host.substr(1)) : spec.host != host)) continue;
        if (spec.path_kind == Path::exact && spec.path != path) continue;
        if (spec.path_kind == Path::prefix && path != spec.path && !path.starts_with(spec.path + "/")) continue;
        if (!spec.method.empty() && spec.method != method) continue;
        if (!spec.headers.empty() && !field) continue;
        const std::size_t host_rank = spec.host.empty() ? 0 : wild ? spec.host.size() : 1000;
        const std::size_t path_rank = spec.path_kind == Path::any      ? 0
                                      : spec.path_kind == Path::prefix ? spec.path.size()
                                                                       : 1000;
        const Rank rank{host_rank, path_rank, spec.method.empty() ? 0u : 1u, spec.headers.size(), 1000 - spec.id};
        if (best == 0 || rank > best_rank) best = spec.id, best_rank = rank;
      }
      ASSERT_EQ(find(*table, method, path, host, field ? "X: 1\r\n" : ""), best) << method << path << host << field;
    }
  }
}

TEST(Location, IsBuiltOfValidatedPartsOnly) {
  std::array<char, 200> out;
  const auto location = [&](const Redirect& redirect, bool secure, std::string_view host, std::string_view path,
                            std::string_view query) {
    return std::string(out.data(), write_location(redirect, secure, host, path, query, out));
  };
  const Redirect https{.status = 301, .scheme = "https", .host = "", .path = ""};
  EXPECT_EQ(location(https, false, "a.test:80", "/p", "?q"), "https://a.test/p?q");
  EXPECT_EQ(location(https, true, "a.test:444", "/p", ""), "https://a.test:444/p");
  EXPECT_EQ(location(https, false, "", "/p", ""), "");
  EXPECT_EQ(location(https, false, "evil/..", "/p", ""), "");
  EXPECT_EQ(location(https, false, "a.test", "/\r\nSet-Cookie: x", ""), "");
  EXPECT_EQ(location(https, false, "a.test", "*", ""), "https://a.test/");
  EXPECT_EQ(location({.status = 302, .scheme = "", .host = "b.test:81", .path = "/x"}, false, "a.test", "/p", "?q"),
            "http://b.test:81/x");
  EXPECT_EQ(location(https, false, "a.test", std::string(300, '/'), ""), "");
}

}  // namespace
}  // namespace headgate::http
