// What the proxy writes for itself: error pages and log lines.
#include <gtest/gtest.h>

#include <set>

#include "dataplane/base/rng.h"
#include "dataplane/http/access_log.h"
#include "dataplane/http/chars.h"
#include "dataplane/http/error_page.h"
#include "dataplane/http/reason.h"
#include "dataplane/http/testing.h"

namespace headgate::http {
namespace {

std::string page(const ErrorAnswer& answer) {
  std::array<char, 2048> out;
  return {out.data(), write_error(answer, out)};
}

TEST(ErrorPage, IsAResponseThatOurOwnParserTakesForEveryReason) {
  std::set<unsigned> statuses{200, 301, 308, 403, 404, 405, 408, 429, 500, 503, 504};
  for (unsigned i = 1; i < kReasons; ++i) statuses.insert(request_status(static_cast<Reason>(i)));
  for (const unsigned status : statuses) {
    for (const bool head : {false, true}) {
      const std::string text = page({.status = status, .head_only = head, .date = "Sun, 06 Nov 1994 08:49:37 GMT"});
      ResponseParser parser({});
      parser.start(head ? Method::head : Method::get, "");
      ASSERT_EQ(parser.parse(text), Progress::complete) << status;
      EXPECT_EQ(parser.head().status, status);
      EXPECT_FALSE(parser.head().keep_alive);
      EXPECT_EQ(text.size() - parser.head().bytes, head ? 0 : parser.head().content_length);
    }
  }
  EXPECT_EQ(page({.status = 299}), "");
}

TEST(ErrorPage, HasTheFieldsThatItsStatusNeeds) {
  EXPECT_EQ(page({.status = 503, .retry_after_s = 5}),
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Type: text/plain\r\n"
            "Cache-Control: no-store\r\nContent-Length: 41\r\nConnection: close\r\n\r\n"
            "No server is available. Try again later.\n");
  EXPECT_NE(page({.status = 301, .keep = true, .location = "http://a/"}).find("\r\nLocation: http://a/\r\n"),
            std::string::npos);
  EXPECT_EQ(page({.status = 404, .keep = true}).find("Connection"), std::string::npos);
  EXPECT_NE(page({.status = 404, .keep = true, .client_http10 = true}).find("Connection: keep-alive\r\n"),
            std::string::npos);
  EXPECT_TRUE(
      page({.status = 404, .body = "<p>x</p>"}).ends_with("Content-Length: 8\r\nConnection: close\r\n\r\n<p>x</p>"));
  std::array<char, 60> small;
  EXPECT_EQ(write_error({.status = 404}, small), 0u);
}

std::string line(const AccessRecord& record) {
  std::array<char, kAccessLineMax> out;
  return {out.data(), write_access_line(record, out)};
}

TEST(AccessLog, IsTheCombinedFormatAndMore) {
  AccessRecord record;
  record.client = parse_ip("198.51.100.7").value();
  record.unix_s = 784'111'777;
  record.method = "GET";
  record.target = "/p?q";
  record.status = 200;
  record.bytes_sent = 512;
  record.referer = "http://a.test/";
  record.user_agent = "curl/7.88.1 (x)";
  record.service = "web";
  record.pool = "pool a";
  record.backend = "server-1";
  record.host = "a.test";
  record.queued = 0;
  record.first_byte = 12'900'000;
  record.total = 15 * kMillisecond;
  record.request_id = "42";
  EXPECT_EQ(line(record),
            "198.51.100.7 - - [06/Nov/1994:08:49:37 +0000] \"GET /p?q HTTP/1.1\" 200 512 \"http://a.test/\" "
            "\"curl/7.88.1 (x)\" web/pool_a/server-1 0/-/12/15 complete 0 a.test 42\n");
  AccessRecord refused;
  refused.client = parse_ip("2001:db8::1").value();
  refused.status = 400;
  refused.termination = Termination::refused;
  refused.reason = to_string(Reason::bad_method);
  EXPECT_EQ(line(refused),
            "2001:db8::1 - - [01/Jan/1970:00:00:00 +0000] \"-\" 400 0 \"-\" \"-\" -/-/- -/-/-/- "
            "refused:bad_method 0 - -\n");
}

TEST(AccessLog, EscapesWhateverAClientSendsAndStaysOneLine) {
  AccessRecord record;
  record.method = "GET";
  record.target = "/";
  record.user_agent = std::string_view("a\"b\\c\r\nd\x1b[0m\x00\xff", 14);
  EXPECT_NE(line(record).find("\"a\\x22b\\x5cc\\x0d\\x0ad\\x1b[0m\\x00\\xff\""), std::string::npos) << line(record);
  Rng rng(testing::seed());
  for (unsigned round = 0; round < testing::rounds(500); ++round) {
    std::string hostile(rng.below(3000), ' ');
    for (char& c : hostile) c = static_cast<char>(rng.below(256));
    record.target = record.referer = record.user_agent = record.host = record.method = hostile;
    const std::string text = line(record);
    ASSERT_LE(text.size(), kAccessLineMax);
    ASSERT_EQ(text.find('\n'), text.size() - 1);
    ASSERT_TRUE(std::ranges::all_of(text.substr(0, text.size() - 1), [](char c) { return c >= 0x20 && c < 0x7f; }));
  }
}

TEST(AccessLog, EveryTerminationHasItsOwnNameAndSentence) {
  std::set<std::string> names, sentences;
  for (unsigned i = 0; i < kTerminations; ++i) {
    names.insert(to_string(static_cast<Termination>(i)));
    sentences.insert(describe(static_cast<Termination>(i)));
  }
  EXPECT_EQ(names.size(), kTerminations);
  EXPECT_EQ(sentences.size(), kTerminations);
}

TEST(HttpDate, IsThatOfTheRfc) {
  std::array<char, 29> out;
  const auto date = [&](std::int64_t at) { return std::string(out.data(), write_http_date(at, out)); };
  EXPECT_EQ(date(784'111'777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(date(1'709'164'800), "Thu, 29 Feb 2024 00:00:00 GMT");
  EXPECT_EQ(date(-5), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(date(1ll << 62), "Fri, 31 Dec 9999 23:59:59 GMT");
}

}  // namespace
}  // namespace headgate::http
