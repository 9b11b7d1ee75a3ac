#include "dataplane/telemetry/exits.h"

#include <array>

namespace headgate::telemetry {
namespace {

#define X(name, text) #name,
constexpr std::array kExitNames{HEADGATE_EXITS(X)};
constexpr std::array kHandoverNames{HEADGATE_HANDOVERS(X)};
#undef X
#define X(name, text) text,
constexpr std::array kExitTexts{HEADGATE_EXITS(X)};
constexpr std::array kHandoverTexts{HEADGATE_HANDOVERS(X)};
#undef X

}  // namespace

const char* to_string(Exit exit) {
  return kExitNames.at(static_cast<unsigned>(exit));
}
const char* describe(Exit exit) {
  return kExitTexts.at(static_cast<unsigned>(exit));
}
const char* to_string(Handover reason) {
  return kHandoverNames.at(static_cast<unsigned>(reason));
}
const char* describe(Handover reason) {
  return kHandoverTexts.at(static_cast<unsigned>(reason));
}

}  // namespace headgate::telemetry
