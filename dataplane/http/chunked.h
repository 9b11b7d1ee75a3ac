// Bodies: how many of the bytes that came belong to the message, and which of them are its content. A decoder is fed
// with whatever a connection received and gives back one piece after another, without copying content:
//
//   for (;;) {
//     const Piece piece = decoder.next(input);
//     input.remove_prefix(piece.used);
//     switch (piece.kind) { data: piece.data is content, inside of the input; need_more: wait for more;
//                           end: the message is over, what is left of the input belongs to the next one; refused: ... }
//   }
//
// Chunks are never passed on as they came: sizes are written anew and extensions left out, so that a backend sees the
// one form of them that everybody reads alike.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "dataplane/http/message.h"

namespace headgate::http {

struct Piece {
  enum class Kind : std::uint8_t { need_more, data, end, refused };
  Kind kind = Kind::need_more;
  std::size_t used = 0;   // bytes of the input that are done with; `data` is at their end
  std::string_view data;  // not empty for `data`
};

// Chunked transfer coding, RFC 9112 7.1, after all other codings were refused.
class ChunkedDecoder {
 public:
  // trailers: where the trailer section is kept, which bounds it; at most kTrailerBytesMax of it are used. Borrowed
  // until the end of the message. Requires: at least 64 bytes. body_bytes_max: of the content.
  void start(std::span<char> trailers, std::uint64_t body_bytes_max, const Scanner& scanner = kSse42Scanner);

  Piece next(std::string_view input);

  Reason reason() const { return reason_; }  // after refused
  std::uint64_t content_bytes() const { return content_; }
  std::uint64_t chunk_left() const { return left_; }  // after `data`: bytes of this chunk that are still to come
  // After end: the fields that may be forwarded are those not marked `hop`: framing, routing, credentials and the like
  // have no business in trailers (RFC 9110 6.5.1). Offsets are into the memory given to start().
  const Trailers& trailers() const { return trailers_; }
  std::string_view trailer_text() const { return {space_.data(), space_used_}; }

 private:
  enum class State : std::uint8_t {
    size,
    extension,
    extension_name,
    extension_equals,
    extension_value,
    extension_token,
    quoted,
    quoted_pair,
    extension_end,
    size_line_feed,
    data,
    data_return,
    data_line_feed,
    trailers,
    end
  };

  Piece refuse(Reason reason, std::size_t used);
  Piece read_data(std::string_view input, std::size_t used);
  Piece read_trailers(std::string_view input, std::size_t used);
  Reason step(char c);
  Reason read_size(char c);
  Reason read_extension(char c);
  Reason read_quoted(char c);
  Reason end_extension(char c);
  void mark_trailers();

  std::span<char> space_;
  std::size_t space_used_ = 0;
  const Scanner* scanner_ = nullptr;
  std::uint64_t left_ = 0;  // of the size being read, or of the chunk
  std::uint64_t content_ = 0, content_max_ = 0;
  std::uint32_t line_extensions_ = 0, extensions_ = 0;  // bytes
  std::uint8_t digits_ = 0;
  State state_ = State::size;
  Reason reason_ = Reason::none;
  FieldParser parser_;
  Trailers trailers_;
};

// Any body. One of these per direction of a connection.
class BodyReader {
 public:
  // For a body that head.body and head.content_length describe. The rest is for chunked ones, as
  // ChunkedDecoder::start() has it; a request parser has checked the length of others.
  void start(const Head& head, std::span<char> trailers, std::uint64_t body_bytes_max,
             const Scanner& scanner = kSse42Scanner);

  Piece next(std::string_view input);
  // The connection ended: whether the body did, too. A body that ends early must not look like one that is whole: the
  // other connection is to be reset, not closed.
  bool ended_well() const { return done_ || kind_ == BodyKind::until_close; }

  Reason reason() const { return chunked_.reason(); }  // after refused: only chunked bodies are
  BodyKind kind() const { return kind_; }
  const ChunkedDecoder& chunked() const { return chunked_; }

 private:
  BodyKind kind_ = BodyKind::none;
  bool done_ = true;
  std::uint64_t left_ = 0;
  ChunkedDecoder chunked_;
};

// -- Writing
// ------------------------------------------------------------------------------------------------------------

// "1a2b\r\n": what goes before a chunk of `size` bytes. Behind it goes kChunkEnd. A size of 0 would end the body, so it
// is not a chunk. Requires: size > 0. Not in need of a terminator.
class ChunkHeader {
 public:
  explicit ChunkHeader(std::uint64_t size);
  std::string_view text() const { return {bytes_.data() + at_, bytes_.size() - at_}; }

 private:
  std::array<char, 18> bytes_{};
  std::size_t at_;
};
inline constexpr std::string_view kChunkEnd = "\r\n";
inline constexpr std::string_view kLastChunk = "0\r\n";  // then trailer fields, then kChunkEnd
inline constexpr std::string_view kLastChunkAndEnd = "0\r\n\r\n";

}  // namespace headgate::http
