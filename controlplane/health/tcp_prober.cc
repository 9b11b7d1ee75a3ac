#include "controlplane/health/tcp_prober.h"

#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <cctype>
#include <cerrno>
#include <memory>

namespace headgate::health {
namespace {

struct Attempt {
  explicit Attempt(asio::io_context& io) : socket(io), deadline(io) {}
  asio::ip::tcp::socket socket;
  asio::steady_timer deadline;
  bool timed_out = false;
};

// "Connection refused" reads better inside a sentence without its capital.
std::string cause_of(const asio::error_code& error) {
  std::string text = error.message();
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

bool is_ours(const asio::error_code& error) {
  switch (error.value()) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case ENETUNREACH:
    case ENETDOWN:
    case ENODEV:
    case EACCES:
    case EPERM:
    case EINVAL:
      return true;
    default:
      return false;
  }
}

Outcome failed(const asio::error_code& error) {
  return {is_ours(error) ? Result::unknown : Result::failure, cause_of(error)};
}

}  // namespace

void TcpProber::start(std::uint64_t probe, const Target& target) {
  auto attempt = std::make_shared<Attempt>(io_);
  asio::error_code error;
  attempt->socket.open(target.endpoint.protocol(), error);
  if (error) {
    asio::post(io_, [this, probe, error] { done_(probe, failed(error)); });
    return;
  }
  attempt->deadline.expires_after(target.timeout);
  attempt->deadline.async_wait([attempt](const asio::error_code& cancelled) {
    if (cancelled) return;
    attempt->timed_out = true;
    asio::error_code ignored;
    attempt->socket.close(ignored);
  });
  attempt->socket.async_connect(target.endpoint, [this, probe, attempt](const asio::error_code& failure) {
    attempt->deadline.cancel();
    asio::error_code ignored;
    if (attempt->timed_out) {
      done_(probe, {Result::failure, "connection timed out"});
    } else if (failure) {
      done_(probe, failed(failure));
    } else {
      attempt->socket.set_option(asio::socket_base::linger(true, 0), ignored);
      attempt->socket.close(ignored);
      done_(probe, {Result::success, {}});
    }
  });
}

}  // namespace headgate::health
