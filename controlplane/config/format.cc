#include "controlplane/config/format.h"

#include <re2/re2.h>

#include <algorithm>
#include <cctype>

#include "controlplane/config/address.h"

namespace headgate::config {
namespace {

bool is_name(const std::string& text) {
  if (text.empty() || text.size() > 63 || !std::isalnum(static_cast<unsigned char>(text[0]))) return false;
  return std::all_of(text.begin(), text.end(), [](const char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
  });
}

std::optional<FormatProblem> prefix_problem(const std::string& quoted, const std::string& text) {
  const auto prefix = parse_prefix(text);
  if (!prefix) return FormatProblem{quoted + " is no prefix", "write it like 192.0.2.0/24 or 2001:db8::/64"};
  if (prefix->network() == *prefix) return std::nullopt;
  return FormatProblem{quoted + " has bits set after the prefix length", "write " + prefix->network().to_string()};
}

}  // namespace

std::optional<FormatProblem> format_problem(v1::Format format, const std::string& text) {
  const std::string quoted = "\"" + text + "\"";
  if (format == v1::FORMAT_NAME && !is_name(text)) {
    return FormatProblem{quoted + " is no name",
                         "use letters, digits, '.', '_' and '-', starting with a letter or digit, at most 63"};
  }
  if (format == v1::FORMAT_ADDRESS && !parse_address(text)) {
    return FormatProblem{quoted + " is no IP address", text.find('/') == std::string::npos
                                                           ? "write it like 192.0.2.1 or 2001:db8::1"
                                                           : "leave out the prefix length"};
  }
  if (format == v1::FORMAT_PREFIX) return prefix_problem(quoted, text);
  return std::nullopt;
}

Patterns::Patterns() = default;
Patterns::~Patterns() = default;

bool Patterns::match(const std::string& pattern, const std::string& text) {
  auto& compiled = compiled_[pattern];
  if (!compiled) compiled = std::make_unique<re2::RE2>(pattern, re2::RE2::Quiet);
  return re2::RE2::FullMatch(text, *compiled);
}

}  // namespace headgate::config
