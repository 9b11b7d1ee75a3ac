// Cookies: reading the Cookie field without allocation (RFC 6265 5.4, tolerant: whatever clients send is theirs), and
// the cookie by which a client comes back to its backend.
//
// The persistence cookie holds a backend's id and the time it was given, both masked, and a tag: 24 bytes, 32
// characters of base64url. What is promised: without the key nobody makes a cookie that is believed with a better
// chance than 2^-128 a try (SipHash-2-4 with a 128-bit key and tag), nor reads the id. What is not: two clients can see
// that they have the same backend when they got their cookies within one second, and a cookie that was stolen works for
// the thief.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "dataplane/base/siphash.h"

namespace headgate::http {

struct CookiePair {
  std::string_view name, value;  // the value without the quotes around it
  std::string_view whole;        // both as they stand there, without white space around them
};

// Pairs of one Cookie field's value, one after another.
class CookieReader {
 public:
  explicit CookieReader(std::string_view value) : rest_(value) {}
  bool next(CookiePair& pair);  // false: no more

 private:
  std::string_view rest_;
};

class CookieSigner {
 public:
  static constexpr std::size_t kText = 32;  // characters of a cookie's value
  static constexpr std::size_t kKeysMax = 3;

  struct Content {
    std::uint32_t backend_id = 0;
    std::uint32_t given_s = 0;  // seconds since 1970
    friend bool operator==(const Content&, const Content&) = default;
  };

  // keys: the first one signs, all are believed, so that keys can change without clients losing their backends.
  // Requires: 1 to kKeysMax.
  explicit CookieSigner(std::span<const SipKey> keys);

  // pool_id: a cookie is believed for the pool it was made for alone.
  std::array<char, kText> make(std::uint32_t pool_id, const Content& content) const;
  // Nothing when we did not make it.
  std::optional<Content> open(std::uint32_t pool_id, std::string_view text) const;

 private:
  std::vector<SipHash> keys_;
};

// The Set-Cookie field line with its CRLF, written to `out`; its length, 0 when there is no room. SameSite=Lax; always
// HttpOnly; max_age_s 0: until the browser closes.
struct CookieAttributes {
  std::string_view name;  // a token
  std::uint32_t max_age_s = 0;
  bool secure = false;  // the client's connection is TLS
};
std::size_t write_set_cookie(const CookieAttributes& attributes, std::string_view value, std::span<char> out);

}  // namespace headgate::http
