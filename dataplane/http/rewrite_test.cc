#include "dataplane/http/rewrite.h"

#include <gtest/gtest.h>

#include "dataplane/base/rng.h"
#include "dataplane/http/testing.h"

namespace headgate::http {
namespace {

IpAddress ip(std::string_view text) {
  return parse_ip(text).value();
}

struct Options {
  ForwardedOptions forwarded{.x_forwarded_for = false, .x_forwarded_proto = false, .trusted = {}};
  std::vector<HeaderRuleSpec> rules;
  RequestRewrite rewrite;
  RequestContext context{.client = ip("198.51.100.7"),
                         .client_port = 4711,
                         .service = ip("192.0.2.100"),
                         .service_port = 80,
                         .host = "a.test:8080",
                         .method = "GET",
                         .path = "/p",
                         .request_id = "42"};
};

struct Forwarded {
  std::string text{};
  std::size_t pieces = 0;
  Reason reason = Reason::none;
};

Forwarded forward(const std::string& text, Options options, std::size_t space = 4096) {
  RequestOptions parser_options;
  RequestParser parser(parser_options);
  EXPECT_EQ(parser.parse(text), Progress::complete) << to_string(parser.reason());
  auto rules = HeaderRules::compile(options.rules);
  EXPECT_TRUE(rules) << rules.error().message;
  options.rewrite.forwarded = &options.forwarded;
  options.rewrite.rules = &*rules;
  if (options.rewrite.path.empty()) options.rewrite.path = parser.head().path.of(text);
  std::vector<char> generated(space);
  HeadWriter writer(text, generated);
  write_request(options.rewrite, options.context, text, parser.head(), writer);
  Forwarded result{.pieces = writer.pieces().size(), .reason = writer.reason()};
  for (const std::string_view piece : writer.pieces()) result.text.append(piece);
  return result;
}

const std::string kGet = "GET /p?q HTTP/1.1\r\nHost: a.test:8080\r\n";

TEST(Rewrite, ARequestThatNeedsNothingIsOnePieceAndItsEnd) {
  const std::string text = kGet + "Accept: */*\r\nUser-Agent: x\r\n\r\n";
  const Forwarded out = forward(text, {});
  EXPECT_EQ(out.text, text);
  EXPECT_EQ(out.pieces, 2u);
}

TEST(Rewrite, LeavesOutWhatIsHopByHop) {
  const Forwarded out =
      forward(kGet + "Connection: close, X-Hop\r\nA: 1\r\nX-Hop: 2\r\nKeep-Alive: 3\r\nB: 4\r\n\r\n", {});
  EXPECT_EQ(out.text, kGet + "A: 1\r\nB: 4\r\n\r\n");
  EXPECT_EQ(out.pieces, 4u);
}

TEST(Rewrite, WritesTheRequestLineAnewWhereItHasTo) {
  const auto line = [](const std::string& start, Options options = {}) {
    const std::string out = forward(start + "\r\n\r\n", std::move(options)).text;
    return out.substr(0, out.size() - 4);
  };
  EXPECT_EQ(line("GET /p HTTP/1.0\r\nHost: a"), "GET /p HTTP/1.1\r\nHost: a");
  EXPECT_EQ(line("GET /p HTTP/1.0"), "GET /p HTTP/1.1\r\nHost: 192.0.2.100");
  EXPECT_EQ(line("GET http://a.test/p?q HTTP/1.1\r\nHost: A.test:80\r\nX: y"),
            "GET /p?q HTTP/1.1\r\nHost: a.test\r\nX: y");
  EXPECT_EQ(line("OPTIONS * HTTP/1.1\r\nHost: a"), "OPTIONS * HTTP/1.1\r\nHost: a");
  Options other;
  other.rewrite.path = "/else";
  EXPECT_EQ(line("GET /p?q HTTP/1.1\r\nHost: a", other), "GET /else?q HTTP/1.1\r\nHost: a");
  other.context.service = ip("2001:db8::1");
  other.context.service_port = 8080;
  EXPECT_EQ(line("GET /p HTTP/1.0", other), "GET /else HTTP/1.1\r\nHost: [2001:db8::1]:8080");
}

TEST(Rewrite, ARoutesPathCanNotEndTheRequestLine) {
  for (const char* path : {"/a b", "/a\r\nX: y", "/a#b"}) {
    Options options;
    options.rewrite.path = path;
    EXPECT_EQ(forward(kGet + "\r\n", options).reason, Reason::unsafe_value) << path;
  }
}

TEST(Rewrite, WritesConnectionFieldsOfItsOwn) {
  const auto tail = [](const std::string& fields, bool close) {
    Options options;
    options.rewrite.close = close;
    return forward(kGet + fields + "\r\n", options).text.substr(kGet.size());
  };
  EXPECT_EQ(tail("", true), "Connection: close\r\n\r\n");
  EXPECT_EQ(tail("TE: trailers\r\nConnection: TE\r\n", false), "TE: trailers\r\nConnection: TE\r\n\r\n");
  EXPECT_EQ(tail("TE: trailers\r\nConnection: TE\r\n", true), "TE: trailers\r\nConnection: TE, close\r\n\r\n");
  EXPECT_EQ(tail("Upgrade: websocket\r\nConnection: upgrade\r\n", false),
            "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n");
  EXPECT_EQ(tail("Transfer-Encoding: CHUNKED\r\n", false), "Transfer-Encoding: chunked\r\n\r\n");
}

TEST(Rewrite, TakesTheProxysOwnCookieOut) {
  const auto cookies = [](const std::string& value) {
    Options options;
    options.rewrite.cookie = "SRV";
    const std::string out = forward(kGet + "Cookie: " + value + "\r\n\r\n", options).text.substr(kGet.size());
    return out.substr(0, out.size() - 2);
  };
  EXPECT_EQ(cookies("a=b; SRVX=c"), "Cookie: a=b; SRVX=c\r\n");
  EXPECT_EQ(cookies("SRV=x"), "");
  EXPECT_EQ(cookies("SRV=x; a=b"), "Cookie: a=b\r\n");
  EXPECT_EQ(cookies("a=b; SRV=x"), "Cookie: a=b\r\n");
  EXPECT_EQ(cookies("a=b;SRV=x; c=\"d\";SRV=y ; srv=z"), "Cookie: a=b; c=\"d\"; srv=z\r\n");
}

TEST(Forwarded, TellsTheBackendWhoTheClientIs) {
  Options options;
  options.forwarded = {.x_forwarded_port = true, .x_forwarded_host = true, .forwarded = true, .trusted = {}};
  const std::string ours =
      "X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 80\r\n"
      "X-Forwarded-Host: a.test:8080\r\nForwarded: for=198.51.100.7;host=\"a.test:8080\";proto=http\r\n\r\n";
  EXPECT_EQ(forward(kGet + "\r\n", options).text, kGet + ours);
  const std::string spoofed =
      "X-Forwarded-For: 192.0.2.1\r\nx-forwarded-proto: https\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Host: b\r\n"
      "Forwarded: for=192.0.2.1\r\nX-Real-IP: 192.0.2.1\r\n";
  EXPECT_EQ(forward(kGet + spoofed + "\r\n", options).text, kGet + ours);
  options.forwarded = {.x_forwarded_for = false, .x_forwarded_proto = false, .trusted = {}};
  EXPECT_EQ(forward(kGet + spoofed + "\r\n", options).text, kGet + "\r\n");
}

TEST(Forwarded, ExtendsWhatTrustedProxiesSaid) {
  Options options;
  options.forwarded = {.x_forwarded_port = true, .forwarded = true, .trusted = {parse_prefix("2001:db8::/32").value()}};
  options.context.client = ip("2001:db8::7");
  options.context.secure = true;
  const std::string received =
      "X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\nX-Forwarded-For:\r\nX-Forwarded-For: 192.0.2.3\r\n"
      "X-Forwarded-Proto: http\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Port: 2\r\nForwarded: for=192.0.2.1\r\n"
      "X-Real-IP: 192.0.2.1\r\n";
  EXPECT_EQ(forward(kGet + received + "\r\n", options).text,
            kGet +
                "X-Forwarded-Proto: http\r\nX-Real-IP: 192.0.2.1\r\n"
                "X-Forwarded-For: 192.0.2.1, 192.0.2.2, 192.0.2.3, 2001:db8::7\r\nX-Forwarded-Port: 80\r\n"
                "Forwarded: for=192.0.2.1, for=\"[2001:db8::7]\";host=\"a.test:8080\";proto=https\r\n\r\n");
}

TEST(Forwarded, FindsTheClientAsFarAsTrustReaches) {
  ForwardedOptions options;
  options.trusted = {parse_prefix("10.0.0.0/8").value(), parse_prefix("2001:db8::/32").value()};
  struct Row {
    const char *fields, *peer, *client;
  };
  for (const Row& row : {
           Row{"", "10.0.0.1", "10.0.0.1"},
           Row{"X-Forwarded-For: 192.0.2.1\r\n", "198.51.100.7", "198.51.100.7"},
           Row{"X-Forwarded-For: 192.0.2.1\r\n", "10.0.0.1", "192.0.2.1"},
           Row{"X-Forwarded-For: 192.0.2.9, 192.0.2.1, 10.0.0.2\r\n", "10.0.0.1", "192.0.2.1"},
           Row{"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: [2001:db8::5]\r\n", "10.0.0.1", "192.0.2.1"},
           Row{"X-Forwarded-For: 192.0.2.1, unknown\r\n", "10.0.0.1", "10.0.0.1"},
           Row{"X-Forwarded-For: 192.0.2.1, 10.0.0.3:80, 10.0.0.2\r\n", "10.0.0.1", "10.0.0.2"},
           Row{"X-Forwarded-For: 10.0.0.4\r\n", "10.0.0.1", "10.0.0.4"},
       }) {
    const std::string text = kGet + row.fields + "\r\n";
    RequestOptions parser_options;
    RequestParser parser(parser_options);
    ASSERT_EQ(parser.parse(text), Progress::complete);
    EXPECT_EQ(effective_client(options, text, parser.head(), ip(row.peer)), ip(row.client)) << row.fields;
  }
}

TEST(HeaderRules, AddSetAndRemove) {
  Options options;
  using Action = HeaderRuleSpec::Action;
  options.rules = {{Action::set, "X-A", "${client_ip}:${client_port} at ${service_ip}"},
                   {Action::add, "x-b", "${scheme}://${host}${path}#${request_id} ${method}"},
                   {Action::remove, "X-Gone", ""}};
  const Forwarded out = forward(kGet + "x-a: 1\r\nX-B: 2\r\nx-gone: 3\r\nX-A: 4\r\n\r\n", options);
  EXPECT_EQ(out.text, kGet +
                          "X-B: 2\r\nX-A: 198.51.100.7:4711 at 192.0.2.100\r\n"
                          "x-b: http://a.test:8080/p#42 GET\r\n\r\n");
  options.rules = {{Action::set, "Host", "b.test"}};
  EXPECT_EQ(forward(kGet + "A: b\r\n\r\n", options).text, "GET /p?q HTTP/1.1\r\nA: b\r\nHost: b.test\r\n\r\n");
}

TEST(HeaderRules, RefuseWhatWouldBreakMessages) {
  using Action = HeaderRuleSpec::Action;
  for (const HeaderRuleSpec& spec : std::vector<HeaderRuleSpec>{{Action::set, "Content-Length", "5"},
                                                                {Action::remove, "Transfer-Encoding", ""},
                                                                {Action::add, "Connection", "close"},
                                                                {Action::remove, "host", ""},
                                                                {Action::set, "X-Forwarded-For", "1"},
                                                                {Action::set, "", "x"},
                                                                {Action::set, "A b", "x"},
                                                                {Action::set, "A:", "x"},
                                                                {Action::set, "A", "x\r\nB: c"},
                                                                {Action::set, "A", "${nobody}"},
                                                                {Action::set, "A", "${host"}}) {
    const auto rules = HeaderRules::compile(std::vector{spec});
    ASSERT_FALSE(rules) << spec.name;
    EXPECT_TRUE(rules.error().message.starts_with("header " + spec.name + ": ")) << rules.error().message;
  }
}

TEST(HeaderRules, NoVariableEndsItsLine) {
  Options options;
  options.rules = {{HeaderRuleSpec::Action::set, "X-A", "${host}"}};
  options.context.host = "a\r\nX-Evil: 1";
  EXPECT_EQ(forward(kGet + "\r\n", options).reason, Reason::unsafe_value);
}

TEST(HeadWriter, SaysWhenThereIsNoRoomAndCopiesWhenThereAreTooManyPieces) {
  EXPECT_EQ(forward("GET /p HTTP/1.0\r\n\r\n", {}, 10).reason, Reason::head_not_writable);
  std::string text = kGet, kept = kGet;
  for (int i = 0; i < 90; ++i) {
    const std::string field = "X-" + std::to_string(i) + ": y\r\n";
    text += field;
    if (i % 2 == 0) kept += field;
  }
  text += "Connection: x-1";
  for (int i = 3; i < 30; i += 2) text += ", x-" + std::to_string(i);
  Options options;
  for (int i = 31; i < 90; i += 2) {
    options.rules.push_back({HeaderRuleSpec::Action::remove, "X-" + std::to_string(i), ""});
  }
  const Forwarded out = forward(text + "\r\n\r\n", options);
  EXPECT_EQ(out.reason, Reason::none);
  EXPECT_EQ(out.text, kept + "\r\n");
  EXPECT_LE(out.pieces, HeadWriter::kPiecesMax);
}

struct Answered {
  std::string text;
  std::size_t pieces;
};

Answered respond(const std::string& text, const Exchange& exchange, ResponseRewrite rewrite = {}) {
  ResponseParser parser({});
  parser.start(exchange.method, exchange.upgrade);
  EXPECT_EQ(parser.parse(text), Progress::complete) << to_string(parser.reason());
  std::vector<char> space(4096);
  HeadWriter writer(text, space);
  rewrite.client_http10 = exchange.client_minor_version == 0;
  if (parser.head().interim()) {
    write_interim(text, parser.head(), writer);
  } else {
    rewrite.plan = plan_response(parser.head(), exchange);
    write_response(rewrite, {}, text, parser.head(), writer);
  }
  EXPECT_EQ(writer.reason(), Reason::none);
  Answered result{.text = "", .pieces = writer.pieces().size()};
  for (const std::string_view piece : writer.pieces()) result.text.append(piece);
  return result;
}

TEST(RewriteResponse, GoesOnAsItCameWhenItMay) {
  const std::string text = "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\n";
  const Answered out = respond(text, {});
  EXPECT_EQ(out.text, text);
  EXPECT_EQ(out.pieces, 2u);
}

TEST(RewriteResponse, HasTheProxysVersionAndFraming) {
  const std::string date = "Date: d\r\n";
  EXPECT_EQ(respond("HTTP/1.0 200\r\n" + date + "\r\n", {}).text,
            "HTTP/1.1 200 \r\n" + date + "Transfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(respond("HTTP/1.1 200\r\n\r\n", {.client_minor_version = 0}).text,
            "HTTP/1.1 200 \r\nConnection: close\r\n\r\n");
  EXPECT_EQ(respond("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nKeep-Alive: 5\r\n\r\n",
                    {.client_minor_version = 0})
                .text,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(respond("HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", {}).text, "HTTP/1.1 204 x\r\n\r\n");
  EXPECT_EQ(respond("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", {}).text,
            "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(respond("HTTP/1.1 101 x\r\nConnection: upgrade, x-a\r\nUpgrade: WebSocket\r\nX-A: b\r\nX-C: d\r\n\r\n",
                    {.upgrade = "websocket"})
                .text,
            "HTTP/1.1 101 x\r\nX-C: d\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n\r\n");
  EXPECT_EQ(respond("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\n\r\n", {}).text,
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
}

TEST(RewriteResponse, AddsWhatItIsTold) {
  const Answered out = respond("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", {},
                               {.set_cookie = "Set-Cookie: a=b\r\n", .via = "1.1 headgate", .date = "now"});
  EXPECT_EQ(out.text,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: now\r\nVia: 1.1 headgate\r\nSet-Cookie: a=b\r\n\r\n");
}

}  // namespace
}  // namespace headgate::http
