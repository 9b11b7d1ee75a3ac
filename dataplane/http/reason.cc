#include "dataplane/http/reason.h"

#include <array>

namespace headgate::http {
namespace {

struct Entry {
  const char* name;
  unsigned status;
  const char* text;
};

constexpr std::array<Entry, kReasons> kEntries{{
#define X(name, status, text) {#name, status, text},
    HEADGATE_HTTP_REASONS(X)
#undef X
}};

constexpr Entry kUnknown{"unknown", 500, "not a reason"};

const Entry& entry(Reason reason) {
  const auto index = static_cast<std::size_t>(reason);
  return index < kEntries.size() ? kEntries[index] : kUnknown;
}

}  // namespace

const char* to_string(Reason reason) {
  return entry(reason).name;
}
const char* describe(Reason reason) {
  return entry(reason).text;
}
unsigned request_status(Reason reason) {
  return entry(reason).status;
}

}  // namespace headgate::http
