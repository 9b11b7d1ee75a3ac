// Small files that must survive a power cut: written whole beside the old one, synced, renamed over it.
#pragma once

#include <cstddef>
#include <string>

#include "controlplane/config/result.h"

namespace headgate::config {

Result<std::string> read_file(const std::string& path);
// For a path that somebody else chose: never waits (a FIFO), and fails for what is no regular file or has more than
// size_max bytes.
Result<std::string> read_regular_file(const std::string& path, std::size_t size_max);
Result<void> write_file_durably(const std::string& path, const std::string& content);

}  // namespace headgate::config
