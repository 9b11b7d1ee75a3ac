// Judges the bytes of an HTTP answer as they come. Pure.
#pragma once

#include <http_parser.h>

#include <optional>
#include <span>
#include <string>

#include "controlplane/health/check.h"
#include "controlplane/health/scheduler.h"

namespace headgate::health {

class HttpReply {
 public:
  // `check` is borrowed.
  explicit HttpReply(const HttpCheck& check);
  HttpReply(const HttpReply&) = delete;  // the parser points back
  HttpReply& operator=(const HttpReply&) = delete;

  // The outcome, once it is certain. Empty bytes: the server has closed.
  std::optional<Outcome> receive(std::span<const char> bytes);

 private:
  int headers_complete();
  int body(std::span<const char> part);
  int message_complete();
  int decide(Outcome outcome);
  static const http_parser_settings& settings();

  const HttpCheck& check_;
  http_parser parser_{};
  std::size_t received_ = 0;
  std::string body_;
  std::optional<Outcome> outcome_;
};

}  // namespace headgate::health
