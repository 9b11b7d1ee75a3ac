#include "tests/bench/http_reply.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

namespace headgate::bench {

namespace {

constexpr std::string_view kVersion = "HTTP/1.1 ", kLineEnd = "\r\n", kHeadEnd = "\r\n\r\n";
constexpr std::string_view kLength = "\r\nContent-Length:";

// The number at the start of `text`, blanks before it allowed.
std::optional<std::uint64_t> number(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} ? std::optional(value) : std::nullopt;
}

std::size_t find_ignoring_case(std::string_view text, std::string_view words) {
  for (std::size_t at = 0; at + words.size() <= text.size(); ++at) {
    if (text[at] == words[0] && strncasecmp(text.data() + at, words.data(), words.size()) == 0) return at;
  }
  return text.npos;
}

}  // namespace

ReplyReader::State ReplyReader::feed(std::string_view bytes) {
  if (state_ == State::body) return skip(bytes.size());
  if (state_ != State::head) return bytes.empty() ? state_ : fail();
  const std::size_t known = size_, room = std::min(bytes.size(), kHeadMax - size_);
  std::memcpy(head_.data() + size_, bytes.data(), room);
  size_ += room;
  const std::string_view seen(head_.data(), size_);
  const std::size_t end = seen.find(kHeadEnd, known < kHeadEnd.size() ? 0 : known - kHeadEnd.size());
  if (end == seen.npos) return size_ == kHeadMax ? fail() : state_;
  if (!parse_head(seen.substr(0, end + kLineEnd.size()))) return fail();
  state_ = missing_ == 0 ? State::complete : State::body;
  return feed(bytes.substr(end + kHeadEnd.size() - known));
}

ReplyReader::State ReplyReader::skip(std::uint64_t bytes) {
  if (bytes > missing_) return fail();
  missing_ -= bytes;
  if (missing_ == 0) state_ = State::complete;
  return state_;
}

bool ReplyReader::parse_head(std::string_view head) {
  if (!head.starts_with(kVersion)) return false;
  const auto status = number(head.substr(kVersion.size()));
  const std::size_t field = find_ignoring_case(head, kLength);
  if (!status || *status < 200 || *status > 599 || field == head.npos) return false;
  const auto length = number(head.substr(field + kLength.size()));
  status_ = static_cast<int>(*status);
  missing_ = length.value_or(0);
  return length.has_value();
}

}  // namespace headgate::bench
