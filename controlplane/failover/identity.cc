#include "controlplane/failover/identity.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace headgate::failover {
namespace {

constexpr const char* kCurrent = "identity.pem";
constexpr const char* kNext = "next.pem";
constexpr std::string_view kNamePrefix = "headgate-";

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* what) const {
    Free(what);
  }
};
using Bio = std::unique_ptr<BIO, Deleter<BIO_free>>;

std::string name_of(std::uint64_t box_id) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(box_id));
  return std::string(kNamePrefix) + digits;
}

// 0 when the name is not one of ours.
std::uint64_t box_id_of(X509* certificate) {
  X509_NAME* subject = ::X509_get_subject_name(certificate);
  const int at = ::X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return 0;
  const ASN1_STRING* text = ::X509_NAME_ENTRY_get_data(::X509_NAME_get_entry(subject, at));
  const std::string_view name(reinterpret_cast<const char*>(::ASN1_STRING_get0_data(text)),
                              static_cast<std::size_t>(::ASN1_STRING_length(text)));
  std::uint64_t id = 0;
  if (name.size() != kNamePrefix.size() + 16 || !name.starts_with(kNamePrefix)) return 0;
  const auto [end, error] = std::from_chars(name.data() + kNamePrefix.size(), name.data() + name.size(), id, 16);
  return error == std::errc{} && end == name.data() + name.size() ? id : 0;
}

std::optional<Fingerprint> fingerprint_of(X509* certificate) {
  Fingerprint out;
  unsigned size = 0;
  if (::X509_digest(certificate, ::EVP_sha256(), out.data(), &size) != 1 || size != out.size()) return std::nullopt;
  return out;
}

// Dates are not judged by us, so they only must be valid for whoever prints them: a box without a clock starts in 1970.
bool sign(X509* certificate, EVP_PKEY* key, const std::string& name) {
  X509_NAME* subject = ::X509_get_subject_name(certificate);
  return ::X509_set_version(certificate, X509_VERSION_3) == 1 &&
         ::ASN1_INTEGER_set_uint64(::X509_get_serialNumber(certificate), random_number() >> 1) == 1 &&
         ::ASN1_TIME_set_string_X509(::X509_getm_notBefore(certificate), "19700101000000Z") == 1 &&
         ::ASN1_TIME_set_string_X509(::X509_getm_notAfter(certificate), "99991231235959Z") == 1 &&
         ::X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()),
                                      -1, -1, 0) == 1 &&
         ::X509_set_issuer_name(certificate, subject) == 1 && ::X509_set_pubkey(certificate, key) == 1 &&
         ::X509_sign(certificate, key, ::EVP_sha256()) > 0;
}

// A client that offers neither is ended by TLS itself.
int choose_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size,
                void*) {
  for (const char* known : {kAlpnLink, kAlpnPair}) {
    const std::size_t size = std::strlen(known);
    for (unsigned at = 0; at < in_size && at + 1U + in[at] <= in_size; at += 1U + in[at]) {
      if (in[at] != size || std::memcmp(in + at + 1, known, size) != 0) continue;
      *out = in + at + 1;
      *out_size = in[at];
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// Here every certificate passes: what counts is its fingerprint, which is looked at after the handshake.
int pass_any(int, X509_STORE_CTX*) {
  return 1;
}

}  // namespace

std::string to_hex(std::span<const std::uint8_t> bytes) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string hex;
  for (const std::uint8_t byte : bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

std::optional<Fingerprint> fingerprint_of_hex(const std::string& text) {
  Fingerprint out;
  if (text.size() != 2 * out.size()) return std::nullopt;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const char* at = text.data() + 2 * i;
    const auto [end, error] = std::from_chars(at, at + 2, out[i], 16);
    if (error != std::errc{} || end != at + 2) return std::nullopt;
  }
  return out;
}

std::string short_form(const Fingerprint& fingerprint) {
  const std::string hex = to_hex(std::span(fingerprint).first(8));
  return hex.substr(0, 4) + "-" + hex.substr(4, 4) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4);
}

void fill_random(std::span<std::uint8_t> out) {
  if (::RAND_bytes(out.data(), static_cast<int>(out.size())) != 1) std::abort();  // no key may be made from less
}

std::uint64_t random_number() {
  std::array<std::uint8_t, 8> bytes;
  std::uint64_t number = 0;
  while (number == 0) {
    fill_random(bytes);
    std::memcpy(&number, bytes.data(), sizeof number);
  }
  return number;
}

config::Result<Identity> Identity::make(std::uint64_t box_id) {
  Identity made;
  made.key_.reset(::EVP_EC_gen("P-256"), ::EVP_PKEY_free);
  made.certificate_.reset(::X509_new(), ::X509_free);
  made.box_id_ = box_id;
  if (!made.key_ || !made.certificate_ || !sign(made.certificate_.get(), made.key_.get(), name_of(box_id))) {
    ::ERR_clear_error();
    return config::fail("cannot make a key for the HA link");
  }
  const auto fingerprint = fingerprint_of(made.certificate_.get());
  if (!fingerprint) return config::fail("cannot make a key for the HA link");
  made.fingerprint_ = *fingerprint;
  return made;
}

config::Result<Identity> Identity::from_pem(const std::string& pem) {
  Identity read;
  const Bio key(::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  read.key_.reset(::PEM_read_bio_PrivateKey(
                      key.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr),
                  ::EVP_PKEY_free);
  const Bio certificate(::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  read.certificate_.reset(::PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr), ::X509_free);
  const bool fits =
      read.key_ && read.certificate_ && ::X509_check_private_key(read.certificate_.get(), read.key_.get()) == 1;
  ::ERR_clear_error();
  if (!fits) return config::fail("holds no key with its certificate");
  const auto fingerprint = fingerprint_of(read.certificate_.get());
  read.box_id_ = box_id_of(read.certificate_.get());
  if (!fingerprint || read.box_id_ == 0) return config::fail("holds a certificate that was not made here");
  read.fingerprint_ = *fingerprint;
  return read;
}

std::string Identity::to_pem() const {
  const Bio bio(::BIO_new(::BIO_s_mem()));
  if (::PEM_write_bio_PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1 ||
      ::PEM_write_bio_X509(bio.get(), certificate_.get()) != 1)
    std::abort();  // memory only, and both were made or read by us
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

config::Result<std::shared_ptr<asio::ssl::context>> Identity::context() const {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tlsv13);
  SSL_CTX* native = context->native_handle();
  const bool good = ::SSL_CTX_set_min_proto_version(native, TLS1_3_VERSION) == 1 &&
                    ::SSL_CTX_use_certificate(native, certificate_.get()) == 1 &&
                    ::SSL_CTX_use_PrivateKey(native, key_.get()) == 1 && ::SSL_CTX_set_num_tickets(native, 0) == 1;
  ::ERR_clear_error();
  if (!good) return config::fail("OpenSSL does not take the key of the HA link");
  ::SSL_CTX_set_options(native, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  ::SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  ::SSL_CTX_set_verify(native, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, pass_any);
  ::SSL_CTX_set_max_cert_list(native, 8192);  // ours have 400 bytes
  ::SSL_CTX_set_alpn_select_cb(native, choose_alpn, nullptr);
  return context;
}

std::optional<Fingerprint> peer_fingerprint(SSL* ssl) {
  X509* certificate = ::SSL_get0_peer_certificate(ssl);
  return certificate == nullptr ? std::nullopt : fingerprint_of(certificate);
}

config::Result<void> IdentityStore::open() {
  if (auto made = disk_.make_directory(directory_); !made) return made;
  const auto names = disk_.list(directory_);
  if (!names) return config::fail(names.error().message);
  const auto load = [&](const char* name, std::optional<Identity>& into) -> config::Result<void> {
    if (std::find(names->begin(), names->end(), name) == names->end()) return {};
    const auto pem = disk_.read(path(name));
    if (!pem) return config::fail(pem.error().message);
    auto identity = Identity::from_pem(*pem);
    if (!identity)
      return config::fail(path(name) + " " + identity.error().message +
                          "; remove it to make a new one, then pair the boxes again");
    into = std::move(*identity);
    return {};
  };
  if (auto loaded = load(kCurrent, current_); !loaded) return loaded;
  if (auto loaded = load(kNext, next_); !loaded) return loaded;
  if (current_) return {};
  auto first = Identity::make(random_number());
  if (!first) return config::fail(first.error().message);
  if (auto done = config::replace_durably(disk_, path(kCurrent), first->to_pem()); !done) return done;
  current_ = std::move(*first);
  return {};
}

config::Result<void> IdentityStore::make_next() {
  if (next_) return {};
  auto made = Identity::make(current_->box_id());
  if (!made) return config::fail(made.error().message);
  if (auto done = config::replace_durably(disk_, path(kNext), made->to_pem()); !done) return done;
  next_ = std::move(*made);
  return {};
}

config::Result<void> IdentityStore::switch_to_next() {
  if (!next_) return {};
  if (auto done = disk_.rename(path(kNext), path(kCurrent)); !done) return done;
  current_ = std::move(*next_);
  next_.reset();
  return disk_.sync_directory(directory_);
}

config::Result<void> IdentityStore::drop_next() {
  if (!next_) return {};
  if (auto done = disk_.remove(path(kNext)); !done) return done;
  next_.reset();
  return disk_.sync_directory(directory_);
}

}  // namespace headgate::failover
