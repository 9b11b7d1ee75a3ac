// Small files that must survive a power cut: written whole beside the old one, synced, renamed over it.
#pragma once

#include <string>

#include "controlplane/config/result.h"

namespace headgate::config {

Result<std::string> read_file(const std::string& path);
Result<void> write_file_durably(const std::string& path, const std::string& content);

}  // namespace headgate::config
