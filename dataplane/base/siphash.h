// SipHash-2-4 (Aumasson and Bernstein, 2012) with 64 or 128 bits of output: a keyed pseudo-random function, good as a
// message authentication code for short messages, and where an attacker sees or guesses at the output: initial sequence
// numbers, SYN cookies, persistence cookies. Written after the paper; the tests hold it to the published vectors.
// keyed_hash.h is faster, and unpredictable, but no signature.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "dataplane/base/tuple.h"

namespace headgate {

// The 16 bytes of the paper as two words in the byte order of the machine, which is the paper's (little endian).
using SipKey = std::array<std::uint64_t, 2>;
static_assert(std::endian::native == std::endian::little);

// The state while a message is taken in, word by word.
class SipState {
 public:
  explicit SipState(const SipKey& key)
      : v0_(key[0] ^ 0x736f6d6570736575ull),
        v1_(key[1] ^ 0x646f72616e646f6dull),
        v2_(key[0] ^ 0x6c7967656e657261ull),
        v3_(key[1] ^ 0x7465646279746573ull) {}
  void add(std::uint64_t word) {
    v3_ ^= word;
    rounds(2);
    v0_ ^= word;
  }
  // `last`: the rest of the message, its length modulo 256 in the top byte.
  std::uint64_t finish(std::uint64_t last) {
    add(last);
    v2_ ^= 0xff;
    rounds(4);
    return sum();
  }
  // The same with 128 bits of output. Requires: widen() before the first word.
  void widen() { v1_ ^= 0xee; }
  std::array<std::uint64_t, 2> finish_wide(std::uint64_t last) {
    add(last);
    v2_ ^= 0xee;
    rounds(4);
    const std::uint64_t first = sum();
    v1_ ^= 0xdd;
    rounds(4);
    return {first, sum()};
  }

 private:
  void rounds(int count) {
    for (; count > 0; --count) {
      v0_ += v1_;
      v2_ += v3_;
      v1_ = std::rotl(v1_, 13) ^ v0_;
      v3_ = std::rotl(v3_, 16) ^ v2_;
      v0_ = std::rotl(v0_, 32);
      v2_ += v1_;
      v0_ += v3_;
      v1_ = std::rotl(v1_, 17) ^ v2_;
      v3_ = std::rotl(v3_, 21) ^ v0_;
      v2_ = std::rotl(v2_, 32);
    }
  }
  std::uint64_t sum() const { return v0_ ^ v1_ ^ v2_ ^ v3_; }

  std::uint64_t v0_, v1_, v2_, v3_;
};

// Of messages of bytes.
class SipHash {
 public:
  struct Wide {
    std::uint64_t first, second;
    friend bool operator==(const Wide&, const Wide&) = default;
  };

  explicit SipHash(const SipKey& key) : key_(key) {}

  std::uint64_t narrow(std::string_view message) const {
    SipState state(key_);
    return state.finish(absorb(state, message));
  }
  Wide wide(std::string_view message) const {
    SipState state(key_);
    state.widen();
    const auto [first, second] = state.finish_wide(absorb(state, message));
    return {first, second};
  }

 private:
  // All whole words; returns the last one.
  static std::uint64_t absorb(SipState& state, std::string_view message) {
    std::size_t at = 0;
    for (; at + 8 <= message.size(); at += 8) {
      std::uint64_t word;
      std::memcpy(&word, message.data() + at, 8);
      state.add(word);
    }
    std::uint64_t last = 0;
    if (at < message.size()) std::memcpy(&last, message.data() + at, message.size() - at);
    return last | static_cast<std::uint64_t>(message.size()) << 56;
  }

  SipKey key_;
};

inline std::uint64_t siphash(const SipKey& key, std::span<const std::uint64_t> words) {
  SipState state(key);
  for (const std::uint64_t word : words) state.add(word);
  return state.finish(static_cast<std::uint64_t>(words.size() * 8) << 56);
}

// Of a connection, as `tuple` has it (the two directions differ), and one word more.
inline std::uint64_t siphash(const SipKey& key, const Tuple& tuple, std::uint64_t extra) {
  const std::uint64_t ports = (static_cast<std::uint64_t>(tuple.src_port) << 16) | tuple.dst_port;
  SipState state(key);
  if ((tuple.src.high() | tuple.dst.high()) != 0) {
    state.add(tuple.src.high());
    state.add(tuple.dst.high());
  }
  state.add(tuple.src.low());
  state.add(tuple.dst.low());
  state.add(ports);
  state.add(extra);
  return state.finish(48ull << 56);
}

}  // namespace headgate
