// What a commit would do, in words, before it is done.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/api/config.pb.h"

namespace headgate::config {

// Flows that live now, by the names of the configuration.
struct FlowsNow {
  bool known = false;
  std::map<std::string, std::uint64_t> services;
  std::map<std::pair<std::string, std::string>, std::uint64_t> backends;  // by pool and name
};

// One line per entry that appears, goes or changes, in the order of the schema. Then what becomes of the flows there
// are: of services that go or lead elsewhere, and of backends that go, move or take no more; how many, where known.
// Then entries that only have another name.
std::vector<std::string> effects(const v1::Config& before, const v1::Config& after, const FlowsNow& flows = {});

}  // namespace headgate::config
