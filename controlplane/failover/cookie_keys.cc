#include "controlplane/failover/cookie_keys.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <sstream>

#include "controlplane/failover/identity.h"

namespace headgate::failover {
namespace {

std::optional<CookieKey> key_of_hex(const std::string& text) {
  CookieKey key;
  if (text.size() != 2 * key.size()) return std::nullopt;
  for (std::size_t i = 0; i < key.size(); ++i) {
    const char* at = text.data() + 2 * i;
    const auto [end, error] = std::from_chars(at, at + 2, key[i], 16);
    if (error != std::errc{} || end != at + 2) return std::nullopt;
  }
  return key;
}

// Nothing when any line is no key: half of a list is another list.
std::optional<std::vector<CookieKey>> keys_of_text(const std::string& text) {
  std::vector<CookieKey> keys;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto key = key_of_hex(line);
    if (!key) return std::nullopt;
    keys.push_back(*key);
  }
  if (keys.empty() || keys.size() > kCookieKeysMax) return std::nullopt;
  return keys;
}

void add(std::vector<CookieKey>& keys, const CookieKey& key) {
  const bool known = std::find(keys.begin(), keys.end(), key) != keys.end();
  if (!known && keys.size() < kCookieKeysMax) keys.push_back(key);
}

}  // namespace

std::vector<CookieKey> merged(const std::vector<CookieKey>& side_a, const std::vector<CookieKey>& side_b) {
  std::vector<CookieKey> out;
  for (const auto* side : {&side_a, &side_b}) {
    if (!side->empty()) add(out, side->front());
  }
  for (const auto* side : {&side_a, &side_b}) {
    for (const CookieKey& key : *side) add(out, key);
  }
  return out;
}

config::Result<void> CookieKeys::open() {
  if (auto made = disk_.make_directory(directory_); !made) return made;
  if (disk_.exists(path())) {
    const auto text = disk_.read(path());
    if (!text) return config::fail(text.error().message);
    if (const auto keys = keys_of_text(*text)) {
      keys_ = *keys;
      return {};
    }
    log_(HaLink::Weight::warning, path() + " is damaged; a new key is made, and clients choose their backends anew");
  }
  CookieKey first;
  fill_random(first);
  return keep({first});
}

config::Result<void> CookieKeys::keep(std::vector<CookieKey> keys) {
  std::string text;
  for (const CookieKey& key : keys) text += to_hex(key) + "\n";
  if (auto done = config::replace_durably(disk_, path(), text); !done) return done;
  keys_ = std::move(keys);
  return {};
}

void CookieKeys::configured(Wire&, const std::optional<LinkSettings>& settings) {
  if (settings) side_a_ = settings->side == config::v1::A;
}

void CookieKeys::began(Wire& wire, const ha::v1::Hello&) {
  ha::v1::Envelope envelope;
  for (const CookieKey& key : keys_) envelope.mutable_cookie_keys()->add_key(key.data(), key.size());
  if (!keys_.empty()) wire.send(envelope);
}

bool CookieKeys::message(const ha::v1::Envelope& envelope) {
  if (!envelope.has_cookie_keys()) return false;
  std::vector<CookieKey> theirs;
  for (const std::string& bytes : envelope.cookie_keys().key()) {
    CookieKey key;
    if (bytes.size() != key.size() || theirs.size() == kCookieKeysMax) return true;  // not of this version
    std::memcpy(key.data(), bytes.data(), key.size());
    theirs.push_back(key);
  }
  std::vector<CookieKey> both = side_a_ ? merged(keys_, theirs) : merged(theirs, keys_);
  if (both == keys_) return true;
  if (const auto kept = keep(std::move(both)); !kept) {
    log_(HaLink::Weight::warning, "the peer's key for persistence cookies could not be kept: " + kept.error().message);
    return true;
  }
  log_(HaLink::Weight::notice, "persistence cookies of either box are believed by both");
  if (listener_) listener_();
  return true;
}

}  // namespace headgate::failover
