#include "controlplane/console/words.h"

namespace headgate::console {

Line split(const std::string& text) {
  Line line;
  line.parts.emplace_back();
  std::string word;
  bool in_word = false;
  char quote = 0;
  const auto end_word = [&] {
    if (in_word) line.parts.back().push_back(word);
    word.clear();
    in_word = false;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && i + 1 < text.size()) {
      ++i;
      word += quote != 0 && text[i] == 'n' ? '\n' : text[i];
      in_word = true;
    } else if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
      in_word = true;
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      end_word();
    } else if (c == '|') {
      end_word();
      line.parts.emplace_back();
    } else if (c == '#' && !in_word) {
      return line;
    } else {
      word += c;
      in_word = true;
    }
  }
  line.open_quote = quote != 0;
  line.open_word = in_word;
  end_word();
  return line;
}

}  // namespace headgate::console
