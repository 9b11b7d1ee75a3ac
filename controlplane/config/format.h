// What a text must look like by the `format` of its field (options.proto).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "controlplane/api/options.pb.h"

namespace re2 {
class RE2;
}

namespace headgate::config {

struct FormatProblem {
  std::string what;    // is wrong: "\"x\" is no name"
  std::string action;  // what to do, an imperative
};
std::optional<FormatProblem> format_problem(v1::Format format, const std::string& text);

// Whether texts are as the `pattern` of their field says. Takes time in proportion to the text, whatever the pattern.
// A pattern that is none matches nothing. Thread: one.
class Patterns {
 public:
  Patterns();
  ~Patterns();
  bool match(const std::string& pattern, const std::string& text);

 private:
  std::map<std::string, std::unique_ptr<re2::RE2>> compiled_;  // each once: it costs more than a match
};

}  // namespace headgate::config
