#include "controlplane/health/http_reply.h"

#include <algorithm>

#include "controlplane/health/attempt.h"
#include "controlplane/health/http_prober.h"

namespace headgate::health {
namespace {

constexpr int kNoBody = 1;  // http_parser: there is none, whatever the headers say

HttpReply& of(http_parser* parser) {
  return *static_cast<HttpReply*>(parser->data);
}

bool is_wanted(const HttpCheck& check, unsigned status) {
  return std::any_of(check.status.begin(), check.status.end(),
                     [status](const HttpCheck::Range& range) { return range.first <= status && status <= range.last; });
}

}  // namespace

const http_parser_settings& HttpReply::settings() {
  static const http_parser_settings made = [] {
    http_parser_settings s;
    http_parser_settings_init(&s);
    s.on_headers_complete = [](http_parser* p) { return of(p).headers_complete(); };
    s.on_body = [](http_parser* p, const char* at, std::size_t length) { return of(p).body({at, length}); };
    s.on_message_complete = [](http_parser* p) { return of(p).message_complete(); };
    return s;
  }();
  return made;
}

HttpReply::HttpReply(const HttpCheck& check) : check_(check) {
  http_parser_init(&parser_, HTTP_RESPONSE);
  parser_.data = this;
}

std::optional<Outcome> HttpReply::receive(std::span<const char> bytes) {
  const std::size_t before = received_;
  received_ += bytes.size();
  const std::size_t parsed = http_parser_execute(&parser_, &settings(), bytes.data(), bytes.size());
  if (outcome_) return outcome_;
  const http_errno error = HTTP_PARSER_ERRNO(&parser_);
  if (bytes.empty()) return failure(before == 0 ? "closed without an answer" : "closed within the answer");
  if (error != HPE_OK || parsed != bytes.size()) {
    return failure("no HTTP answer: " + (before == 0 ? "\"" + excerpt({bytes.data(), bytes.size()}) + "\""
                                                     : std::string(http_errno_description(error))));
  }
  if (received_ >= kHttpBytesMax) {
    return failure("nothing decided within " + std::to_string(kHttpBytesMax) + " bytes of the answer");
  }
  return std::nullopt;
}

// What is decided ends the parsing.
int HttpReply::decide(Outcome outcome) {
  outcome_ = std::move(outcome);
  return -1;
}

int HttpReply::headers_complete() {
  const unsigned status = parser_.status_code;
  if (status >= 100 && status < 200 && status != 101) return kNoBody;  // RFC 9110 15.2: the real one follows
  if (!is_wanted(check_, status)) return decide(failure("status " + std::to_string(status)));
  if (check_.body.empty()) return decide(success());
  return 0;
}

int HttpReply::body(std::span<const char> part) {
  const std::size_t searched = body_.size();
  body_.append(part.data(), std::min(part.size(), kHttpBodyMax - searched));
  const std::size_t overlap = std::min(searched, check_.body.size() - 1);
  if (body_.find(check_.body, searched - overlap) != std::string::npos) return decide(success());
  if (body_.size() < kHttpBodyMax) return 0;
  return decide(failure("the first " + std::to_string(kHttpBodyMax) + " bytes of the body are not as expected"));
}

int HttpReply::message_complete() {
  if (parser_.status_code < 200) return 0;
  return decide(failure("the body is not as expected: \"" + excerpt(body_) + "\""));
}

}  // namespace headgate::health
