// An event as RFC 5424 writes it, framed for TCP by octet counting (RFC 6587 section 3.4.1). Pure.
//
//   94 <132>1 2026-11-21T10:15:23.123Z box-a headgate 42 health [headgate@32473 kind="health" number="7"] web1 down
#pragma once

#include <cstdint>
#include <string>

namespace headgate::monitor {

struct SyslogMessage {
  unsigned severity = 6;     // 0 to 7
  std::int64_t time_ms = 0;  // Unix time
  std::string host, process_id;
  std::string kind;  // MSGID, and in the structured data
  std::string user;  // empty: nobody
  std::uint64_t number = 0;
  std::string text;
};

inline constexpr std::size_t kSyslogTextMax = 8192;  // bytes; more is cut

std::string format(const SyslogMessage& message);
std::string framed(const std::string& message);

}  // namespace headgate::monitor
