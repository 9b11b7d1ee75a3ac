// Frames for tests: only what differs is written, the rest has defaults.
//
//   tcp_frame({.src = "192.0.2.7", .flags = kSyn | kAck})
//   udp_frame({.src = "2001:db8::7", .dst = "2001:db8::100", .payload = text("hello"), .vlan = 7})
//   echo_frame({.identifier = 9, .reply = true})
//   icmp_error_frame({.src = "192.0.2.1"}, {.type = kIcmpUnreachable, .code = 4, .mtu = 1400}, tcp_frame({}))
//   fragments(udp_frame({.payload = Frame(3000)}), 1500)
//
// Lengths and checksums are right unless a `broken_` field says otherwise; to break anything else, change the bytes.
// Misuse (an address that does not parse, mixed families) aborts: it is a wrong test.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/mac.h"
#include "dataplane/base/tuple.h"
#include "dataplane/packet/packet_info.h"

namespace headgate::packet::testing {

using Frame = std::vector<std::uint8_t>;

// An IpAddress that may be written as text.
struct Address : IpAddress {
  Address(const char* text);                                 // NOLINT: meant to convert
  Address(const IpAddress& address) : IpAddress(address) {}  // NOLINT
};

// Next-header and length bytes are filled in; `body` starts after them and is padded with zeros to the header's unit.
struct Extension {
  std::uint8_t type = 0;
  std::vector<std::uint8_t> body{};
};

struct FrameSpec {
  Address src = "192.0.2.10", dst = "192.0.2.100";  // the family of the frame
  std::uint16_t src_port = 40000, dst_port = 80;
  std::vector<std::uint8_t> payload{};

  // TCP
  std::uint8_t flags = kSyn;
  std::uint32_t sequence = 1000, acknowledgment = 0;
  std::uint16_t window = 65535;
  std::vector<std::uint8_t> tcp_options{};  // padded with zeros to 4

  // Echo
  std::uint16_t identifier = 1, echo_sequence = 1;
  bool reply = false;

  // IP
  std::uint8_t ttl = 64, tos = 0;
  std::uint16_t ip_id = 0;
  bool dont_fragment = true;
  std::vector<std::uint8_t> ip_options{};  // IPv4, padded with zeros to 4
  std::vector<Extension> extensions{};     // IPv6

  // Link
  MacAddress eth_dst{{0x02, 0, 0, 0, 0, 0x01}}, eth_src{{0x02, 0, 0, 0, 0, 0x02}};
  std::uint16_t vlan = 0;        // inner or only 802.1Q tag; 0: none
  std::uint16_t outer_vlan = 0;  // 802.1ad tag before it
  std::size_t pad_to = 0;        // zeros after the IP packet, as a NIC pads short frames to 60

  bool broken_ip_checksum = false, broken_l4_checksum = false;
  bool no_udp_checksum = false;  // sends 0
};

struct IcmpErrorSpec {
  std::uint8_t type = kIcmpUnreachable, code = 0;
  std::uint32_t mtu = 0;                             // the message's second word
  std::size_t quote = static_cast<std::size_t>(-1);  // bytes of the offender's IP packet, from its IP header on
};

Frame tcp_frame(const FrameSpec& spec = {});
Frame udp_frame(const FrameSpec& spec = {});
Frame echo_frame(const FrameSpec& spec = {});
// `offender` is a frame; its IP packet is quoted.
Frame icmp_error_frame(const FrameSpec& spec, const IcmpErrorSpec& error, std::span<const std::uint8_t> offender);
// Any other ICMP message of the frame's family: payload is what follows type, code and checksum.
Frame icmp_frame(const FrameSpec& spec, std::uint8_t type, std::uint8_t code);
// Any protocol: payload is everything after the IP header. No L4 checksum is filled in.
Frame ip_frame(const FrameSpec& spec, std::uint8_t protocol);
// The same packet cut so that no IP packet is longer than `mtu`, in order. IPv6: the fragment header follows the fixed
// one.
std::vector<Frame> fragments(const Frame& frame, std::size_t mtu, std::uint32_t id = 0x1234);

std::vector<std::uint8_t> text(std::string_view characters);
// Corrects the IPv4 header checksum after a test changed bytes.
void fix_ip_checksum(Frame& frame);

// "74 bytes vlan 7: tcp 192.0.2.10:40000 > 192.0.2.100:80 SYN ttl 64, payload 0" or with what is wrong with it.
std::string describe(std::span<const std::uint8_t> frame);

// "1.2.3.4" -> address; aborts on anything else.
IpAddress ip(std::string_view text);

}  // namespace headgate::packet::testing
