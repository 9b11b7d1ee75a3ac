#include "dataplane/http/response_parser.h"

#include <gtest/gtest.h>

#include "dataplane/base/rng.h"
#include "dataplane/http/framing.h"
#include "dataplane/http/testing.h"

namespace headgate::http {
namespace {

using testing::every_byte;
using testing::parse_in_parts;
using testing::summary;

constexpr Method kGet = Method::get, kHead = Method::head;

struct Row {
  std::string text;
  Reason reason;
  BodyKind body = BodyKind::none;
  Method method = kGet;
  const char* upgrade = "";
};

const std::vector<Row>& rows() {
  constexpr auto kNone = Reason::none;
  static const std::vector<Row> all{
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", kNone, BodyKind::length},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", kNone, BodyKind::none},
      {"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", kNone, BodyKind::length},
      {"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n", kNone, BodyKind::length},
      {"HTTP/1.1 200 \xe4 ok\tok\r\n\r\n", kNone, BodyKind::until_close},
      {"HTTP/1.0 200 OK\r\n\r\n", kNone, BodyKind::until_close},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", kNone, BodyKind::chunked},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", kNone, BodyKind::none, kHead},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", kNone, BodyKind::none, kHead},
      {"HTTP/1.1 200 OK\r\n\r\n", kNone, BodyKind::none, kHead},
      {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", kNone, BodyKind::none},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", kNone, BodyKind::none},
      {"HTTP/1.1 100 Continue\r\n\r\n", kNone, BodyKind::none},
      {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nTransfer-Encoding: chunked\r\n\r\n", kNone, BodyKind::none},
      {"HTTP/1.1 599 x\r\nContent-Length: 1\r\n\r\n", kNone, BodyKind::length},
      {"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n", kNone, BodyKind::none, kGet,
       "websocket"},
      {"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", Reason::unexpected_upgrade,
       BodyKind::none, kGet, "websocket"},
      {"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n", Reason::unexpected_upgrade, BodyKind::none, kGet,
       "websocket"},
      {"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", Reason::unexpected_upgrade},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", Reason::repeated_content_length},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", Reason::bad_content_length},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Reason::length_and_encoding},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Reason::encoding_unsupported},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", Reason::chunked_not_last},
      {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Reason::encoding_in_http10},
      {"HTTP/1.1 200 OK\r\nConnection: content-length\r\n\r\n", Reason::connection_names_framing},
      {"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", Reason::obs_fold},
      {"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", Reason::space_in_name},
      {"HTTP/1.1 200 OK\r\n A: b\r\n\r\n", Reason::leading_space},
      {"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", Reason::bad_line_end},
      {"HTTP/1.1 200 OK\nA: b\r\n\r\n", Reason::bad_line_end},
      {"HTTP/1.1 200 O\rK\r\n\r\n", Reason::bad_line_end},
      {"HTTP/1.1 200\n\r\n", Reason::bad_line_end},
      {std::string("HTTP/1.1 200 O\0K\r\n\r\n", 20), Reason::bad_status_line},
      {"HTTP/1.1 2000 OK\r\n\r\n", Reason::bad_status_line},
      {"HTTP/1.1 20 OK\r\n\r\n", Reason::bad_status_line},
      {"HTTP/1.1  200 OK\r\n\r\n", Reason::bad_status_line},
      {"HTTP/1.1 600 OK\r\n\r\n", Reason::bad_status},
      {"HTTP/1.1 099 OK\r\n\r\n", Reason::bad_status},
      {"HTTP/2.0 200 OK\r\n\r\n", Reason::response_version},
      {"HTTP/1.x 200 OK\r\n\r\n", Reason::bad_status_line},
      {"http/1.1 200 OK\r\n\r\n", Reason::bad_status_line},
      {"ICY 200 OK\r\n\r\n", Reason::bad_status_line},
      {"\r\nHTTP/1.1 200 OK\r\n\r\n", Reason::bad_status_line},
      {"<html>", Reason::bad_status_line},
      {"HTTP/1.1 200 " + std::string(9000, 'a'), Reason::field_too_large},
      {"HTTP/1.1 200 OK\r\nA: " + std::string(9000, 'a'), Reason::field_too_large},
      {"HTTP/1.1 200 OK\r\nA: " + std::string(8000, 'a') + "\r\nB: " + std::string(8100, 'a') +
           "\r\nC: " + std::string(400, 'a'),
       Reason::head_too_large},
  };
  return all;
}

TEST(ResponseParser, FramesOrRefuses) {
  for (const Row& row : rows()) {
    ResponseParser parser({});
    parser.start(row.method, row.upgrade);
    const Progress progress = parser.parse(row.text);
    const std::string shown = row.text.substr(0, 100);
    ASSERT_EQ(progress, row.reason == Reason::none ? Progress::complete : Progress::refused) << shown;
    if (progress == Progress::refused) {
      EXPECT_STREQ(to_string(parser.reason()), to_string(row.reason)) << shown;
    } else {
      EXPECT_EQ(parser.head().body, row.body) << shown;
    }
  }
}

TEST(ResponseParser, HasTheSameVerdictHoweverTheInputIsCut) {
  for (const Row& row : rows()) {
    ResponseParser whole({}, best_scanner());
    whole.start(row.method, row.upgrade);
    const std::string expected = summary(whole, whole.parse(row.text), row.text);
    ResponseParser bytes({}, kScalarScanner);
    bytes.start(row.method, row.upgrade);
    if (row.text.size() < 1000) {
      EXPECT_EQ(summary(bytes, parse_in_parts(bytes, row.text, every_byte(row.text)), row.text), expected);
    }
    for (std::size_t cut = 0; cut < std::min<std::size_t>(row.text.size(), 200); ++cut) {
      ResponseParser parser({});
      parser.start(row.method, row.upgrade);
      ASSERT_EQ(summary(parser, parse_in_parts(parser, row.text, {cut}), row.text), expected) << row.text << cut;
    }
  }
}

TEST(ResponseParser, ReadsInterimResponsesAndTheFinalOneButNotEndlessly) {
  std::string text;
  for (unsigned i = 0; i < kInterimMax; ++i) text += "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  const std::string final = "HTTP/1.1 204 No Content\r\n\r\n";
  for (const bool one_more : {false, true}) {
    const std::string all = text + (one_more ? "HTTP/1.1 100 Continue\r\n\r\n" : "") + final;
    ResponseParser parser({});
    parser.start(Method::post, "");
    std::string_view rest = all;
    Progress progress;
    while ((progress = parser.parse(rest)) == Progress::complete && parser.head().interim()) {
      rest.remove_prefix(parser.head().bytes);
      parser.next_after_interim();
      EXPECT_FALSE(parser.begun());
    }
    EXPECT_EQ(progress, one_more ? Progress::refused : Progress::complete);
    EXPECT_EQ(parser.reason(), one_more ? Reason::too_many_interim : Reason::none);
  }
}

TEST(ResponsePlan, FollowsFramingVersionsAndWhatTheClientWants) {
  struct Case {
    const char* what;
    std::string text;
    Exchange exchange;
    ResponsePlan plan;
  };
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", open = "HTTP/1.1 200 OK\r\n\r\n";
  const std::vector<Case> cases{
      {"plain", length, {}, {BodyKind::length, true, true, false, false}},
      {"client closes", length, {.client_keep_alive = false}, {BodyKind::length, false, true, false, false}},
      {"early answer", length, {.request_body_done = false}, {BodyKind::length, false, false, false, false}},
      {"chunked", chunked, {}, {BodyKind::chunked, true, true, false, false}},
      {"trailers", chunked, {.trailers_welcome = true}, {BodyKind::chunked, true, true, true, false}},
      {"chunked to 1.0", chunked, {.client_minor_version = 0}, {BodyKind::until_close, false, true, false, false}},
      {"open end", open, {}, {BodyKind::chunked, true, false, false, false}},
      {"open end to 1.0", open, {.client_minor_version = 0}, {BodyKind::until_close, false, false, false, false}},
      {"backend closes",
       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
       {},
       {BodyKind::length, true, false, false, false}},
      {"backend of 1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", {}, {BodyKind::length, true, false}},
      {"204 with a length", "HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", {}, {BodyKind::none, true, false}},
      {"204", "HTTP/1.1 204 x\r\n\r\n", {}, {BodyKind::none, true, true}},
      {"101",
       "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
       {.upgrade = "websocket"},
       {BodyKind::none, false, false, false, true}},
  };
  for (const Case& each : cases) {
    ResponseParser parser({});
    parser.start(each.exchange.method, each.exchange.upgrade);
    ASSERT_EQ(parser.parse(each.text), Progress::complete) << each.what;
    const ResponsePlan plan = plan_response(parser.head(), each.exchange);
    EXPECT_EQ(plan.body, each.plan.body) << each.what;
    EXPECT_EQ(plan.keep_client, each.plan.keep_client) << each.what;
    EXPECT_EQ(plan.keep_backend, each.plan.keep_backend) << each.what;
    EXPECT_EQ(plan.trailers, each.plan.trailers) << each.what;
    EXPECT_EQ(plan.tunnel, each.plan.tunnel) << each.what;
  }
}

}  // namespace
}  // namespace headgate::http
