// Pairing by a one-time code: what both boxes prove to each other before they pin each other's key. Pure but for
// randomness; pairing_exchange.h speaks it.
//
// One console prints a code, on the other it is typed. Both connect by TLS without trusting certificates. Then each
// proves that it knows the code over what it sees of the connection:
//
//   key   = PBKDF2-HMAC-SHA256(code, "headgate pairing 1", 20,000 rounds)
//   proof = HMAC-SHA256(key, role | fingerprint of the client | fingerprint of the server | TLS exporter)
//
// Somebody between the boxes has other certificates and another exporter (RFC 8446 section 7.5) on each side, so what
// he passes on proves nothing. The box that made the code proves last, and only to one that knows it: guessing takes a
// connection for each try, and kTriesMax end it. The code has 80 random bits, so that nobody finds it from a proof that
// was sent to him within its life, or later to any use.
//
// The code is never logged and never stored.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "controlplane/failover/identity.h"

namespace headgate::failover {

inline constexpr std::size_t kCodeBytes = 10;
inline constexpr std::chrono::minutes kCodeLife{10};
inline constexpr unsigned kTriesMax = 5;

using Secret = std::array<std::uint8_t, 32>;
using Code = std::array<std::uint8_t, kCodeBytes>;

Code make_code();
// "ABCD-EFGH-IJKL-MNOP", base32 of RFC 4648 section 6.
std::string print_code(const Code& code);
// As people type: any case, with or without hyphens and spaces; 0 and 1 are taken for O and I, 8 for B. Nothing when it
// is no code.
std::optional<Code> read_code(const std::string& text);

Secret pairing_key(const Code& code);

enum class PairRole : std::uint8_t { client = 1, server = 2 };
struct Connection {  // as this end sees it
  Fingerprint client{}, server{};
  Secret exporter{};
};
Secret pairing_proof(const Secret& key, PairRole role, const Connection& connection);
// Takes the same time wherever they differ.
bool same(const Secret& proof, const std::string& received);
// Nothing when OpenSSL has none: no TLS 1.3 connection.
std::optional<Secret> export_secret(SSL* ssl);

// A code that is waited for: for kCodeLife, for kTriesMax wrong proofs, for one right one.
class PairingWindow {
 public:
  using Clock = std::chrono::steady_clock;
  // Ends an earlier one. The code, to be printed once.
  std::string open(Clock::time_point now);
  void close();
  bool is_open(Clock::time_point now) const;
  std::optional<Clock::time_point> ends() const { return key_ ? std::optional(ends_) : std::nullopt; }
  unsigned tries_left() const { return tries_left_; }

  enum class Verdict { right, wrong, closed };
  // Of a client's proof. Right ends nothing yet: the exchange calls close() when both pinned.
  Verdict judge(const Connection& connection, const std::string& proof, Clock::time_point now);
  // Requires: judge() said right.
  Secret answer(const Connection& connection) const;

 private:
  std::optional<Secret> key_;
  Clock::time_point ends_{};
  unsigned tries_left_ = 0;
};

}  // namespace headgate::failover
