#include "controlplane/health/attempt.h"

#include <asio/error.hpp>
#include <asio/post.hpp>
#include <cctype>
#include <cerrno>

namespace headgate::health {
namespace {

bool is_ours(const asio::error_code& error) {
  if (error.category() != asio::error::get_system_category()) return false;
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

}  // namespace

std::string cause_of(const asio::error_code& error) {
  std::string text = error.message();
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

Outcome failed(const asio::error_code& error) {
  return {is_ours(error) ? Result::unknown : Result::failure, cause_of(error), {}};
}

Outcome failed(int system_error) {
  return failed(asio::error_code(system_error, asio::error::get_system_category()));
}

std::string excerpt(std::string_view sent, std::size_t bytes_max) {
  std::string text;
  for (const char c : sent.substr(0, sent.find_first_of("\r\n"))) {
    if (text.size() == bytes_max) return text + "...";
    text += std::isprint(static_cast<unsigned char>(c)) != 0 ? c : '?';
  }
  return text;
}

void Attempt::start(Time timeout) {
  timer_.expires_after(timeout);
  timer_.async_wait([me = shared_from_this()](const asio::error_code& cancelled) {
    if (!cancelled) me->finish(me->at_deadline());
  });
  beginning_ = true;
  begin();
  beginning_ = false;
}

void Attempt::finish(Outcome outcome) {
  if (finished_) return;
  finished_ = true;
  timer_.cancel();
  close();
  if (beginning_) {
    asio::post(io_, [me = shared_from_this(), outcome = std::move(outcome)] { me->done_(me->probe_, outcome); });
  } else {
    done_(probe_, outcome);
  }
}

}  // namespace headgate::health
