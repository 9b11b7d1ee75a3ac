// The cases of dataplane/http's tests (parts_test, route_test, path_test, rewrite_test): what it refuses is refused
// here.
#include "controlplane/config/http_text.h"

#include <gtest/gtest.h>

#include <vector>

namespace headgate::config {
namespace {

using Rule = v1::Http::HeaderRule;

TEST(HttpText, AuthorityIsANameOrAddressWithAnOptionalPort) {
  struct Row {
    const char *text, *host;
    unsigned port;
  };
  for (const Row& row :
       {Row{"a", "a", 0}, Row{"A.Test", "a.test", 0}, Row{"a.test.", "a.test", 0}, Row{"a.test:8080", "a.test", 8080},
        Row{"a_b-c.test:1", "a_b-c.test", 1}, Row{"192.0.2.1:80", "192.0.2.1", 80},
        Row{"[2001:DB8::1]", "[2001:db8::1]", 0}, Row{"[2001:db8::1]:65535", "[2001:db8::1]", 65535}}) {
    const auto authority = parse_http_authority(row.text);
    ASSERT_TRUE(authority) << row.text;
    EXPECT_EQ(authority->host, row.host);
    EXPECT_EQ(authority->port, row.port);
  }
  for (const char* text :
       {"",       ".",      "a..b",      ".a",      "a b",     "a,b",    "a/b",      "a@b",  "a%41",
        "a:",     "a:0",    "a:65536",   "a:8o",    "a:80:80", "a:+80",  "a:000080", "[::1", "::1",
        "[::1]x", "[::1]:", "[1.2.3.4]", "[::1%1]", "[]",      "a\r\nb", "a\tb",     "a?",   "\xc3\xa4"}) {
    EXPECT_FALSE(parse_http_authority(text)) << text;
  }
  EXPECT_TRUE(parse_http_authority(std::string(kHttpHostMax, 'a')));
  EXPECT_FALSE(parse_http_authority(std::string(kHttpHostMax + 1, 'a')));
}

TEST(HttpText, ARoutesHostIsANameOrAllBelowOne) {
  EXPECT_EQ(normal_route_host("A.Test."), "a.test");
  EXPECT_EQ(normal_route_host("*.A.Test"), ".a.test");
  EXPECT_EQ(normal_route_host("[2001:DB8::1]"), "[2001:db8::1]");
  EXPECT_EQ(normal_route_host("*.1.2.3.4.5.6.7.8"), ".1.2.3.4.5.6.7.8");
  for (const char* host : {"", "a b", "a:80", "*", "*.", "*.*.a", "a.*", "*a.test", "*.1.2.3.4.5.6.7.8.9", "*.[::1]"}) {
    EXPECT_FALSE(normal_route_host(host)) << host;
  }
}

TEST(HttpText, ARoutesPathHasOneNormalForm) {
  struct Row {
    const char *path, *match;
  };
  for (const Row& row : {Row{"/", "/"},
                         Row{"/a/b.c", "/a/b.c"},
                         Row{"//", "/"},
                         Row{"/a//b", "/a/b"},
                         Row{"//a///b//", "/a/b/"},
                         Row{"/.", "/"},
                         Row{"/./a", "/a"},
                         Row{"/a/.", "/a/"},
                         Row{"/a/..", "/"},
                         Row{"/a/b/..", "/a/"},
                         Row{"/a/../b", "/b"},
                         Row{"/a//../b", "/b"},
                         Row{"/a/b/../../c", "/c"},
                         Row{"/.a/..b/c.", "/.a/..b/c."},
                         Row{"/...", "/..."},
                         Row{"/%61%2D%7e", "/a-~"},
                         Row{"/a/%2e%2e/b", "/b"},
                         Row{"/a/.%2E/b", "/b"},
                         Row{"/%c3%a4", "/\xc3\xa4"},
                         Row{"/a%20b%3f", "/a b?"},
                         Row{"/a%252e", "/a%2e"},
                         Row{"/a%3bx/b", "/a;x/b"},
                         Row{"/a+b", "/a+b"},
                         Row{"/a%2bb", "/a+b"}}) {
    EXPECT_EQ(normal_route_path(row.path, HttpPath::exact), row.match) << row.path;
  }
  for (const char* path : {"",      "x",   "/a?b", "/a;b",     "/a b",      "/a#b",    "/\xc3\xa4", "/a\r\n",
                           "/%",    "/%1", "/%1/", "/%zz",     "/%u002f",   "/%00",    "/a%2fb",    "/a%5Cb",
                           "/a\\b", "/..", "/../", "/a/../..", "/%2e%2e/a", "/./..//a"}) {
    EXPECT_FALSE(normal_route_path(path, HttpPath::exact)) << path;
    EXPECT_FALSE(normal_route_path(path, HttpPath::prefix)) << path;
  }
}

TEST(HttpText, APrefixEndsAtASegment) {
  EXPECT_EQ(normal_route_path("/api/", HttpPath::prefix), "/api");
  EXPECT_EQ(normal_route_path("/api", HttpPath::prefix), "/api");
  EXPECT_EQ(normal_route_path("/", HttpPath::prefix), "");
  EXPECT_TRUE(normal_route_path("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", HttpPath::prefix));
  EXPECT_FALSE(normal_route_path("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", HttpPath::prefix));
  EXPECT_TRUE(normal_route_path("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", HttpPath::exact));
  EXPECT_FALSE(normal_route_path("/" + std::string(kHttpTextMax, 'a'), HttpPath::exact));
}

TEST(HttpText, ARedirectLeadsToAPathWithItsQuery) {
  EXPECT_FALSE(redirect_path_problem("/a?b=c;d"));
  for (const char* path : {"", "a", "/a b", "/a\r\nX: y", "/a#b", "//\x7f"}) {
    EXPECT_TRUE(redirect_path_problem(path)) << path;
  }
}

Rule rule(Rule::Action action, const std::string& name, const std::string& value = {}) {
  Rule made;
  made.set_action(action);
  made.set_name(name);
  made.set_value(value);
  return made;
}

TEST(HttpText, RulesMayNotTouchWhatFramesMessagesOrTellsWhoTheClientIs) {
  for (const Rule& refused :
       {rule(Rule::SET, "Content-Length", "5"), rule(Rule::REMOVE, "Transfer-Encoding"), rule(Rule::ADD, "Connection"),
        rule(Rule::SET, "keep-alive"), rule(Rule::SET, "TE"), rule(Rule::SET, "Trailer"), rule(Rule::SET, "Upgrade"),
        rule(Rule::SET, "Expect"), rule(Rule::SET, "HTTP2-Settings"), rule(Rule::SET, "Max-Forwards"),
        rule(Rule::SET, "Proxy-Connection"), rule(Rule::SET, "Via"), rule(Rule::SET, "Forwarded"),
        rule(Rule::SET, "X-Forwarded-For", "1"), rule(Rule::REMOVE, "x-forwarded-proto"),
        rule(Rule::SET, "X-Forwarded-Port"), rule(Rule::SET, "X-Forwarded-Host"), rule(Rule::REMOVE, "host"),
        rule(Rule::ADD, "Host", "a")}) {
    EXPECT_TRUE(header_name_problem(refused)) << refused.name();
  }
  for (const Rule& good : {rule(Rule::SET, "Host", "a"), rule(Rule::SET, "X-Real-IP", "${client_ip}"),
                           rule(Rule::REMOVE, "Server"), rule(Rule::ADD, "Set-Cookie", "a=b")}) {
    EXPECT_FALSE(header_name_problem(good)) << good.name();
  }
}

TEST(HttpText, AValueHasNoControlBytesAndVariablesThatExist) {
  for (const char* value : {"", "a b\tc", "$", "${client_ip}:${client_port} at ${service_ip}", "{host}", "$host",
                            "${scheme}://${host}${path}#${request_id} ${method} ${service_port}", "\xc3\xa4"}) {
    EXPECT_FALSE(header_value_problem(value)) << value;
  }
  for (const char* value : {"x\r\nB: c", "\x7f", "\n", "${nobody}", "${host", "${}", "${host}${", "${HOST}"}) {
    EXPECT_TRUE(header_value_problem(value)) << value;
  }
  EXPECT_TRUE(header_value_problem(std::string("a\0b", 3)));
  EXPECT_EQ(header_value_problem("${nobody}")->action,
            "possible are client_ip, client_port, service_ip, service_port, scheme, host, method, path, request_id");
}

TEST(HttpText, ANameIsAToken) {
  for (const char* name : {"A", "X-Real-IP", "a!#$%&'*+-.^_`|~9"}) EXPECT_TRUE(is_http_token(name)) << name;
  for (const char* name : {"", "A b", "A:", "A\r", "(a)", "\xc3\xa4", "a@b"}) EXPECT_FALSE(is_http_token(name)) << name;
}

}  // namespace
}  // namespace headgate::config
