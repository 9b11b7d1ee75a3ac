// Who this box is on the HA link: a key (EC P-256) and a self-signed certificate, made on the box at its first start
// and never leaving it. The peer knows it by the certificate's fingerprint alone; names and dates in it mean nothing.
//
// On disk, readable by this process only: DIRECTORY/identity.pem, key and certificate in one file, so that they always
// fit; DIRECTORY/next.pem, one that was made by a rotation and that the peer does not accept yet.
//
// Thread rule: none, values only; Identity may be copied.
#pragma once

#include <openssl/types.h>

#include <array>
#include <asio/ssl/context.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "controlplane/config/disk.h"

namespace headgate::failover {

// SHA-256 of a certificate in DER.
using Fingerprint = std::array<std::uint8_t, 32>;
std::string to_hex(std::span<const std::uint8_t> bytes);
// Nothing when it is no 64 hexadecimal digits.
std::optional<Fingerprint> fingerprint_of_hex(const std::string& text);
// For people: the first eight bytes in groups of four digits.
std::string short_form(const Fingerprint& fingerprint);

// TLS names of what is spoken, in wire form (RFC 7301 section 3.1: length, then name).
inline constexpr const char* kAlpnLink = "headgate-ha";
inline constexpr const char* kAlpnPair = "headgate-pair";

class Identity {
 public:
  // box_id is kept in the certificate: a rotated key belongs to the same box.
  static config::Result<Identity> make(std::uint64_t box_id);
  static config::Result<Identity> from_pem(const std::string& pem);

  std::string to_pem() const;
  const Fingerprint& fingerprint() const { return fingerprint_; }
  std::uint64_t box_id() const { return box_id_; }

  // For both roles: TLS 1.3 only, a certificate from everybody, no tickets (a resumed session shows no certificate).
  // Certificates are not judged here but by their fingerprint after the handshake, which proved that the other end has
  // the key. alpn: what a client asks for; a server takes either of the two.
  config::Result<std::shared_ptr<asio::ssl::context>> context() const;

 private:
  Identity() = default;
  std::shared_ptr<EVP_PKEY> key_;
  std::shared_ptr<X509> certificate_;
  Fingerprint fingerprint_{};
  std::uint64_t box_id_ = 0;
};

// Nothing without a certificate.
std::optional<Fingerprint> peer_fingerprint(SSL* ssl);

// The identities in a directory, which is made when missing.
class IdentityStore {
 public:
  IdentityStore(config::Disk& disk, std::string directory) : disk_(disk), directory_(std::move(directory)) {}

  // Makes one at first. A file that cannot be read is an error and stays: another key would end the pairing.
  config::Result<void> open();
  const Identity& current() const { return *current_; }  // Requires: open() succeeded
  const Identity* next() const { return next_ ? &*next_ : nullptr; }

  // Durable when it returns; the one that exists already when there is one.
  config::Result<void> make_next();
  // The peer accepts it: next is current from now on, also after a crash.
  config::Result<void> switch_to_next();
  // The peer will never hear of it.
  config::Result<void> drop_next();

 private:
  std::string path(const char* name) const { return directory_ + "/" + name; }
  config::Disk& disk_;
  const std::string directory_;
  std::optional<Identity> current_, next_;
};

std::uint64_t random_number();                  // never 0; for ids, not for keys
void fill_random(std::span<std::uint8_t> out);  // from OpenSSL's generator; ends the process when it fails

}  // namespace headgate::failover
