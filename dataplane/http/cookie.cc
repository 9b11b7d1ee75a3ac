#include "dataplane/http/cookie.h"

#include "dataplane/base/check.h"
#include "dataplane/http/chars.h"
#include "dataplane/http/text_writer.h"

namespace headgate::http {
namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::uint8_t kNoDigit = 255;

constexpr std::array<std::uint8_t, 256> kDigitValues = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(kNoDigit);
  for (std::size_t i = 0; i < kDigits.size(); ++i) {
    values[static_cast<unsigned char>(kDigits[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}();

struct Sealed {
  CookieSigner::Content content;  // masked
  SipHash::Wide tag;
};
static_assert(sizeof(Sealed) == 24 && sizeof(Sealed) % 3 == 0);

template <class Message>
std::string_view bytes_of(const Message& message) {
  return {reinterpret_cast<const char*>(&message), sizeof(message)};
}

// First words that keep the two uses of a key apart.
constexpr std::uint32_t kTagLabel = 1, kMaskLabel = 2;

SipHash::Wide tag_of(const SipHash& key, std::uint32_t pool_id, const CookieSigner::Content& content) {
  const std::array<std::uint32_t, 4> message{kTagLabel, pool_id, content.backend_id, content.given_s};
  return key.wide(bytes_of(message));
}

// The tag takes the place of a nonce: what it is computed from differs whenever the content does.
CookieSigner::Content mask(const SipHash& key, const SipHash::Wide& tag, const CookieSigner::Content& content) {
  const std::array<std::uint64_t, 3> message{kMaskLabel, tag.first, tag.second};
  const std::uint64_t stream = key.narrow(bytes_of(message));
  return {content.backend_id ^ static_cast<std::uint32_t>(stream),
          content.given_s ^ static_cast<std::uint32_t>(stream >> 32)};
}

bool decode(std::string_view text, Sealed& out) {
  if (text.size() != CookieSigner::kText) return false;
  std::array<std::uint8_t, sizeof(Sealed)> bytes;
  for (std::size_t group = 0; group < bytes.size() / 3; ++group) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::uint8_t digit = kDigitValues[static_cast<unsigned char>(text[group * 4 + i])];
      if (digit == kNoDigit) return false;
      value = value << 6 | digit;
    }
    for (std::size_t i = 0; i < 3; ++i) bytes[group * 3 + i] = static_cast<std::uint8_t>(value >> (16 - 8 * i));
  }
  std::memcpy(&out, bytes.data(), sizeof(out));
  return true;
}

}  // namespace

bool CookieReader::next(CookiePair& pair) {
  while (!rest_.empty()) {
    const std::size_t end = std::min(rest_.find(';'), rest_.size());
    pair.whole = trim(rest_.substr(0, end));
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    if (pair.whole.empty()) continue;
    const std::size_t equals = std::min(pair.whole.find('='), pair.whole.size());
    pair.name = trim(pair.whole.substr(0, equals));
    pair.value = trim(pair.whole.substr(std::min(equals + 1, pair.whole.size())));
    if (pair.value.size() >= 2 && pair.value.front() == '"' && pair.value.back() == '"') {
      pair.value = pair.value.substr(1, pair.value.size() - 2);
    }
    return true;
  }
  return false;
}

CookieSigner::CookieSigner(std::span<const SipKey> keys) {
  HEADGATE_CHECK(!keys.empty() && keys.size() <= kKeysMax);
  for (const SipKey& key : keys) keys_.emplace_back(key);
}

std::array<char, CookieSigner::kText> CookieSigner::make(std::uint32_t pool_id, const Content& content) const {
  Sealed sealed;
  sealed.tag = tag_of(keys_[0], pool_id, content);
  sealed.content = mask(keys_[0], sealed.tag, content);
  std::array<std::uint8_t, sizeof(Sealed)> bytes;
  std::memcpy(bytes.data(), &sealed, sizeof(sealed));
  std::array<char, kText> text;
  for (std::size_t group = 0; group < bytes.size() / 3; ++group) {
    const std::uint32_t value = static_cast<std::uint32_t>(bytes[group * 3]) << 16 |
                                static_cast<std::uint32_t>(bytes[group * 3 + 1]) << 8 | bytes[group * 3 + 2];
    for (std::size_t i = 0; i < 4; ++i) text[group * 4 + i] = kDigits[value >> (18 - 6 * i) & 63];
  }
  return text;
}

std::optional<CookieSigner::Content> CookieSigner::open(std::uint32_t pool_id, std::string_view text) const {
  Sealed sealed;
  if (!decode(text, sealed)) return std::nullopt;
  for (const SipHash& key : keys_) {
    const Content content = mask(key, sealed.tag, sealed.content);
    const SipHash::Wide tag = tag_of(key, pool_id, content);
    // All 128 bits at once: the time it takes says nothing about how many of them were right.
    if (((tag.first ^ sealed.tag.first) | (tag.second ^ sealed.tag.second)) == 0) return content;
  }
  return std::nullopt;
}

std::size_t write_set_cookie(const CookieAttributes& attributes, std::string_view value, std::span<char> out) {
  TextWriter writer(out);
  writer.text("Set-Cookie: ").text(attributes.name).text("=").text(value).text("; Path=/; HttpOnly; SameSite=Lax");
  if (attributes.secure) writer.text("; Secure");
  if (attributes.max_age_s != 0) writer.text("; Max-Age=").number(attributes.max_age_s);
  writer.text("\r\n");
  return writer.fits() ? writer.written().size() : 0;
}

}  // namespace headgate::http
