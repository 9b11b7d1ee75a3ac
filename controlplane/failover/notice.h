// Death notices that come from the peer's supervisor: what they look like and which of them are true. Pure. The
// supervisor has its own writer (supervisor/death_notice.h), since it knows nothing of this folder; both keep to a test
// vector.
//
//   0  "HGDN"    4  version 1, three bytes 0    8  id of the key    16  epoch    24  counter    32  HMAC-SHA256 of
//   0..31
//
// True is one with a key that the peer gave us over the HA link, with a counter above every earlier one of that key,
// and with an epoch not before the one for which the peer's control plane says that its supervisor is armed.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "controlplane/failover/pairing.h"

namespace headgate::failover {

inline constexpr std::size_t kNoticeBytes = 64;

struct Notice {
  std::uint64_t key_id = 0, epoch = 0, counter = 0;
};

std::array<std::uint8_t, kNoticeBytes> make_notice(const Secret& key, const Notice& notice);

class NoticeGuard {
 public:
  enum class Verdict : std::uint8_t {
    dead,       // true, and news
    copy,       // of the one before: each is sent three times
    malformed,  // another size, magic or version
    stranger,   // signed with no key of ours
    forged,     // the signature is wrong
    replayed,   // its counter was there before
    outdated,   // of an epoch before the one that holds
    count
  };
  static const char* name_of(Verdict verdict);

  // A key that the peer will use; the one before stays until the peer says that this one is in use. Two are kept.
  void add(std::uint64_t id, const Secret& key);
  // The peer's supervisor holds this key and this epoch; others are void.
  void in_use(std::uint64_t id, std::uint64_t epoch);
  void clear();

  Verdict judge(std::span<const std::uint8_t> datagram);
  std::uint64_t seen(Verdict verdict) const { return counts_[static_cast<std::size_t>(verdict)]; }

 private:
  struct Key {
    std::uint64_t id = 0;
    Secret key{};
    std::uint64_t counter = 0;  // highest that was believed
    std::uint64_t epoch = 0;    // least that is believed
  };
  Verdict verdict_of(std::span<const std::uint8_t> datagram);

  std::vector<Key> keys_;  // the newest last
  std::array<std::uint64_t, static_cast<std::size_t>(Verdict::count)> counts_{};
};

}  // namespace headgate::failover
