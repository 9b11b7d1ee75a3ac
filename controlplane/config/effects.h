// What a commit would do, in words, before it is done.
#pragma once

#include <string>
#include <vector>

#include "controlplane/api/config.pb.h"

namespace headgate::config {

// One line per entry that appears, goes or changes, in the order of the schema; for a backend that takes no more flows,
// what becomes of those it has.
std::vector<std::string> effects(const v1::Config& before, const v1::Config& after);

}  // namespace headgate::config
