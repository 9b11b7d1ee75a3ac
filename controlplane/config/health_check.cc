#include "controlplane/config/health_check.h"

#include <google/protobuf/descriptor.h>

#include <charconv>

namespace headgate::config {
namespace {

using google::protobuf::FieldDescriptor;

constexpr unsigned kCodeMin = 100, kCodeMax = 599;

// The kinds are the fields of HealthCheck that are messages.
std::vector<const FieldDescriptor*> kinds_set(const v1::HealthCheck& check) {
  std::vector<const FieldDescriptor*> kinds;
  for (int i = 0; i < v1::HealthCheck::descriptor()->field_count(); ++i) {
    const FieldDescriptor* field = v1::HealthCheck::descriptor()->field(i);
    if (field->message_type() != nullptr && check.GetReflection()->HasField(check, field)) kinds.push_back(field);
  }
  return kinds;
}

std::optional<unsigned> parse_code(const std::string& text) {
  unsigned code = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), code);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  return whole && code >= kCodeMin && code <= kCodeMax ? std::optional(code) : std::nullopt;
}

}  // namespace

std::vector<std::string> kinds_of(const v1::HealthCheck& check) {
  std::vector<std::string> names;
  for (const FieldDescriptor* kind : kinds_set(check)) names.push_back(kind->name());
  return names;
}

std::optional<std::uint32_t> port_of(const v1::HealthCheck& check) {
  for (const FieldDescriptor* kind : kinds_set(check)) {
    const auto& settings = check.GetReflection()->GetMessage(check, kind);
    const FieldDescriptor* port = kind->message_type()->FindFieldByName("port");
    if (port != nullptr && settings.GetReflection()->HasField(settings, port)) {
      return settings.GetReflection()->GetUInt32(settings, port);
    }
  }
  return std::nullopt;
}

std::optional<StatusRanges> parse_status(const std::string& text) {
  StatusRanges ranges;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find(',', start), text.size());
    const std::string part = text.substr(start, end - start);
    const std::size_t dash = part.find('-');
    const auto first = parse_code(part.substr(0, dash));
    const auto last = dash == std::string::npos ? first : parse_code(part.substr(dash + 1));
    if (!first || !last || *first > *last) return std::nullopt;
    ranges.emplace_back(*first, *last);
    start = end + 1;
  }
  return ranges;
}

}  // namespace headgate::config
