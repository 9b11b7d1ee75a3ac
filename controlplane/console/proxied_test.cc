// What an operator sees of services whose connections end in the box.
#include "controlplane/console/proxied.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace headgate::console {
namespace {

namespace mg = management::v1;
using ::testing::HasSubstr;
using ::testing::Not;

void add(google::protobuf::RepeatedPtrField<pb::Count>* out, const char* name, std::uint64_t count,
         const char* meaning) {
  pb::Count* added = out->Add();
  added->set_name(name);
  added->set_count(count);
  added->set_meaning(meaning);
}

void set(pb::TimeHistogram* times, const std::vector<std::uint64_t>& counts, std::uint64_t sum_us) {
  times->mutable_count()->Assign(counts.begin(), counts.end());
  times->set_sum_us(sum_us);
}

pb::ServiceStats stats() {
  pb::ServiceStats stats;
  stats.set_name("shop/v4");
  stats.mutable_traffic()->set_flows_total(12'345'678);
  stats.mutable_sessions()->set_client_resets(3);
  set(stats.mutable_sessions()->mutable_connect(), {90, 9, 1}, 25'000);
  set(stats.mutable_sessions()->mutable_first_byte(), {1, 0, 0}, 100);
  set(stats.mutable_sessions()->mutable_total(), {5, 94, 1}, 250'000);
  auto* http = stats.mutable_http();
  add(http->mutable_counter(), "requests", 12'345'678, "requests whose head was complete and sound");
  add(http->mutable_counter(), "reuses", 12'345'000, "requests on a backend connection that had served before");
  add(http->mutable_counter(), "retries", 77, "requests tried again, with another backend or on a fresh connection");
  add(http->mutable_counter(), "shed", 0, "requests given up: memory was short");
  for (const std::uint64_t count : {0u, 0u, 12'345'600u, 70u, 7u, 1u}) http->add_response(count);
  add(http->mutable_refused(), "bad_host", 7,
      "Host, or the host of the target, is not a name or address with an optional port");
  return stats;
}

std::size_t widest(const std::string& text) {
  std::istringstream lines(text);
  std::size_t most = 0;
  for (std::string line; std::getline(lines, line);) most = std::max(most, line.size());
  return most;
}

constexpr Look kTerminal{.width = 80};

TEST(Proxied, APercentileIsTheBoundThatItDidNotExceed) {
  pb::StatsReply reply;
  for (const std::uint32_t bound : {100u, 2'500u}) reply.add_time_bound_us(bound);
  const pb::ServiceStats service = stats();
  const pb::TimeHistogram& times = service.sessions().connect();
  EXPECT_EQ(within(times, reply.time_bound_us(), 0.5), "100us");
  EXPECT_EQ(within(times, reply.time_bound_us(), 0.9), "100us");
  EXPECT_EQ(within(times, reply.time_bound_us(), 0.99), "2.5ms");
  EXPECT_EQ(within(times, reply.time_bound_us(), 1), ">2.5ms");
  EXPECT_EQ(within({}, reply.time_bound_us(), 0.5), "-");
}

TEST(Proxied, AServiceSaysAllThatWasCountedAndFitsATerminal) {
  mg::ServicesReply reply;
  for (const std::uint32_t bound : {100u, 2'500u}) reply.add_time_bound_us(bound);
  auto* service = reply.add_service();
  service->set_name("shop/v4");
  service->set_address("192.0.2.100:8080");
  service->set_protocol("http");
  service->set_mode("proxy");
  service->set_pool("web/v4");
  service->set_routes(3);
  *service->mutable_stats() = stats();
  const std::string text = service_text(*service, reply, kTerminal);
  EXPECT_LE(widest(text), 80u) << text;
  for (const char* part : {"http, mode proxy, pool web/v4, 3 routes", "connect", "first byte", "client_resets",
                           "requests ", "refused: bad_host", "4xx"})
    EXPECT_THAT(text, HasSubstr(part));
  EXPECT_THAT(text, Not(HasSubstr("shed"))) << "what never happened is not said";
  service->clear_stats();
  EXPECT_THAT(service_text(*service, reply, kTerminal), HasSubstr("the dataplane is away"));
}

TEST(Proxied, HttpServicesAreARowEachWithin80Characters) {
  pb::StatsReply reply;
  for (const std::uint32_t bound : {100u, 2'500u}) reply.add_time_bound_us(bound);
  *reply.add_service() = stats();
  reply.add_service()->set_name("dns");
  const std::string text = http_table(reply).text(kTerminal);
  EXPECT_LE(widest(text), 80u) << text;
  EXPECT_THAT(text, HasSubstr("12.3M"));
  EXPECT_THAT(text, HasSubstr("2.5ms"));
  EXPECT_THAT(text, Not(HasSubstr("dns"))) << "it is no HTTP service";
}

TEST(Proxied, RoutesSayWhatTheyTakeAndWhatTheyDo) {
  mg::HttpRoutesReply reply;
  auto* route = reply.add_route();
  route->set_service("shop/v4");
  route->set_name("api");
  route->set_host("api.example.com");
  route->set_path("/v1/*");
  route->set_action("pool api/v4");
  route->add_header("X-Beta");
  auto* rest = reply.add_route();
  rest->set_service("shop/v4");
  rest->set_action("pool web/v4");
  const std::string text = routes_table(reply).text(kTerminal);
  EXPECT_LE(widest(text), 80u) << text;
  EXPECT_THAT(text, HasSubstr("shop/v4  api         api.example.com  /v1/*  pool api/v4  any     X-Beta"));
  EXPECT_THAT(text, HasSubstr("shop/v4  (the rest)  any              any    pool web/v4"));
}

TEST(Proxied, TheEngineIsTheSumOfItsWorkers) {
  pb::StatsReply reply;
  for (unsigned i = 0; i < 2; ++i) {
    auto* worker = reply.add_worker();
    worker->set_connections_now(10 + i);
    worker->set_connections_max(100);
    add(worker->mutable_tcp(), "retransmitted", 3, "segments sent again");
    add(worker->mutable_tcp(), "keepalives", 0, "keepalive probes");
  }
  const std::string text = tcp_text(reply, kTerminal);
  EXPECT_LE(widest(text), 80u) << text;
  EXPECT_THAT(text, HasSubstr("21 of 200"));
  EXPECT_THAT(text, HasSubstr("retransmitted      6  segments sent again"));
  EXPECT_THAT(text, Not(HasSubstr("keepalives")));
}

}  // namespace
}  // namespace headgate::console
