#include "controlplane/monitor/syslog_message.h"

#include <cstdio>
#include <ctime>

namespace headgate::monitor {
namespace {

constexpr unsigned kFacility = 16;               // local0
constexpr const char* kData = "headgate@32473";  // the enterprise number that RFC 5612 keeps for documentation

// A header field: printable ASCII without spaces (RFC 5424 section 6), "-" when empty.
std::string field(const std::string& text, std::size_t size_max) {
  std::string out;
  for (const char c : text.substr(0, size_max)) out += c > 0x20 && c < 0x7f ? c : '?';
  return out.empty() ? "-" : out;
}

// Section 6.3.3: '"', '\' and ']' are escaped.
std::string parameter(const char* name, const std::string& value) {
  std::string out = std::string(" ") + name + "=\"";
  for (const char c : value) {
    if (c == '"' || c == '\\' || c == ']') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  }
  return out + "\"";
}

std::string timestamp(std::int64_t time_ms) {
  const auto seconds = static_cast<std::time_t>(time_ms / 1000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char day[32], text[48];
  std::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text, sizeof text, "%s.%03dZ", day, static_cast<int>(time_ms % 1000));
  return text;
}

}  // namespace

std::string format(const SyslogMessage& message) {
  std::string text = "<" + std::to_string(kFacility * 8 + (message.severity & 7)) + ">1 " + timestamp(message.time_ms) +
                     " " + field(message.host, 255) + " headgate " + field(message.process_id, 128) + " " +
                     field(message.kind, 32) + " [" + kData + parameter("kind", message.kind) +
                     parameter("number", std::to_string(message.number));
  if (!message.user.empty()) text += parameter("user", message.user);
  text += "] ";
  for (const char c : message.text.substr(0, kSyslogTextMax)) text += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  return text;
}

std::string framed(const std::string& message) {
  return std::to_string(message.size()) + " " + message;
}

}  // namespace headgate::monitor
