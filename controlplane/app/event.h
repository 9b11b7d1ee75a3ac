// One thing that happened.
#pragma once

#include <cstdint>
#include <string>

namespace headgate::app {

enum class Severity : std::uint8_t { error = 3, warning = 4, notice = 5, info = 6 };  // RFC 5424 section 6.2.1

struct Event {
  std::uint64_t number = 0;
  std::int64_t time_ms = 0;  // Unix time
  std::string kind;  // health, commit, login, dataplane, failover, operation; log: a warning or error of the daemon
  std::string text;
  Severity severity = Severity::notice;
  std::string user;  // who did it; empty: nobody
};

}  // namespace headgate::app
