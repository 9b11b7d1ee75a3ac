#include "controlplane/monitor/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <map>
#include <set>
#include <sstream>

#include "controlplane/monitor/exporter.h"

namespace headgate::monitor {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Sample sample() {
  Sample s;
  s.system.set_version("0.1.0");
  s.system.mutable_revision()->set_number(12);
  s.system.set_dataplane_connected(true);
  s.system.set_in_sync(true);
  auto* backend = s.backends.add_backend();
  backend->set_pool("we\"b\\\n");
  backend->set_name("web1");
  backend->set_up(true);
  backend->set_probed(true);
  backend->set_last_probe_s(1);
  backend->set_latency_us(1500);
  s.stats.emplace();
  for (const char* name : {"a", "b"}) {
    auto* service = s.stats->add_service();
    service->set_name(name);
    service->mutable_traffic()->set_packets_in(18446744073709551615u);
    auto* drop = service->add_drop();
    drop->set_reason("no_backend");
    drop->set_packets(3);
  }
  auto* what = s.services.add_service();
  what->set_name("a");
  what->set_address("[2001:db8::1]:8080");
  what->set_protocol("http");
  what->set_mode("proxy");
  what->set_pool("web/v6");
  s.failover.set_side("A");
  s.failover.set_pair(true);
  s.failover.set_epoch(7);
  for (const char* name : {"main", "second"}) {
    auto* group = s.failover.add_group();
    group->set_name(name);
    group->mutable_state()->set_role(dataplane::v1::ROLE_ACTIVE);
    group->mutable_state()->set_lease_gaps(2);
    auto* router = group->mutable_state()->add_router();
    router->set_interface("front");
    auto* oddity = router->add_oddity();
    oddity->set_reason("bad_checksum");
    oddity->set_adverts(4);
  }
  s.stats->add_worker()->set_busy_share(0.25);
  s.stats->add_port()->set_name("front");
  return s;
}

// The rules of the format: HELP and TYPE once before a family's samples, which stand together.
TEST(Metrics, FamiliesAreWholeAndSaidOnce) {
  std::istringstream lines(render(sample()));
  std::set<std::string> done;
  std::string line, family, type;
  unsigned samples = 0;
  while (std::getline(lines, line)) {
    ASSERT_FALSE(line.empty());
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(done.insert(family).second) << family << " twice";
      EXPECT_TRUE(family.starts_with("headgate_"));
    } else if (line.starts_with("# TYPE ")) {
      EXPECT_EQ(line.substr(7, family.size()), family);
      type = line.substr(line.rfind(' ') + 1);
      EXPECT_EQ(type == "counter", family.ends_with("_total")) << line;
    } else {
      std::string name = line.substr(0, line.find_first_of("{ "));
      for (const std::string suffix : {"_bucket", "_sum", "_count"}) {
        if (type == "histogram" && name == family + suffix) name = family;
      }
      EXPECT_EQ(name, family) << line;
      ++samples;
    }
  }
  EXPECT_GT(samples, 35u);
}

TEST(Metrics, LabelsAreEscapedAndNumbersExact) {
  const std::string text = render(sample());
  EXPECT_THAT(text, HasSubstr(R"(headgate_backend_up{pool="we\"b\\\n",backend="web1"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(headgate_service_packets_total{service="a",direction="in"} 18446744073709551615)"));
  EXPECT_THAT(text, HasSubstr(R"(headgate_service_refused_total{service="b",reason="no_backend"} 3)"));
  EXPECT_THAT(text,
              HasSubstr("headgate_backend_probe_latency_seconds{pool=\"we\\\"b\\\\\\n\",backend=\"web1\"} 0.0015"));
  EXPECT_THAT(text, HasSubstr("headgate_worker_busy_ratio{worker=\"0\"} 0.25\n"));
}

TEST(Metrics, WithoutADataplaneWhatTheControlPlaneKnowsRemains) {
  Sample s = sample();
  s.stats.reset();
  EXPECT_THAT(render(s), HasSubstr("headgate_config_revision 12\n"));
  EXPECT_THAT(render(s), HasSubstr("headgate_service_info{service=\"a\",address=\"[2001:db8::1]:8080\",protocol="
                                   "\"http\",mode=\"proxy\",pool=\"web/v6\"} 1\n"));
  EXPECT_THAT(render(s), Not(HasSubstr("headgate_service_packets")));
}

TEST(Exporter, ServesMetricsAndReadiness) {
  bool in_sync = true;
  const auto exporter = Exporter::start("127.0.0.1:0", [&](Sample& s) {
    s = sample();
    s.system.set_in_sync(in_sync);
    if (!in_sync) s.system.add_problem("the dataplane does not run the newest configuration yet");
    return true;
  });
  ASSERT_TRUE(exporter) << exporter.error().message;
  httplib::Client client("127.0.0.1", (*exporter)->port());
  const auto metrics = client.Get("/metrics");
  ASSERT_TRUE(metrics);
  EXPECT_EQ(metrics->status, 200);
  EXPECT_THAT(metrics->body, HasSubstr("headgate_info{version=\"0.1.0\"} 1"));
  EXPECT_EQ(client.Get("/healthz")->status, 200);
  EXPECT_EQ(client.Get("/readyz")->status, 200);
  in_sync = false;
  const auto readiness = client.Get("/readyz");
  EXPECT_EQ(readiness->status, 503);
  EXPECT_THAT(readiness->body, HasSubstr("newest configuration"));
  EXPECT_EQ(client.Get("/nothing")->status, 404);
}

TEST(Exporter, RefusesWhatIsNoPlaceToListen) {
  for (const char* where : {"9101", "127.0.0.1:", "127.0.0.1:70000", ":9101", "127.0.0.1:9x"})
    EXPECT_FALSE(Exporter::start(where, {})) << where;
}

TEST(Metrics, GroupsSayTheirRoleAndWhatWasOdd) {
  const std::string text = render(sample());
  for (const char* line : {"headgate_failover_epoch 7\n", "headgate_group_class{group=\"main\"} 0\n",
                           "headgate_group_transitions_total{group=\"main\"} 0\n",
                           "headgate_group_role{group=\"main\",role=\"active\"} 1\n",
                           "headgate_group_role{group=\"main\",role=\"backup\"} 0\n",
                           "headgate_group_lease_gaps_total{group=\"second\"} 2\n", "headgate_failover_peer_up 0\n"})
    EXPECT_THAT(text, HasSubstr(line));
  const std::string odd =
      R"(headgate_router_odd_adverts_total{group="main",interface="front",family="ipv4",reason="bad_checksum"} 4)";
  EXPECT_THAT(text, HasSubstr(odd + "\n"));
  EXPECT_THAT(render({}), Not(HasSubstr("failover"))) << "a box without failover says nothing of it";
}

}  // namespace
}  // namespace headgate::monitor
