#include "dataplane/http/request_parser.h"

#include <gtest/gtest.h>

#include "dataplane/base/rng.h"
#include "dataplane/http/testing.h"

namespace headgate::http {
namespace {

using testing::every_byte;
using testing::parse_in_parts;
using testing::summary;

const std::string kGet = "GET /p HTTP/1.1\r\nHost: a.test\r\n";
const std::string kPost = "POST /p HTTP/1.1\r\nHost: a.test\r\n";

struct Parsed {
  std::string text;
  RequestOptions options;
  RequestParser parser{options};
  Progress progress;
  const RequestHead& head;

  explicit Parsed(std::string given, const RequestOptions& with = {})
      : text(std::move(given)), options(with), progress(parser.parse(text)), head(parser.head()) {}
  std::string_view of(const Slice& slice) const { return slice.of(text); }
};

Reason reason_of(const std::string& text, const RequestOptions& options = {}) {
  const Parsed parsed(text, options);
  if (parsed.progress == Progress::need_more) return Reason::count;
  return parsed.progress == Progress::complete ? Reason::none : parsed.parser.reason();
}

TEST(RequestParser, ReadsAPlainRequest) {
  const Parsed parsed(kGet + "X-A:  two words \t\r\nAccept:\r\n\r\nnext");
  ASSERT_EQ(parsed.progress, Progress::complete);
  EXPECT_EQ(parsed.head.method, Method::get);
  EXPECT_EQ(parsed.of(parsed.head.path), "/p");
  EXPECT_EQ(parsed.of(parsed.head.authority), "a.test");
  EXPECT_EQ(parsed.of(parsed.head.line), "GET /p HTTP/1.1\r\n");
  EXPECT_EQ(parsed.text.substr(parsed.head.bytes), "next");
  ASSERT_EQ(parsed.head.fields.count, 3);
  EXPECT_EQ(parsed.head.fields.fields[1].name_in(parsed.text), "X-A");
  EXPECT_EQ(parsed.head.fields.fields[1].value_in(parsed.text), "two words");
  EXPECT_EQ(parsed.head.fields.fields[2].value_in(parsed.text), "");
  EXPECT_EQ(parsed.head.body, BodyKind::none);
  EXPECT_TRUE(parsed.head.keep_alive);
}

TEST(RequestParser, TakesTargetsApart) {
  struct Row {
    std::string start, path, query, authority;
    TargetForm form = TargetForm::origin;
  };
  for (const Row& row : std::vector<Row>{
           {"GET /a/b?c=d?e HTTP/1.1\r\nHost: h:8080", "/a/b", "?c=d?e", "h:8080"},
           {"GET /? HTTP/1.1\r\nHost: [2001:db8::1]:80", "/", "?", "[2001:db8::1]:80"},
           {"GET http://A.test HTTP/1.1\r\nHost: a.test:80", "", "", "A.test", TargetForm::absolute},
           {"GET HTTP://a.test:80/x?y HTTP/1.1\r\nHost: a.test.", "/x", "?y", "a.test:80", TargetForm::absolute},
           {"GET http://a.test?y HTTP/1.0\r\nX: y", "", "?y", "a.test", TargetForm::absolute},
           {"OPTIONS * HTTP/1.1\r\nHost: h", "", "", "h", TargetForm::asterisk},
           {"GET // HTTP/1.1\r\nHost: h", "//", "", "h"},
       }) {
    const Parsed parsed(row.start + "\r\n\r\n");
    ASSERT_EQ(parsed.progress, Progress::complete) << row.start << to_string(parsed.parser.reason());
    EXPECT_EQ(parsed.of(parsed.head.path), row.path);
    EXPECT_EQ(parsed.of(parsed.head.query), row.query);
    EXPECT_EQ(parsed.of(parsed.head.authority), row.authority);
    EXPECT_EQ(parsed.head.form, row.form);
  }
}

TEST(RequestParser, FindsTheBody) {
  const Parsed length(kPost + "Content-Length: 0012\r\n\r\n");
  EXPECT_EQ(length.head.body, BodyKind::length);
  EXPECT_EQ(length.head.content_length, 12u);
  EXPECT_EQ(Parsed(kPost + "Content-Length: 0\r\n\r\n").head.body, BodyKind::none);
  EXPECT_EQ(Parsed(kPost + "transfer-encoding: ChUnKeD\r\n\r\n").head.body, BodyKind::chunked);
  EXPECT_EQ(Parsed(kGet + "Content-Length: 3\r\n\r\n").head.body, BodyKind::length);
  EXPECT_EQ(reason_of(kPost + "Content-Length: 9223372036854775807\r\n\r\n"), Reason::none);
  EXPECT_EQ(reason_of(kPost + "Content-Length: 9223372036854775808\r\n\r\n"), Reason::bad_content_length);
}

TEST(RequestParser, KeepsConnectionsByVersionAndOptions) {
  struct Row {
    const char *version, *connection;
    bool keep;
  };
  for (const Row& row : {Row{"1.1", "", true}, Row{"1.1", "Close", false}, Row{"1.1", "keep-alive, close", false},
                         Row{"1.0", "", false}, Row{"1.0", "Keep-Alive", true}, Row{"1.0", "keep-alive,close", false},
                         Row{"1.2", "x, ,y,", true}, Row{"1.9", "close", false}}) {
    const Parsed parsed("GET / HTTP/" + std::string(row.version) + "\r\nHost: a\r\nConnection: " + row.connection +
                        "\r\n\r\n");
    ASSERT_EQ(parsed.progress, Progress::complete);
    EXPECT_EQ(parsed.head.keep_alive, row.keep) << row.version << row.connection;
  }
}

TEST(RequestParser, MarksWhatIsHopByHopAndProtectsWhatIsNot) {
  const Parsed parsed(
      kGet +
      "X-Hop: 1\r\nConnection: x-hop, Keep-Alive\r\nconnection: X-Other, X-Forwarded-For, Cookie\r\n"
      "Keep-Alive: 5\r\nProxy-Connection: close\r\nX-OTHER: 2\r\nX-Hop2: 3\r\nX-Forwarded-For: 192.0.2.1\r\n"
      "Cookie: a=b\r\nTE: gzip, trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nX_Hop2: y\r\n\r\n");
  ASSERT_EQ(parsed.progress, Progress::complete);
  std::string kept;
  for (const Field& field : parsed.head.fields) {
    if (!field.hop) kept.append(field.name_in(parsed.text)).append(" ");
  }
  EXPECT_EQ(kept, "Host X-Hop2 X-Forwarded-For Cookie ");
  EXPECT_FALSE(parsed.head.trailers_welcome);  // TE without Connection: TE is for somebody else
  EXPECT_TRUE(Parsed(kGet + "Connection: TE\r\nTE: gzip, trailers\r\n\r\n").head.trailers_welcome);
}

TEST(RequestParser, ForwardsOffersToUpgradeByPolicy) {
  const auto upgrade = [](const std::string& text, Upgrades policy) {
    RequestOptions options;
    options.upgrades = policy;
    const Parsed parsed(text, options);
    return std::string(parsed.of(parsed.head.upgrade));
  };
  const std::string asks = kGet + "Connection: Upgrade\r\nUpgrade: ";
  EXPECT_EQ(upgrade(asks + "WebSocket\r\n\r\n", Upgrades::websocket), "WebSocket");
  EXPECT_EQ(upgrade(asks + "WebSocket\r\n\r\n", Upgrades::none), "");
  EXPECT_EQ(upgrade(asks + "x/1\r\n\r\n", Upgrades::websocket), "");
  EXPECT_EQ(upgrade(asks + "x/1\r\n\r\n", Upgrades::any), "x/1");
  EXPECT_EQ(upgrade(asks + "h2c\r\n\r\n", Upgrades::any), "");
  EXPECT_EQ(upgrade(asks + "websocket, h2c\r\n\r\n", Upgrades::any), "");
  EXPECT_EQ(upgrade(asks + "websocket\r\nUpgrade: x\r\n\r\n", Upgrades::any), "");
  EXPECT_EQ(upgrade(asks + "websocket\r\nContent-Length: 1\r\n\r\n", Upgrades::any), "");
  EXPECT_EQ(upgrade(kGet + "Upgrade: websocket\r\n\r\n", Upgrades::any), "");
  EXPECT_EQ(upgrade("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", Upgrades::any), "");
}

TEST(RequestParser, ExpectsContinueOnlyWhereThereIsABodyToWaitFor) {
  EXPECT_TRUE(Parsed(kPost + "Expect: 100-Continue\r\nContent-Length: 3\r\n\r\n").head.expect_continue);
  EXPECT_FALSE(Parsed(kPost + "Expect: 100-continue\r\n\r\n").head.expect_continue);
  EXPECT_FALSE(Parsed("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n").head.expect_continue);
  EXPECT_EQ(reason_of(kPost + "Expect: 200-ok\r\n\r\n"), Reason::bad_expectation);
  EXPECT_EQ(reason_of(kPost + "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n"), Reason::bad_expectation);
}

TEST(RequestParser, CountsForwardsOfOptionsAlone) {
  const std::string options = "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: ";
  EXPECT_EQ(Parsed(options + "0\r\n\r\n").head.max_forwards, 0u);
  EXPECT_EQ(Parsed(options + "7000000000\r\n\r\n").head.max_forwards, 255u);
  EXPECT_EQ(reason_of(options + "-1\r\n\r\n"), Reason::bad_max_forwards);
  EXPECT_EQ(reason_of(options + "1\r\nMax-Forwards: 1\r\n\r\n"), Reason::bad_max_forwards);
  EXPECT_EQ(Parsed(kGet + "Max-Forwards: x\r\n\r\n").head.max_forwards, std::nullopt);
}

TEST(RequestParser, FollowsItsOptions) {
  RequestOptions options;
  EXPECT_EQ(reason_of("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", options), Reason::method_refused);
  options.trace = true;
  EXPECT_EQ(reason_of("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", options), Reason::none);
  options.underscores = Underscores::refuse;
  EXPECT_EQ(reason_of(kGet + "a_b: c\r\n\r\n", options), Reason::underscore_in_name);
  options.underscores = Underscores::keep;
  EXPECT_EQ(reason_of(kGet + "a_b: c\r\n\r\n", options), Reason::none);
  options.secure = true;
  EXPECT_EQ(reason_of("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", options), Reason::misdirected);
  EXPECT_EQ(reason_of("GET https://a/ HTTP/1.1\r\nHost: a:443\r\n\r\n", options), Reason::none);
  options.limits.body_bytes = 9;
  EXPECT_EQ(reason_of(kPost + "Content-Length: 10\r\n\r\n", options), Reason::body_too_large);
  EXPECT_EQ(reason_of(kPost + "Content-Length: 9\r\n\r\n", options), Reason::none);
}

TEST(RequestParser, StopsExactlyAtItsLimits) {
  RequestOptions options;
  options.limits = {.head_bytes = 100, .line_bytes = 40, .target_bytes = 20, .fields = 3};
  const auto target = [](std::size_t n) { return "GET /" + std::string(n - 1, 'a') + " HTTP/1.0\r\n"; };
  EXPECT_EQ(reason_of(target(20) + "\r\n", options), Reason::none);
  EXPECT_EQ(reason_of(target(21) + "\r\n", options), Reason::target_too_long);
  EXPECT_EQ(reason_of("GET /" + std::string(20, 'a'), options), Reason::target_too_long);
  const auto line = [&](std::size_t n) { return target(5) + "a:" + std::string(n - 2, 'b'); };
  EXPECT_EQ(reason_of(line(40) + "\r\n\r\n", options), Reason::none);
  EXPECT_EQ(reason_of(line(41), options), Reason::field_too_large);
  EXPECT_EQ(reason_of(target(5) + std::string(41, 'b'), options), Reason::field_too_large);
  EXPECT_EQ(reason_of(target(5) + "a:\r\nb:\r\nc:\r\n\r\n", options), Reason::none);
  EXPECT_EQ(reason_of(target(5) + "a:\r\nb:\r\nc:\r\nd", options), Reason::too_many_fields);
  const auto total = [&](std::size_t n) {
    const std::string most = target(5) + "a:" + std::string(38, 'b') + "\r\nb:";
    return most + std::string(n - most.size() - 4, 'c') + "\r\n\r\n";
  };
  EXPECT_EQ(reason_of(total(100), options), Reason::none);
  EXPECT_EQ(reason_of(total(101), options), Reason::head_too_large);
  EXPECT_EQ(reason_of("\r\nGET /" + std::string(15, 'a') + " HTTP/1.1", {.limits = {.head_bytes = 30}}),
            Reason::target_too_long);
}

TEST(RequestParser, LeavesPipelinedRequestsWhereTheyAre) {
  const std::string text = kPost + "Content-Length: 5\r\n\r\nhello" + kGet + "\r\n\r\n" + kGet + "A b: c\r\n\r\n";
  RequestOptions options;
  RequestParser parser(options);
  std::string_view rest = text;
  ASSERT_EQ(parser.parse(rest), Progress::complete);
  rest.remove_prefix(parser.head().bytes + parser.head().content_length);
  parser.reset();
  EXPECT_FALSE(parser.begun());
  ASSERT_EQ(parser.parse(rest), Progress::complete);
  EXPECT_EQ(parser.head().fields.count, 1);
  rest.remove_prefix(parser.head().bytes);
  parser.reset();
  ASSERT_EQ(parser.parse(rest), Progress::refused);
  EXPECT_TRUE(parser.begun());
  EXPECT_EQ(parser.reason(), Reason::space_in_name);
  EXPECT_EQ(rest.substr(parser.position()), " b: c\r\n\r\n");
}

// Any bytes near requests, in any parts and by any scan: one verdict.
TEST(RequestParser, HasTheSameVerdictHoweverTheInputIsCut) {
  const std::vector<std::string> seeds{
      kGet + "X-A:  two words \t\r\nAccept: */*\r\nCookie: a=b; c=d\r\n\r\n",
      "\r\nGET http://a.test:80/x?y HTTP/1.0\r\nConnection: close, te\r\nTE: trailers\r\n\r\n",
      kPost + "Content-Length: 12\r\nExpect: 100-continue\r\nUser-Agent: curl/7.88.1 (a rather long one)\r\n\r\n",
      kPost + "Transfer-Encoding: chunked\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
      "OPTIONS * HTTP/1.2\r\nHost: a.test:80\r\nMax-Forwards: 3\r\n\r\n"};
  Rng rng(testing::seed());
  RequestOptions options, scalar;
  options.limits = {.head_bytes = 200, .line_bytes = 60, .target_bytes = 40, .fields = 6};
  options.scanner = &best_scanner();
  scalar.limits = options.limits;
  scalar.scanner = &kScalarScanner;
  for (unsigned round = 0; round < testing::rounds(4'000); ++round) {
    std::string text = seeds[rng.below(static_cast<std::uint32_t>(seeds.size()))];
    for (unsigned changes = rng.below(4); changes > 0; --changes) {
      const std::size_t at = rng.below(static_cast<std::uint32_t>(text.size()));
      constexpr std::string_view kOdd("\r\n\0\t :,/\x7f\x80*?#_", 14);
      const char c = rng.chance(0.7) ? kOdd[rng.below(kOdd.size())] : static_cast<char>(rng.below(256));
      const std::uint32_t how = rng.below(4);
      if (how == 0) text[at] = c;
      if (how == 1) text.insert(at, 1, c);
      if (how == 2) text.erase(at, 1 + rng.below(3));
      if (how == 3) text.insert(at, rng.below(70), 'a');
      if (text.empty()) text = "x";
    }
    RequestParser whole(options), bytes(scalar), parts(options);
    const std::string expected = summary(whole, whole.parse(text), text);
    ASSERT_EQ(summary(bytes, parse_in_parts(bytes, text, every_byte(text)), text), expected) << text;
    const std::size_t cut = rng.below(static_cast<std::uint32_t>(text.size()));
    ASSERT_EQ(summary(parts, parse_in_parts(parts, text, {cut}), text), expected) << text << "\ncut at " << cut;
  }
}

TEST(RequestParser, IsTheSameAtEverySplitOfAWholeRequest) {
  const std::string text = "\r\n" + kPost + "Content-Length: 5\r\nX-Long: " + std::string(50, 'v') + "\r\n\r\nhello";
  RequestOptions options;
  RequestParser whole(options);
  const std::string expected = summary(whole, whole.parse(text), text);
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    RequestParser parser(options);
    EXPECT_EQ(summary(parser, parse_in_parts(parser, text, {cut}), text), expected) << cut;
  }
}

}  // namespace
}  // namespace headgate::http
