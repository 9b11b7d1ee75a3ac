// What is known of backends, on disk, so that a restart of this process forgets nothing: one line each. Times are those
// of the monotonic clock, so a file of another start of the machine means nothing and is not read.
#pragma once

#include <string>

#include "controlplane/health/standings.h"

namespace headgate::health {

std::string write_memory(const Memory& memory, const std::string& boot);
// What is damaged is left out: such a backend is asked again.
Memory read_memory(const std::string& text, const std::string& boot);

}  // namespace headgate::health
