// IPv6 extension headers (RFC 8200 section 4). Private to this folder: shared by parse() and parse_quoted().
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/packet/packet_info.h"

namespace headgate::packet {

enum ExtensionType : std::uint8_t {
  kHopByHop = 0,
  kRouting = 43,
  kFragment = 44,
  kAuthentication = 51,
  kDestinationOptions = 60
};

inline bool is_extension(std::uint8_t next_header) {
  switch (next_header) {
    case kHopByHop:
    case kRouting:
    case kFragment:
    case kAuthentication:
    case kDestinationOptions:
      return true;
    default:
      return false;
  }
}

struct ExtensionWalk {
  ParseError error = ParseError::none;  // truncated, bad_extension_header or bad_fragment
  std::uint8_t protocol = 0;            // what the chain ends in; of a later fragment, what its fragment header names
  std::size_t l4_offset = 0;            // in the frame: after the last header walked
  bool fragment_header = false;         // one was met, an atomic one included
  bool more_fragments = false;
  std::uint16_t fragment_offset = 0;  // bytes
  std::uint32_t fragment_id = 0;
};

// `frame`: what may be read. `begin`: first byte after the fixed IPv6 header. `end`: end of the IP packet, which may
// lie beyond `frame` when that is only a window. Stops at the fragment header of a later fragment. Bounded by
// kMaxExtensionHeaders; hop-by-hop options are walked to find a jumbo payload (RFC 2675), which is refused.
ExtensionWalk walk_extensions(std::span<const std::uint8_t> frame, std::size_t begin, std::size_t end,
                              std::uint8_t next_header);

}  // namespace headgate::packet
