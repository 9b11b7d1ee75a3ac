// Sessions over real engines: what a client and a backend see of each other. Bad days are proxy_faults_test.cc, random
// ones tests/sim/http_sim_test.cc.
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

std::string get(std::string_view target, std::string_view fields = {}) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a.test\r\n" + std::string(fields) + "\r\n";
}
std::string post(std::string_view body, std::string_view fields = {}) {
  return "POST /p HTTP/1.1\r\nHost: a.test\r\n" + std::string(fields) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}
std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; at += part.size()) ++found;
  return found;
}
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

TEST(Proxy, TwoRequestsOfOneConnectionGoToTwoBackendsAndTheConnectionStays) {
  HttpBed bed;
  HttpEnd& end = bed.open(kGet);
  bed.run(kSecond);
  EXPECT_EQ(body_of(end.heard), "backend-1") << end.heard;
  end.heard.clear();
  bed.clients.say(end, kGet);
  bed.run(kSecond);
  EXPECT_EQ(body_of(end.heard), "backend-2");
  EXPECT_FALSE(has(end.heard, "Connection: close"));
  EXPECT_TRUE(has(end.heard, "Date: Sat, 29 Nov 2025 13:")) << end.heard;
  EXPECT_FALSE(end.over());
  EXPECT_EQ(bed.counters().requests, 2u);
  EXPECT_EQ(bed.counters().responses[2], 2u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Proxy, BackendConnectionsAreUsedAgainByOtherClients) {
  HttpBed bed;
  for (int i = 0; i < 9; ++i) {
    HttpEnd& end = bed.open(kGet);
    bed.run(100 * kMillisecond);
    EXPECT_EQ(count(end.heard, "HTTP/1.1 200 OK"), 1u);
  }
  EXPECT_EQ(bed.counters().dials, 3u);
  EXPECT_EQ(bed.counters().reuses, 6u);
  EXPECT_EQ(bed.counters().idle_links_now, 3u);
  EXPECT_EQ(bed.server(1).served[2].on_connection, 2u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Proxy, WithoutReuseEachRequestHasAConnection) {
  HttpBedOptions options;
  options.spec.http.reuse = false;
  HttpBed bed(options);
  HttpEnd& end = bed.open(std::string(kGet) + std::string(kGet) + std::string(kGet) + std::string(kGet));
  bed.run(kSecond);
  EXPECT_EQ(count(end.heard, "HTTP/1.1 200 OK"), 4u);
  EXPECT_EQ(bed.counters().dials, 4u);
  EXPECT_EQ(bed.server(1).served[0].field("Connection"), "close");
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Proxy, TheBackendLearnsWhoAsks) {
  HttpBedOptions options;
  options.spec.http.forwarded = options.spec.http.x_forwarded_host = options.spec.http.x_forwarded_port = true;
  HttpBed bed(options);
  bed.open(get("/a/../b?q", "X-Forwarded-For: 1.2.3.4\r\nConnection: x-secret\r\nX-Secret: 1\r\n"));
  bed.run(kSecond);
  ASSERT_EQ(bed.served(), 1u);
  const ServedRequest& request = bed.server(1).served[0];
  EXPECT_EQ(request.target, "/b?q");
  EXPECT_EQ(request.field("X-Forwarded-For"), "10.0.0.10");
  EXPECT_EQ(request.field("X-Forwarded-Proto"), "http");
  EXPECT_EQ(request.field("X-Forwarded-Port"), "80");
  EXPECT_EQ(request.field("X-Forwarded-Host"), "a.test");
  EXPECT_EQ(request.field("Forwarded"), "for=10.0.0.10;host=\"a.test\";proto=http");
  EXPECT_EQ(request.field("X-Secret"), "");
}

TEST(Proxy, PipelinedRequestsAreAnsweredInOrder) {
  HttpBed bed;
  set_reply(bed, [&](const ServedRequest& r) {
    ServerReply reply(response(r.target));
    if (r.target == "/0") reply.parts[0].after = 300 * kMillisecond;
    return reply;
  });
  std::string all;
  for (int i = 0; i < 40; ++i) all += get("/" + std::to_string(i));
  HttpEnd& end = bed.open(all);
  bed.run(2 * kSecond);
  std::size_t at = 0;
  for (int i = 0; i < 40; ++i) {
    at = end.heard.find("\r\n\r\n/" + std::to_string(i), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Proxy, BodiesOfKnownLengthArriveAsTheyWere) {
  HttpBed bed;
  set_reply(bed, [](const ServedRequest& r) { return response(r.body); });
  HttpEnd& end = bed.open(post("hello") + post("") + post("world"));
  bed.run(kSecond);
  EXPECT_EQ(count(end.heard, "200 OK"), 3u);
  EXPECT_TRUE(has(end.heard, "\r\n\r\nhelloHTTP/1.1 200 OK"));
  EXPECT_TRUE(end.heard.ends_with("\r\n\r\nworld"));
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Proxy, AGetMayHaveABody) {
  HttpBed bed;
  bed.open("GET /q HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc" + std::string(kGet));
  bed.run(kSecond);
  EXPECT_EQ(bed.server(1).served[0].body, "abc");
  EXPECT_EQ(bed.served(), 2u);
}

TEST(Proxy, ChunksAreWrittenAnewWithoutTheirExtensions) {
  HttpBed bed;
  HttpEnd& end = bed.open("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhel");
  bed.run(kSecond);
  bed.clients.say(end, "lo\r\n00006\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n" + std::string(kGet));
  bed.run(kSecond);
  ASSERT_EQ(bed.server(1).served.size(), 1u);
  const ServedRequest& request = bed.server(1).served[0];
  EXPECT_EQ(request.body, "hello world");
  EXPECT_EQ(request.trailers, "");
  EXPECT_TRUE(has(bed.server(1).ends()[0].heard, "\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"))
      << bed.server(1).ends()[0].heard;
  EXPECT_EQ(count(end.heard, "200 OK"), 2u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Proxy, TrailersGoOnToThoseWhoAskForThem) {
  HttpBed bed;
  set_reply(bed, [](const ServedRequest&) {
    return ServerReply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n");
  });
  HttpEnd& with = bed.open(get("/", "TE: trailers\r\nConnection: TE\r\n"));
  HttpEnd& without = bed.open(kGet);
  HttpEnd& old = bed.open("GET / HTTP/1.0\r\n\r\n");
  bed.run(kSecond);
  EXPECT_EQ(body_of(with.heard), "3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n");
  EXPECT_EQ(body_of(without.heard), "3\r\nabc\r\n0\r\n\r\n");
  EXPECT_EQ(body_of(old.heard), "abc");
  EXPECT_TRUE(old.fin);
  EXPECT_FALSE(without.over());
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Proxy, ABodyThatEndsWithItsConnectionIsChunkedForTheClient) {
  HttpBed bed;
  set_reply(bed, [](const ServedRequest&) {
    ServerReply reply;
    reply.parts = {{0, "HTTP/1.1 200 OK\r\n\r\nabc"}, {100 * kMillisecond, "defg"}};
    reply.then = Then::close;
    return reply;
  });
  HttpEnd& end = bed.open(kGet);
  HttpEnd& old = bed.open("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  bed.run(kSecond);
  EXPECT_TRUE(has(end.heard, "Transfer-Encoding: chunked"));
  EXPECT_EQ(body_of(end.heard), "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
  EXPECT_FALSE(end.over());
  EXPECT_EQ(body_of(old.heard), "abcdefg");
  EXPECT_TRUE(old.fin && !old.reset);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Proxy, Http10IsToldWhenItsConnectionIsKept) {
  HttpBed bed;
  HttpEnd& keeps = bed.open("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  HttpEnd& closes = bed.open("GET / HTTP/1.0\r\n\r\n");
  bed.run(kSecond);
  EXPECT_TRUE(has(keeps.heard, "Connection: keep-alive"));
  EXPECT_FALSE(keeps.over());
  EXPECT_TRUE(has(closes.heard, "Connection: close"));
  EXPECT_TRUE(closes.fin);
  EXPECT_EQ(bed.server(1).served[0].field("Host"), "10.0.0.100");
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Proxy, ResponsesWithoutBodiesEndWithTheirHead) {
  HttpBed bed;
  set_reply(bed, [](const ServedRequest& r) {
    if (r.method == "HEAD") return ServerReply("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
    if (r.target == "/204") return ServerReply("HTTP/1.1 204 No Content\r\n\r\n");
    if (r.target == "/304") return ServerReply("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n");
    return ServerReply(response("end"));
  });
  HttpEnd& end = bed.open("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + get("/204") + get("/304") + get("/"));
  bed.run(kSecond);
  EXPECT_EQ(count(end.heard, "HTTP/1.1 "), 4u);
  EXPECT_TRUE(has(end.heard, "Content-Length: 500"));
  EXPECT_TRUE(end.heard.ends_with("end"));
  EXPECT_EQ(bed.counters().idle_links_now, 3u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Proxy, ExpectContinueIsTheBackendsToAnswer) {
  HttpBed bed;
  bed.server(1).reply_early = [](const ServedRequest&) { return ServerReply("HTTP/1.1 100 Continue\r\n\r\n"); };
  HttpEnd& end = bed.open("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  bed.run(kSecond);
  EXPECT_EQ(end.heard, "HTTP/1.1 100 Continue\r\n\r\n");
  bed.clients.say(end, "abcd");
  bed.run(kSecond);
  EXPECT_EQ(count(end.heard, "HTTP/1.1 200 OK"), 1u);
  EXPECT_EQ(bed.server(1).served[0].body, "abcd");
  EXPECT_EQ(bed.counters().interim, 1u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Proxy, InterimResponsesGoOnButNotToHttp10) {
  HttpBed bed;
  set_reply(bed, [](const ServedRequest&) {
    return ServerReply("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + response("x"));
  });
  HttpEnd& end = bed.open(kGet);
  HttpEnd& old = bed.open("GET / HTTP/1.0\r\n\r\n");
  bed.run(kSecond);
  EXPECT_TRUE(
      end.heard.starts_with("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP"));
  EXPECT_TRUE(old.heard.starts_with("HTTP/1.1 200 OK"));
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Proxy, AnEarlyResponseReachesAClientThatStillSends) {
  HttpBed bed;
  bed.server(1).reply_early = [](const ServedRequest&) {
    return ServerReply(response("too large", "", "413 Content Too Large"), Then::close);
  };
  HttpEnd& end = bed.open("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + std::string(600'000, 'x'));
  bed.run(2 * kSecond);
  EXPECT_TRUE(end.heard.starts_with("HTTP/1.1 413 "));
  EXPECT_TRUE(has(end.heard, "Connection: close"));
  EXPECT_EQ(body_of(end.heard), "too large");
  EXPECT_TRUE(end.fin && !end.reset);
  EXPECT_EQ(bed.lines()[0].termination, Termination::complete);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Proxy, AClientThatHasSaidAllMayCloseItsSide) {
  HttpBed bed;
  set_reply(bed, [](const ServedRequest&) {
    ServerReply reply(response("late"));
    reply.parts[0].after = 500 * kMillisecond;
    return reply;
  });
  HttpEnd& end = bed.open(kGet);
  bed.clients.shut(end);
  bed.run(2 * kSecond);
  EXPECT_EQ(body_of(end.heard), "late");
  EXPECT_TRUE(has(end.heard, "Connection: close"));
  EXPECT_TRUE(end.fin && !end.reset);
  EXPECT_EQ(bed.leaks(), "");
}

// -- upgrades

constexpr std::string_view kUpgrade =
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";
constexpr std::string_view kSwitching =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

TEST(Upgrade, BecomesATunnelWithWhatWasSaidTooEarly) {
  HttpBed bed;
  set_reply(bed, [](const ServedRequest&) { return ServerReply(std::string(kSwitching) + "server first"); });
  HttpEnd& end = bed.open(std::string(kUpgrade) + "client early");
  bed.run(kSecond);
  EXPECT_EQ(bed.server(1).served[0].field("Upgrade"), "websocket");
  EXPECT_TRUE(end.heard.starts_with("HTTP/1.1 101 ")) << end.heard;
  EXPECT_EQ(body_of(end.heard), "server first");
  HttpEnd& backend = bed.server(1).ends()[0];
  EXPECT_TRUE(backend.heard.ends_with("\r\n\r\nclient early"));
  bed.clients.say(end, std::string(300'000, 'c'));
  bed.server(1).say(backend, std::string(300'000, 's'));
  bed.run(2 * kSecond);
  EXPECT_EQ(count(backend.heard, "c"), 300'000u + count(bed.server(1).served[0].head + "client early", "c"));
  EXPECT_EQ(body_of(end.heard).size(), 300'012u);
  bed.clients.shut(end);
  bed.run(kSecond);
  EXPECT_TRUE(backend.fin && end.fin);
  ASSERT_EQ(bed.lines().size(), 1u);
  EXPECT_EQ(bed.lines()[0].termination, Termination::upgraded);
  EXPECT_EQ(bed.lines()[0].status, 101u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Upgrade, ASilentTunnelEndsAndOneThatTalksDoesNot) {
  HttpBedOptions options;
  options.spec.proxy.idle_timeout = 20 * kSecond;
  HttpBed bed(options);
  set_reply(bed, [](const ServedRequest&) { return ServerReply(std::string(kSwitching)); });
  HttpEnd& end = bed.open(kUpgrade);
  for (int i = 0; i < 6; ++i) {
    bed.run(15 * kSecond);
    EXPECT_FALSE(end.over());
    bed.clients.say(end, "ping");
  }
  bed.run(45 * kSecond);
  EXPECT_TRUE(end.reset);
  EXPECT_EQ(bed.counters().tunnel_timeouts, 1u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Upgrade, OneWithOnlyOneSideLeftHasLessTime) {
  HttpBedOptions options;
  options.spec.proxy.half_closed_timeout = 30 * kSecond;
  HttpBed bed(options);
  set_reply(bed, [](const ServedRequest&) { return ServerReply(std::string(kSwitching)); });
  HttpEnd& end = bed.open(kUpgrade);
  bed.run(kSecond);
  HttpEnd& backend = bed.server(1).ends()[0];
  backend.shut = true;  // it does not close its own side
  bed.clients.shut(end);
  bed.run(kSecond);
  EXPECT_TRUE(backend.fin);
  bed.server(1).say(backend, "still here");
  bed.run(25 * kSecond);
  EXPECT_EQ(body_of(end.heard), "still here");
  EXPECT_FALSE(end.over());
  bed.run(60 * kSecond);
  EXPECT_TRUE(end.reset);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Upgrade, AResetGoesOnToTheOtherSide) {
  for (const bool client : {true, false}) {
    HttpBed bed;
    set_reply(bed, [](const ServedRequest&) { return ServerReply(std::string(kSwitching)); });
    HttpEnd& end = bed.open(kUpgrade);
    bed.run(kSecond);
    HttpEnd& backend = bed.server(1).ends()[0];
    client ? bed.clients.abort(end) : bed.server(1).abort(backend);
    bed.run(kSecond);
    EXPECT_TRUE(client ? backend.reset : end.reset);
    EXPECT_EQ(bed.leaks(), "");
  }
}

TEST(Upgrade, ADeclinedOfferIsAnOrdinaryResponse) {
  HttpBed bed;
  HttpEnd& end = bed.open(std::string(kUpgrade) + std::string(kGet));
  bed.run(kSecond);
  EXPECT_EQ(count(end.heard, "200 OK"), 2u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Upgrade, OneThatNobodyAskedForIsMalformed) {
  HttpBed bed;
  set_reply(bed, [](const ServedRequest&) { return ServerReply(std::string(kSwitching)); });
  HttpEnd& end = bed.open(kGet);
  bed.run(kSecond);
  EXPECT_TRUE(end.heard.starts_with("HTTP/1.1 502 "));
  EXPECT_EQ(bed.counters().backend_failures[static_cast<int>(Reason::unexpected_upgrade)], 1u);
  EXPECT_EQ(bed.leaks(), "");
}

// -- routes, cookies, rules

snapshot::HttpRoute route(std::uint32_t id, std::string prefix) {
  snapshot::HttpRoute result;
  result.id = id;
  result.path_prefix = std::move(prefix);
  return result;
}

TEST(Routes, TakeRequestsToPoolsRedirectsAndAnswers) {
  HttpBedOptions options;
  options.spec.http.routes = {route(1, "/api"), route(2, "/old"), route(3, "/secret")};
  options.spec.http.routes[0].action = HttpBed::kOtherPool;
  options.spec.http.routes[1].action = snapshot::HttpRedirect{.status = 308, .scheme = "https", .host = {}, .path = {}};
  options.spec.http.routes[2].action = snapshot::HttpRoute::Status{403};
  HttpBed bed(options);
  HttpEnd& end = bed.open(get("/api/x") + get("/old/y?z") + get("/secret") + get("/"));
  bed.run(kSecond);
  EXPECT_EQ(bed.server(4).served.size(), 1u);
  EXPECT_TRUE(has(end.heard, "HTTP/1.1 308 Permanent Redirect"));
  EXPECT_TRUE(has(end.heard, "Location: https://a.test/old/y?z\r\n"));
  EXPECT_TRUE(has(end.heard, "HTTP/1.1 403 Forbidden"));
  EXPECT_TRUE(end.heard.ends_with("backend-1"));
  EXPECT_FALSE(end.over());
  EXPECT_EQ(bed.lines()[1].termination, Termination::answered);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Routes, AnAnswerToARequestWithABodyClosesBecauseTheBodyIsNotRead) {
  HttpBedOptions options;
  options.spec.http.routes = {route(3, "/p")};
  options.spec.http.routes[0].action = snapshot::HttpRoute::Status{403};
  HttpBed bed(options);
  HttpEnd& end = bed.open(post(std::string(500'000, 'x')));
  bed.run(kSecond);
  EXPECT_TRUE(end.heard.starts_with("HTTP/1.1 403 "));
  EXPECT_TRUE(has(end.heard, "Connection: close"));
  EXPECT_TRUE(end.fin && !end.reset);
  EXPECT_EQ(bed.served(), 0u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Routes, HeaderRulesChangeBothHeads) {
  using Rule = snapshot::HttpHeaderRule;
  HttpBedOptions options;
  options.spec.http.request_headers = {{Rule::Action::set, "X-Client", "${client_ip}:${client_port}"},
                                       {Rule::Action::set, "X-Id", "${request_id}"},
                                       {Rule::Action::remove, "User-Agent", ""}};
  options.spec.http.response_headers = {{Rule::Action::set, "Server", "none"},
                                        {Rule::Action::add, "X-Asked", "${host}${path}"}};
  HttpBed bed(options);
  set_reply(bed, [](const ServedRequest&) { return response("x", "Server: secret\r\n"); });
  HttpEnd& end = bed.open(get("/path?q", "User-Agent: curl\r\n"));
  bed.run(kSecond);
  const ServedRequest& request = bed.server(1).served[0];
  EXPECT_EQ(request.field("X-Client"), "10.0.0.10:20000");
  EXPECT_EQ(request.field("X-Id").size(), 16u);
  EXPECT_EQ(request.field("User-Agent"), "");
  EXPECT_TRUE(has(end.heard, "Server: none\r\n"));
  EXPECT_FALSE(has(end.heard, "secret"));
  EXPECT_TRUE(has(end.heard, "X-Asked: a.test/path\r\n"));
}

TEST(Cookie, BringsAClientBackToItsBackend) {
  HttpBedOptions options;
  options.spec.http.cookie = {.name = "SRV"};
  HttpBed bed(options);
  HttpEnd& first = bed.open(kGet);
  bed.run(kSecond);
  const std::size_t at = first.heard.find("Set-Cookie: SRV=");
  ASSERT_NE(at, std::string::npos) << first.heard;
  const std::string cookie = first.heard.substr(at + 12, 4 + CookieSigner::kText);
  for (int i = 0; i < 5; ++i) {
    HttpEnd& end = bed.open(get("/", "Cookie: a=b; " + cookie + "\r\n"));
    bed.run(kSecond);
    EXPECT_EQ(body_of(end.heard), "backend-1");
    EXPECT_FALSE(has(end.heard, "Set-Cookie"));
  }
  EXPECT_EQ(bed.server(1).served[1].field("Cookie"), "a=b");
  bed.app->dialer.of(1).up = false;
  HttpEnd& moved = bed.open(get("/", "Cookie: " + cookie + "\r\n"));
  bed.run(kSecond);
  EXPECT_NE(body_of(moved.heard), "backend-1");
  EXPECT_TRUE(has(moved.heard, "Set-Cookie: SRV="));
  HttpEnd& forged = bed.open(get("/", "Cookie: SRV=" + std::string(CookieSigner::kText, 'A') + "\r\n"));
  bed.run(kSecond);
  EXPECT_TRUE(has(forged.heard, "Set-Cookie: SRV="));
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Proxy, OptionsThatMayGoNoFurtherAreAnsweredHere) {
  HttpBed bed;
  HttpEnd& end =
      bed.open("OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
  bed.run(kSecond);
  EXPECT_EQ(count(end.heard, "HTTP/1.1 200 OK"), 2u);
  ASSERT_EQ(bed.served(), 1u);
  EXPECT_EQ(bed.server(1).served[0].target, "*");
}

// -- ends

TEST(Ends, AConnectionCarriesSoManyRequestsAndNoMore) {
  HttpBedOptions options;
  options.spec.http.requests_per_connection = 2;
  HttpBed bed(options);
  HttpEnd& end = bed.open(std::string(kGet) + std::string(kGet) + std::string(kGet));
  bed.run(kSecond);
  EXPECT_EQ(count(end.heard, "200 OK"), 2u);
  EXPECT_EQ(count(end.heard, "Connection: close"), 1u);
  EXPECT_TRUE(end.fin && !end.reset);
  EXPECT_EQ(bed.served(), 2u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Ends, ADrainedServiceEndsEachSessionWithItsNextResponse) {
  HttpBed bed;
  HttpEnd& end = bed.open(kGet);
  bed.run(kSecond);
  bed.app->proxy().update(HttpBed::kService, nullptr);
  EXPECT_FALSE(end.over());
  end.heard.clear();
  bed.clients.say(end, kGet);
  bed.run(kSecond);
  EXPECT_EQ(body_of(end.heard), "backend-2");
  EXPECT_TRUE(has(end.heard, "Connection: close"));
  EXPECT_TRUE(end.fin);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Ends, AServiceThatIsGoneAnswersThatItIs) {
  HttpBed bed;
  HttpEnd& end = bed.open(kGet);
  bed.run(kSecond);
  bed.app->proxy().update(HttpBed::kService, nullptr);
  bed.app->dialer.gone = true;
  end.heard.clear();
  bed.clients.say(end, kGet);
  bed.run(kSecond);
  EXPECT_TRUE(end.heard.starts_with("HTTP/1.1 503 "));
  EXPECT_EQ(bed.lines()[1].termination, Termination::shutdown);
  EXPECT_TRUE(end.fin);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Ends, ANewConfigurationIsFollowedByTheNextRequestOfOldConnections) {
  HttpBed bed;
  set_reply(bed, [](const ServedRequest&) {
    ServerReply reply;
    reply.parts = {{0, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"}, {kSecond, "cd"}};
    return reply;
  });
  HttpEnd& end = bed.open(kGet);
  bed.run(500 * kMillisecond);
  SiteSpec spec = HttpBedOptions::service();
  spec.http.routes = {route(1, "/")};
  spec.http.routes[0].action = snapshot::HttpRoute::Status{404};
  const auto site = compile_site(spec);
  ASSERT_TRUE(site);
  bed.app->proxy().update(HttpBed::kService, *site);
  bed.app->site = *site;
  bed.clients.say(end, kGet);
  bed.run(2 * kSecond);
  EXPECT_TRUE(has(end.heard, "\r\n\r\nabcdHTTP/1.1 404 ")) << end.heard;
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Ends, IdleBackendConnectionsAreClosedInTime) {
  HttpBedOptions options;
  options.proxy.idle_link_timeout = 5 * kSecond;
  HttpBed bed(options);
  bed.open(kGet);
  bed.run(4 * kSecond);
  EXPECT_EQ(bed.counters().idle_links_now, 1u);
  bed.run(2 * kSecond);
  EXPECT_EQ(bed.counters().idle_links_now, 0u);
  EXPECT_TRUE(bed.server(1).ends()[0].fin);
  EXPECT_FALSE(bed.server(1).ends()[0].reset);
  EXPECT_EQ(bed.app->dialer.live(), 0u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Ends, IdleConnectionsToABackendThatIsDrainedAreClosed) {
  HttpBed bed;
  bed.open(std::string(kGet) + std::string(kGet));
  bed.run(kSecond);
  bed.app->dialer.of(1).up = false;
  bed.app->proxy().close_unusable();
  bed.run(kSecond);
  EXPECT_EQ(bed.counters().idle_links_now, 1u);
  EXPECT_TRUE(bed.server(1).ends()[0].fin);
  EXPECT_FALSE(bed.server(2).ends()[0].fin);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Ends, OnlySoManyBackendConnectionsAreKept) {
  HttpBedOptions options;
  options.proxy.idle_links_per_backend = 2;
  options.proxy.idle_links = 5;
  HttpBed bed(options);
  set_reply(bed, [](const ServedRequest&) {
    ServerReply reply(response("x"));
    reply.parts[0].after = 300 * kMillisecond;
    return reply;
  });
  for (int i = 0; i < 12; ++i) bed.open(kGet);
  bed.run(kSecond);
  EXPECT_EQ(bed.counters().dials, 12u);
  EXPECT_EQ(bed.counters().idle_links_now, 5u);
  EXPECT_EQ(bed.leaks(), "");
}

// -- volume

TEST(Volume, LargeBodiesFlowBothWaysInBoundedMemory) {
  HttpBedOptions options;
  options.engine.profiles[0].receive_buffer = options.engine.profiles[0].send_buffer = 64 * 1024;
  options.peers.receive_buffer = 32 * 1024;
  HttpBed bed(options);
  std::string body(5'000'000, 0);
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 7 + i / 251);
  set_reply(bed, [](const ServedRequest& r) { return response(r.body); });
  HttpEnd& end = bed.open(post(body));
  bed.run(100 * kSecond);
  EXPECT_TRUE(body_of(end.heard) == body) << end.heard.size();
  EXPECT_LT(bed.app->memory_max, 4u << 20);  // with the buffers' true size, 9.6 KB for a segment of 1,448
  EXPECT_EQ(bed.lines()[0].bytes, body.size());
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Volume, AClientThatReadsSlowlySlowsItsBackendDownAndNobodyElse) {
  HttpBedOptions options;
  options.engine.profiles[0].receive_buffer = options.engine.profiles[0].send_buffer = 64 * 1024;
  options.peers.receive_buffer = 32 * 1024;
  HttpBed bed(options);
  set_reply(bed, [](const ServedRequest& r) {
    return r.target == "/large" ? response(std::string(2'000'000, 'x')) : response("small");
  });
  HttpEnd& slow = bed.open(get("/large"));
  slow.reads = false;
  bed.run(kSecond);
  EXPECT_GT(bed.server(1).ends()[0].out.size(), 1'500'000u);  // not taken from the backend
  HttpEnd& other = bed.open(kGet);
  bed.run(kSecond);
  EXPECT_EQ(body_of(other.heard), "small");
  slow.reads = true;
  bed.clients.data(slow.id);
  bed.run(60 * kSecond);
  EXPECT_EQ(body_of(slow.heard).size(), 2'000'000u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Volume, ManyClientsAtOnce) {
  HttpBed bed;
  set_reply(bed, [](const ServedRequest& r) { return response(r.target); });
  std::vector<HttpEnd*> ends;
  for (int i = 0; i < 200; ++i) ends.push_back(&bed.open(get("/" + std::to_string(i)) + get("/again")));
  bed.run(2 * kSecond);
  for (int i = 0; i < 200; ++i) {
    EXPECT_TRUE(has(ends[static_cast<std::size_t>(i)]->heard, "\r\n\r\n/" + std::to_string(i) + "HTTP/1.1"));
    EXPECT_TRUE(ends[static_cast<std::size_t>(i)]->heard.ends_with("/again"));
  }
  EXPECT_EQ(bed.counters().responses[2], 400u);
  EXPECT_EQ(bed.leaks(), "");
}

TEST(Log, ALineTellsTheWholeStory) {
  HttpBed bed;
  set_reply(bed, [](const ServedRequest&) {
    ServerReply reply(response("hello"));
    reply.parts[0].after = 50 * kMillisecond;
    return reply;
  });
  bed.open(get("/x?y", "Referer: http://r/\r\nUser-Agent: curl \"1\"\r\n"));
  bed.run(kSecond);
  ASSERT_EQ(bed.lines().size(), 1u);
  EXPECT_TRUE(bed.lines()[0].text.starts_with("10.0.0.10 - - [29/Nov/2025:13:"));
  EXPECT_TRUE(has(bed.lines()[0].text,
                  "\"GET /x?y HTTP/1.1\" 200 5 \"http://r/\" \"curl \\x221\\x22\" -/-/- -/2/54/54 complete 0 a.test "))
      << bed.lines()[0].text;
  EXPECT_EQ(bed.lines()[0].backend, BackendId{1});
}

}  // namespace
}  // namespace headgate::http
