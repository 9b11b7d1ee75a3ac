#include "dataplane/packet/testing.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/check.h"
#include "dataplane/packet/build.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/extension_headers.h"

namespace headgate::packet::testing {
namespace {

void append(Frame& out, std::span<const std::uint8_t> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}
void append_be16(Frame& out, std::uint16_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}
void append_be32(Frame& out, std::uint32_t value) {
  append_be16(out, static_cast<std::uint16_t>(value >> 16));
  append_be16(out, static_cast<std::uint16_t>(value));
}
void pad(Frame& out, std::size_t unit) {
  out.resize((out.size() + unit - 1) / unit * unit);
}

void store_checksum(Frame& l4, std::size_t at, std::uint16_t start) {
  const std::uint16_t checksum = invert(sum(l4, start));
  std::memcpy(&l4[at], &checksum, 2);
}

// The checksum of `l4` at `at`, with the pseudo header where the protocol has one, and broken when asked.
void finish_l4(const FrameSpec& spec, std::uint8_t protocol, std::size_t at, Frame& l4) {
  const std::uint16_t start = protocol == kProtocolIcmp ? std::uint16_t{0}
                                                        : pseudo_header_sum(spec.src, spec.dst, protocol,
                                                                            static_cast<std::uint32_t>(l4.size()));
  store_checksum(l4, at, start);
  if (protocol == kProtocolUdp && l4[at] == 0 && l4[at + 1] == 0) l4[at] = l4[at + 1] = 0xff;
  if (spec.broken_l4_checksum) l4[at + 1] ^= 0x55;
}

Frame link_header(const FrameSpec& spec) {
  const std::uint16_t ethertype = spec.src.is_v4() ? kEtherIpv4 : kEtherIpv6;
  Frame out(kEthernetLength + kVlanTagLength);
  out.resize(write_ethernet(out.data(), spec.eth_dst, spec.eth_src, spec.vlan, ethertype));
  if (spec.outer_vlan != 0) {
    const std::uint8_t tag[4] = {kEtherQinq >> 8, kEtherQinq & 0xff, static_cast<std::uint8_t>(spec.outer_vlan >> 8),
                                 static_cast<std::uint8_t>(spec.outer_vlan)};
    out.insert(out.begin() + 12, tag, tag + 4);
  }
  return out;
}

// The bytes of an extension chain that ends in `protocol`.
Frame chain(const std::vector<Extension>& extensions, std::uint8_t protocol) {
  Frame out;
  for (std::size_t i = 0; i < extensions.size(); ++i) {
    Frame header{i + 1 < extensions.size() ? extensions[i + 1].type : protocol, 0};
    append(header, extensions[i].body);
    pad(header, 8);
    if (extensions[i].type == kAuthentication) {
      header[1] = static_cast<std::uint8_t>(header.size() / 4 - 2);
    } else if (extensions[i].type != kFragment) {
      header[1] = static_cast<std::uint8_t>(header.size() / 8 - 1);
    }
    append(out, header);
  }
  return out;
}

void append_ipv4(const FrameSpec& spec, std::uint8_t protocol, std::size_t payload, Frame& out) {
  Frame options = spec.ip_options;
  pad(options, 4);
  const std::size_t at = out.size();
  out.resize(at + kIpv4Length);
  write_ip(&out[at], IpFields{.src = spec.src,
                              .dst = spec.dst,
                              .protocol = protocol,
                              .ttl = spec.ttl,
                              .tos = spec.tos,
                              .payload_length = static_cast<std::uint16_t>(options.size() + payload),
                              .id = spec.ip_id,
                              .dont_fragment = spec.dont_fragment});
  append(out, options);
  out[at] = static_cast<std::uint8_t>(0x45 + options.size() / 4);
  fix_ip_checksum(out);
  if (spec.broken_ip_checksum) out[at + 11] ^= 0x55;
}

void append_ipv6(const FrameSpec& spec, std::uint8_t protocol, std::size_t payload, Frame& out) {
  const Frame extensions = chain(spec.extensions, protocol);
  const std::size_t at = out.size();
  out.resize(at + kIpv6Length);
  write_ip(&out[at], IpFields{.src = spec.src,
                              .dst = spec.dst,
                              .protocol = spec.extensions.empty() ? protocol : spec.extensions[0].type,
                              .ttl = spec.ttl,
                              .tos = spec.tos,
                              .payload_length = static_cast<std::uint16_t>(extensions.size() + payload)});
  append(out, extensions);
}

Frame finish(const FrameSpec& spec, std::uint8_t protocol, std::span<const std::uint8_t> l4) {
  HEADGATE_CHECK(spec.src.is_v4() == spec.dst.is_v4());
  Frame out = link_header(spec);
  spec.src.is_v4() ? append_ipv4(spec, protocol, l4.size(), out) : append_ipv6(spec, protocol, l4.size(), out);
  append(out, l4);
  if (out.size() < spec.pad_to) out.resize(spec.pad_to);
  return out;
}

std::size_t l3_offset(std::span<const std::uint8_t> frame) {
  std::size_t at = 12;
  while (load_be16(&frame[at]) == kEtherVlan || load_be16(&frame[at]) == kEtherQinq) at += kVlanTagLength;
  return at + 2;
}

Frame icmp_message(const FrameSpec& spec, std::uint8_t type, std::uint8_t code, std::span<const std::uint8_t> rest) {
  const std::uint8_t protocol = spec.src.is_v4() ? kProtocolIcmp : kProtocolIcmpv6;
  Frame l4{type, code, 0, 0};
  append(l4, rest);
  finish_l4(spec, protocol, 2, l4);
  return finish(spec, protocol, l4);
}

// Fragments of an IPv4 packet at `at`: header copied whole, options included.
Frame fragment_v4(const Frame& frame, std::size_t at, std::size_t begin, std::size_t length, bool more,
                  std::uint32_t id) {
  const std::size_t header = (frame[at] & 15) * std::size_t{4};
  Frame out(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(at + header));
  append(out, std::span(frame).subspan(at + header + begin, length));
  store_be16(&out[at + 2], static_cast<std::uint16_t>(header + length));
  store_be16(&out[at + 4], static_cast<std::uint16_t>(id));
  store_be16(&out[at + 6], static_cast<std::uint16_t>(begin / 8 | (more ? 0x2000 : 0)));
  fix_ip_checksum(out);
  return out;
}

Frame fragment_v6(const Frame& frame, std::size_t at, std::size_t begin, std::size_t length, bool more,
                  std::uint32_t id) {
  Frame out(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(at + kIpv6Length));
  out.push_back(out[at + 6]);
  out.push_back(0);
  append_be16(out, static_cast<std::uint16_t>(begin | (more ? 1 : 0)));
  append_be32(out, id);
  append(out, std::span(frame).subspan(at + kIpv6Length + begin, length));
  out[at + 6] = kFragment;
  store_be16(&out[at + 4], static_cast<std::uint16_t>(8 + length));
  return out;
}

std::string flag_names(std::uint8_t flags) {
  static constexpr const char* kNames[] = {" FIN", " SYN", " RST", " PSH", " ACK", " URG"};
  std::string out;
  for (unsigned i = 0; i < 6; ++i) {
    if ((flags >> i & 1) != 0) out += kNames[i];
  }
  return out;
}

}  // namespace

Address::Address(const char* characters) : IpAddress(ip(characters)) {}

IpAddress ip(std::string_view characters) {
  const auto address = parse_ip(characters);
  HEADGATE_CHECK(address.has_value());
  return *address;
}

std::vector<std::uint8_t> text(std::string_view characters) {
  return {characters.begin(), characters.end()};
}

Frame tcp_frame(const FrameSpec& spec) {
  Frame options = spec.tcp_options;
  pad(options, 4);
  Frame l4(kTcpLength);
  write_tcp(l4.data(),
            TcpFields{.src_port = spec.src_port,
                      .dst_port = spec.dst_port,
                      .sequence = spec.sequence,
                      .acknowledgment = spec.acknowledgment,
                      .flags = spec.flags,
                      .window = spec.window},
            spec.src, spec.dst);
  l4[12] = static_cast<std::uint8_t>((kTcpLength + options.size()) / 4 << 4);
  l4[16] = l4[17] = 0;
  append(l4, options);
  append(l4, spec.payload);
  finish_l4(spec, kProtocolTcp, 16, l4);
  return finish(spec, kProtocolTcp, l4);
}

Frame udp_frame(const FrameSpec& spec) {
  Frame l4;
  append_be16(l4, spec.src_port);
  append_be16(l4, spec.dst_port);
  append_be16(l4, static_cast<std::uint16_t>(kUdpLength + spec.payload.size()));
  append_be16(l4, 0);
  append(l4, spec.payload);
  if (!spec.no_udp_checksum) finish_l4(spec, kProtocolUdp, 6, l4);
  return finish(spec, kProtocolUdp, l4);
}

Frame echo_frame(const FrameSpec& spec) {
  Frame rest;
  append_be16(rest, spec.identifier);
  append_be16(rest, spec.echo_sequence);
  append(rest, spec.payload);
  const bool v4 = spec.src.is_v4();
  const std::uint8_t request = v4 ? std::uint8_t{kIcmpEchoRequest} : std::uint8_t{kIcmpv6EchoRequest};
  const std::uint8_t reply = v4 ? std::uint8_t{kIcmpEchoReply} : std::uint8_t{kIcmpv6EchoReply};
  return icmp_message(spec, spec.reply ? reply : request, 0, rest);
}

Frame icmp_error_frame(const FrameSpec& spec, const IcmpErrorSpec& error, std::span<const std::uint8_t> offender) {
  Frame rest;
  append_be32(rest, error.mtu);
  const std::span<const std::uint8_t> packet = offender.subspan(l3_offset(offender));
  append(rest, packet.first(std::min(packet.size(), error.quote)));
  return icmp_message(spec, error.type, error.code, rest);
}

Frame icmp_frame(const FrameSpec& spec, std::uint8_t type, std::uint8_t code) {
  return icmp_message(spec, type, code, spec.payload);
}

Frame ip_frame(const FrameSpec& spec, std::uint8_t protocol) {
  return finish(spec, protocol, spec.payload);
}

std::vector<Frame> fragments(const Frame& frame, std::size_t mtu, std::uint32_t id) {
  const std::size_t at = l3_offset(frame);
  const bool v4 = frame[at] >> 4 == 4;
  const std::size_t header = v4 ? (frame[at] & 15) * std::size_t{4} : kIpv6Length;
  const std::size_t total = v4 ? load_be16(&frame[at + 2]) : kIpv6Length + load_be16(&frame[at + 4]);
  const std::size_t room = mtu - header - (v4 ? 0 : 8);
  HEADGATE_CHECK(room >= 8 && room < mtu);
  const std::size_t step = room / 8 * 8, data = total - header;
  std::vector<Frame> out;
  for (std::size_t begin = 0; begin < data; begin += step) {
    const std::size_t length = std::min(step, data - begin);
    const bool more = begin + length < data;
    out.push_back((v4 ? fragment_v4 : fragment_v6)(frame, at, begin, length, more, id));
  }
  return out;
}

void fix_ip_checksum(Frame& frame) {
  const std::size_t at = l3_offset(frame);
  const std::size_t header = (frame[at] & 15) * std::size_t{4};
  frame[at + 10] = frame[at + 11] = 0;
  const std::uint16_t checksum = invert(sum({&frame[at], header}));
  std::memcpy(&frame[at + 10], &checksum, 2);
}

std::string describe(std::span<const std::uint8_t> frame) {
  PacketInfo info;
  const ParseError error = parse(frame, frame.size(), info);
  std::string out = std::to_string(frame.size()) + " bytes";
  if (info.vlan != 0) out += " vlan " + std::to_string(info.vlan);
  if (info.network == Network::none) out += ": ethertype " + std::to_string(info.ethertype);
  if (info.network == Network::arp) out += ": arp " + to_string(info.tuple.src) + " > " + to_string(info.tuple.dst);
  if (info.is_ip()) {
    out += ": " + to_string(info.tuple) + flag_names(info.tcp_flags) + " ttl " + std::to_string(info.ttl);
    if (info.icmp_type != 0 || info.icmp_query) {
      out += " icmp " + std::to_string(info.icmp_type) + "/" + std::to_string(info.icmp_code);
    }
    if (info.fragment) {
      out += " fragment " + std::to_string(info.fragment_id) + "@" + std::to_string(info.fragment_offset) +
             (info.more_fragments ? "+" : "");
    }
  }
  if (error != ParseError::none) return out + " (refused: " + to_string(error) + ")";
  if (info.is_ip()) out += ", payload " + std::to_string(info.l3_offset + info.l3_length - info.payload_offset);
  if (!l4_checksum_ok(frame, info)) out += " (wrong L4 checksum)";
  if (info.icmp_error) {
    const auto quoted = parse_quoted(frame, info);
    out += quoted ? " quoting " + to_string(quoted->tuple) : " (bad quote)";
  }
  return out;
}

}  // namespace headgate::packet::testing
