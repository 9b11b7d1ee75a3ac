#include "dataplane/http/response_parser.h"

#include "dataplane/base/check.h"
#include "dataplane/http/chars.h"
#include "dataplane/http/framing.h"

namespace headgate::http {
namespace {

constexpr std::string_view kVersion = "HTTP/1.";
constexpr std::size_t kVersionBytes = 9;  // with the digit and the space
constexpr std::size_t kStatusBytes = 3;

Slice slice(std::size_t from, std::size_t to) {
  return {static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(to - from)};
}

}  // namespace

ResponseParser::ResponseParser(const Limits& limits, const Scanner& scanner) : limits_(limits), scanner_(&scanner) {
  HEADGATE_CHECK(limits.head_bytes <= kHeadBytesMax && limits.fields <= kFieldsMax);
  HEADGATE_CHECK(limits.line_bytes < kHeadBytesMax);
}

void ResponseParser::clear() {
  head_.clear();
  head_.status = 0;
  head_.line = head_.reason = {};
  at_ = token_at_ = 0;
  state_ = State::version;
  reason_ = Reason::none;
}

void ResponseParser::start(Method request_method, std::string_view upgrade) {
  clear();
  request_method_ = request_method;
  upgrade_ = upgrade;
  interim_ = 0;
}

void ResponseParser::next_after_interim() {
  HEADGATE_CHECK(head_.interim());
  clear();
  ++interim_;
}

bool ResponseParser::refuse(Reason reason) {
  reason_ = reason;
  return false;
}

Progress ResponseParser::parse(std::string_view buffer) {
  const std::string_view input = buffer.substr(0, limits_.head_bytes);
  bool going = true;
  while (going && state_ != State::fields && at_ < input.size()) {
    switch (state_) {
      case State::version:
        going = read_version(input);
        break;
      case State::status:
        going = read_status(input);
        break;
      case State::phrase:
        going = read_phrase(input);
        break;
      case State::line_feed:
        going = end_line(input);
        break;
      case State::fields:
        break;
    }
  }
  if (reason_ != Reason::none) return Progress::refused;
  if (state_ == State::fields) {
    const Progress progress = fields_.advance(input, *scanner_, head_.fields);
    at_ = fields_.position();
    if (progress == Progress::complete) return finish(buffer);
    if (progress == Progress::refused) reason_ = fields_.reason();
  }
  if (reason_ == Reason::none && input.size() == limits_.head_bytes) reason_ = Reason::head_too_large;
  return reason_ == Reason::none ? Progress::need_more : Progress::refused;
}

bool ResponseParser::read_version(std::string_view input) {
  for (; at_ < input.size() && at_ < kVersionBytes; ++at_) {
    const char c = input[at_];
    if (at_ < kVersion.size()) {
      if (c == kVersion[at_]) continue;
      return refuse(at_ == 5 && is(c, kDigit) ? Reason::response_version : Reason::bad_status_line);
    }
    if (at_ == 7 ? !is(c, kDigit) : c != ' ') return refuse(Reason::bad_status_line);
    if (at_ == 7) head_.minor_version = c == '0' ? 0 : 1;
  }
  if (at_ < kVersionBytes) return false;
  token_at_ = at_;
  state_ = State::status;
  return true;
}

// RFC 9110 15: three digits, 100 to 599 have a meaning.
bool ResponseParser::read_status(std::string_view input) {
  for (; at_ < input.size() && at_ < token_at_ + kStatusBytes; ++at_) {
    const char c = input[at_];
    if (!is(c, kDigit)) return refuse(Reason::bad_status_line);
    if (at_ == token_at_ && (c < '1' || c > '5')) return refuse(Reason::bad_status);
    head_.status = static_cast<std::uint16_t>(head_.status * 10 + (c - '0'));
  }
  if (at_ < token_at_ + kStatusBytes || at_ == input.size()) return false;
  // RFC 9112 4 wants a space even before an empty phrase; some servers leave it out, and nothing depends on it.
  if (input[at_] != ' ' && input[at_] != '\r') {
    return refuse(input[at_] == '\n' ? Reason::bad_line_end : Reason::bad_status_line);
  }
  if (input[at_] == ' ') ++at_;
  token_at_ = at_;
  state_ = State::phrase;
  return true;
}

bool ResponseParser::read_phrase(std::string_view input) {
  at_ += scanner_->value(input.substr(at_));
  if (at_ - token_at_ > limits_.line_bytes) {
    at_ = token_at_ + limits_.line_bytes;
    return refuse(Reason::field_too_large);
  }
  if (at_ == input.size()) return false;
  if (input[at_] != '\r') return refuse(input[at_] == '\n' ? Reason::bad_line_end : Reason::bad_status_line);
  head_.reason = slice(token_at_, at_);
  ++at_;
  state_ = State::line_feed;
  return true;
}

bool ResponseParser::end_line(std::string_view input) {
  if (input[at_] != '\n') return refuse(Reason::bad_line_end);
  ++at_;
  head_.line = slice(0, at_);
  fields_.start(at_, limits_.line_bytes, limits_.fields);
  state_ = State::fields;
  return true;
}

Progress ResponseParser::finish(std::string_view buffer) {
  head_.bytes = static_cast<std::uint32_t>(at_);
  reason_ = judge(buffer);
  return reason_ == Reason::none ? Progress::complete : Progress::refused;
}

// RFC 9112 6.3, in its order.
Reason ResponseParser::judge(std::string_view buffer) {
  if (head_.interim() && interim_ >= kInterimMax) return Reason::too_many_interim;
  Reason reason = read_body_framing(buffer, head_);
  if (reason == Reason::none) reason = read_connection(buffer, head_);
  if (reason == Reason::none) reason = judge_upgrade(buffer);
  if (reason != Reason::none) return reason;
  mark_hop_by_hop(head_);
  const bool empty = head_.status < 200 || head_.status == 204;
  if (empty || head_.status == 304 || request_method_ == Method::head) {
    head_.body = BodyKind::none;
  } else if (head_.body == BodyKind::none && !head_.fields.has(FieldName::content_length)) {
    head_.body = BodyKind::until_close;
  }
  if (empty) {  // RFC 9110 8.6: none here, whatever the backend thinks
    for (Field& field : head_.fields) field.hop |= field.name == FieldName::content_length;
  }
  head_.keep_alive = wants_keep_alive(head_);
  return Reason::none;
}

// RFC 9110 7.8 and 15.2.2: only to what was asked for.
Reason ResponseParser::judge_upgrade(std::string_view buffer) {
  if (head_.status != 101) return Reason::none;
  head_.upgrade = read_upgrade(buffer, head_);
  const bool asked = !upgrade_.empty() && same_ignoring_case(head_.upgrade.of(buffer), upgrade_);
  return asked ? Reason::none : Reason::unexpected_upgrade;
}

}  // namespace headgate::http
