// What is said about a configuration text: "file:line:column: what is wrong; what to do".
#pragma once

#include <string>
#include <vector>

namespace headgate::config {

struct Location {
  int line = 0, column = 0;  // from 1; 0 = not from a text
};

enum class Severity { error, warning };

struct Diagnostic {
  Severity severity = Severity::error;
  std::string file;
  Location location;
  std::string message;
  std::string path{};  // what it is about, "pool web backend w4"; empty: not known, or the whole

  std::string to_string() const {
    std::string text = file;
    if (location.line > 0) text += ":" + std::to_string(location.line) + ":" + std::to_string(location.column);
    return text + ": " + (severity == Severity::warning ? "warning: " : "") + message;
  }
  // With what it is about, for people.
  std::string described() const { return to_string() + (path.empty() ? "" : " (" + path + ")"); }
};

inline bool has_errors(const std::vector<Diagnostic>& diagnostics) {
  for (const Diagnostic& diagnostic : diagnostics) {
    if (diagnostic.severity == Severity::error) return true;
  }
  return false;
}

}  // namespace headgate::config
