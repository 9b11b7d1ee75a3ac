#include "controlplane/health/http_prober.h"

#include <sys/stat.h>

#include <array>
#include <asio/ssl/stream.hpp>
#include <asio/write.hpp>
#include <cerrno>
#include <cstring>

#include "controlplane/health/http_reply.h"
#include "controlplane/health/tcp_prober.h"

namespace headgate::health {
namespace {

constexpr std::size_t kContextsMax = 64;
constexpr std::size_t kReadBytes = 4096;
constexpr off_t kAuthoritiesMax = 4 << 20;

std::string host_text(const asio::ip::address& address) {
  return address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
}

std::string request_of(const HttpCheck& check, const Target& target) {
  std::string request;
  request.reserve(256);
  request += check.method + " " + check.path + " HTTP/1.1\r\nHost: ";
  if (check.host.empty()) {
    request += host_text(target.address);
    const unsigned usual = check.tls ? 443 : 80;
    if (target.endpoint.port() != usual) request += ":" + std::to_string(target.endpoint.port());
  } else {
    request += check.host;
  }
  request += "\r\nUser-Agent: headgate-probe\r\nAccept: */*\r\nConnection: close\r\n";
  for (const std::string& header : check.headers) request += header + "\r\n";
  return request + "\r\n";
}

// "www.example.com:8443" is a host with a port; a certificate and SNI know only the name.
std::string without_port(const std::string& host) {
  const std::size_t colon = host.rfind(':');
  return colon == std::string::npos || host.back() == ']' ? host : host.substr(0, colon);
}

std::string tls_name(const HttpCheck& check) {
  return check.tls->sni.empty() ? without_port(check.host) : check.tls->sni;
}

bool is_address(const std::string& text) {
  asio::error_code error;
  asio::ip::make_address(text, error);
  return !error;
}

class HttpAttempt : public TcpAttempt {
 public:
  using Tls = asio::ssl::stream<asio::ip::tcp::socket&>;
  HttpAttempt(asio::io_context& io, const Done& done, std::uint64_t probe, const Target& target,
              std::shared_ptr<asio::ssl::context> context)
      : TcpAttempt(io, done, probe, target),
        check_(target.check.share<HttpCheck>()),
        request_(request_of(*check_, target)),
        address_(target.address),
        context_(std::move(context)),
        reply_(*check_) {}

 protected:
  bool speaks_first() const override { return true; }
  void connected() override {
    if (context_ == nullptr) return send(socket());
    tls_ = std::make_unique<Tls>(socket(), *context_);
    if (!name_peer()) return finish(unknown("out of memory for TLS"));
    tls_->async_handshake(Tls::client, [me = self(this)](const asio::error_code& error) {
      if (me->finished()) return;
      if (error) return me->finish(me->handshake_failed(error));
      me->send(*me->tls_);
    });
  }

 private:
  // SNI, and the name that the certificate must have.
  bool name_peer() {
    const std::string name = tls_name(*check_);
    SSL* ssl = tls_->native_handle();
    if (!name.empty() && !is_address(name) && SSL_set_tlsext_host_name(ssl, name.c_str()) != 1) return false;
    if (!check_->tls->verify) return true;
    X509_VERIFY_PARAM* wanted = SSL_get0_param(ssl);
    if (name.empty()) return X509_VERIFY_PARAM_set1_ip_asc(wanted, address_.to_string().c_str()) == 1;
    if (is_address(name)) return X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str()) == 1;
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(wanted, name.c_str(), name.size()) == 1;
  }

  Outcome handshake_failed(const asio::error_code& error) {
    const long verdict = SSL_get_verify_result(tls_->native_handle());
    if (check_->tls->verify && verdict != X509_V_OK) {
      return failure(std::string("certificate refused: ") + X509_verify_cert_error_string(verdict));
    }
    const Outcome outcome = failed(error);
    return {outcome.result, "TLS handshake: " + outcome.cause, {}};
  }

  template <class Stream>
  void send(Stream& stream) {
    asio::async_write(stream, asio::buffer(request_),
                      [me = self(this), &stream](const asio::error_code& error, std::size_t) {
                        if (me->finished()) return;
                        // Some servers answer and close before they have read all: what they said counts.
                        if (error && error != asio::error::connection_reset && error != asio::error::broken_pipe) {
                          return me->finish(failed(error));
                        }
                        me->receive(stream);
                      });
  }

  template <class Stream>
  void receive(Stream& stream) {
    stream.async_read_some(asio::buffer(buffer_),
                           [me = self(this), &stream](const asio::error_code& error, std::size_t n) {
                             if (me->finished()) return;
                             if (n == 0 && error != asio::error::eof && error != asio::ssl::error::stream_truncated) {
                               return me->finish(failed(error));
                             }
                             if (auto outcome = me->reply_.receive({me->buffer_.data(), n}))
                               return me->finish(std::move(*outcome));
                             me->receive(stream);
                           });
  }

  const std::shared_ptr<const HttpCheck> check_;
  const std::string request_;
  const asio::ip::address address_;
  const std::shared_ptr<asio::ssl::context> context_;  // null: plain
  std::unique_ptr<Tls> tls_;
  HttpReply reply_;
  std::array<char, kReadBytes> buffer_;
};

class Refusal : public Attempt {  // a probe that cannot be made
 public:
  Refusal(asio::io_context& io, const Done& done, std::uint64_t probe, std::string cause)
      : Attempt(io, done, probe), cause_(std::move(cause)) {}

 protected:
  void begin() override { finish(unknown(cause_)); }
  void close() override {}

 private:
  std::string cause_;
};

}  // namespace

std::shared_ptr<asio::ssl::context> TlsContexts::get(const std::string& ca_file, bool verify, std::string& problem) {
  struct stat file{};
  if (verify && !ca_file.empty() && stat(ca_file.c_str(), &file) != 0) {
    problem = "cannot read ca_file " + ca_file + ": " + std::strerror(errno);
    return nullptr;
  }
  // Opening a FIFO would wait, reading a device never end, and this is the event loop.
  if (verify && !ca_file.empty() && (!S_ISREG(file.st_mode) || file.st_size > kAuthoritiesMax)) {
    problem = "ca_file " + ca_file + " is no regular file of at most 4 MiB";
    return nullptr;
  }
  const std::int64_t changed_ns = file.st_mtim.tv_sec * 1'000'000'000 + file.st_mtim.tv_nsec;
  const auto found = entries_.find({ca_file, verify});
  if (found != entries_.end() && found->second.changed_ns == changed_ns) return found->second.context;

  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  asio::error_code error;
  if (verify && ca_file.empty()) {
    context->set_default_verify_paths(error);
  } else if (verify) {
    context->load_verify_file(ca_file, error);
  }
  if (error) {
    problem = "no certificates in ca_file " + ca_file + ": " + error.message();
    return nullptr;
  }
  context->set_verify_mode(verify ? asio::ssl::verify_peer : asio::ssl::verify_none, error);
  if (entries_.size() >= kContextsMax) entries_.clear();
  entries_[{ca_file, verify}] = {context, changed_ns};
  return context;
}

void HttpProber::start(std::uint64_t probe, const Target& target) {
  const auto& check = std::get<HttpCheck>(*target.check);
  std::shared_ptr<asio::ssl::context> context;
  if (check.tls) {
    std::string problem;
    context = contexts_.get(check.tls->ca_file, check.tls->verify, problem);
    if (context == nullptr) return std::make_shared<Refusal>(io_, done_, probe, problem)->start(target.timeout);
  }
  std::make_shared<HttpAttempt>(io_, done_, probe, target, std::move(context))->start(target.timeout);
}

}  // namespace headgate::health
