#include "dataplane/http/head_writer.h"

#include "dataplane/base/check.h"

namespace headgate::http {

void HeadWriter::append(std::string_view piece) {
  if (piece.empty()) return;
  if (count_ > 0) {
    std::string_view& last = pieces_[count_ - 1];
    if (last.data() + last.size() == piece.data()) {
      last = {last.data(), last.size() + piece.size()};
      return;
    }
  }
  HEADGATE_CHECK(count_ < kPiecesMax);
  pieces_[count_++] = piece;
}

// The last place in the list is for one piece of written text, which can grow without end.
HeadWriter& HeadWriter::keep(std::string_view text) {
  if (count_ + 2 > kPiecesMax) return this->text(text);
  append(text);
  return *this;
}

HeadWriter& HeadWriter::keep(const Field& field) {
  const std::size_t end = source_.find('\n', field.value_at + field.value_length);
  return keep(source_.substr(field.name_at, end + 1 - field.name_at));
}

HeadWriter& HeadWriter::written_since(std::size_t from) {
  append(writer_.written().substr(from));
  return *this;
}

HeadWriter& HeadWriter::text(std::string_view text) {
  const std::size_t from = writer_.written().size();
  writer_.text(text);
  return written_since(from);
}

HeadWriter& HeadWriter::number(std::uint64_t number) {
  const std::size_t from = writer_.written().size();
  writer_.number(number);
  return written_since(from);
}

HeadWriter& HeadWriter::address(const IpAddress& address) {
  const std::size_t from = writer_.written().size();
  writer_.address(address);
  return written_since(from);
}

HeadWriter& HeadWriter::value(std::string_view text) {
  return checked(text, kValue);
}

HeadWriter& HeadWriter::target(std::string_view text) {
  return checked(text, kTarget);
}

HeadWriter& HeadWriter::checked(std::string_view text, CharClass which) {
  if (!all(text, which)) {
    reason_ = Reason::unsafe_value;
    return *this;
  }
  return this->text(text);
}

std::size_t HeadWriter::bytes() const {
  std::size_t sum = 0;
  for (const std::string_view piece : pieces()) sum += piece.size();
  return sum;
}

}  // namespace headgate::http
