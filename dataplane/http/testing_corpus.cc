#include "dataplane/http/testing_corpus.h"

#include <fstream>
#include <map>

#include "dataplane/http/chars.h"

namespace headgate::http::testing {
namespace {

using Definitions = std::map<std::string, std::string>;

class Expander {
 public:
  Expander(const std::string& text, const Definitions& definitions) : text_(text), definitions_(definitions) {}

  // Up to the end, or the brace that closes what is inside of it.
  std::string expand(bool inside) {
    std::string out;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '}' && inside) return out;
      if (c == '\\') {
        out += escape();
      } else if (c == '{') {
        out += group();
      } else {
        out += c;
      }
    }
    return out;
  }

 private:
  char escape() {
    const char c = at_ < text_.size() ? text_[at_++] : '\\';
    if (c == 'r') return '\r';
    if (c == 'n') return '\n';
    if (c == 't') return '\t';
    if (c != 'x' || at_ + 2 > text_.size()) return c;
    const unsigned value = hex_value(text_[at_]) << 4 | hex_value(text_[at_ + 1]);
    at_ += 2;
    return static_cast<char>(value);
  }
  std::string group() {
    const std::size_t star = text_.find_first_of("*}", at_);
    if (star == std::string::npos) return "";
    const std::string head = text_.substr(at_, star - at_);
    at_ = star + 1;
    if (text_[star] == '}') {
      const auto found = definitions_.find(head);
      return found != definitions_.end() ? found->second : "?" + head + "?";
    }
    const std::string once = expand(true);
    std::string out;
    for (unsigned long i = std::stoul(head); i > 0; --i) out += once;
    return out;
  }

  const std::string& text_;
  const Definitions& definitions_;
  std::size_t at_ = 0;
};

std::string trimmed(std::string_view text) {
  return std::string(trim(text));
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == separator) {
      parts.emplace_back();
      continue;
    }
    parts.back() += text[i];
    if (text[i] == '\\' && i + 1 < text.size()) parts.back() += text[++i];
  }
  for (std::string& part : parts) part = trimmed(part);
  return parts;
}

}  // namespace

std::string unescape(const std::string& text) {
  const Definitions none;
  return Expander(text, none).expand(false);
}

std::vector<CorpusCase> read_corpus(const std::string& path, std::string& error) {
  std::ifstream file(path);
  std::vector<CorpusCase> cases;
  Definitions definitions;
  if (!file) error = "cannot open " + path;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    if (line.starts_with("define ")) {
      const std::size_t equals = line.find('=');
      const std::string bytes = trimmed(line.substr(equals + 1));
      definitions[trimmed(line.substr(7, equals - 7))] = Expander(bytes, definitions).expand(false);
      continue;
    }
    const auto columns = split(line, '|');
    if (columns.size() != 4) {
      error = line + ": not four columns";
      return {};
    }
    CorpusCase one{columns[0], split(columns[1], ';'), split(columns[2], ';'), {}};
    one.bytes = Expander(columns[3], definitions).expand(false);
    if (one.answers.size() != one.backend.size()) error = one.name + ": not as many answers as requests";
    cases.push_back(std::move(one));
  }
  return cases;
}

}  // namespace headgate::http::testing
