#include "controlplane/monitor/proxy_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headgate::monitor {
namespace {

namespace dp = dataplane::v1;
using ::testing::HasSubstr;
using ::testing::Not;

void add(google::protobuf::RepeatedPtrField<dp::Count>* out, const char* name, std::uint64_t count,
         const char* meaning) {
  dp::Count* added = out->Add();
  added->set_name(name);
  added->set_count(count);
  added->set_meaning(meaning);
}

dp::StatsReply stats() {
  dp::StatsReply stats;
  stats.add_time_bound_us(100);
  stats.add_time_bound_us(2500);
  auto* service = stats.add_service();
  service->set_name("shop/v4");
  auto* sessions = service->mutable_sessions();
  sessions->set_waiting_now(2);
  sessions->set_connect_failures(3);
  sessions->set_connect_timeouts(4);
  for (const std::uint64_t count : {5u, 6u, 7u}) sessions->mutable_connect()->add_count(count);
  sessions->mutable_connect()->set_sum_us(1'500'000);
  *sessions->mutable_first_byte() = *sessions->mutable_total() = sessions->connect();
  auto* http = service->mutable_http();
  add(http->mutable_counter(), "requests", 9, "requests whose head was complete and sound");
  add(http->mutable_counter(), "bytes_up", 10, "bytes of requests' bodies");
  add(http->mutable_counter(), "bytes_down", 11, "bytes of responses' bodies");
  for (const std::uint64_t count : {1u, 0u, 6u, 0u, 1u, 1u}) http->add_response(count);
  add(http->mutable_end(), "complete", 6, "the response went to the client to its end");
  add(http->mutable_refused(), "bad_host", 1, "Host is not a name");
  add(http->mutable_backend_failure(), "bad_status", 1, "the status is not one");
  return stats;
}

std::string page_of(const dp::StatsReply& stats) {
  Page page;
  for (const auto& service : stats.service()) proxied_service(page, stats, service);
  for (const auto& worker : stats.worker()) tcp_engine(page, worker);
  return page.take();
}

TEST(ProxyMetrics, CountersOfAServiceHaveItsNameAndWhatTellsThemApart) {
  const std::string text = page_of(stats());
  for (const char* line : {R"(headgate_service_waiting{service="shop/v4"} 2)",
                           R"(headgate_service_connect_failures_total{service="shop/v4",reason="refused"} 3)",
                           R"(headgate_service_connect_failures_total{service="shop/v4",reason="timeout"} 4)",
                           R"(headgate_http_requests_total{service="shop/v4"} 9)",
                           R"(headgate_http_body_bytes_total{service="shop/v4",direction="in"} 10)",
                           R"(headgate_http_body_bytes_total{service="shop/v4",direction="out"} 11)",
                           R"(headgate_http_responses_total{service="shop/v4",code="none"} 1)",
                           R"(headgate_http_responses_total{service="shop/v4",code="2xx"} 6)",
                           R"(headgate_http_responses_total{service="shop/v4",code="5xx"} 1)",
                           R"(headgate_http_ended_total{service="shop/v4",how="complete"} 6)",
                           R"(headgate_http_refused_total{service="shop/v4",reason="bad_host"} 1)",
                           R"(headgate_http_bad_responses_total{service="shop/v4",reason="bad_status"} 1)",
                           "# HELP headgate_http_requests_total Requests whose head was complete and sound.\n"})
    EXPECT_THAT(text, HasSubstr(line));
}

TEST(ProxyMetrics, TimesAreHistogramsInSeconds) {
  const std::string text = page_of(stats());
  for (const char* line :
       {R"(headgate_service_connect_seconds_bucket{service="shop/v4",le="0.0001"} 5)",
        R"(headgate_service_connect_seconds_bucket{service="shop/v4",le="0.0025"} 11)",
        R"(headgate_service_connect_seconds_bucket{service="shop/v4",le="+Inf"} 18)",
        R"(headgate_service_connect_seconds_sum{service="shop/v4"} 1.5)",
        R"(headgate_service_connect_seconds_count{service="shop/v4"} 18)",
        "# TYPE headgate_service_first_byte_seconds histogram", "# TYPE headgate_service_duration_seconds histogram"})
    EXPECT_THAT(text, HasSubstr(line));
}

TEST(ProxyMetrics, AServiceThatIsForwardedHasNone) {
  dp::StatsReply forwarded;
  forwarded.add_service()->set_name("dns");
  EXPECT_EQ(page_of(forwarded), "");
}

TEST(ProxyMetrics, OneThatIsRelayedHasNoneOfHttp) {
  dp::StatsReply relayed = stats();
  relayed.mutable_service(0)->clear_http();
  EXPECT_THAT(page_of(relayed), HasSubstr("headgate_service_duration_seconds_count"));
  EXPECT_THAT(page_of(relayed), Not(HasSubstr("http")));
  EXPECT_THAT(page_of(relayed), Not(HasSubstr("first_byte"))) << "bytes are spliced, nobody sees the first";
}

TEST(ProxyMetrics, TheEngineSaysWhatItCountsByWorker) {
  dp::StatsReply engine;
  for (unsigned i = 0; i < 2; ++i) {
    auto* worker = engine.add_worker();
    worker->set_worker(i);
    worker->set_connections_max(i == 0 ? 0 : 1000);
    worker->set_tcp_memory(4096);
    add(worker->mutable_tcp(), "retransmitted", 7, "segments sent again");
    add(worker->mutable_tcp(), "drop_paws", 8, "old by its timestamp (PAWS)");
  }
  const std::string text = page_of(engine);
  for (const char* line :
       {R"(headgate_tcp_retransmitted_total{worker="1"} 7)",
        R"(headgate_tcp_unused_segments_total{worker="1",reason="paws"} 8)",
        R"(headgate_tcp_connections_max{worker="1"} 1000)", R"(headgate_tcp_memory_bytes{worker="1"} 4096)"})
    EXPECT_THAT(text, HasSubstr(line));
  EXPECT_THAT(text, Not(HasSubstr(R"(worker="0")"))) << "nothing is proxied there";
}

}  // namespace
}  // namespace headgate::monitor
