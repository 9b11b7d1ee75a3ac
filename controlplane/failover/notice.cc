#include "controlplane/failover/notice.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace headgate::failover {
namespace {

constexpr std::size_t kSigned = 32;
constexpr std::array<std::uint8_t, 8> kHead{'H', 'G', 'D', 'N', 1, 0, 0, 0};
constexpr std::size_t kKeysMax = 2;

void put(std::uint64_t value, std::uint8_t* at) {
  for (int i = 0; i < 8; ++i) at[i] = static_cast<std::uint8_t>(value >> (56 - 8 * i));
}

std::uint64_t get(const std::uint8_t* at) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | at[i];
  return value;
}

}  // namespace

std::array<std::uint8_t, kNoticeBytes> make_notice(const Secret& key, const Notice& notice) {
  std::array<std::uint8_t, kNoticeBytes> out{};
  std::copy(kHead.begin(), kHead.end(), out.begin());
  put(notice.key_id, &out[8]);
  put(notice.epoch, &out[16]);
  put(notice.counter, &out[24]);
  unsigned size = 0;
  if (::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()), out.data(), kSigned, &out[kSigned], &size) ==
      nullptr)
    std::abort();  // for want of memory only
  return out;
}

const char* NoticeGuard::name_of(Verdict verdict) {
  static constexpr const char* kNames[] = {
      "believed",           "a copy", "malformed", "of an unknown key", "with a wrong signature", "replayed",
      "of an earlier epoch"};
  return kNames[static_cast<std::size_t>(verdict)];
}

void NoticeGuard::add(std::uint64_t id, const Secret& key) {
  std::erase_if(keys_, [id](const Key& known) { return known.id == id; });
  if (keys_.size() == kKeysMax) keys_.erase(keys_.begin());
  keys_.push_back({.id = id, .key = key, .counter = 0, .epoch = 0});
}

void NoticeGuard::in_use(std::uint64_t id, std::uint64_t epoch) {
  const auto found = std::find_if(keys_.begin(), keys_.end(), [id](const Key& key) { return key.id == id; });
  if (found == keys_.end()) return;
  Key kept = *found;
  kept.epoch = std::max(kept.epoch, epoch);
  // An earlier key is void; a newer one is on its way to the supervisor.
  keys_.erase(keys_.begin(), found + 1);
  keys_.insert(keys_.begin(), kept);
}

void NoticeGuard::clear() {
  for (Key& key : keys_) ::OPENSSL_cleanse(key.key.data(), key.key.size());
  keys_.clear();
}

NoticeGuard::Verdict NoticeGuard::judge(std::span<const std::uint8_t> datagram) {
  const Verdict verdict = verdict_of(datagram);
  ++counts_[static_cast<std::size_t>(verdict)];
  return verdict;
}

NoticeGuard::Verdict NoticeGuard::verdict_of(std::span<const std::uint8_t> datagram) {
  if (datagram.size() != kNoticeBytes || !std::equal(kHead.begin(), kHead.end(), datagram.begin()))
    return Verdict::malformed;
  const Notice notice{get(&datagram[8]), get(&datagram[16]), get(&datagram[24])};
  const auto key =
      std::find_if(keys_.begin(), keys_.end(), [&](const Key& known) { return known.id == notice.key_id; });
  if (key == keys_.end()) return Verdict::stranger;
  const auto expected = make_notice(key->key, notice);
  if (::CRYPTO_memcmp(expected.data(), datagram.data(), kNoticeBytes) != 0) return Verdict::forged;
  if (notice.counter == key->counter) return Verdict::copy;
  if (notice.counter < key->counter) return Verdict::replayed;
  if (notice.epoch < key->epoch) return Verdict::outdated;
  key->counter = notice.counter;
  return Verdict::dead;
}

}  // namespace headgate::failover
