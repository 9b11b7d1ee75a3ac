// What an operator calls a service or backend, and the entries of the running snapshot that are meant: one entry of the
// configuration can be two there (/v4 and /v6), and a backend's name is unique in its pool only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/api/dataplane.pb.h"

namespace headgate::console {

// "web" of "web/v4": the compiler names the parts of one entry so (controlplane/compile/expand.h).
std::string written_name(const std::string& name);

struct Match {
  std::vector<std::uint32_t> ids;
  std::vector<std::string> entries;  // of the configuration, as NAME or POOL/NAME, each once
};

// NAME as in the configuration (every family), or NAME/v4, NAME/v6 as show services prints it.
Match services_named(const dataplane::v1::StatsReply& stats, const std::string& name);
// NAME (in every pool), or POOL/NAME, the pool with or without its family.
Match backends_named(const dataplane::v1::StatsReply& stats, const std::string& name);

}  // namespace headgate::console
