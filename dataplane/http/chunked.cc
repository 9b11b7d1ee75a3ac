#include "dataplane/http/chunked.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/check.h"
#include "dataplane/http/chars.h"

namespace headgate::http {
namespace {

constexpr std::uint64_t kSizeMax = 0x7fff'ffff'ffff'ffffull;

// RFC 9110 6.5.1: what a recipient must know before the content, or must not believe behind it.
bool forbidden_in_trailers(FieldName name) {
  switch (name) {
    case FieldName::other:
    case FieldName::date:
    case FieldName::via:
    case FieldName::server:
      return false;
    default:
      return true;
  }
}

}  // namespace

void ChunkedDecoder::start(std::span<char> trailers, std::uint64_t body_bytes_max, const Scanner& scanner) {
  HEADGATE_CHECK(trailers.size() >= 64);
  space_ = trailers.first(std::min(trailers.size(), kTrailerBytesMax));
  space_used_ = 0;
  scanner_ = &scanner;
  left_ = content_ = 0;
  content_max_ = body_bytes_max;
  line_extensions_ = extensions_ = 0;
  digits_ = 0;
  state_ = State::size;
  reason_ = Reason::none;
  trailers_.clear();
}

Piece ChunkedDecoder::refuse(Reason reason, std::size_t used) {
  reason_ = reason;
  return {Piece::Kind::refused, used, {}};
}

Piece ChunkedDecoder::next(std::string_view input) {
  std::size_t used = 0;
  while (state_ != State::end) {
    if (used == input.size()) return {Piece::Kind::need_more, used, {}};
    if (state_ == State::data) return read_data(input, used);
    if (state_ == State::trailers) return read_trailers(input, used);
    const Reason reason = step(input[used]);
    if (reason != Reason::none) return refuse(reason, used);
    ++used;
  }
  return {Piece::Kind::end, used, {}};
}

Piece ChunkedDecoder::read_data(std::string_view input, std::size_t used) {
  const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size() - used));
  left_ -= length;
  content_ += length;
  if (left_ == 0) state_ = State::data_return;
  return {Piece::Kind::data, used + length, input.substr(used, length)};
}

// Into the space given for it, up to its size; what was copied and belongs to the next message is left in the input.
Piece ChunkedDecoder::read_trailers(std::string_view input, std::size_t used) {
  if (space_used_ == 0 && input.substr(used).starts_with(kChunkEnd)) {  // none, as nearly always
    state_ = State::end;
    return {Piece::Kind::end, used + kChunkEnd.size(), {}};
  }
  const std::size_t room = std::min(input.size() - used, space_.size() - space_used_);
  std::memcpy(space_.data() + space_used_, input.data() + used, room);
  const std::size_t before = parser_.position();
  const std::string_view text(space_.data(), space_used_ + room);
  const Progress progress = parser_.advance(text, *scanner_, trailers_);
  space_used_ += parser_.position() - before;
  used += parser_.position() - before;
  if (progress == Progress::refused) return refuse(parser_.reason(), used);
  if (progress == Progress::need_more) {
    if (text.size() == space_.size()) return refuse(Reason::trailers_too_large, used);
    return {Piece::Kind::need_more, used, {}};
  }
  mark_trailers();
  state_ = State::end;
  return {Piece::Kind::end, used, {}};
}

void ChunkedDecoder::mark_trailers() {
  for (Field& field : trailers_) field.hop = forbidden_in_trailers(field.name);
}

Reason ChunkedDecoder::step(char c) {
  switch (state_) {
    case State::size:
      return read_size(c);
    case State::data_return:
      state_ = State::data_line_feed;
      return c == '\r' ? Reason::none : Reason::bad_chunk_end;
    case State::data_line_feed:
      digits_ = 0;
      line_extensions_ = 0;
      state_ = State::size;
      return c == '\n' ? Reason::none : Reason::bad_chunk_end;
    case State::size_line_feed:
      if (c != '\n') return Reason::bad_line_end;
      if (left_ > content_max_ - content_) return Reason::body_too_large;
      state_ = left_ != 0 ? State::data : State::trailers;
      if (left_ == 0) parser_.start(0, kTrailerBytesMax, kTrailerFieldsMax);
      return Reason::none;
    default:
      return read_extension(c);
  }
}

Reason ChunkedDecoder::read_size(char c) {
  if (is(c, kHex)) {
    if (digits_ == 0) left_ = 0;
    if (digits_++ == kChunkDigitsMax || left_ > kSizeMax >> 4) return Reason::chunk_too_large;
    left_ = left_ << 4 | hex_value(c);
    return Reason::none;
  }
  if (digits_ == 0 || (c != '\r' && c != ';')) return Reason::bad_chunk_size;
  state_ = c == ';' ? State::extension : State::size_line_feed;
  return Reason::none;
}

// chunk-ext = *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ), RFC 9112 7.1.1. No white space is taken
// before the first ";", where it would be part of the size for some.
Reason ChunkedDecoder::read_extension(char c) {
  if (++line_extensions_ > kExtensionBytesMax || ++extensions_ > kExtensionsMax) {
    return Reason::chunk_extension_too_large;
  }
  switch (state_) {
    case State::extension:
    case State::extension_value:
      if (is_blank(c)) return Reason::none;
      if (state_ == State::extension_value && c == '"') {
        state_ = State::quoted;
        return Reason::none;
      }
      state_ = state_ == State::extension ? State::extension_name : State::extension_token;
      return is(c, kToken) ? Reason::none : Reason::bad_chunk_extension;
    case State::extension_name:
    case State::extension_equals:
      if (c == '=') {
        state_ = State::extension_value;
        return Reason::none;
      }
      if (state_ == State::extension_name && is(c, kToken)) return Reason::none;
      if (!is_blank(c)) return end_extension(c);
      state_ = State::extension_equals;
      return Reason::none;
    case State::extension_token:
      return is(c, kToken) ? Reason::none : end_extension(c);
    case State::extension_end:
      return end_extension(c);
    default:
      return read_quoted(c);
  }
}

Reason ChunkedDecoder::read_quoted(char c) {
  if (!is(c, kValue)) return Reason::bad_chunk_extension;
  if (state_ == State::quoted_pair) {
    state_ = State::quoted;
  } else if (c == '\\') {
    state_ = State::quoted_pair;
  } else if (c == '"') {
    state_ = State::extension_end;
  }
  return Reason::none;
}

Reason ChunkedDecoder::end_extension(char c) {
  if (is_blank(c)) {
    state_ = State::extension_end;
  } else if (c == ';') {
    state_ = State::extension;
  } else if (c == '\r') {
    state_ = State::size_line_feed;
  } else {
    return Reason::bad_chunk_extension;
  }
  return Reason::none;
}

void BodyReader::start(const Head& head, std::span<char> trailers, std::uint64_t body_bytes_max,
                       const Scanner& scanner) {
  kind_ = head.body;
  done_ = kind_ == BodyKind::none;
  left_ = kind_ == BodyKind::length ? head.content_length : 0;
  if (kind_ == BodyKind::chunked) chunked_.start(trailers, body_bytes_max, scanner);
}

Piece BodyReader::next(std::string_view input) {
  if (done_) return {Piece::Kind::end, 0, {}};
  if (kind_ == BodyKind::chunked) {
    const Piece piece = chunked_.next(input);
    done_ = piece.kind == Piece::Kind::end;
    return piece;
  }
  if (input.empty()) return {};
  if (kind_ == BodyKind::until_close) return {Piece::Kind::data, input.size(), input};
  const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
  left_ -= length;
  done_ = left_ == 0;
  return {Piece::Kind::data, length, input.substr(0, length)};
}

ChunkHeader::ChunkHeader(std::uint64_t size) : at_(18 - 2) {
  HEADGATE_CHECK(size > 0);
  bytes_[at_] = '\r';
  bytes_[at_ + 1] = '\n';
  for (; size != 0; size >>= 4) bytes_[--at_] = "0123456789abcdef"[size & 15];
}

}  // namespace headgate::http
