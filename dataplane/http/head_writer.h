// A head to be sent, as a list of pieces: runs of the head that was received, which are not copied, and what the proxy
// writes itself. Pieces that follow each other in memory become one, so that a head that goes on nearly as it came is
// two or three.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "dataplane/http/chars.h"
#include "dataplane/http/fields.h"
#include "dataplane/http/reason.h"
#include "dataplane/http/text_writer.h"

namespace headgate::http {

class HeadWriter {
 public:
  static constexpr std::size_t kPiecesMax = 32;

  // source: the buffer with the received head. space: for what is written, and for what is kept once the list of pieces
  // is nearly full; as large as the head and 2 KB suffices for usual rules. Both are borrowed by pieces().
  HeadWriter(std::string_view source, std::span<char> space) : source_(source), writer_(space) {}

  // text: part of the source.
  HeadWriter& keep(std::string_view text);
  HeadWriter& keep(const Field& field);  // its whole line
  HeadWriter& text(std::string_view text);
  HeadWriter& number(std::uint64_t number);
  HeadWriter& address(const IpAddress& address);
  // Text that came from outside, into the value of a field: refused when it could end the line (unsafe_value).
  HeadWriter& value(std::string_view text);
  // Likewise, into a request line.
  HeadWriter& target(std::string_view text);
  HeadWriter& line(std::string_view name, std::string_view value) {
    return this->text(name).text(": ").value(value).text("\r\n");
  }

  // none: the pieces are the whole head.
  Reason reason() const { return writer_.fits() ? reason_ : Reason::head_not_writable; }
  std::span<const std::string_view> pieces() const { return {pieces_.data(), count_}; }
  std::size_t bytes() const;

 private:
  HeadWriter& checked(std::string_view text, CharClass which);
  void append(std::string_view piece);
  // Makes what was written since `from` a piece.
  HeadWriter& written_since(std::size_t from);

  std::string_view source_;
  TextWriter writer_;
  std::array<std::string_view, kPiecesMax> pieces_;
  std::size_t count_ = 0;
  Reason reason_ = Reason::none;
};

}  // namespace headgate::http
