#include "controlplane/config/tokens.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>

namespace headgate::config {
namespace {

using google::protobuf::io::Tokenizer;

constexpr int kTabWidth = 8;  // of protobuf's tokenizer

// The parser reports these itself.
class Ignore : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int, google::protobuf::io::ColumnNumber, const std::string&) override {}
};

// Walks over a text once and turns the tokenizer's places, which only grow, into offsets.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}
  std::size_t offset_of(int line, int column) {
    while (offset_ < text_.size() && (line_ < line || (line_ == line && column_ < column))) {
      const char c = text_[offset_++];
      if (c == '\n') {
        ++line_;
        column_ = 0;
      } else {
        column_ += c == '\t' ? kTabWidth - column_ % kTabWidth : 1;
      }
    }
    return offset_;
  }

 private:
  std::string_view text_;
  std::size_t offset_ = 0;
  int line_ = 0, column_ = 0;
};

Token::Kind kind_of(Tokenizer::TokenType type) {
  switch (type) {
    case Tokenizer::TYPE_IDENTIFIER:
      return Token::Kind::identifier;
    case Tokenizer::TYPE_STRING:
      return Token::Kind::text;
    case Tokenizer::TYPE_INTEGER:
    case Tokenizer::TYPE_FLOAT:
      return Token::Kind::number;
    default:
      return Token::Kind::symbol;
  }
}

}  // namespace

Tokens::Tokens(std::string_view text) {
  google::protobuf::io::ArrayInputStream input(text.data(), static_cast<int>(text.size()));
  Ignore ignore;
  Tokenizer tokenizer(&input, &ignore);
  // As google::protobuf::TextFormat sets it up.
  tokenizer.set_allow_f_after_float(true);
  tokenizer.set_comment_style(Tokenizer::SH_COMMENT_STYLE);
  tokenizer.set_require_space_after_number(false);
  tokenizer.set_allow_multiline_strings(true);
  Cursor cursor(text);
  while (tokenizer.Next()) {
    const Tokenizer::Token& token = tokenizer.current();
    tokens_.push_back(
        {kind_of(token.type), token.text, token.line, token.column, cursor.offset_of(token.line, token.column)});
  }
}

std::size_t Tokens::at(int line, int column) const {
  const auto place = std::pair(line, column);
  const auto found = std::lower_bound(
      tokens_.begin(), tokens_.end(), place,
      [](const Token& token, const auto& wanted) { return std::pair(token.line, token.column) < wanted; });
  if (found == tokens_.end() || std::pair(found->line, found->column) != place) return tokens_.size();
  return static_cast<std::size_t>(found - tokens_.begin());
}

std::optional<std::size_t> Tokens::name_before(std::size_t index) const {
  if (index == 0) return std::nullopt;
  std::size_t name = index - 1;
  if (is(name, ':') && name > 0) --name;
  // A value needs the colon, a block does not.
  if (!is_name(name) || (name + 1 == index && !tokens_[index].opens())) return std::nullopt;
  return name;
}

std::optional<std::size_t> Tokens::end_of_value(std::size_t value) const {
  std::size_t i = value;
  if (is(i, '-')) ++i;
  if (i >= tokens_.size()) return std::nullopt;
  if (tokens_[i].opens()) {
    int depth = 0;
    do {
      depth += tokens_[i].opens() ? 1 : tokens_[i].closes() ? -1 : 0;
      ++i;
    } while (depth > 0 && i < tokens_.size());
    if (depth > 0) return std::nullopt;
  } else if (tokens_[i].kind == Token::Kind::text) {
    while (i < tokens_.size() && tokens_[i].kind == Token::Kind::text) ++i;  // "a" "b" is one text
  } else if (tokens_[i].kind == Token::Kind::symbol) {
    return std::nullopt;
  } else {
    ++i;
  }
  return is(i, ',') || is(i, ';') ? i + 1 : i;
}

std::optional<WrittenField> Tokens::field_of_value(std::size_t value) const {
  if (value >= tokens_.size()) return std::nullopt;
  std::size_t start = value;
  while (start > 0 && (is(start - 1, ',') || is(start - 1, '['))) {  // an element of a list
    --start;
    if (is(start, '[')) break;
    while (start > 0 && !is(start - 1, ',') && !is(start - 1, '[') && tokens_[start - 1].kind != Token::Kind::symbol)
      --start;
  }
  const auto name = name_before(start), end = end_of_value(start);
  if (!name || !end) return std::nullopt;
  return WrittenField{*name, *end};
}

std::optional<WrittenField> Tokens::field_of_name(std::size_t name) const {
  if (!is_name(name)) return std::nullopt;
  const std::size_t value = is(name + 1, ':') ? name + 2 : name + 1;
  if (value == name + 1 && (value >= tokens_.size() || !tokens_[value].opens())) return std::nullopt;
  const auto end = end_of_value(value);
  if (!end) return std::nullopt;
  return WrittenField{name, *end};
}

std::vector<std::size_t> Tokens::blocks_around(std::size_t index) const {
  std::vector<std::size_t> names;
  int depth = 0;
  for (std::size_t i = index; i-- > 0;) {
    if (tokens_[i].closes()) ++depth;
    if (!tokens_[i].opens()) continue;
    if (depth > 0) {
      --depth;
    } else if (const auto name = name_before(i)) {
      names.push_back(*name);
    }
  }
  std::reverse(names.begin(), names.end());
  return names;
}

}  // namespace headgate::config
