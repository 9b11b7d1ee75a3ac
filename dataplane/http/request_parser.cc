#include "dataplane/http/request_parser.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/base/check.h"
#include "dataplane/http/chars.h"
#include "dataplane/http/framing.h"
#include "dataplane/http/host.h"

namespace headgate::http {
namespace {

constexpr std::string_view kVersion = "HTTP/";
constexpr std::string_view kLineEnd = "HTTP/1.1\r\n";

Slice slice(std::size_t from, std::size_t to) {
  return {static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(to - from)};
}

Method method_of(std::string_view text) {
  constexpr std::array<std::string_view, 9> kNames{"GET",     "HEAD",  "POST",  "PUT",    "DELETE",
                                                   "OPTIONS", "PATCH", "TRACE", "CONNECT"};
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (text == kNames[i]) return static_cast<Method>(i);
  }
  return Method::other;
}

// Methods are case-sensitive (RFC 9110 9.1), and servers that are not would see a GET in "get".
bool is_method(std::string_view text) {
  if (!is(text[0], kUpper)) return false;
  return std::ranges::all_of(text, [](char c) { return is(c, kUpper) || is(c, kDigit) || c == '-' || c == '_'; });
}

}  // namespace

RequestParser::RequestParser(const RequestOptions& options) : options_(&options) {
  reset(options);
}

void RequestParser::reset(const RequestOptions& options) {
  const Limits& limits = options.limits;
  HEADGATE_CHECK(limits.head_bytes <= kHeadBytesMax && limits.fields <= kFieldsMax);
  HEADGATE_CHECK(limits.line_bytes < kHeadBytesMax && limits.target_bytes < kHeadBytesMax);
  options_ = &options;
  reset();
}

void RequestParser::reset() {
  head_.clear();
  head_.method = Method::other;
  head_.form = TargetForm::origin;
  head_.line = head_.method_text = head_.target = head_.path = head_.query = head_.authority = {};
  head_.expect_continue = head_.trailers_welcome = false;
  head_.max_forwards.reset();
  at_ = token_at_ = 0;
  state_ = State::empty_line;
  reason_ = Reason::none;
}

bool RequestParser::refuse(Reason reason) {
  reason_ = reason;
  return false;
}

// At the first byte too many, however many more there are by now.
bool RequestParser::refuse_beyond(std::size_t limit, Reason reason) {
  at_ = token_at_ + limit;
  return refuse(reason);
}

Progress RequestParser::parse(std::string_view buffer) {
  const std::size_t limit = options_->limits.head_bytes;
  const std::string_view input = buffer.substr(0, limit);
  bool going = true;
  while (going && state_ != State::fields) {
    if (at_ == input.size()) break;
    switch (state_) {
      case State::empty_line:
      case State::empty_line_feed:
        going = skip_empty_line(input);
        break;
      case State::method:
        going = read_method(input);
        break;
      case State::target:
        going = read_target(input);
        break;
      case State::version:
        going = read_version(input);
        break;
      case State::fields:
        break;
    }
  }
  if (reason_ != Reason::none) return Progress::refused;
  if (state_ == State::fields) {
    const Progress progress = fields_.advance(input, *options_->scanner, head_.fields);
    at_ = fields_.position();
    if (progress == Progress::complete) return finish(buffer);
    if (progress == Progress::refused) reason_ = fields_.reason();
  }
  if (reason_ == Reason::none && input.size() == limit) {
    reason_ = state_ == State::fields ? Reason::head_too_large : Reason::target_too_long;
  }
  return reason_ == Reason::none ? Progress::need_more : Progress::refused;
}

// RFC 9112 2.2: clients of old sent a CRLF behind a body. One is ignored.
bool RequestParser::skip_empty_line(std::string_view input) {
  const char c = input[at_];
  if (state_ == State::empty_line_feed) {
    if (c != '\n') return refuse(Reason::bad_line_end);
    ++at_;
    state_ = State::empty_line;
    return true;
  }
  if (c == '\n') return refuse(Reason::bad_line_end);
  if (c == '\r') {
    if (at_ != 0) return refuse(Reason::empty_lines);
    ++at_;
    state_ = State::empty_line_feed;
    return true;
  }
  token_at_ = at_;
  state_ = State::method;
  return true;
}

bool RequestParser::read_method(std::string_view input) {
  at_ += options_->scanner->token(input.substr(at_));
  if (at_ - token_at_ > kMethodMax) return refuse_beyond(kMethodMax, Reason::method_unknown);  // RFC 9112 3
  if (at_ == input.size()) return false;
  if (input[at_] != ' ' || at_ == token_at_) return refuse(Reason::bad_method);
  head_.method_text = slice(token_at_, at_);
  const std::string_view text = head_.method_text.of(input);
  if (!is_method(text)) return refuse(Reason::method_unknown);
  head_.method = method_of(text);
  if (head_.method == Method::connect) return refuse(Reason::method_refused);
  if (head_.method == Method::trace && !options_->trace) return refuse(Reason::method_refused);
  token_at_ = ++at_;
  state_ = State::target;
  return true;
}

bool RequestParser::read_target(std::string_view input) {
  at_ += options_->scanner->target(input.substr(at_));
  if (at_ - token_at_ > options_->limits.target_bytes) {
    return refuse_beyond(options_->limits.target_bytes, Reason::target_too_long);
  }
  if (at_ == input.size()) return false;
  const char c = input[at_];
  if (c == '\r' || c == '\n') return refuse(Reason::missing_version);
  if (c != ' ' || at_ == token_at_) return refuse(Reason::bad_target);
  head_.target = slice(token_at_, at_);
  token_at_ = ++at_;
  state_ = State::version;
  return true;
}

bool RequestParser::read_version(std::string_view input) {
  if (at_ == token_at_ && input.substr(at_).starts_with(kLineEnd)) {
    at_ += kLineEnd.size();
    return end_version();
  }
  return read_version_slowly(input);
}

// Byte by byte, as they come: HTTP/d.d CR LF.
bool RequestParser::read_version_slowly(std::string_view input) {
  for (; at_ < input.size(); ++at_) {
    const std::size_t i = at_ - token_at_;
    const char c = input[at_];
    if (i < kVersion.size() || i == 6) {
      if (c != (i == 6 ? '.' : kVersion[i])) return refuse(Reason::bad_version);
    } else if (i < 8) {
      if (!is(c, kDigit)) return refuse(Reason::bad_version);
      if (i == 7 && input[token_at_ + 5] != '1') return refuse(Reason::version_unsupported);
      if (i == 7) head_.minor_version = c == '0' ? 0 : 1;
    } else if (i == 8) {
      if (c == '\n') return refuse(Reason::bad_line_end);
      if (c != '\r') return refuse(Reason::bad_version);
    } else {
      if (c != '\n') return refuse(Reason::bad_line_end);
      ++at_;
      return end_version();
    }
  }
  return false;
}

bool RequestParser::end_version() {
  head_.line = slice(head_.method_text.at, at_);
  fields_.start(at_, options_->limits.line_bytes, options_->limits.fields);
  state_ = State::fields;
  return true;
}

Progress RequestParser::finish(std::string_view buffer) {
  head_.bytes = static_cast<std::uint32_t>(at_);
  reason_ = judge(buffer);
  return reason_ == Reason::none ? Progress::complete : Progress::refused;
}

Reason RequestParser::judge(std::string_view buffer) {
  Reason reason = judge_target(buffer);
  if (reason == Reason::none) reason = judge_host(buffer);
  if (reason == Reason::none) reason = read_body_framing(buffer, head_);
  if (reason == Reason::none) reason = read_connection(buffer, head_);
  if (reason == Reason::none) reason = judge_fields(buffer);
  if (reason != Reason::none) return reason;
  if (head_.body == BodyKind::length && head_.content_length > options_->limits.body_bytes) {
    return Reason::body_too_large;
  }
  mark_hop_by_hop(head_);
  head_.keep_alive = wants_keep_alive(head_);
  choose_upgrade(buffer);
  return Reason::none;
}

// RFC 9112 3.2. The authority form is CONNECT's, which is refused.
Reason RequestParser::judge_target(std::string_view buffer) {
  const std::string_view target = head_.target.of(buffer);
  if (target[0] == '/') {
    split_path(buffer, head_.target.at);
    return Reason::none;
  }
  if (target == "*") {
    head_.form = TargetForm::asterisk;
    return head_.method == Method::options ? Reason::none : Reason::bad_target_form;
  }
  head_.form = TargetForm::absolute;
  return split_absolute(buffer);
}

Reason RequestParser::split_absolute(std::string_view buffer) {
  const std::string_view target = head_.target.of(buffer);
  const std::size_t colon = target.find("://");
  if (colon == std::string_view::npos) return Reason::bad_target_form;
  const bool http = same_ignoring_case(target.substr(0, colon), "http");
  const bool https = same_ignoring_case(target.substr(0, colon), "https");
  if (!http && !https) return Reason::bad_target_form;
  if (https != options_->secure) return Reason::misdirected;  // RFC 9110 7.4
  const std::size_t from = colon + 3;
  const std::size_t to = std::min(target.find_first_of("/?", from), target.size());
  head_.authority = {head_.target.at + static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(to - from)};
  split_path(buffer, head_.target.at + to);
  return Reason::none;
}

void RequestParser::split_path(std::string_view buffer, std::size_t at) {
  const std::size_t end = head_.target.at + head_.target.length;
  const std::size_t question = std::min(buffer.substr(0, end).find('?', at), end);
  head_.path = slice(at, question);
  head_.query = slice(question, end);
}

// RFC 9112 3.2 and 3.2.2. Host is to be ignored beside the host of a target; where both differ, though, whoever stands
// before or behind us may look at the other one.
Reason RequestParser::judge_host(std::string_view buffer) {
  const Field* host = nullptr;
  if (head_.fields.has(FieldName::host)) {
    for (const Field& field : head_.fields) {
      if (field.name != FieldName::host) continue;
      if (host != nullptr) return Reason::repeated_host;
      host = &field;
    }
  }
  if (host == nullptr && head_.minor_version >= 1) return Reason::missing_host;
  const bool absolute = head_.form == TargetForm::absolute;
  std::optional<Authority> named, targeted;
  if (host != nullptr) named = parse_authority(host->value_in(buffer));
  if (absolute) targeted = parse_authority(head_.authority.of(buffer));
  if ((host != nullptr && !named) || (absolute && !targeted)) return Reason::bad_host;
  if (named && targeted && !same_authority(*named, *targeted, options_->secure ? 443 : 80)) {
    return Reason::host_mismatch;
  }
  if (!absolute && host != nullptr) head_.authority = {host->value_at, host->value_length};
  return Reason::none;
}

Reason RequestParser::judge_fields(std::string_view buffer) {
  const bool counts_forwards = head_.method == Method::options || head_.method == Method::trace;
  for (Field& field : head_.fields) {
    const std::string_view value = field.value_in(buffer);
    if (field.name == FieldName::other) {
      if (options_->underscores == Underscores::keep) continue;
      if (field.name_in(buffer).find('_') == std::string_view::npos) continue;
      if (options_->underscores == Underscores::refuse) return Reason::underscore_in_name;
      field.hop = true;
    } else if (field.name == FieldName::expect) {
      if (head_.expect_continue || !same_ignoring_case(value, "100-continue")) return Reason::bad_expectation;
      head_.expect_continue = true;
    } else if (field.name == FieldName::te) {
      head_.trailers_welcome |= lists(value, "trailers");
    } else if (field.name == FieldName::max_forwards && counts_forwards) {
      std::uint64_t number = 0;
      if (head_.max_forwards || read_content_length(value, number) != Reason::none) return Reason::bad_max_forwards;
      head_.max_forwards = static_cast<std::uint32_t>(std::min<std::uint64_t>(number, 255));
      field.hop = true;  // written anew, one less
    }
  }
  // RFC 9110 10.1.1: meaningless without a body, and to be ignored in HTTP/1.0. 7.6.1: TE concerns this hop alone.
  head_.expect_continue &= head_.body != BodyKind::none && head_.minor_version >= 1;
  head_.trailers_welcome &= head_.connection.te && head_.minor_version >= 1;
  if (!head_.expect_continue) {
    for (Field& field : head_.fields) field.hop |= field.name == FieldName::expect;
  }
  return Reason::none;
}

// RFC 9110 7.8: an offer that is not understood is ignored. With a body it would be unclear where the protocol begins.
void RequestParser::choose_upgrade(std::string_view buffer) {
  if (options_->upgrades == Upgrades::none || head_.body != BodyKind::none) return;
  const Slice asked = read_upgrade(buffer, head_);
  const std::string_view protocol = asked.of(buffer);
  const bool websocket = same_ignoring_case(protocol, "websocket") && head_.method == Method::get;
  const bool other = options_->upgrades == Upgrades::any && !protocol.starts_with("h2") && !protocol.starts_with("H2");
  if (websocket || (other && !protocol.empty())) head_.upgrade = asked;
}

}  // namespace headgate::http
