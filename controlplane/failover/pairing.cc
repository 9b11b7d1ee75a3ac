#include "controlplane/failover/pairing.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

namespace headgate::failover {
namespace {

constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr std::string_view kSalt = "headgate pairing 1";
constexpr std::string_view kExporterLabel = "EXPORTER-headgate-pairing";
constexpr int kRounds = 20'000;  // about 10 ms, once for each code and each attempt to use one
constexpr std::size_t kCodeLetters = kCodeBytes * 8 / 5;

char letter_of(char c) {
  if (c >= 'a' && c <= 'z') return static_cast<char>(c - 'a' + 'A');
  return c == '0' ? 'O' : c == '1' ? 'I' : c == '8' ? 'B' : c;
}

}  // namespace

Code make_code() {
  Code code;
  fill_random(code);
  return code;
}

std::string print_code(const Code& code) {
  std::string text;
  for (std::size_t letter = 0; letter < kCodeLetters; ++letter) {
    unsigned value = 0;
    for (std::size_t bit = letter * 5; bit < letter * 5 + 5; ++bit)
      value = value << 1 | (code[bit / 8] >> (7 - bit % 8) & 1U);
    if (letter > 0 && letter % 4 == 0) text += '-';
    text += kLetters[value];
  }
  return text;
}

std::optional<Code> read_code(const std::string& text) {
  Code code{};
  std::size_t bit = 0;
  for (const char c : text) {
    if (c == '-' || c == ' ') continue;
    const std::size_t value = kLetters.find(letter_of(c));
    if (value == std::string_view::npos || bit == kCodeBytes * 8) return std::nullopt;
    for (unsigned i = 0; i < 5; ++i, ++bit)
      code[bit / 8] = static_cast<std::uint8_t>(code[bit / 8] | (value >> (4 - i) & 1U) << (7 - bit % 8));
  }
  return bit == kCodeBytes * 8 ? std::optional(code) : std::nullopt;
}

Secret pairing_key(const Code& code) {
  Secret key;
  if (::PKCS5_PBKDF2_HMAC(reinterpret_cast<const char*>(code.data()), static_cast<int>(code.size()),
                          reinterpret_cast<const unsigned char*>(kSalt.data()), static_cast<int>(kSalt.size()), kRounds,
                          ::EVP_sha256(), static_cast<int>(key.size()), key.data()) != 1)
    std::abort();  // fails for want of memory only; a proof with another key would be a wrong one
  return key;
}

Secret pairing_proof(const Secret& key, PairRole role, const Connection& connection) {
  std::string text(1, static_cast<char>(role));
  for (const Secret* part : {&connection.client, &connection.server, &connection.exporter})
    text.append(reinterpret_cast<const char*>(part->data()), part->size());
  Secret proof;
  unsigned size = 0;
  if (::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(), proof.data(), &size) == nullptr ||
      size != proof.size())
    std::abort();
  return proof;
}

bool same(const Secret& proof, const std::string& received) {
  return received.size() == proof.size() && ::CRYPTO_memcmp(proof.data(), received.data(), proof.size()) == 0;
}

std::optional<Secret> export_secret(SSL* ssl) {
  Secret out;
  if (::SSL_version(ssl) != TLS1_3_VERSION ||
      ::SSL_export_keying_material(ssl, out.data(), out.size(), kExporterLabel.data(), kExporterLabel.size(), nullptr,
                                   0, 0) != 1)
    return std::nullopt;
  return out;
}

std::string PairingWindow::open(Clock::time_point now) {
  Code code = make_code();
  key_ = pairing_key(code);
  ends_ = now + kCodeLife;
  tries_left_ = kTriesMax;
  std::string text = print_code(code);
  ::OPENSSL_cleanse(code.data(), code.size());
  return text;
}

void PairingWindow::close() {
  if (key_) ::OPENSSL_cleanse(key_->data(), key_->size());
  key_.reset();
  tries_left_ = 0;
}

bool PairingWindow::is_open(Clock::time_point now) const {
  return key_ && now < ends_;
}

PairingWindow::Verdict PairingWindow::judge(const Connection& connection, const std::string& proof,
                                            Clock::time_point now) {
  if (!is_open(now)) {
    close();
    return Verdict::closed;
  }
  if (same(pairing_proof(*key_, PairRole::client, connection), proof)) return Verdict::right;
  if (--tries_left_ == 0) close();
  return Verdict::wrong;
}

Secret PairingWindow::answer(const Connection& connection) const {
  return pairing_proof(*key_, PairRole::server, connection);
}

}  // namespace headgate::failover
