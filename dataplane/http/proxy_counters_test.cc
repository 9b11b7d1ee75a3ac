// What sessions count of their service: what `show services` and Prometheus have.
#include <gtest/gtest.h>

#include "tests/sim/http_net.h"

namespace headgate::http {
namespace {

using sim::HttpBed;
using sim::HttpBedOptions;
using sim::HttpCounts;
using sim::HttpEnd;
using sim::ServedRequest;
using sim::ServerReply;

constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

std::uint64_t ended(const HttpCounts& counts, Termination termination) {
  return counts.terminations[static_cast<std::size_t>(termination)];
}

TEST(Counters, TimesAreThoseOfRequestsThatHadABackend) {
  HttpBed bed;
  bed.server(1).reply = [](const ServedRequest&) {
    ServerReply reply;
    reply.parts = {{30 * kMillisecond, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"}, {400 * kMillisecond, "cd"}};
    return reply;
  };
  HttpEnd& end = bed.open(kGet);
  bed.run(kSecond);
  bed.clients.say(end, "BAD\r\n\r\n");
  bed.run(kSecond);
  const HttpCounts counts = bed.counters();
  EXPECT_EQ(counts.requests, 1u);
  EXPECT_EQ(counts.responses[2], 1u);
  EXPECT_EQ(counts.responses[4], 1u);
  EXPECT_EQ(counts.connect_times, 1u);
  EXPECT_EQ(counts.first_byte_times, 1u) << "not the refusal's";
  EXPECT_EQ(counts.total_times, 1u);
  const auto& times = *bed.app->sessions.find(0);
  EXPECT_LT(times.connect.sum_us.read(), 30'000u);
  EXPECT_GE(times.first_byte.sum_us.read(), 30'000u);
  EXPECT_LT(times.first_byte.sum_us.read(), 100'000u);
  EXPECT_GE(times.total.sum_us.read(), 430'000u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Counters, ABackendThatRefusesOrResetsIsCountedOfItsService) {
  HttpBed bed;
  for (std::uint32_t i = 1; i <= 3; ++i) bed.app->dialer.of(i).port = 81;  // nobody listens
  bed.open(kGet);
  bed.run(kSecond);
  HttpCounts counts = bed.counters();
  EXPECT_EQ(counts.connect_failures, 3u);
  EXPECT_EQ(counts.connect_times, 0u);
  EXPECT_EQ(counts.unserved, 1u);
  EXPECT_EQ(ended(counts, Termination::connect_failed), 1u);
  for (std::uint32_t i = 1; i <= 3; ++i) bed.app->dialer.of(i).port = 80;
  for (std::uint32_t i = 1; i <= 3; ++i)
    bed.server(i).reply = [](const ServedRequest&) { return ServerReply("", ServerReply::Then::reset); };
  bed.open(kGet);
  bed.run(kSecond);
  counts = bed.counters();
  EXPECT_EQ(counts.backend_resets, 1u);
  EXPECT_EQ(counts.responses[5], 2u);
  EXPECT_EQ(counts.unserved, 1u) << "this one had its backend";
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Counters, AConnectionThatTheBoxItselfEndsIsNotTheBackendsFault) {
  HttpBed bed;
  bed.server(1).reply = [](const ServedRequest&) {
    ServerReply reply;
    reply.parts = {{3 * kSecond, "HTTP/1.1 204 No Content\r\n\r\n"}};
    return reply;
  };
  bed.open(kGet);
  bed.run(kSecond);
  // The backend's side; the client's is what an operator's `clear sessions` ends.
  const auto view = bed.app->proxy().session_at(0);
  ASSERT_TRUE(view);
  EXPECT_STREQ(view->stage, "relaying");
  EXPECT_EQ(view->method, "GET");
  EXPECT_EQ(view->target, "/x");
  EXPECT_EQ(view->requests, 1u);
  bed.proxy_host->engine().terminate(view->backend);
  bed.run(3 * kSecond);  // a host has a turn when something happens anywhere: here the server's answer, too late
  EXPECT_EQ(bed.counters().backend_resets, 0u);
  EXPECT_EQ(bed.app->dialer.of(1).resets, 0u);
  EXPECT_EQ(ended(bed.counters(), Termination::backend_closed), 1u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Counters, ClientsThatBreakOffAreCounted) {
  HttpBed bed;
  bed.server(1).reply = [](const ServedRequest&) {
    ServerReply reply;
    reply.parts = {{10 * kSecond, "HTTP/1.1 204 No Content\r\n\r\n"}};
    return reply;
  };
  HttpEnd& end = bed.open(kGet);
  bed.run(kSecond);
  bed.clients.abort(end);
  bed.run(kSecond);
  EXPECT_EQ(bed.counters().client_resets, 1u);
  EXPECT_EQ(bed.counters().responses[0], 1u);
  EXPECT_EQ(ended(bed.counters(), Termination::client_closed), 1u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Counters, UnusedConnectionsThatTheBoxEndsAreForgotten) {
  HttpBed bed;
  for (int i = 0; i < 3; ++i) bed.open(kGet);
  bed.run(kSecond);
  ASSERT_EQ(bed.counters().idle_links_now, 3u);
  const auto each_unused = [&](auto visit) {
    for (std::uint32_t i = 0; i < bed.app->proxy().links_touched(); ++i) {
      if (const auto view = bed.app->proxy().unused_link_at(i)) visit(*view);
    }
  };
  each_unused([&](const SessionView& view) { bed.proxy_host->engine().terminate(view.backend); });
  bed.open(kGet);
  bed.run(kSecond);
  EXPECT_EQ(bed.counters().idle_links_now, 1u) << "of the last request";
  unsigned shown = 0;
  each_unused([&](const SessionView&) { ++shown; });
  EXPECT_EQ(shown, 1u);
  EXPECT_EQ(bed.leaks(), "");
}

}  // namespace
}  // namespace headgate::http
