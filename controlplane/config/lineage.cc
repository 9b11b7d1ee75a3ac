#include "controlplane/config/lineage.h"

#include <openssl/evp.h>

#include <algorithm>

namespace headgate::config {
namespace {

constexpr std::size_t kHexDigits = 64;

bool is_hash(const std::string& text) {
  return text.size() == kHexDigits &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::string sha256_hex(const std::string& text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  EVP_Digest(text.data(), text.size(), digest, &length, EVP_sha256(), nullptr);
  std::string hex;
  constexpr const char* kDigits = "0123456789abcdef";
  for (unsigned i = 0; i < length; ++i) {
    hex += kDigits[digest[i] >> 4];
    hex += kDigits[digest[i] & 15];
  }
  return hex;
}

Lineage following(const Lineage& before, const std::string& digest) {
  if (!before.id.empty() && before.digest == digest) return before;
  return {sha256_hex(before.id + "\n" + digest), before.id, digest};
}

bool sound(const Lineage& lineage) {
  return is_hash(lineage.id) && is_hash(lineage.digest) && (lineage.parent.empty() || is_hash(lineage.parent)) &&
         lineage.id == sha256_hex(lineage.parent + "\n" + lineage.digest);
}

}  // namespace headgate::config
