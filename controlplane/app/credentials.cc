#include "controlplane/app/credentials.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

#include "controlplane/config/durable_file.h"

namespace headgate::app {
namespace {

constexpr std::size_t kFileMax = 1 << 20;

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* what) const {
    Free(what);
  }
};
using Bio = std::unique_ptr<BIO, Deleter<BIO_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;

Bio bio_of(const std::string& text) {
  return Bio(::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Certificate certificate_of(const std::string& pem) {
  const Bio bio = bio_of(pem);
  Certificate certificate(::PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  ::ERR_clear_error();
  return certificate;
}

// Without this OpenSSL would ask on the terminal.
int passphrase(char* buffer, int size, int, void* data) {
  const auto& text = *static_cast<const std::string*>(data);
  if (text.empty() || text.size() > static_cast<std::size_t>(size)) return -1;
  text.copy(buffer, text.size());
  return static_cast<int>(text.size());
}

Key key_of(const std::string& pem, std::string secret) {
  const Bio bio = bio_of(pem);
  Key key(::PEM_read_bio_PrivateKey(bio.get(), nullptr, passphrase, &secret));
  ::ERR_clear_error();
  return key;
}

std::string pem_of(EVP_PKEY* key) {
  const Bio bio(::BIO_new(::BIO_s_mem()));
  if (::PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) return {};
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

config::Result<std::string> file(const std::string& path) {
  return config::read_regular_file(path, kFileMax);
}

std::vector<std::string> entries(X509_NAME* name, int kind) {
  std::vector<std::string> found;
  for (int at = -1; (at = ::X509_NAME_get_index_by_NID(name, kind, at)) >= 0;) {
    unsigned char* text = nullptr;
    const int size = ::ASN1_STRING_to_UTF8(&text, ::X509_NAME_ENTRY_get_data(::X509_NAME_get_entry(name, at)));
    if (size >= 0) found.emplace_back(reinterpret_cast<char*>(text), static_cast<std::size_t>(size));
    ::OPENSSL_free(text);
  }
  return found;
}

}  // namespace

config::Result<Credentials> load_credentials(const config::v1::Management& management) {
  const auto certificate = file(management.certificate());
  if (!certificate) return config::fail(certificate.error().message);
  const auto key = file(management.key());
  if (!key) return config::fail(key.error().message);
  const auto authorities = file(management.client_ca());
  if (!authorities) return config::fail(authorities.error().message);
  const Certificate own = certificate_of(*certificate);
  if (!own) return config::fail(management.certificate() + " has no certificate in PEM");
  if (!certificate_of(*authorities)) return config::fail(management.client_ca() + " has no certificate in PEM");
  const Key own_key = key_of(*key, management.key_passphrase());
  if (!own_key) return config::fail(management.key() + " has no key in PEM that can be read; is key_passphrase right?");
  const bool fits = ::X509_check_private_key(own.get(), own_key.get()) == 1;
  ::ERR_clear_error();
  if (!fits) return config::fail(management.key() + " is not the key of " + management.certificate());
  return Credentials{*certificate, pem_of(own_key.get()), *authorities};
}

CertificateNames names_of(const std::string& certificate_pem) {
  const Certificate certificate = certificate_of(certificate_pem);
  if (!certificate) return {};
  X509_NAME* subject = ::X509_get_subject_name(certificate.get());
  const auto common = entries(subject, NID_commonName);
  return {common.empty() ? "" : common.back(), entries(subject, NID_organizationalUnitName)};
}

}  // namespace headgate::app
