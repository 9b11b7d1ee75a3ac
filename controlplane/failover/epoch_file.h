// STATE_DIR/epoch: the highest epoch that this box knows. It never falls: a box that came back with a lower one would
// take old records for new ones.
#pragma once

#include <cstdint>
#include <string>

#include "controlplane/config/result.h"

namespace headgate::failover {

// 0 when there is no file yet. What is damaged is an error: the caller goes on with what others say.
config::Result<std::uint64_t> load_epoch(const std::string& path);
config::Result<void> save_epoch(const std::string& path, std::uint64_t epoch);  // durable

}  // namespace headgate::failover
