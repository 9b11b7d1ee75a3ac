// Every request of tests/golden/http/requests.txt through a session: what the client is answered, how its connection
// ends, and what a backend saw, byte by byte as it was received.
#include <gtest/gtest.h>

#include <sstream>

#include "dataplane/http/chars.h"
#include "dataplane/http/testing_corpus.h"
#include "tests/sim/http_net.h"

namespace headgate::http {
namespace {

using sim::HttpBed;
using sim::HttpBedOptions;
using sim::HttpEnd;
using sim::ServedRequest;
using testing::CorpusCase;

// Values of the fields of this name, in any case.
std::vector<std::string> values(const std::string& head, std::string_view name) {
  std::vector<std::string> found;
  std::istringstream lines(head);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line) && line != "\r") {
    const std::size_t colon = line.find(':');
    if (!same_ignoring_case(line.substr(0, colon), name)) continue;
    found.emplace_back(trim(std::string_view(line).substr(colon + 1, line.size() - colon - 2)));
  }
  return found;
}

void expect_seen(const std::string& wanted, const ServedRequest& request) {
  std::istringstream words(wanted);
  std::string method, target, body;
  words >> method >> target;
  EXPECT_EQ(request.method, method);
  EXPECT_EQ(request.target, testing::unescape(target));
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    if (word[0] == '+') {
      EXPECT_FALSE(values(request.head, word.substr(1)).empty()) << word << " in " << request.head;
    } else if (word[0] == '-') {
      EXPECT_TRUE(values(request.head, word.substr(1)).empty()) << word << " in " << request.head;
    } else if (word.starts_with("body=")) {
      body = testing::unescape(word.substr(5));
    } else {
      EXPECT_EQ(values(request.head, word.substr(0, equals)), std::vector{word.substr(equals + 1)}) << request.head;
    }
  }
  EXPECT_EQ(request.body, body);
}

// Statuses of final responses; neither heads nor bodies here have a version anywhere else.
std::vector<std::string> statuses(const std::string& heard) {
  std::vector<std::string> found;
  for (std::size_t at = 0; (at = heard.find("HTTP/1.1 ", at)) != std::string::npos; at += 12) {
    found.push_back(heard.substr(at + 9, 3));
  }
  return found;
}

void expect_answers(const CorpusCase& one, HttpBed& bed, const HttpEnd& end) {
  const std::vector<std::string> heard = statuses(end.heard);
  std::size_t next = 0;
  for (const std::string& answer : one.answers) {
    if (answer == "wait") continue;
    ASSERT_LT(next, heard.size()) << end.heard;
    if (answer == "pass") {
      EXPECT_EQ(heard[next++], "200");
      continue;
    }
    EXPECT_EQ(heard[next++], answer.substr(0, 3)) << end.heard;
    EXPECT_TRUE(end.fin && !end.reset);
    std::uint64_t refused = 0;
    for (unsigned reason = 0; reason < kReasons; ++reason) {
      if (bed.counters().refusals[reason] == 0) continue;
      ++refused;
      EXPECT_EQ(answer.substr(4), to_string(static_cast<Reason>(reason)));
    }
    EXPECT_EQ(refused, 1u);
  }
  EXPECT_EQ(next, heard.size()) << end.heard;
}

void run(const CorpusCase& one, bool by_byte) {
  HttpBedOptions options;
  options.client = parse_ip("198.51.100.7").value();  // as the file has it
  HttpBed bed(options);
  bed.app->dialer.of(2).up = bed.app->dialer.of(3).up = false;
  bed.server(1).reply = [](const ServedRequest& r) {
    return r.method == "HEAD" ? sim::ServerReply("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
                              : sim::ServerReply(sim::response("yes"));
  };
  HttpEnd& end = bed.open(by_byte ? std::string_view() : std::string_view(one.bytes));
  bed.run(500 * kMillisecond);
  for (std::size_t i = 0; by_byte && i < one.bytes.size(); ++i) {
    bed.clients.say(end, std::string_view(one.bytes).substr(i, 1));
    bed.run(kMillisecond);
  }
  bed.run(500 * kMillisecond);
  expect_answers(one, bed, end);
  const auto& served = bed.server(1).served;
  std::size_t next = 0;
  bool aborted = false;
  for (const std::string& wanted : one.backend) {
    aborted |= wanted == "aborted";
    if (wanted == "nothing" || wanted == "aborted") continue;
    ASSERT_LT(next, served.size());
    expect_seen(wanted, served[next++]);
  }
  EXPECT_EQ(next, served.size());
  EXPECT_EQ(bed.server(1).malformed, "");
  if (served.empty() && !aborted) {
    EXPECT_EQ(bed.counters().dials, 0u);
  }
  EXPECT_EQ(bed.leaks(), "");
  if (aborted) {
    EXPECT_TRUE(bed.server(1).ends().empty() || bed.server(1).ends().back().reset);
  }
}

std::vector<CorpusCase> corpus() {
  std::string error;
  auto cases = testing::read_corpus(HEADGATE_GOLDEN_HTTP "/requests.txt", error);
  EXPECT_EQ(error, "");
  return cases;
}

TEST(ProxyCorpus, EveryRequestIsAnsweredAndForwardedAsItMustBe) {
  for (const CorpusCase& one : corpus()) {
    SCOPED_TRACE(one.name);
    run(one, false);
  }
}

TEST(ProxyCorpus, AndWhenItsBytesComeOneByOne) {
  for (const CorpusCase& one : corpus()) {
    SCOPED_TRACE(one.name);
    if (one.bytes.size() < 400) run(one, true);
  }
}

}  // namespace
}  // namespace headgate::http
