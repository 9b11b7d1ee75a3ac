// What a backend may send for one request: any bytes, as interim responses and a final one. The first two bytes of the
// input choose the request and where the rest is cut.
//
// Whole, in parts and byte by byte, by the SIMD scans and by the scalar one, the verdict is the same. What is written
// to the client would be accepted again, and ends where the plan says.
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/check.h"
#include "dataplane/http/rewrite.h"
#include "dataplane/http/testing.h"

namespace {

using namespace headgate;        // NOLINT: a program, not a header
using namespace headgate::http;  // NOLINT
using testing::every_byte;
using testing::parse_in_parts;
using testing::read_body;
using testing::ReadBody;
using testing::summary;

struct Choice {
  Exchange exchange;
  Limits limits;
  std::size_t cut;

  Choice(std::uint8_t a, std::uint8_t b) : cut(b) {
    constexpr std::array kMethods{Method::get, Method::head, Method::post, Method::other};
    exchange.method = kMethods[a & 3];
    exchange.client_minor_version = (a & 4) != 0 ? 0 : 1;
    exchange.client_keep_alive = (a & 8) == 0;
    exchange.request_body_done = (a & 16) == 0;
    exchange.trailers_welcome = (a & 32) != 0;
    if ((a & 64) != 0) exchange.upgrade = "websocket";
    if ((a & 128) != 0) limits = {.head_bytes = 300, .line_bytes = 60, .fields = 5};
  }
  std::vector<std::size_t> cuts(std::string_view text) const {
    std::vector<std::size_t> result;
    for (std::size_t at = cut; at < text.size(); at += cut + 1) result.push_back(at);
    return result;
  }
};

std::string text_of(const HeadWriter& writer) {
  HEADGATE_CHECK(writer.reason() == Reason::none);
  std::string out;
  for (const std::string_view piece : writer.pieces()) out.append(piece);
  return out;
}

void check_written(const Choice& choice, const std::string& out, const ResponseHead& head, const ResponsePlan& plan) {
  ResponseParser again({.head_bytes = kHeadBytesMax, .line_bytes = 60'000, .fields = kFieldsMax});
  again.start(choice.exchange.method, choice.exchange.upgrade);
  if (out.size() >= kHeadBytesMax) return;
  HEADGATE_CHECK(again.parse(out) == Progress::complete);
  const ResponseHead& seen = again.head();
  HEADGATE_CHECK(seen.bytes == out.size() && seen.status == head.status && seen.minor_version == 1);
  HEADGATE_CHECK(seen.body == (head.interim() ? BodyKind::none : plan.body));
  if (head.interim() || plan.tunnel) return;
  HEADGATE_CHECK(seen.keep_alive == plan.keep_client);
  HEADGATE_CHECK(plan.body != BodyKind::length || seen.content_length == head.content_length);
}

void check_response(const Choice& choice, std::string_view text, const ResponseHead& head) {
  std::vector<char> space(4 * head.bytes + 2048);
  HeadWriter writer(text, space);
  const ResponsePlan plan = plan_response(head, choice.exchange);
  if (head.interim()) {
    write_interim(text, head, writer);
  } else {
    const bool http10 = choice.exchange.client_minor_version == 0;
    write_response({.plan = plan, .set_cookie = "Set-Cookie: a=b\r\n", .date = "now", .client_http10 = http10}, {},
                   text, head, writer);
  }
  check_written(choice, text_of(writer), head, plan);
}

void check_body(const Choice& choice, const ResponseHead& head, std::string_view rest) {
  std::array<char, 512> a, b;
  BodyReader whole, parts;
  whole.start(head, a, ~0ull);
  parts.start(head, b, ~0ull, kScalarScanner);
  const ReadBody body = read_body(whole, rest, {});
  HEADGATE_CHECK(read_body(parts, rest, choice.cuts(rest)) == body);
  HEADGATE_CHECK(body.end != Piece::Kind::end || whole.ended_well());
  // What was read, chunked again, is the same content.
  if (head.body != BodyKind::chunked || body.end != Piece::Kind::end) return;
  std::string again;
  if (!body.content.empty())
    again.append(ChunkHeader(body.content.size()).text()).append(body.content).append(kChunkEnd);
  again.append(kLastChunkAndEnd);
  BodyReader reader;
  reader.start(head, a, ~0ull);
  const ReadBody read = read_body(reader, again, {});
  HEADGATE_CHECK(read.end == Piece::Kind::end && read.content == body.content && read.used == again.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const Choice choice(data[0], data[1]);
  const testing::Exact exact({reinterpret_cast<const char*>(data) + 2, size - 2});
  std::string_view text = exact.text();
  ResponseParser whole(choice.limits, best_scanner()), parts(choice.limits), bytes(choice.limits, kScalarScanner);
  for (ResponseParser* parser : {&whole, &parts, &bytes})
    parser->start(choice.exchange.method, choice.exchange.upgrade);
  for (;;) {
    const Progress progress = whole.parse(text);
    const std::string verdict = summary(whole, progress, text);
    HEADGATE_CHECK(summary(parts, parse_in_parts(parts, text, choice.cuts(text)), text) == verdict);
    const auto cuts = text.size() < 600 ? every_byte(text) : std::vector<std::size_t>();
    HEADGATE_CHECK(summary(bytes, parse_in_parts(bytes, text, cuts), text) == verdict);
    if (progress != Progress::complete) return 0;
    check_response(choice, text, whole.head());
    if (!whole.head().interim()) break;
    text.remove_prefix(whole.head().bytes);
    for (ResponseParser* parser : {&whole, &parts, &bytes}) parser->next_after_interim();
  }
  check_body(choice, whole.head(), text.substr(whole.head().bytes));
  return 0;
}
