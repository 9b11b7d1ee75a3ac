#include "dataplane/http/fields.h"

#include <cstring>

#include "dataplane/base/check.h"
#include "dataplane/http/chars.h"

namespace headgate::http {
namespace {

constexpr std::array kNames{
#define X(name, text) std::string_view(text),
    HEADGATE_HTTP_FIELDS(X)
#undef X
};
constexpr std::size_t kLongest = kNames.back().size();

constexpr bool sorted_by_length() {
  for (std::size_t i = 1; i < kNames.size(); ++i) {
    if (kNames[i].size() < kNames[i - 1].size()) return false;
  }
  return true;
}
static_assert(sorted_by_length());

// Where names of each length begin; one more entry, so that the next one is their end.
constexpr std::array<std::uint8_t, kLongest + 2> kByLength = [] {
  std::array<std::uint8_t, kLongest + 2> first{};
  for (std::size_t length = 0; length < first.size(); ++length) {
    std::size_t i = 0;
    while (i < kNames.size() && kNames[i].size() < length) ++i;
    first[length] = static_cast<std::uint8_t>(i);
  }
  return first;
}();

// A tchar that differs from a lower-case letter, digit or hyphen in bit 5 alone is its capital: bytes below 0x20, which
// a digit or hyphen would fit, are no tchars.
bool same_token(std::string_view text, std::string_view name) {
  std::size_t i = 0;
  constexpr std::uint64_t kLower = 0x2020202020202020ull;
  for (; i + 8 <= name.size(); i += 8) {
    std::uint64_t a, b;
    std::memcpy(&a, text.data() + i, 8);
    std::memcpy(&b, name.data() + i, 8);
    if ((a | kLower) != (b | kLower)) return false;
  }
  for (; i < name.size(); ++i) {
    if ((text[i] | 0x20) != (name[i] | 0x20)) return false;
  }
  return true;
}

}  // namespace

FieldName classify(std::string_view name) {
  if (name.size() > kLongest) return FieldName::other;
  for (std::size_t i = kByLength[name.size()]; i < kByLength[name.size() + 1]; ++i) {
    if ((name[0] | 0x20) == kNames[i][0] && same_token(name, kNames[i])) return static_cast<FieldName>(i);
  }
  return FieldName::other;
}

std::string_view to_string(FieldName name) {
  return name == FieldName::other ? std::string_view() : kNames[static_cast<std::size_t>(name)];
}

void FieldParser::start(std::size_t at, std::size_t line_bytes, std::size_t fields) {
  HEADGATE_CHECK(line_bytes <= kHeadBytesMax - 1 && at <= kHeadBytesMax);
  *this = FieldParser();
  at_ = at;
  line_bytes_ = line_bytes;
  fields_max_ = fields;
}

FieldParser::Step FieldParser::refuse(Reason reason) {
  reason_ = reason;
  return Step::refused;
}

// At the first byte too many, however many more there are by now.
FieldParser::Step FieldParser::refuse_line() {
  at_ = line_at_ + line_bytes_;
  return refuse(Reason::field_too_large);
}

FieldParser::Step FieldParser::begin_line(char c, std::size_t count) {
  if (c == '\r') {
    ++at_;
    state_ = State::last_line_feed;
    return Step::next;
  }
  if (c == '\n') return refuse(Reason::bad_line_end);
  // RFC 9112 2.2 and 5.2: both may be used to hide a field from one of two readers.
  if (is_blank(c)) return refuse(count == 0 ? Reason::leading_space : Reason::obs_fold);
  if (c == ':') return refuse(Reason::empty_name);
  if (count >= fields_max_) return refuse(Reason::too_many_fields);
  line_at_ = at_;
  state_ = State::name;
  return Step::next;
}

FieldParser::Step FieldParser::read_name(std::string_view buffer, const Scanner& scanner) {
  at_ += scanner.token(buffer.substr(at_));
  if (at_ - line_at_ > line_bytes_) return refuse_line();
  if (at_ == buffer.size()) return Step::need_more;
  const char c = buffer[at_];
  if (c != ':') {
    if (is_blank(c)) return refuse(Reason::space_in_name);  // RFC 9112 5.1
    return refuse(c == '\r' || c == '\n' ? Reason::missing_colon : Reason::bad_name);
  }
  field_.name_at = static_cast<std::uint32_t>(line_at_);
  field_.name_length = static_cast<std::uint16_t>(at_ - line_at_);
  field_.name = classify(buffer.substr(line_at_, at_ - line_at_));
  ++at_;
  state_ = State::blank;
  return Step::next;
}

FieldParser::Step FieldParser::read_value(std::string_view buffer, const Scanner& scanner) {
  at_ += scanner.value(buffer.substr(at_));
  if (at_ - line_at_ > line_bytes_) return refuse_line();
  if (at_ == buffer.size()) return Step::need_more;
  const char c = buffer[at_];
  if (c != '\r') return refuse(c == '\n' ? Reason::bad_line_end : Reason::bad_value);
  std::size_t end = at_;
  while (end > field_.value_at && is_blank(buffer[end - 1])) --end;
  field_.value_length = static_cast<std::uint32_t>(end - field_.value_at);
  ++at_;
  state_ = State::line_feed;
  return Step::next;
}

FieldParser::Step FieldParser::skip_blanks(std::string_view buffer) {
  while (at_ < buffer.size() && is_blank(buffer[at_])) ++at_;
  if (at_ == buffer.size()) return Step::need_more;
  field_.value_at = static_cast<std::uint32_t>(at_);
  state_ = State::value;
  return Step::next;
}

FieldParser::Step FieldParser::end_line(char c) {
  if (c != '\n') return refuse(Reason::bad_line_end);
  ++at_;
  if (state_ == State::last_line_feed) return Step::complete;
  state_ = State::line;
  return Step::field_done;
}

// From wherever the last input ended to the end of the line. Never `next`.
FieldParser::Step FieldParser::read_line(std::string_view buffer, const Scanner& scanner, std::size_t count) {
  Step step = Step::next;
  if (state_ == State::line) step = begin_line(buffer[at_], count);
  if (step == Step::next && state_ == State::name) step = read_name(buffer, scanner);
  if (step == Step::next && state_ == State::blank) step = skip_blanks(buffer);
  if (step == Step::next && state_ == State::value) step = read_value(buffer, scanner);
  if (step != Step::next) return step;
  if (at_ == buffer.size()) return Step::need_more;
  return end_line(buffer[at_]);
}

template <std::size_t kCapacity>
Progress FieldParser::advance(std::string_view buffer, const Scanner& scanner, FieldTable<kCapacity>& table) {
  HEADGATE_CHECK(fields_max_ <= kCapacity);
  while (at_ < buffer.size()) {
    switch (read_line(buffer, scanner, table.count)) {
      case Step::field_done:
        if (field_.name != FieldName::other) table.present |= 1ull << static_cast<unsigned>(field_.name);
        table.fields[table.count++] = field_;
        break;
      case Step::next:
      case Step::need_more:
        return Progress::need_more;
      case Step::complete:
        return Progress::complete;
      case Step::refused:
        return Progress::refused;
    }
  }
  return Progress::need_more;
}

template Progress FieldParser::advance(std::string_view, const Scanner&, Fields&);
template Progress FieldParser::advance(std::string_view, const Scanner&, Trailers&);

}  // namespace headgate::http
