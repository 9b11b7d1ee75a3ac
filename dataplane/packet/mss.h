// TCP MSS option clamping (RFC 879/6691 semantics) for encapsulated services.
#pragma once

#include <cstdint>
#include <span>

namespace headgate::packet {

// `tcp`: a whole TCP header with options, writable. If it carries an MSS option larger than `mss_max`, lowers it and
// fixes the TCP checksum. Only meaningful on SYN. Malformed options: left alone. True when changed.
bool clamp_mss(std::span<std::uint8_t> tcp, std::uint16_t mss_max);

}  // namespace headgate::packet
