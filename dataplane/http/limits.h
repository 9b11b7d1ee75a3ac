// The limits of this folder. Those an operator may set have their defaults in Limits; the others are sizes of arrays
// and bounds of work.
#pragma once

#include <cstddef>
#include <cstdint>

namespace headgate::http {

inline constexpr std::size_t kHeadBytesMax = 64 * 1024;   // that Limits::head_bytes may be
inline constexpr std::size_t kFieldsMax = 128;            // of one head, that Limits::fields may be
inline constexpr std::size_t kTrailerFieldsMax = 16;      // of one message
inline constexpr std::size_t kTrailerBytesMax = 4096;     // of one message's trailer section
inline constexpr std::size_t kMethodMax = 32;             // bytes
inline constexpr std::size_t kHostMax = 255;              // bytes, RFC 1035 2.3.4
inline constexpr std::size_t kChunkDigitsMax = 16;        // of one chunk size, leading zeros included
inline constexpr std::size_t kExtensionBytesMax = 256;    // of one chunk
inline constexpr std::size_t kExtensionsMax = 16 * 1024;  // bytes of all extensions of one message
inline constexpr unsigned kConnectionOptionsMax = 16;     // of one message: each is looked for among all its fields
inline constexpr unsigned kInterimMax = 16;               // 1xx responses before the final one

struct Limits {
  std::uint32_t head_bytes = 16 * 1024;  // first line, fields and the empty line; at most kHeadBytesMax
  std::uint32_t line_bytes = 8 * 1024;   // one field line without its end
  std::uint32_t target_bytes = 8 * 1024;
  std::uint16_t fields = 100;                    // at most kFieldsMax
  std::uint64_t body_bytes = ~std::uint64_t{0};  // of a request
};

}  // namespace headgate::http
