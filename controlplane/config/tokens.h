// The tokens of a configuration text with their places: finds the field that an error of protobuf's parser is about, so
// that the error can be told well and the rest of the file be read without it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/config/diagnostic.h"

namespace headgate::config {

struct Token {
  enum class Kind { identifier, text, number, symbol };
  Kind kind;
  std::string text;    // as written, with quotes
  int line, column;    // from 0, as protobuf counts them: a tab goes to the next multiple of 8
  std::size_t offset;  // of its first byte

  bool is(char symbol) const { return kind == Kind::symbol && text[0] == symbol; }
  bool opens() const { return is('{') || is('<') || is('['); }
  bool closes() const { return is('}') || is('>') || is(']'); }
  Location location() const { return {line + 1, column + 1}; }
};

// `name: value`, `name { ... }`: the tokens [name, end), with a separator after the value.
struct WrittenField {
  std::size_t name, end;
};

class Tokens {
 public:
  explicit Tokens(std::string_view text);

  const Token& operator[](std::size_t index) const { return tokens_[index]; }
  // The token that begins there; the number of tokens when none does.
  std::size_t at(int line, int column) const;
  std::size_t size() const { return tokens_.size(); }

  // The field that a token is the value of, alone or in a list.
  std::optional<WrittenField> field_of_value(std::size_t value) const;
  // The field that begins with this name.
  std::optional<WrittenField> field_of_name(std::size_t name) const;
  // Names of the blocks around a token, the outermost first.
  std::vector<std::size_t> blocks_around(std::size_t index) const;

 private:
  bool is(std::size_t index, char symbol) const { return index < tokens_.size() && tokens_[index].is(symbol); }
  bool is_name(std::size_t index) const {
    return index < tokens_.size() && tokens_[index].kind == Token::Kind::identifier;
  }
  // The token before an opening bracket or value that names it, behind an optional colon.
  std::optional<std::size_t> name_before(std::size_t index) const;
  // Behind the value that begins here; nothing when it has no end.
  std::optional<std::size_t> end_of_value(std::size_t value) const;

  std::vector<Token> tokens_;
};

}  // namespace headgate::config
