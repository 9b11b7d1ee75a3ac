// The last accepted snapshot, kept in a file as the bytes that were pushed, so that a restarted dataplane forwards
// before the control plane finds it. A file that is torn, damaged or foreign is refused with a sentence.
//
// Format, little-endian: "HGSNAP\0\1" (the last byte is the version), u64 length, u32 CRC-32C of the bytes, u32 zero,
// then the bytes. Control thread only; one writer per path.
#pragma once

#include <string>
#include <string_view>

#include "dataplane/base/result.h"

namespace headgate::snapshot {

inline constexpr std::size_t kStoredBytesMax = std::size_t{64} << 20;

// Durable when it returns: written beside, synced, renamed over the old file, directory synced.
Result<void> store(const std::string& path, std::string_view bytes);
// not_found when there is no file; invalid_argument when its content is not to be trusted.
Result<std::string> load(const std::string& path);

}  // namespace headgate::snapshot
