// Every request of tests/golden/http/requests.txt as a connection would take it: head, normal form of the path, body,
// what is written to the backend; whole, byte by byte, by each scan.
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "dataplane/http/chars.h"
#include "dataplane/http/path.h"
#include "dataplane/http/rewrite.h"
#include "dataplane/http/testing.h"
#include "dataplane/http/testing_corpus.h"

namespace headgate::http {
namespace {

using testing::CorpusCase;
using testing::every_byte;
using testing::parse_in_parts;
using testing::read_body;
using testing::ReadBody;

struct Outcome {
  std::string answer;
  std::string head, body;  // what the backend saw
  bool aborted = false;
};

std::string refusal(Reason reason) {
  return std::to_string(request_status(reason)) + " " + to_string(reason);
}

class Connection {
 public:
  Connection(const Scanner& scanner, bool by_byte) : by_byte_(by_byte) { options_.scanner = &scanner; }

  std::vector<Outcome> run(std::string_view bytes) {
    std::vector<Outcome> outcomes;
    do {
      outcomes.push_back(one(bytes));
    } while (open_ && !bytes.empty());
    return outcomes;
  }

 private:
  std::vector<std::size_t> cuts(std::string_view text) const {
    return by_byte_ ? every_byte(text) : std::vector<std::size_t>();
  }

  Outcome one(std::string_view& bytes) {
    Outcome outcome;
    open_ = false;
    RequestParser parser(options_);
    const Progress progress = parse_in_parts(parser, bytes, cuts(bytes));
    if (progress == Progress::need_more) return outcome.answer = "wait", outcome;
    if (progress == Progress::refused) return outcome.answer = refusal(parser.reason()), outcome;
    const RequestHead& head = parser.head();
    const Reason reason = forward(bytes, head, outcome.head);
    if (reason != Reason::none) return outcome.answer = refusal(reason), outcome;
    BodyReader reader;
    std::array<char, kTrailerBytesMax> trailers;
    reader.start(head, trailers, options_.limits.body_bytes, *options_.scanner);
    const std::string_view rest = bytes.substr(head.bytes);
    const ReadBody body = read_body(reader, rest, cuts(rest));
    outcome.body = body.content;
    outcome.aborted = body.end != Piece::Kind::end;
    outcome.answer = body.end == Piece::Kind::end       ? "pass"
                     : body.end == Piece::Kind::refused ? refusal(body.reason)
                                                        : "wait";
    bytes.remove_prefix(head.bytes + body.used);
    open_ = head.keep_alive && !outcome.aborted;
    return outcome;
  }

  Reason forward(std::string_view buffer, const RequestHead& head, std::string& out) {
    NormalPath path;
    std::vector<char> space(2 * head.path.length + 2), generated(head.bytes + std::size_t{2048});
    if (head.form != TargetForm::asterisk) {
      const Reason reason = normalize_path(head.path.of(buffer), {}, space, path);
      if (reason != Reason::none) return reason;
    }
    ForwardedOptions forwarded;
    const RequestContext context{.client = parse_ip("198.51.100.7").value(),
                                 .service = parse_ip("192.0.2.100").value(),
                                 .service_port = 80,
                                 .host = head.authority.of(buffer)};
    HeadWriter writer(buffer, generated);
    write_request({.forwarded = &forwarded, .path = path.forward}, context, buffer, head, writer);
    for (const std::string_view piece : writer.pieces()) out.append(piece);
    EXPECT_EQ(writer.bytes(), out.size());
    return writer.reason();
  }

  RequestOptions options_;
  bool by_byte_ = false, open_ = false;
};

// What the backend reads: the fields of a head that we wrote, by a parser of its own.
struct Seen {
  std::string start;
  std::vector<std::pair<std::string, std::string>> fields;

  explicit Seen(const std::string& head) {
    std::istringstream lines(head);
    std::string line;
    std::getline(lines, start);
    while (std::getline(lines, line) && line != "\r") {
      const std::size_t colon = line.find(':');
      std::string name = line.substr(0, colon);
      for (char& c : name) c = lower(c);
      fields.emplace_back(name, std::string(trim(std::string_view(line).substr(colon + 1, line.size() - colon - 2))));
    }
  }
  std::vector<std::string> values(const std::string& name) const {
    std::vector<std::string> found;
    for (const auto& [field, value] : fields) {
      if (field == name) found.push_back(value);
    }
    return found;
  }
};

void expect_seen(const std::string& wanted, const Outcome& outcome) {
  std::istringstream words(wanted);
  std::string method, target, body;
  words >> method >> target;
  const Seen seen(outcome.head);
  EXPECT_EQ(seen.start, method + " " + testing::unescape(target) + " HTTP/1.1\r");
  for (std::string word; words >> word;) {
    if (word[0] == '+') {
      EXPECT_FALSE(seen.values(word.substr(1)).empty()) << word << " in " << outcome.head;
    } else if (word[0] == '-') {
      EXPECT_TRUE(seen.values(word.substr(1)).empty()) << word << " in " << outcome.head;
    } else if (word.starts_with("body=")) {
      body = testing::unescape(word.substr(5));
    } else {
      const std::size_t equals = word.find('=');
      EXPECT_EQ(seen.values(word.substr(0, equals)), std::vector{word.substr(equals + 1)}) << outcome.head;
    }
  }
  EXPECT_EQ(outcome.body, body);
  EXPECT_EQ(seen.values("host").size(), 1u);
  EXPECT_LE(seen.values("content-length").size() + seen.values("transfer-encoding").size(), 1u);
}

void expect_outcomes(const CorpusCase& one, const std::vector<Outcome>& outcomes) {
  ASSERT_EQ(outcomes.size(), one.answers.size()) << outcomes.back().answer;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    EXPECT_EQ(outcomes[i].answer, one.answers[i]);
    if (one.backend[i] == "nothing") {
      EXPECT_EQ(outcomes[i].head, "");
    } else if (one.backend[i] == "aborted") {
      EXPECT_TRUE(outcomes[i].aborted);
    } else {
      EXPECT_FALSE(outcomes[i].aborted);
      expect_seen(one.backend[i], outcomes[i]);
    }
  }
}

std::vector<CorpusCase> corpus() {
  std::string error;
  auto cases = testing::read_corpus(HEADGATE_GOLDEN_HTTP "/requests.txt", error);
  EXPECT_EQ(error, "");
  return cases;
}

TEST(Corpus, IsLargeAndEveryCaseHasItsOwnName) {
  std::set<std::string> names;
  const auto cases = corpus();
  for (const CorpusCase& one : cases) names.insert(one.name);
  EXPECT_GE(cases.size(), 250u);
  EXPECT_EQ(names.size(), cases.size());
}

TEST(Corpus, EveryRequestIsAnsweredAndForwardedAsItMustBe) {
  for (const CorpusCase& one : corpus()) {
    SCOPED_TRACE(one.name);
    expect_outcomes(one, Connection(best_scanner(), false).run(one.bytes));
  }
}

TEST(Corpus, AndByteByByteAndByEveryScanAlike) {
  for (const CorpusCase& one : corpus()) {
    SCOPED_TRACE(one.name);
    expect_outcomes(one, Connection(kScalarScanner, false).run(one.bytes));
    expect_outcomes(one, Connection(kSse42Scanner, false).run(one.bytes));
    if (one.bytes.size() < 2000) expect_outcomes(one, Connection(kSse42Scanner, true).run(one.bytes));
  }
}

// What we send is a request that we would take, and forwarding it again changes its framing and target no more.
TEST(Corpus, WhatIsForwardedWouldBeAcceptedAgain) {
  for (const CorpusCase& one : corpus()) {
    SCOPED_TRACE(one.name);
    for (const Outcome& outcome : Connection(best_scanner(), false).run(one.bytes)) {
      if (outcome.head.empty()) continue;
      RequestOptions options;
      options.limits = {.head_bytes = 32 * 1024, .line_bytes = 16 * 1024, .fields = kFieldsMax};
      RequestParser parser(options);
      ASSERT_EQ(parser.parse(outcome.head), Progress::complete) << outcome.head << to_string(parser.reason());
      EXPECT_EQ(parser.head().bytes, outcome.head.size());
    }
  }
}

}  // namespace
}  // namespace headgate::http
