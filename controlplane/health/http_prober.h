// A probe by one HTTP/1.1 request, over TLS when the check says so.
//
// As soon as the status says no, or says yes and no body is asked for, the connection is reset: a server that drips or
// sends gigabytes costs kHttpBytesMax at most. Redirects are not followed: 301 is a status like others.
//
// http_parser over asio, and asio's TLS, instead of libcurl: cheaper (README has the figures), one path for both
// schemes, and every byte counted here.
#pragma once

#include <asio/ssl/context.hpp>
#include <map>
#include <memory>

#include "controlplane/health/attempt.h"

namespace headgate::health {

inline constexpr std::size_t kHttpBodyMax = 64 * 1024;                  // searched for HttpCheck::body
inline constexpr std::size_t kHttpBytesMax = kHttpBodyMax + 16 * 1024;  // received for one probe

// TLS contexts by authorities, since reading those of the system takes milliseconds. A changed file is read again.
class TlsContexts {
 public:
  // ca_file empty: those of the system. Null, with `problem` set, when the file cannot be used.
  std::shared_ptr<asio::ssl::context> get(const std::string& ca_file, bool verify, std::string& problem);

 private:
  struct Entry {
    std::shared_ptr<asio::ssl::context> context;
    std::int64_t changed_ns = 0;  // of the file
  };
  std::map<std::pair<std::string, bool>, Entry> entries_;
};

// Thread: that of the io_context. Must not be destroyed while the io_context still runs handlers.
class HttpProber : public Prober {
 public:
  HttpProber(asio::io_context& io, Done done) : io_(io), done_(std::move(done)) {}
  void start(std::uint64_t probe, const Target& target) override;  // Requires: an HttpCheck

 private:
  asio::io_context& io_;
  Done done_;
  TlsContexts contexts_;
};

}  // namespace headgate::health
