// Sessions when something goes wrong: requests that are refused, backends that are away, slow, broken or hostile,
// clients that leave or do not read, pools that are full.
#include <gtest/gtest.h>

#include "tests/sim/http_net.h"

namespace headgate::http {
namespace {

using sim::HttpBed;
using sim::HttpBedOptions;
using sim::HttpEnd;
using sim::response;
using sim::ServedRequest;
using sim::ServerReply;
using Then = sim::ServerReply::Then;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
constexpr std::string_view kPost = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc";

std::string_view body_of(std::string_view message) {
  const std::size_t end = message.find("\r\n\r\n");
  return end == std::string_view::npos ? std::string_view() : message.substr(end + 4);
}
bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}
void set_reply(HttpBed& bed, const std::function<ServerReply(const ServedRequest&)>& reply) {
  for (auto& server : bed.servers) server.reply = reply;
}
void set_reply(HttpBed& bed, const ServerReply& reply) {
  set_reply(bed, [reply](const ServedRequest&) { return reply; });
}
ServerReply after(Nanos delay, std::string text, Then then = Then::keep) {
  ServerReply reply(std::move(text), then);
  reply.parts[0].after = delay;
  return reply;
}
ServerReply never() {
  return {};
}
std::uint64_t ended(HttpBed& bed, Termination termination) {
  return bed.counters().terminations[static_cast<std::size_t>(termination)];
}
// Nobody listens on this port of the backends.
void refuse_connections(HttpBed& bed, std::uint32_t backend) {
  bed.app->dialer.of(backend).port = 81;
}
// Packets to this address get lost.
void lose_packets(HttpBed& bed, std::uint32_t backend) {
  bed.app->dialer.of(backend).address = IpAddress::from_v4(0x0a0000c8u + backend);
}

// -- requests that are refused

TEST(Refused, EachWithItsStatusAndNothingReachesABackend) {
  const struct {
    const char* name;
    std::string text;
    const char* status;
  } rows[] = {
      {"a bad request line", "GET /\r\n\r\n", "400"},
      {"no Host", "GET / HTTP/1.1\r\n\r\n", "400"},
      {"both framings",
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
      {"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "501"},
      {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
      {"an encoded slash", "GET /a%2f.. HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"a path above the root", "GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"a head without end", "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(30'000, 'x'), "431"},
      {"a target without end", "GET /" + std::string(30'000, 'x'), "414"},
      {"TLS", std::string("\x16\x03\x01\x02\xff\x01\xfc\x03\x03"), "400"},
  };
  for (const auto& row : rows) {
    HttpBed bed;
    HttpEnd& end = bed.open(row.text);
    bed.run(kSecond);
    EXPECT_TRUE(end.heard.starts_with("HTTP/1.1 " + std::string(row.status))) << row.name << ": " << end.heard;
    EXPECT_TRUE(has(end.heard, "Connection: close")) << row.name;
    EXPECT_TRUE(end.fin && !end.reset) << row.name;
    EXPECT_EQ(bed.counters().dials, 0u) << row.name;
    EXPECT_EQ(ended(bed, Termination::refused), 1u) << row.name;
    EXPECT_EQ(bed.leaks(), "") << row.name;
  }
}

TEST(Refused, AClientThatGoesOnSendingStillGetsTheAnswer) {
  HttpBed bed;
  HttpEnd& end = bed.open("BAD\r\n" + std::string(2'000'000, 'x'));
  bed.run(4 * kSecond);
  EXPECT_TRUE(end.heard.starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(end.fin && !end.reset);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Refused, ButNotForEver) {
  HttpBed bed;
  HttpEnd& end = bed.open("BAD\r\n" + std::string(8'000'000, 'x'));
  bed.run(60 * kSecond);
  EXPECT_TRUE(end.reset);
  EXPECT_EQ(bed.counters().sessions_now, 0u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Refused, TheRequestBeforeItIsAnswered) {
  HttpBed bed;
  HttpEnd& end = bed.open(std::string(kGet) + "BAD\r\n\r\n" + std::string(kGet));
  bed.run(kSecond);
  EXPECT_TRUE(end.heard.starts_with("HTTP/1.1 200 OK"));
  EXPECT_TRUE(has(end.heard, "backend-1HTTP/1.1 400 "));
  EXPECT_EQ(bed.served(), 1u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Refused, ABadChunkEndsTheBackendConnectionToo) {
  HttpBed bed;
  HttpEnd& end = bed.open("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  bed.run(kSecond);
  bed.clients.say(end, "zz\r\n");
  bed.run(kSecond);
  EXPECT_TRUE(end.heard.starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(bed.server(1).ends()[0].reset);
  EXPECT_EQ(bed.served(), 0u);
  EXPECT_EQ(bed.counters().idle_links_now, 0u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Refused, AHeadThatIsCutShortIsAnsweredWhenItsSenderCanStillRead) {
  HttpBed bed;
  HttpEnd& end = bed.open("GET / HTTP/1.1\r\nHo");
  bed.clients.shut(end);
  bed.run(kSecond);
  EXPECT_TRUE(end.heard.starts_with("HTTP/1.1 400 "));
  EXPECT_EQ(bed.counters().refusals[static_cast<int>(Reason::truncated)], 1u);
  EXPECT_EQ(bed.leaks(), "");
}

// -- time

TEST(Times, ARequestHeadHasSoLongHoweverItTrickles) {
  HttpBed bed;
  HttpEnd& end = bed.open("GET / HTTP/1.1\r\n");
  for (int i = 0; i < 9; ++i) {
    bed.run(kSecond);
    bed.clients.say(end, "X: y\r\n");
  }
  EXPECT_EQ(end.heard, "");
  bed.run(2 * kSecond);
  EXPECT_TRUE(end.heard.starts_with("HTTP/1.1 408 ")) << end.heard;
  EXPECT_TRUE(end.fin && !end.reset);
  EXPECT_EQ(bed.counters().head_timeouts, 1u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Times, AConnectionThatSaysNothingIsClosed) {
  HttpBed bed;
  HttpEnd& silent = bed.open();
  HttpEnd& idle = bed.open(kGet);
  bed.run(9 * kSecond);
  EXPECT_FALSE(silent.over());
  bed.run(3 * kSecond);
  EXPECT_TRUE(silent.fin);
  EXPECT_EQ(silent.heard, "");
  EXPECT_FALSE(idle.over());
  bed.run(120 * kSecond);
  EXPECT_TRUE(idle.fin && !idle.reset);
  EXPECT_EQ(bed.counters().keepalive_timeouts, 1u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Times, ABackendThatSaysNothingIs504) {
  HttpBedOptions options;
  options.spec.http.response_timeout = 20 * kSecond;
  HttpBed bed(options);
  set_reply(bed, never());
  HttpEnd& end = bed.open(kPost);
  HttpEnd& again = bed.open(std::string(kGet));
  bed.run(19 * kSecond);
  EXPECT_EQ(end.heard, "");
  bed.run(2 * kSecond);
  EXPECT_TRUE(end.heard.starts_with("HTTP/1.1 504 "));
  EXPECT_TRUE(end.fin);        // it had a body: whether all of it was read is not worth a thought
  EXPECT_FALSE(again.over());  // this one had none
  EXPECT_TRUE(bed.server(1).ends()[0].reset);
  EXPECT_EQ(bed.counters().response_timeouts, 2u);
  EXPECT_EQ(bed.lines()[0].termination, Termination::backend_timeout);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Times, ABackendThatStopsInTheMiddleIsAResetAndNotAShortBody) {
  HttpBedOptions options;
  options.spec.http.response_timeout = 20 * kSecond;
  HttpBed bed(options);
  set_reply(bed, ServerReply("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"));
  HttpEnd& end = bed.open(kGet);
  bed.run(30 * kSecond);
  EXPECT_EQ(body_of(end.heard), "abc");
  EXPECT_TRUE(end.reset && !end.fin);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Times, AClientThatStopsInItsBodyIs408) {
  HttpBedOptions options;
  options.spec.http.response_timeout = 20 * kSecond;
  HttpBed bed(options);
  HttpEnd& end = bed.open("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  bed.run(30 * kSecond);
  EXPECT_TRUE(end.heard.starts_with("HTTP/1.1 408 ")) << end.heard;
  EXPECT_TRUE(bed.server(1).ends()[0].reset);
  EXPECT_EQ(bed.lines()[0].termination, Termination::client_timeout);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Times, AClientThatDoesNotReadIsReset) {
  HttpBedOptions options;
  options.spec.http.response_timeout = 20 * kSecond;
  options.engine.profiles[0].send_buffer = 64 * 1024;
  options.peers.receive_buffer = 32 * 1024;
  HttpBed bed(options);
  set_reply(bed, ServerReply(response(std::string(1'000'000, 'x'))));
  HttpEnd& end = bed.open(kGet);
  end.reads = false;
  bed.run(90 * kSecond);
  EXPECT_TRUE(end.reset);
  EXPECT_EQ(bed.counters().client_stalls, 1u);
  EXPECT_EQ(bed.lines()[0].termination, Termination::client_stalled);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Times, AClientThatReadsSlowlyIsNot) {
  HttpBedOptions options;
  options.spec.http.response_timeout = 5 * kSecond;
  options.spec.http.keepalive_timeout = 5 * kSecond;
  options.engine.profiles[0].send_buffer = 64 * 1024;
  options.peers.receive_buffer = 8 * 1024;
  HttpBed bed(options);
  set_reply(bed, ServerReply(response(std::string(200'000, 'x'))));
  HttpEnd& end = bed.open(kGet);
  end.reads = false;
  for (int i = 0; i < 120 && !end.over(); ++i) {  // 4 KB in 2 s: the proxy's buffer alone takes half a minute
    bed.run(2 * kSecond);
    end.reads = true;
    end.heard_at_once = 4096;
    bed.clients.data(end.id);
    end.reads = false;
  }
  EXPECT_EQ(body_of(end.heard).size(), 200'000u);
  EXPECT_FALSE(end.reset);
  EXPECT_EQ(bed.leaks(), "");
}

// -- connecting

TEST(Connecting, TheNextBackendTakesWhatOneRefused) {
  HttpBed bed;
  refuse_connections(bed, 1);
  lose_packets(bed, 2);
  HttpEnd& end = bed.open(kPost);
  bed.run(10 * kSecond);
  EXPECT_EQ(body_of(end.heard), "backend-3");
  EXPECT_EQ(bed.server(3).served[0].body, "abc");
  EXPECT_EQ(bed.counters().retries, 2u);
  EXPECT_EQ(bed.counters().connect_timeouts, 1u);
  EXPECT_EQ(bed.app->dialer.of(1).failures, 1u);
  EXPECT_EQ(bed.app->dialer.of(2).failures, 1u);
  EXPECT_EQ(bed.lines()[0].retries, 2u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Connecting, AfterSoManyAttemptsItIsGivenUp) {
  for (const bool silent : {false, true}) {
    HttpBedOptions options;
    options.spec.proxy.connect_attempts = 2;
    HttpBed bed(options);
    for (std::uint32_t i = 1; i <= 3; ++i) silent ? lose_packets(bed, i) : refuse_connections(bed, i);
    HttpEnd& end = bed.open(kGet);
    bed.run(20 * kSecond);
    EXPECT_TRUE(end.heard.starts_with(silent ? "HTTP/1.1 504 " : "HTTP/1.1 502 ")) << end.heard;
    EXPECT_EQ(bed.counters().dials, 2u);
    EXPECT_EQ(bed.lines()[0].termination, Termination::connect_failed);
    EXPECT_FALSE(end.over());
    EXPECT_EQ(bed.leaks(), "");
  }
}

TEST(Connecting, NobodyToConnectToIs503) {
  HttpBed bed;
  for (std::uint32_t i = 1; i <= 3; ++i) bed.app->dialer.of(i).up = false;
  HttpEnd& end = bed.open(std::string(kGet) + std::string(kPost));
  bed.run(kSecond);
  EXPECT_TRUE(end.heard.starts_with("HTTP/1.1 503 "));
  EXPECT_EQ(ended(bed, Termination::no_backend), 2u);
  EXPECT_TRUE(end.fin && !end.reset);
  EXPECT_EQ(bed.leaks(), "");
}

// -- the queue

HttpBedOptions one_at_a_time(std::uint32_t queue) {
  HttpBedOptions options;
  options.spec.proxy.queue_limit = queue;
  return options;
}
void limit(HttpBed& bed, std::uint32_t connections) {
  bed.app->dialer.of(1).limit = connections;
  bed.app->dialer.of(2).up = bed.app->dialer.of(3).up = false;
}

TEST(Queue, RequestsWaitForABackendAndGoInOrder) {
  HttpBed bed(one_at_a_time(10));
  limit(bed, 1);
  set_reply(bed, [](const ServedRequest& r) { return after(100 * kMillisecond, response(r.target)); });
  std::vector<HttpEnd*> ends;
  for (int i = 0; i < 5; ++i) {
    ends.push_back(&bed.open("GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\n\r\n"));
    bed.run(5 * kMillisecond);
  }
  bed.run(50 * kMillisecond);
  EXPECT_EQ(bed.counters().queued_now, 4u);
  bed.run(2 * kSecond);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(body_of(ends[static_cast<std::size_t>(i)]->heard), "/" + std::to_string(i));
    EXPECT_EQ(bed.server(1).served[static_cast<std::size_t>(i)].target, "/" + std::to_string(i));
  }
  EXPECT_EQ(bed.counters().dials, 1u);
  EXPECT_EQ(bed.counters().queued, 4u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Queue, HasALimitAndATime) {
  HttpBed bed(one_at_a_time(2));
  limit(bed, 1);
  set_reply(bed, never());
  HttpEnd& first = bed.open(kGet);
  bed.run(100 * kMillisecond);
  HttpEnd& waits = bed.open(kGet);
  HttpEnd& leaves = bed.open(kGet);
  bed.run(100 * kMillisecond);
  HttpEnd& late = bed.open(kGet);
  bed.run(100 * kMillisecond);
  EXPECT_TRUE(late.heard.starts_with("HTTP/1.1 503 "));
  EXPECT_EQ(ended(bed, Termination::queue_full), 1u);
  bed.clients.abort(leaves);
  bed.run(100 * kMillisecond);
  EXPECT_EQ(bed.counters().queued_now, 1u);
  bed.run(6 * kSecond);
  EXPECT_TRUE(waits.heard.starts_with("HTTP/1.1 503 "));
  EXPECT_EQ(bed.counters().queue_timeouts, 1u);
  EXPECT_EQ(first.heard, "");
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Queue, APoolThatIsFullDoesNotHoldUpAnother) {
  HttpBedOptions options = one_at_a_time(10);
  options.spec.http.routes.resize(1);
  options.spec.http.routes[0].id = 1;
  options.spec.http.routes[0].path = "/other";
  options.spec.http.routes[0].action = HttpBed::kOtherPool;
  HttpBed bed(options);
  limit(bed, 1);
  bed.app->dialer.of(4).limit = 1;
  set_reply(bed, never());
  bed.server(4).reply = [](const ServedRequest&) { return after(200 * kMillisecond, response("other")); };
  HttpEnd& blocked = bed.open(kGet);
  HttpEnd& first = bed.open("GET /other HTTP/1.1\r\nHost: a\r\n\r\n");
  bed.run(100 * kMillisecond);
  HttpEnd& waits = bed.open(kGet);
  HttpEnd& second = bed.open("GET /other HTTP/1.1\r\nHost: a\r\n\r\n");
  bed.run(2 * kSecond);
  EXPECT_EQ(body_of(first.heard), "other");
  EXPECT_EQ(body_of(second.heard), "other");
  EXPECT_EQ(waits.heard + blocked.heard, "");
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Queue, ALimitThatAnotherWorkerKeepsIsAskedForWithTheSameBackend) {
  HttpBed bed;
  for (auto& backend : bed.app->dialer.backends) backend.asks = 3;
  HttpEnd& end = bed.open(kGet);
  bed.run(3 * kMillisecond);
  HttpEnd& leaves = bed.open(kGet);
  bed.run(2 * kMillisecond + 500 * kMicrosecond);
  bed.clients.abort(leaves);
  bed.run(100 * kMillisecond);
  EXPECT_EQ(body_of(end.heard), "backend-1");
  EXPECT_EQ(bed.counters().dials, 1u);
  EXPECT_EQ(bed.counters().connect_failures + bed.counters().connect_timeouts, 0u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Queue, AskingHasAnEndAndKeepsTheOrderOfThoseWhoWait) {
  HttpBed bed(one_at_a_time(10));
  limit(bed, 1);
  bed.app->dialer.of(1).asks = 2;
  set_reply(bed, [](const ServedRequest& r) { return ServerReply(response(r.target), Then::close); });
  std::vector<HttpEnd*> ends;
  for (int i = 0; i < 5; ++i) {
    ends.push_back(&bed.open("GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\n\r\n"));
    bed.run(kMillisecond);
  }
  bed.run(3 * kSecond);
  for (const HttpEnd* end : ends) EXPECT_TRUE(end->heard.starts_with("HTTP/1.1 200 OK")) << end->heard;
  EXPECT_EQ(bed.counters().dials, 5u);
  bed.app->dialer.of(1).asks = 1'000'000;
  HttpEnd& never_told = bed.open(kGet);
  bed.run(10 * kSecond);
  EXPECT_TRUE(never_told.heard.starts_with("HTTP/1.1 503 ")) << never_told.heard;
  EXPECT_EQ(ended(bed, Termination::queue_timeout), 1u);
  EXPECT_EQ(bed.leaks(), "");
}

// -- backends that misbehave

TEST(Backend, WhatIsNoHttpIs502) {
  const struct {
    const char* name;
    std::string text;
    Reason reason;
  } rows[] = {
      {"another protocol", "220 mail ready\r\n", Reason::bad_status_line},
      {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
       Reason::repeated_content_length},
      {"a head without end", "HTTP/1.1 200 OK\r\nX: " + std::string(40'000, 'x'), Reason::field_too_large},
      {"many short fields",
       "HTTP/1.1 200 OK\r\n" +
           [] {
             std::string all;
             for (int i = 0; i < 5000; ++i) all += "A: b\r\n";
             return all;
           }(),
       Reason::too_many_fields},
      {"endless interim responses",
       [] {
         std::string all;
         for (int i = 0; i < 100; ++i) all += "HTTP/1.1 102 Processing\r\n\r\n";
         return all;
       }(),
       Reason::too_many_interim},
  };
  for (const auto& row : rows) {
    HttpBed bed;
    set_reply(bed, ServerReply(row.text));
    HttpEnd& end = bed.open(kGet);
    bed.run(kSecond);
    EXPECT_TRUE(has(end.heard, "HTTP/1.1 502 ")) << row.name << ": " << end.heard;
    EXPECT_EQ(bed.counters().backend_failures[static_cast<std::size_t>(row.reason)], 1u) << row.name;
    EXPECT_EQ(bed.counters().idle_links_now, 0u);
    EXPECT_EQ(bed.lines()[0].termination, Termination::backend_malformed);
    EXPECT_FALSE(end.over()) << row.name;
    EXPECT_EQ(bed.leaks(), "") << row.name;
  }
}

TEST(Backend, ABodyThatBreaksOffIsAReset) {
  for (const Then then : {Then::close, Then::reset}) {
    for (const char* text : {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
                             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX:"}) {
      HttpBed bed;
      ServerReply reply(text);
      reply.parts.push_back({100 * kMillisecond, ""});
      reply.then = then;
      set_reply(bed, reply);
      HttpEnd& end = bed.open(kGet);
      HttpEnd& old = bed.open("GET / HTTP/1.0\r\n\r\n");
      bed.run(kSecond);
      EXPECT_TRUE(end.reset && !end.fin) << text;
      EXPECT_TRUE(has(end.heard, "abc"));
      EXPECT_TRUE(old.reset && !old.fin) << text;
      EXPECT_EQ(ended(bed, Termination::backend_closed), 2u);
      EXPECT_EQ(bed.leaks(), "");
    }
  }
}

TEST(Backend, ABadChunkInTheMiddleIsAReset) {
  HttpBed bed;
  set_reply(bed, ServerReply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n"));
  HttpEnd& end = bed.open(kGet);
  bed.run(kSecond);
  EXPECT_TRUE(end.reset && !end.fin);
  EXPECT_EQ(bed.counters().backend_failures[static_cast<std::size_t>(Reason::bad_chunk_end)], 1u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Backend, AResetInsteadOfAnEndIsNotAnEnd) {
  HttpBed bed;
  ServerReply reply("HTTP/1.1 200 OK\r\n\r\nabc");
  reply.parts.push_back({100 * kMillisecond, ""});
  reply.then = Then::reset;
  set_reply(bed, reply);
  HttpEnd& end = bed.open("GET / HTTP/1.0\r\n\r\n");
  bed.run(kSecond);
  EXPECT_TRUE(end.reset && !end.fin);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Backend, OneThatLeavesBeforeItsResponseIs502) {
  for (const Then then : {Then::close, Then::reset}) {
    HttpBed bed;
    set_reply(bed, ServerReply("", then));
    HttpEnd& end = bed.open(kGet);
    bed.run(kSecond);
    EXPECT_TRUE(end.heard.starts_with("HTTP/1.1 502 "));
    EXPECT_EQ(bed.counters().retries, 0u);  // the connection was fresh
    EXPECT_EQ(bed.lines()[0].termination, Termination::backend_closed);
    EXPECT_EQ(bed.leaks(), "");
  }
}

// The backend takes one request a connection, says nothing of it, and is gone when the next one comes.
ServerReply once(const ServedRequest& r) {
  return r.on_connection == 0 ? ServerReply(response("first")) : ServerReply("", Then::reset);
}

TEST(Retry, AGetOnAnIdleConnectionThatIsDeadGoesOnAFreshOne) {
  HttpBed bed;
  limit(bed, 0);
  set_reply(bed, once);
  HttpEnd& end = bed.open(std::string(kGet) + std::string(kGet));
  bed.run(kSecond);
  EXPECT_EQ(end.heard.substr(end.heard.rfind("\r\n\r\n") + 4), "first");
  EXPECT_FALSE(has(end.heard, "502"));
  EXPECT_EQ(bed.counters().retries, 1u);
  EXPECT_EQ(bed.counters().dials, 2u);
  EXPECT_EQ(bed.lines()[1].retries, 1u);
  EXPECT_EQ(bed.server(1).served.size(), 3u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Retry, APostDoesNot) {
  HttpBed bed;
  limit(bed, 0);
  set_reply(bed, once);
  HttpEnd& end = bed.open(std::string(kGet) + std::string(kPost));
  bed.run(kSecond);
  EXPECT_TRUE(has(end.heard, "HTTP/1.1 502 "));
  EXPECT_EQ(bed.counters().retries, 0u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Retry, OnceAndNotAgain) {
  HttpBed bed;
  limit(bed, 0);
  bool first = true;
  set_reply(bed, [&](const ServedRequest&) {
    const bool good = std::exchange(first, false);
    return good ? ServerReply(response("first")) : ServerReply("", Then::reset);
  });
  HttpEnd& end = bed.open(std::string(kGet) + std::string(kGet));
  bed.run(kSecond);
  EXPECT_TRUE(has(end.heard, "HTTP/1.1 502 "));
  EXPECT_EQ(bed.counters().retries, 1u);
  EXPECT_EQ(bed.server(1).served.size(), 3u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Retry, NotWhenTheBackendHasSaidSomething) {
  HttpBed bed;
  limit(bed, 0);
  set_reply(bed, [](const ServedRequest& r) {
    return r.on_connection == 0 ? ServerReply(response("first")) : ServerReply("HTTP/1.1 2", Then::close);
  });
  HttpEnd& end = bed.open(std::string(kGet) + std::string(kGet));
  bed.run(kSecond);
  EXPECT_TRUE(has(end.heard, "HTTP/1.1 502 "));
  EXPECT_EQ(bed.counters().retries, 0u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Idle, AConnectionThatTheBackendClosedIsNotUsedAgain) {
  HttpBed bed;
  limit(bed, 0);
  ServerReply reply(response("x"));
  reply.parts.push_back({200 * kMillisecond, ""});
  reply.then = Then::close;
  set_reply(bed, reply);
  HttpEnd& end = bed.open(kGet);
  bed.run(kSecond);
  EXPECT_EQ(bed.counters().idle_links_now, 0u);
  EXPECT_EQ(bed.counters().links_now, 0u);
  bed.clients.say(end, kPost);
  bed.run(kSecond);
  EXPECT_EQ(bed.counters().dials, 2u);
  EXPECT_FALSE(has(end.heard, "502"));
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Idle, NorOneWhoseEndArrivesTogetherWithTheRequest) {
  HttpBed bed;
  limit(bed, 0);
  HttpEnd& end = bed.open(kGet);
  bed.run(kSecond);
  bed.clients.say(end, kPost);  // arrives first, in one burst with the FIN
  bed.server(1).shut(bed.server(1).ends()[0]);
  bed.run(kSecond);
  EXPECT_EQ(bed.counters().stale, 1u);
  EXPECT_EQ(bed.counters().dials, 2u);
  EXPECT_FALSE(has(end.heard, "502")) << end.heard;
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Idle, ABackendThatAnswersTwiceIsHeardOnce) {
  for (const Nanos delay : {Nanos{0}, 200 * kMillisecond}) {
    HttpBed bed;
    limit(bed, 0);
    ServerReply reply(response("mine"));
    reply.parts.push_back({delay, response("forged")});
    set_reply(bed, reply);
    HttpEnd& first = bed.open(kGet);
    bed.run(kSecond);
    HttpEnd& second = bed.open(kGet);
    bed.run(kSecond);
    EXPECT_EQ(body_of(first.heard), "mine");
    EXPECT_EQ(body_of(second.heard), "mine");
    EXPECT_EQ(bed.counters().reuses, 0u);
    EXPECT_EQ(bed.leaks(), "");
  }
}

// -- clients that leave

TEST(Client, OneThatIsGoneTakesItsBackendConnectionAlong) {
  for (const char* text :
       {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"}) {
    HttpBed bed;
    set_reply(bed, never());
    HttpEnd& end = bed.open(text);
    bed.run(kSecond);
    bed.clients.abort(end);
    bed.run(kSecond);
    EXPECT_TRUE(bed.server(1).ends()[0].reset) << text;
    EXPECT_EQ(bed.counters().sessions_now, 0u);
    EXPECT_EQ(bed.counters().links_now, 0u);
    EXPECT_EQ(bed.lines()[0].termination, Termination::client_closed);
    EXPECT_EQ(bed.leaks(), "");
  }
}

TEST(Client, OneThatEndsInsideOfItsBodyToo) {
  HttpBed bed;
  HttpEnd& end = bed.open("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
  bed.clients.shut(end);
  bed.run(kSecond);
  for (sim::HttpServer& server : bed.servers) {  // it may have ended before one was connected to
    for (const sim::HttpEnd& connection : server.ends()) EXPECT_TRUE(connection.reset);
  }
  EXPECT_EQ(end.heard, "");
  EXPECT_EQ(bed.served(), 0u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Client, OneThatLeavesWhileAConnectionIsMade) {
  HttpBed bed;
  lose_packets(bed, 1);
  HttpEnd& end = bed.open(kGet);
  bed.run(kSecond);
  bed.clients.abort(end);
  bed.run(kSecond);
  EXPECT_EQ(bed.counters().links_now, 0u);
  EXPECT_EQ(bed.app->dialer.live(), 0u);
  EXPECT_EQ(bed.app->dialer.of(1).failures, 0u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Client, OneWhoseLastSegmentsGetLostStillHearsTheEnd) {
  HttpBed bed;
  set_reply(bed, after(500 * kMillisecond, response("x")));
  HttpEnd& end = bed.open("GET / HTTP/1.0\r\n\r\n");
  bed.run(400 * kMillisecond);
  bed.proxy_host->weather.loss = 1;
  bed.run(8 * kSecond);
  EXPECT_EQ(end.heard, "");
  bed.proxy_host->weather.loss = 0;
  bed.run(20 * kSecond);
  EXPECT_EQ(body_of(end.heard), "x");
  EXPECT_TRUE(end.fin && !end.reset);
  EXPECT_EQ(bed.leaks(), "");
}

// -- room

TEST(Room, AClientBetweenRequestsGivesWayToANewOneAndABusyOneDoesNot) {
  HttpBedOptions options;
  options.proxy.sessions = 2;
  HttpBed bed(options);
  HttpEnd& a = bed.open(kGet);
  bed.run(100 * kMillisecond);
  set_reply(bed, never());
  HttpEnd& b = bed.open(kGet);
  bed.run(100 * kMillisecond);
  HttpEnd& c = bed.open(kGet);
  bed.run(100 * kMillisecond);
  EXPECT_TRUE(a.reset);
  EXPECT_EQ(bed.counters().sessions_shed, 1u);
  HttpEnd& d = bed.open(kGet);
  bed.run(100 * kMillisecond);
  EXPECT_FALSE(b.over() || c.over());
  EXPECT_TRUE(d.reset);
  EXPECT_EQ(bed.counters().sessions_refused, 1u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Room, RequestsBeyondTheLimitAre503) {
  for (const bool buffers : {false, true}) {
    HttpBedOptions options;
    (buffers ? options.proxy.heads : options.proxy.transactions) = 1;
    HttpBed bed(options);
    set_reply(bed, [](const ServedRequest&) { return after(500 * kMillisecond, response("x")); });
    HttpEnd& a = bed.open(kGet);
    bed.run(100 * kMillisecond);
    HttpEnd& b = bed.open(kGet);
    bed.run(kSecond);
    EXPECT_TRUE(a.heard.starts_with(buffers ? "HTTP/1.1 503 " : "HTTP/1.1 200 OK"));  // no room for its response
    EXPECT_TRUE(b.heard.starts_with("HTTP/1.1 503 "));
    EXPECT_TRUE(b.fin && !b.reset);
    EXPECT_EQ(bed.counters().shed, buffers ? 2u : 1u);
    EXPECT_EQ(bed.leaks(), "");
  }
}

TEST(Room, AnIdleBackendConnectionGivesWayToANewOne) {
  HttpBedOptions options;
  options.proxy.links = 1;
  HttpBed bed(options);
  HttpEnd& end = bed.open(std::string(kGet) + std::string(kGet));
  bed.run(kSecond);
  EXPECT_TRUE(end.heard.ends_with("backend-2"));
  EXPECT_EQ(bed.counters().links_now, 1u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Room, WithoutBuffersRequestsFailAndNothingIsLost) {
  HttpBedOptions options;
  options.buffers = 40;
  HttpBed bed(options);
  set_reply(bed, [](const ServedRequest&) { return response(std::string(300'000, 'x')); });
  for (int i = 0; i < 8; ++i) bed.open(kGet);
  bed.run(120 * kSecond);
  for (const HttpEnd& end : bed.clients.ends()) {
    const bool whole = body_of(end.heard).size() == 300'000, clean = end.reset || has(end.heard, "HTTP/1.1 503");
    EXPECT_TRUE(whole || clean || end.heard.empty()) << end.heard.size();
  }
  EXPECT_EQ(bed.leaks(), "");
}

}  // namespace
}  // namespace headgate::http
