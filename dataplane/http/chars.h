// Classes of bytes that the grammar of HTTP/1.1 knows, as one table of 256 entries. The scans of scan.h are its fast
// form for long runs; everything short asks the table.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace headgate::http {

enum CharClass : std::uint8_t {
  kToken = 1,        // tchar, RFC 9110 5.6.2: names of fields, methods, list members
  kValue = 2,        // field-vchar, SP, HTAB, RFC 9110 5.5; obs-text included
  kTarget = 4,       // of a request target: VCHAR but "#", which no client sends and servers cut at differently
  kHostLabel = 8,    // letters, digits, "-" and "_"
  kUnreserved = 16,  // RFC 3986 2.3: may be percent-encoded or not without a difference
  kDigit = 32,
  kHex = 64,
  kUpper = 128,
};

namespace internal {

constexpr bool is_one_of(char c, std::string_view set) {
  return set.find(c) != std::string_view::npos;
}

constexpr std::uint8_t classes_of(unsigned char byte) {
  const char c = static_cast<char>(byte);
  const bool digit = c >= '0' && c <= '9', upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
  const bool alpha = upper || lower, visible = byte > 0x20 && byte < 0x7f;
  unsigned classes = 0;
  if (alpha || digit || is_one_of(c, "!#$%&'*+-.^_`|~")) classes |= kToken;
  if (visible || byte >= 0x80 || c == ' ' || c == '\t') classes |= kValue;
  if (visible && c != '#') classes |= kTarget;
  if (alpha || digit || c == '-' || c == '_') classes |= kHostLabel;
  if (alpha || digit || is_one_of(c, "-._~")) classes |= kUnreserved;
  if (digit) classes |= kDigit;
  if (digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) classes |= kHex;
  if (upper) classes |= kUpper;
  return static_cast<std::uint8_t>(classes);
}

constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> table{};
  for (unsigned i = 0; i < 256; ++i) table[i] = classes_of(static_cast<unsigned char>(i));
  return table;
}

inline constexpr auto kClasses = make_classes();

}  // namespace internal

constexpr bool is(char c, CharClass which) {
  return (internal::kClasses[static_cast<unsigned char>(c)] & which) != 0;
}
// Every byte of it; true for nothing.
constexpr bool all(std::string_view text, CharClass which) {
  for (const char c : text) {
    if (!is(c, which)) return false;
  }
  return true;
}

constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t';
}
// ASCII only: what a locale says of letters is none of a protocol's business.
constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
constexpr bool same_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}
// Requires: is(c, kHex).
constexpr unsigned hex_value(char c) {
  return static_cast<unsigned>(c <= '9' ? c - '0' : lower(c) - 'a' + 10);
}
// Without SP and HTAB around it (OWS, RFC 9110 5.6.3).
constexpr std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace headgate::http
