#include "dataplane/packet/extension_headers.h"

#include <algorithm>

#include "dataplane/base/byte_order.h"

namespace headgate::packet {
namespace {

constexpr std::uint8_t kPad1 = 0, kJumboPayload = 0xc2;

// Options are {type, length, data}, but for Pad1, one byte (RFC 8200 4.2). `options` starts after the two fixed bytes.
bool hop_by_hop_options_ok(std::span<const std::uint8_t> options) {
  std::size_t i = 0;
  while (i < options.size()) {
    if (options[i] == kPad1) {
      ++i;
      continue;
    }
    if (options[i] == kJumboPayload || i + 2 > options.size()) return false;
    i += 2u + options[i + 1];
  }
  return i == options.size();
}

std::size_t header_length(std::uint8_t type, const std::uint8_t* header) {
  if (type == kFragment) return 8;                                       // the length byte is reserved
  if (type == kAuthentication) return (header[1] + std::size_t{2}) * 4;  // RFC 4302 2.2: words of 4, minus 2
  return (header[1] + std::size_t{1}) * 8;
}

// What a header's content is refused for. `header` is the whole header.
bool content_ok(std::uint8_t type, bool first, std::span<const std::uint8_t> header) {
  switch (type) {
    case kHopByHop:
      return first && hop_by_hop_options_ok(header.subspan(2));  // only the first: RFC 8200 4.1
    case kRouting:
      return header[2] != 0;  // type 0: RFC 5095
    default:
      return true;
  }
}

}  // namespace

ExtensionWalk walk_extensions(std::span<const std::uint8_t> frame, std::size_t begin, std::size_t end,
                              std::uint8_t next_header) {
  ExtensionWalk walk{.protocol = next_header, .l4_offset = begin};
  const std::size_t readable = std::min(end, frame.size());
  const auto fail = [&walk](ParseError error) {
    walk.error = error;
    return walk;
  };
  // What the packet lacks, not the window: a first fragment holds the whole chain (RFC 7112 section 5).
  const auto too_short = [&] {
    return fail(walk.fragment_header && readable == end ? ParseError::bad_fragment : ParseError::truncated);
  };
  for (unsigned count = 0; is_extension(walk.protocol); ++count) {
    if (count == kMaxExtensionHeaders) return fail(ParseError::bad_extension_header);
    if (walk.l4_offset + 8 > readable) return too_short();
    const std::uint8_t type = walk.protocol;
    const std::uint8_t* header = frame.data() + walk.l4_offset;
    const std::size_t length = header_length(type, header);
    if (walk.l4_offset + length > end) return fail(ParseError::bad_extension_header);
    if (walk.l4_offset + length > readable) return fail(ParseError::truncated);
    if (!content_ok(type, count == 0, {header, length})) return fail(ParseError::bad_extension_header);
    walk.protocol = header[0];
    walk.l4_offset += length;
    if (type != kFragment) continue;
    if (walk.fragment_header) return fail(ParseError::bad_extension_header);  // fragments are not fragmented again
    walk.fragment_header = true;
    walk.fragment_offset = load_be16(header + 2) & 0xfff8;  // units of 8 in the upper 13 bits: already bytes
    walk.more_fragments = (header[3] & 1) != 0;
    walk.fragment_id = load_be32(header + 4);
    if (walk.fragment_offset != 0) return walk;
  }
  return walk;
}

}  // namespace headgate::packet
