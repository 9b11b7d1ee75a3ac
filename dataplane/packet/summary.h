// What a frame is, in words for people: of `headgate capture`.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace headgate::packet {

// "tcp 192.0.2.10:40000 > 192.0.2.100:80 SYN", "vlan 7, icmp 192.0.2.10 > 192.0.2.100 echo request",
// "arp 192.0.2.10 > 192.0.2.254", "ethertype 0x88cc". `frame` may be cut: what is in it is told. Never reads outside
// it. Requires: frame.size() <= frame_length.
std::string summary(std::span<const std::uint8_t> frame, std::size_t frame_length);

}  // namespace headgate::packet
