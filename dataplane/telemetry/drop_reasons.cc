#include "dataplane/telemetry/drop_reasons.h"

#include <array>

namespace headgate::telemetry {
namespace {

struct Entry {
  const char* name;
  const char* text;
};

constexpr std::array<Entry, kDropReasons> kEntries{{
#define X(name, text) {#name, text},
    HEADGATE_DROP_REASONS(X)
#undef X
}};

constexpr Entry kUnknown{"unknown", "not a drop reason"};

const Entry& entry(DropReason reason) {
  const auto index = static_cast<std::size_t>(reason);
  return index < kEntries.size() ? kEntries[index] : kUnknown;
}

}  // namespace

const char* to_string(DropReason reason) {
  return entry(reason).name;
}
const char* describe(DropReason reason) {
  return entry(reason).text;
}

}  // namespace headgate::telemetry
