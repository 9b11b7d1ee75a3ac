#include "controlplane/app/route_view.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace headgate::app {
namespace {

std::string rows(const char* text) {
  dataplane::v1::Snapshot snapshot;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &snapshot));
  management::v1::HttpRoutesReply reply;
  describe_routes(snapshot, reply);
  std::string out;
  for (const auto& route : reply.route()) {
    out += route.service() + " " + route.name() + " [" + route.host() + "][" + route.path() + "][" + route.method();
    for (const auto& header : route.header()) out += "][" + header;
    out += "] " + route.action() + "\n";
  }
  return out;
}

TEST(RouteView, RoutesStandInTheOrderInWhichTheyAreTried) {
  EXPECT_EQ(rows(R"(
    pool { id: 1 name: "web/v4" } pool { id: 2 name: "api/v4" }
    service { id: 3 name: "dns" protocol: UDP pool_id: 1 }
    service { id: 4 name: "shop/v4" protocol: HTTP pool_id: 1 http {
      route { id: 1 name: "any" status: 403 }
      route { id: 2 name: "short" path_prefix: "/a" pool_id: 2 }
      route { id: 3 name: "long" path_prefix: "/a/b/" pool_id: 2 }
      route { id: 4 name: "exact" path: "/a" redirect { path: "/b" } }
      route { id: 5 name: "wild" host: "*.test" redirect { status: 302 scheme: "https" } }
      route { id: 6 name: "wilder" host: "*.a.test" redirect { host: "b.test" } }
      route { id: 7 name: "host" host: "a.test" }
      route { id: 8 name: "get" host: "a.test" method: "GET" }
      route { id: 9 name: "beta" host: "a.test" method: "GET" header { name: "X-Beta" } header { name: "A" value: "b" } }
    } })"),
            "shop/v4 beta [a.test][][GET][X-Beta][A: b] pool web/v4\n"
            "shop/v4 get [a.test][][GET] pool web/v4\n"
            "shop/v4 host [a.test][][] pool web/v4\n"
            "shop/v4 wilder [*.a.test][][] 301 to //b.test/PATH\n"
            "shop/v4 wild [*.test][][] 302 to https://HOST/PATH\n"
            "shop/v4 exact [][/a][] 301 to /b\n"
            "shop/v4 long [][/a/b/*][] pool api/v4\n"
            "shop/v4 short [][/a/*][] pool api/v4\n"
            "shop/v4 any [][][] 403\n"
            "shop/v4  [][][] pool web/v4\n");
}

}  // namespace
}  // namespace headgate::app
