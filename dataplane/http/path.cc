#include "dataplane/http/path.h"

#include <algorithm>

#include "dataplane/base/check.h"
#include "dataplane/http/chars.h"

namespace headgate::http {
namespace {

// Nothing in it that normalize_path() would have to look at.
bool is_normal(std::string_view path) {
  char before = 0;
  for (const char c : path) {
    if (c == '%' || c == '\\' || c == ';') return false;
    if (before == '/' && (c == '/' || c == '.')) return false;
    before = c;
  }
  return true;
}

// The path that is being written, always "/" and segments.
class Writer {
 public:
  Writer(const PathOptions& options, std::span<char> space) : options_(options), space_(space) { put('/'); }

  Reason segment(std::string_view text, bool last) {
    const std::size_t from = used_;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\\') return Reason::encoded_slash;
      if (text[i] != '%') {
        put(text[i]);
        continue;
      }
      const Reason reason = encoded(text.substr(i));
      if (reason != Reason::none) return reason;
      i += 2;
    }
    return end_segment(from, last);
  }

  std::string_view text() const { return {space_.data(), used_}; }

 private:
  void put(char c) { space_[used_++] = c; }

  Reason encoded(std::string_view text) {
    if (text.size() < 3 || !is(text[1], kHex) || !is(text[2], kHex)) return Reason::bad_percent;
    const char c = static_cast<char>(hex_value(text[1]) << 4 | hex_value(text[2]));
    if (c == 0) return Reason::encoded_nul;
    if (c == '\\' || (c == '/' && !options_.encoded_slashes)) return Reason::encoded_slash;
    if (is(c, kUnreserved)) {
      put(c);
      return Reason::none;
    }
    put('%');
    for (const char digit : text.substr(1, 2)) {
      put(is(digit, kDigit) ? digit : static_cast<char>(lower(digit) - 32));
    }
    return Reason::none;
  }

  Reason end_segment(std::size_t from, bool last) {
    const std::string_view written(space_.data() + from, used_ - from);
    const std::string_view stem = written.substr(0, written.find(';'));
    const bool dots = stem == "." || stem == "..";
    if (dots && stem.size() != written.size()) return Reason::dot_parameter;
    if (!dots) {
      if (!last && (from != used_ || !options_.merge_slashes)) put('/');
      return Reason::none;
    }
    const bool up = stem.size() == 2;
    used_ = from;
    if (!up) return Reason::none;
    if (used_ == 1) return Reason::above_root;
    used_ = text().rfind('/', used_ - 2) + 1;
    return Reason::none;
  }

  const PathOptions& options_;
  std::span<char> space_;
  std::size_t used_ = 0;
};

// Without parameters, decoded. An encoded slash stays encoded: it is none.
std::string_view match_form(std::string_view forward, std::span<char> space) {
  std::size_t used = 0;
  bool parameter = false;
  for (std::size_t i = 0; i < forward.size(); ++i) {
    char c = forward[i];
    if (c == '/') parameter = false;
    if (c == ';') parameter = true;
    if (parameter) continue;
    if (c == '%') {
      const char decoded = static_cast<char>(hex_value(forward[i + 1]) << 4 | hex_value(forward[i + 2]));
      if (decoded != '/') {
        c = decoded;
        i += 2;
      }
    }
    space[used++] = c;
  }
  return {space.data(), used};
}

}  // namespace

Reason normalize_path(std::string_view path, const PathOptions& options, std::span<char> space, NormalPath& out) {
  if (path.empty()) path = "/";
  HEADGATE_CHECK(path[0] == '/');
  if (is_normal(path)) {
    out = {path, path};
    return Reason::none;
  }
  HEADGATE_CHECK(space.size() >= 2 * path.size());
  Writer writer(options, space);
  for (std::size_t at = 1; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const Reason reason = writer.segment(path.substr(at, end - at), end == path.size());
    if (reason != Reason::none) return reason;
    at = end + 1;
  }
  out.forward = writer.text();
  const bool plain = out.forward.find_first_of("%;") == std::string_view::npos;
  out.match = plain ? out.forward : match_form(out.forward, space.subspan(out.forward.size()));
  return Reason::none;
}

}  // namespace headgate::http
