// What a client may send on one connection: any bytes, as one request after another. The first two bytes of the input
// choose options and where the rest is cut.
//
// Whole, in parts and byte by byte, by the SIMD scans and by the scalar one, the verdict is the same. A request that is
// accepted lies inside of the input, its path has a normal form that stays as it is, and what is written to the backend
// would be accepted again with the same meaning.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/check.h"
#include "dataplane/http/access_log.h"
#include "dataplane/http/chars.h"
#include "dataplane/http/cookie.h"
#include "dataplane/http/host.h"
#include "dataplane/http/path.h"
#include "dataplane/http/rewrite.h"
#include "dataplane/http/route.h"
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
  RequestOptions options;
  PathOptions path;
  std::size_t cut;

  Choice(std::uint8_t a, std::uint8_t b) : cut(b) {
    options.underscores = static_cast<Underscores>(a % 3);
    options.upgrades = static_cast<Upgrades>((a >> 2) % 3);
    options.trace = (a & 16) != 0;
    options.secure = (a & 32) != 0;
    if ((a & 64) != 0) {
      options.limits = {.head_bytes = 300, .line_bytes = 60, .target_bytes = 40, .fields = 5, .body_bytes = 100};
    }
    path.merge_slashes = (a & 128) == 0;
    path.encoded_slashes = (b & 1) != 0;
  }
  std::vector<std::size_t> cuts(std::string_view text) const {
    std::vector<std::size_t> result;
    for (std::size_t at = cut; at < text.size(); at += cut + 1) result.push_back(at);
    return result;
  }
};

bool inside(std::string_view part, std::string_view whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void check_places(std::string_view text, const RequestHead& head) {
  HEADGATE_CHECK(head.bytes <= text.size() && text.substr(0, head.bytes).ends_with("\r\n\r\n"));
  const std::string_view whole = text.substr(0, head.bytes);
  for (const Slice& part :
       {head.line, head.method_text, head.target, head.path, head.query, head.authority, head.upgrade}) {
    HEADGATE_CHECK(inside(part.of(text), whole));
  }
  for (const Field& field : head.fields) {
    HEADGATE_CHECK(inside(field.name_in(text), whole) && inside(field.value_in(text), whole));
    HEADGATE_CHECK(all(field.name_in(text), kToken) && all(field.value_in(text), kValue));
  }
  if (head.authority.empty()) return;
  const auto authority = parse_authority(head.authority.of(text));
  HEADGATE_CHECK(authority);
  std::array<char, kHostMax> a, b;
  const std::string_view normal = normal_host(authority->host, a);
  HEADGATE_CHECK(normal_host(normal, b) == normal && same_authority({normal, 1}, {authority->host, 1}, 80));
}

// Reads what clients can put into fields that the proxy looks into.
void check_fields(std::string_view text, const RequestHead& head) {
  static const CookieSigner signer(std::vector{SipKey{1, 2}});
  for (const Field& field : head.fields) {
    if (field.name != FieldName::cookie) continue;
    CookieReader reader(field.value_in(text));
    for (CookiePair pair; reader.next(pair);) {
      HEADGATE_CHECK(!pair.whole.empty() && inside(pair.whole, text));
      HEADGATE_CHECK(!signer.open(1, pair.value));
    }
  }
  std::array<char, kAccessLineMax> line;
  AccessRecord record;
  record.method = head.method_text.of(text);
  record.target = head.target.of(text);
  record.host = head.authority.of(text);
  const std::size_t length = write_access_line(record, line);
  HEADGATE_CHECK(std::string_view(line.data(), length).find('\n') == length - 1);
}

std::string forwarded(const Choice& choice, std::string_view text, const RequestHead& head, std::string_view path) {
  static const ForwardedOptions options{.x_forwarded_port = true,
                                        .x_forwarded_host = true,
                                        .forwarded = true,
                                        .trusted = {parse_prefix("10.0.0.0/8").value()}};
  const bool trusted = (choice.cut & 2) != 0;
  const RequestContext context{.client = parse_ip(trusted ? "10.0.0.1" : "192.0.2.1").value(),
                               .service = parse_ip("2001:db8::1").value(),
                               .service_port = 80,
                               .host = head.authority.of(text)};
  HEADGATE_CHECK(trusted || effective_client(options, text, head, context.client) == context.client);
  std::vector<char> space(4 * head.bytes + 2048);
  HeadWriter writer(text, space);
  write_request({.forwarded = &options, .path = path, .cookie = "a", .via = "1.1 x"}, context, text, head, writer);
  HEADGATE_CHECK(writer.reason() == Reason::none);
  std::string out;
  for (const std::string_view piece : writer.pieces()) out.append(piece);
  return out;
}

void check_forwarded(const Choice& choice, std::string_view text, const RequestHead& head, std::string_view path) {
  const std::string out = forwarded(choice, text, head, path);
  RequestOptions options = choice.options;
  options.limits = {.head_bytes = kHeadBytesMax, .line_bytes = 60'000, .target_bytes = 60'000, .fields = kFieldsMax};
  RequestParser again(options);
  if (out.size() >= kHeadBytesMax) return;
  HEADGATE_CHECK(again.parse(out) == Progress::complete);
  const RequestHead& seen = again.head();
  HEADGATE_CHECK(seen.bytes == out.size() && seen.minor_version == 1 && seen.keep_alive);
  HEADGATE_CHECK(seen.method_text.of(out) == head.method_text.of(text) && seen.query.of(out) == head.query.of(text));
  HEADGATE_CHECK(seen.body == head.body && seen.content_length == head.content_length);
  HEADGATE_CHECK(seen.expect_continue == head.expect_continue && seen.trailers_welcome == head.trailers_welcome);
  HEADGATE_CHECK(seen.upgrade.of(out) == head.upgrade.of(text));
  HEADGATE_CHECK(head.authority.empty() || seen.authority.of(out) == head.authority.of(text));
}

void check_path(const Choice& choice, std::string_view text, const RequestHead& head) {
  if (head.max_forwards == 0u) return;
  NormalPath path;
  if (head.form != TargetForm::asterisk) {
    const std::string_view given = head.path.of(text);
    std::vector<char> space(2 * given.size() + 2), more(2 * given.size() + 2);
    if (normalize_path(given, choice.path, space, path) != Reason::none) return;
    NormalPath again;
    HEADGATE_CHECK(normalize_path(path.forward, choice.path, more, again) == Reason::none);
    HEADGATE_CHECK(again.forward == path.forward && again.match == path.match);
    check_forwarded(choice, text, head, path.forward);
  } else {
    check_forwarded(choice, text, head, "");
  }
}

ReadBody body_of(const Choice& choice, const Head& head, std::string_view rest, const std::vector<std::size_t>& cuts,
                 const Scanner& scanner) {
  BodyReader reader;
  std::array<char, 512> trailers;
  reader.start(head, trailers, choice.options.limits.body_bytes, scanner);
  return read_body(reader, rest, cuts);
}

// What is left of the text behind the request; nothing when it ends here.
std::string_view check_request(const Choice& choice, std::string_view text) {
  RequestOptions scalar = choice.options, simd = choice.options;
  scalar.scanner = &kScalarScanner;
  simd.scanner = &best_scanner();
  RequestParser whole(simd), parts(choice.options), bytes(scalar);
  const Progress progress = whole.parse(text);
  const std::string verdict = summary(whole, progress, text);
  HEADGATE_CHECK(summary(parts, parse_in_parts(parts, text, choice.cuts(text)), text) == verdict);
  if (text.size() < 600) HEADGATE_CHECK(summary(bytes, parse_in_parts(bytes, text, every_byte(text)), text) == verdict);
  HEADGATE_CHECK(progress != Progress::refused || request_status(whole.reason()) >= 400);
  if (progress != Progress::complete) return {};
  const RequestHead& head = whole.head();
  check_places(text, head);
  check_fields(text, head);
  check_path(choice, text, head);
  const std::string_view rest = text.substr(head.bytes);
  const ReadBody body = body_of(choice, head, rest, {}, kSse42Scanner);
  HEADGATE_CHECK(body_of(choice, head, rest, choice.cuts(rest), kScalarScanner) == body);
  HEADGATE_CHECK(body.content.size() <= choice.options.limits.body_bytes && body.used <= rest.size());
  const bool open = head.keep_alive && body.end == Piece::Kind::end;
  return open ? rest.substr(body.used) : std::string_view();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const Choice choice(data[0], data[1]);
  const testing::Exact text({reinterpret_cast<const char*>(data) + 2, size - 2});
  std::string_view rest = text.text();
  for (int requests = 0; !rest.empty() && requests < 8; ++requests) rest = check_request(choice, rest);
  return 0;
}
