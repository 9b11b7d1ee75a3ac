// What the tests of this folder share. Never linked into the product.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/http/chunked.h"
#include "dataplane/http/request_parser.h"
#include "dataplane/http/response_parser.h"
#include "tests/seed.h"

namespace headgate::http::testing {

// Another seed each time, printed; HEADGATE_SEED replays a failure.
inline std::uint64_t seed() {
  const std::uint64_t value = test_seed();
  std::printf("HEADGATE_SEED=%llu\n", static_cast<unsigned long long>(value));
  return value;
}

// How often a random test turns: its default, or HEADGATE_HTTP_ROUNDS times as many.
inline unsigned rounds(unsigned usual) {
  const char* given = std::getenv("HEADGATE_HTTP_ROUNDS");
  return given != nullptr ? usual * static_cast<unsigned>(std::strtoul(given, nullptr, 0)) : usual;
}

// A copy that is exactly as long as the text, so that AddressSanitizer sees a read beyond it.
class Exact {
 public:
  explicit Exact(std::string_view text) : bytes_(new char[text.size()]), size_(text.size()) {
    std::ranges::copy(text, bytes_.get());
  }
  std::string_view text() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_;
};

// Feeds a parser with the text cut at `cuts` (ascending), each time in a buffer of its own. The last verdict.
template <class Parser>
Progress parse_in_parts(Parser& parser, std::string_view text, const std::vector<std::size_t>& cuts) {
  for (const std::size_t cut : cuts) {
    const Exact part(text.substr(0, cut));
    const Progress progress = parser.parse(part.text());
    if (progress != Progress::need_more) return progress;
  }
  return parser.parse(text);
}

inline std::vector<std::size_t> every_byte(std::string_view text) {
  std::vector<std::size_t> cuts(text.size());
  for (std::size_t i = 0; i < cuts.size(); ++i) cuts[i] = i;
  return cuts;
}

// All that a request's verdict consists of, as text: equal for equal verdicts.
inline std::string summary(const RequestParser& parser, Progress progress, std::string_view text) {
  if (progress == Progress::need_more) return "need more at " + std::to_string(parser.position());
  if (progress == Progress::refused) {
    return std::string(to_string(parser.reason())) + " at " + std::to_string(parser.position());
  }
  const RequestHead& head = parser.head();
  std::string out(head.method_text.of(text));
  for (const Slice& part : {head.target, head.path, head.query, head.authority, head.upgrade}) {
    out.append(" <").append(part.of(text)).append(">");
  }
  for (const std::uint64_t number :
       {std::uint64_t{head.bytes}, std::uint64_t{head.minor_version}, static_cast<std::uint64_t>(head.method),
        static_cast<std::uint64_t>(head.form), static_cast<std::uint64_t>(head.body), head.content_length,
        std::uint64_t{head.keep_alive}, std::uint64_t{head.expect_continue}, std::uint64_t{head.trailers_welcome},
        std::uint64_t{head.max_forwards.value_or(999)}, head.fields.present}) {
    out.append(" ").append(std::to_string(number));
  }
  for (const Field& field : head.fields) {
    out.append("\n").append(field.name_in(text)).append("=").append(field.value_in(text));
    out.append(field.hop ? " hop" : "").append(std::to_string(static_cast<int>(field.name)));
  }
  return out;
}

inline std::string summary(const ResponseParser& parser, Progress progress, std::string_view text) {
  if (progress == Progress::need_more) return "need more at " + std::to_string(parser.position());
  if (progress == Progress::refused) {
    return std::string(to_string(parser.reason())) + " at " + std::to_string(parser.position());
  }
  const ResponseHead& head = parser.head();
  std::string out = std::to_string(head.status);
  for (const Slice& part : {head.line, head.reason, head.upgrade}) out.append(" <").append(part.of(text)).append(">");
  for (const std::uint64_t number :
       {std::uint64_t{head.bytes}, std::uint64_t{head.minor_version}, static_cast<std::uint64_t>(head.body),
        head.content_length, std::uint64_t{head.keep_alive}, head.fields.present}) {
    out.append(" ").append(std::to_string(number));
  }
  for (const Field& field : head.fields) {
    out.append("\n").append(field.name_in(text)).append("=").append(field.value_in(text));
    out.append(field.hop ? " hop" : "").append(std::to_string(static_cast<int>(field.name)));
  }
  return out;
}

struct ReadBody {
  Piece::Kind end = Piece::Kind::need_more;
  std::string content, trailers;
  std::size_t used = 0;
  Reason reason = Reason::none;

  friend bool operator==(const ReadBody&, const ReadBody&) = default;
};

// Reads a body that comes in parts, as a connection would.
inline ReadBody read_body(BodyReader& reader, std::string_view text, const std::vector<std::size_t>& cuts) {
  ReadBody result;
  std::size_t part = 0;
  for (;;) {
    const std::size_t end = part < cuts.size() ? cuts[part] : text.size();
    const Exact input(text.substr(result.used, end - result.used));
    const Piece piece = reader.next(input.text());
    result.used += piece.used;
    result.content.append(piece.data);
    result.end = piece.kind;
    if (piece.kind == Piece::Kind::data) continue;
    if (piece.kind != Piece::Kind::need_more || part >= cuts.size()) break;
    ++part;
  }
  if (result.end == Piece::Kind::refused) result.reason = reader.reason();
  if (result.end == Piece::Kind::end && reader.kind() == BodyKind::chunked) {
    for (const Field& field : reader.chunked().trailers()) {
      if (field.hop) continue;
      result.trailers.append(field.name_in(reader.chunked().trailer_text())).append("=");
      result.trailers.append(field.value_in(reader.chunked().trailer_text())).append(";");
    }
  }
  return result;
}

}  // namespace headgate::http::testing
