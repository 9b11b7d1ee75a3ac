// Frames in, verdicts and fields out. Properties over all prefixes are in parse_property_test.cc.
#include <gtest/gtest.h>

#include <functional>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/build.h"
#include "dataplane/packet/packet_info.h"
#include "dataplane/packet/testing.h"
#include "dataplane/telemetry/drop_reasons.h"

namespace headgate::packet {
namespace {

using testing::Extension;
using testing::Frame;
using testing::FrameSpec;
using testing::ip;
using testing::text;

ParseError parse_frame(const Frame& frame, PacketInfo& info) {
  const std::vector<std::uint8_t> exact(frame.begin(), frame.end());  // ASan sees the first byte too far
  return parse(exact, exact.size(), info);
}

PacketInfo accepted(const Frame& frame) {
  PacketInfo info;
  EXPECT_EQ(parse_frame(frame, info), ParseError::none) << testing::describe(frame);
  return info;
}

// `frame` with the byte at `at` replaced; IPv4 checksum made right again, so that the byte itself is what is judged.
Frame with_byte(Frame frame, std::size_t at, std::uint8_t value) {
  frame.at(at) = value;
  if (load_be16(&frame[12]) == kEtherIpv4 && at >= 14 && (frame[14] & 15) >= 5) testing::fix_ip_checksum(frame);
  return frame;
}
Frame with_be16(Frame frame, std::size_t at, std::uint16_t value) {
  frame = with_byte(std::move(frame), at, static_cast<std::uint8_t>(value >> 8));
  return with_byte(std::move(frame), at + 1, static_cast<std::uint8_t>(value));
}

constexpr std::size_t kL3 = 14, kL4 = 34, kL4v6 = 54;  // offsets in untagged frames without options

FrameSpec v6(FrameSpec spec = {}) {
  spec.src = "2001:db8::7";
  spec.dst = "2001:db8::100";
  return spec;
}
FrameSpec link_local(FrameSpec spec = {}) {
  spec.src = "fe80::7";
  spec.dst = "ff02::1:ff00:100";
  spec.ttl = 255;
  return spec;
}
Frame arp() {
  Frame frame(42);
  write_arp(frame.data(), 0, kBroadcastMac, {{2, 0, 0, 0, 0, 2}}, ip("10.0.0.1"), {}, ip("10.0.0.2"), false);
  return frame;
}
Frame v4_fragment(std::uint16_t flags_and_offset, std::size_t data, std::uint8_t protocol = kProtocolUdp) {
  return with_be16(testing::ip_frame({.payload = Frame(data, 8)}, protocol), kL3 + 6, flags_and_offset);
}
Frame v6_fragment(std::uint16_t offset_and_more, std::size_t data, std::uint8_t protocol = kProtocolUdp) {
  Frame header(6);  // after next header and length: offset, id
  store_be16(header.data(), offset_and_more);
  store_be32(header.data() + 2, 0xabcdef01);
  return testing::ip_frame(v6({.payload = Frame(data, 8), .extensions = {{kProtocolFragment, header}}}), protocol);
}
Frame v6_extended(std::vector<Extension> extensions) {
  return testing::tcp_frame(v6({.extensions = std::move(extensions)}));
}

struct Refusal {
  const char* name;
  Frame frame;
  ParseError verdict;
};

void expect_verdicts(std::initializer_list<Refusal> cases) {
  for (const Refusal& c : cases) {
    PacketInfo info;
    EXPECT_STREQ(to_string(parse_frame(c.frame, info)), to_string(c.verdict)) << c.name << "\n"
                                                                              << testing::describe(c.frame);
  }
}

TEST(Parse, ReadsAPlainTcpPacket) {
  const Frame frame = testing::tcp_frame({.payload = text("hello"), .flags = kPsh | kAck, .ttl = 61, .pad_to = 70});
  const PacketInfo info = accepted(frame);
  EXPECT_EQ(info.tuple, (Tuple{ip("192.0.2.10"), ip("192.0.2.100"), 40000, 80, kProtocolTcp}));
  EXPECT_EQ(info.network, Network::ipv4);
  EXPECT_EQ(info.ttl, 61);
  EXPECT_EQ(info.tcp_flags, kPsh | kAck);
  EXPECT_EQ(info.ethertype, kEtherIpv4);
  EXPECT_EQ(info.vlan, 0);
  EXPECT_EQ(info.frame_length, 70);
  EXPECT_EQ(info.l3_offset, 14);
  EXPECT_EQ(info.l4_offset, 34);
  EXPECT_EQ(info.l3_length, 45);
  EXPECT_EQ(info.l4_length, 25);
  EXPECT_EQ(info.payload_offset, 54);
  EXPECT_TRUE(info.dont_fragment);
  EXPECT_FALSE(info.fragment || info.more_fragments || info.icmp_error || info.icmp_query || info.dst_mac_group);
}

TEST(Parse, ReadsAPlainTcpPacketOverIpv6) {
  const PacketInfo info = accepted(testing::tcp_frame(v6({.payload = text("hello"), .tcp_options = {2, 4, 5, 180}})));
  EXPECT_EQ(info.tuple, (Tuple{ip("2001:db8::7"), ip("2001:db8::100"), 40000, 80, kProtocolTcp}));
  EXPECT_EQ(info.network, Network::ipv6);
  EXPECT_EQ(info.l4_offset, 54);
  EXPECT_EQ(info.l3_length, 69);
  EXPECT_EQ(info.l4_length, 29);
  EXPECT_EQ(info.payload_offset, 78);
  EXPECT_TRUE(info.dont_fragment);
}

TEST(Parse, NamesTheVlanAndKnowsAStackOfTwo) {
  EXPECT_EQ(accepted(testing::tcp_frame({.vlan = 7})).vlan, 7);
  const PacketInfo two = accepted(testing::tcp_frame({.vlan = 7, .outer_vlan = 0xe123}));
  EXPECT_EQ(two.vlan, kVlanStacked);
  EXPECT_EQ(accepted(testing::tcp_frame({.vlan = 7, .outer_vlan = 0xe000})).vlan, 7);  // a priority tag before it
  EXPECT_EQ(accepted(testing::tcp_frame({.vlan = 0xe123})).vlan, 0x123);               // priority bits are not the id
  EXPECT_EQ(two.l3_offset, 22);
  EXPECT_EQ(two.ethertype, kEtherIpv4);
  EXPECT_EQ(accepted(testing::tcp_frame({.vlan = 0xe000})).vlan, 0);  // priority-tagged
  Frame three = testing::tcp_frame({.vlan = 7, .outer_vlan = 8});
  three.insert(three.begin() + 12, {0x81, 0, 0, 9});
  PacketInfo info;
  EXPECT_EQ(parse_frame(three, info), ParseError::bad_ethernet);
}

TEST(Parse, LeavesOtherEthertypesToTheCaller) {
  const PacketInfo info = accepted(with_be16(arp(), 12, 0x88cc));
  EXPECT_EQ(info.network, Network::none);
  EXPECT_EQ(info.ethertype, 0x88cc);
  EXPECT_TRUE(info.dst_mac_group);
}

TEST(Parse, RefusesBadEthernet) {
  PacketInfo info;
  EXPECT_EQ(parse_frame(with_byte(testing::tcp_frame(), 6, 0x03), info), ParseError::bad_ethernet);
  const Frame frame = testing::tcp_frame();
  EXPECT_EQ(parse(frame, 65536, info), ParseError::bad_ethernet);
}

TEST(Parse, RefusesBadArp) {
  expect_verdicts({
      {"good", arp(), ParseError::none},
      {"hardware type", with_byte(arp(), 15, 6), ParseError::bad_arp},
      {"protocol", with_byte(arp(), 16, 0x86), ParseError::bad_arp},
      {"hardware length", with_byte(arp(), 18, 8), ParseError::bad_arp},
      {"protocol length", with_byte(arp(), 19, 16), ParseError::bad_arp},
      {"group sender", with_byte(arp(), 22, 1), ParseError::bad_arp},
  });
}

TEST(Parse, RefusesBadIpv4Headers) {
  const Frame good = testing::udp_frame({.payload = Frame(100)});
  expect_verdicts({
      {"version", with_byte(good, kL3, 0x65), ParseError::bad_ip_version},
      {"header length 16", with_byte(good, kL3, 0x44), ParseError::bad_ip_header_length},
      {"total length below header", with_be16(good, kL3 + 2, 19), ParseError::bad_ip_header_length},
      {"total length beyond frame", with_be16(good, kL3 + 2, 129), ParseError::truncated},
      {"checksum", testing::udp_frame({.broken_ip_checksum = true}), ParseError::bad_ip_checksum},
      {"checksum with options", testing::udp_frame({.ip_options = {1, 1}, .broken_ip_checksum = true}),
       ParseError::bad_ip_checksum},
  });
}

TEST(Parse, RefusesBadIpv6Headers) {
  const Frame good = testing::udp_frame(v6());
  expect_verdicts({
      {"version", with_byte(good, kL3, 0x45), ParseError::bad_ip_version},
      {"payload length beyond frame", with_be16(good, kL3 + 4, 9), ParseError::truncated},
      {"payload length 0", with_be16(good, kL3 + 4, 0), ParseError::truncated},
  });
}

TEST(Parse, RefusesImpossibleAddresses) {
  const auto from = [](const char* src, const char* dst) { return testing::tcp_frame({.src = src, .dst = dst}); };
  Frame mapped_source = testing::tcp_frame(v6()), mapped_destination = mapped_source;
  std::copy_n(IpAddress::from_v4(0xc0000201).bytes.data(), 16, &mapped_source[kL3 + 8]);
  std::copy_n(IpAddress::from_v4(0xc0000201).bytes.data(), 16, &mapped_destination[kL3 + 24]);
  expect_verdicts({
      {"v4 multicast source", from("224.0.0.1", "192.0.2.1"), ParseError::bad_ip_source},
      {"v4 broadcast source", from("255.255.255.255", "192.0.2.1"), ParseError::bad_ip_source},
      {"v4 loopback source", from("127.0.0.1", "192.0.2.1"), ParseError::bad_ip_source},
      {"v4 unspecified source", from("0.0.0.0", "192.0.2.1"), ParseError::bad_ip_source},
      {"v4 unspecified destination", from("192.0.2.1", "0.0.0.0"), ParseError::bad_ip_destination},
      {"v4 loopback destination", from("192.0.2.1", "127.9.9.9"), ParseError::bad_ip_destination},
      {"v4 broadcast destination", from("192.0.2.1", "255.255.255.255"), ParseError::none},
      {"v4 multicast destination", from("192.0.2.1", "224.0.0.18"), ParseError::none},
      {"v4 class E source", from("240.0.0.1", "192.0.2.1"), ParseError::none},
      {"v6 multicast source", from("ff02::1", "2001:db8::1"), ParseError::bad_ip_source},
      {"v6 loopback source", from("::1", "2001:db8::1"), ParseError::bad_ip_source},
      {"v6 unspecified source", from("::", "2001:db8::1"), ParseError::bad_ip_source},
      {"v6 mapped source", mapped_source, ParseError::bad_ip_source},
      {"v6 unspecified destination", from("2001:db8::1", "::"), ParseError::bad_ip_destination},
      {"v6 loopback destination", from("2001:db8::1", "::1"), ParseError::bad_ip_destination},
      {"v6 mapped destination", mapped_destination, ParseError::bad_ip_destination},
  });
}

TEST(Parse, AllowsNoSourceOnlyToWhoHasNoneYet) {
  const auto dhcp = [](std::uint16_t src_port, std::uint16_t dst_port) {
    return testing::udp_frame({.src = "0.0.0.0", .dst = "255.255.255.255", .src_port = src_port, .dst_port = dst_port});
  };
  const auto icmpv6 = [](std::uint8_t type) {
    return testing::icmp_frame({.src = "::", .dst = "ff02::16", .payload = Frame(20), .ttl = 255}, type, 0);
  };
  expect_verdicts({
      {"DHCP discover", dhcp(68, 67), ParseError::none},
      {"DHCP the other way", dhcp(67, 68), ParseError::bad_ip_source},
      {"DHCP to another port", dhcp(68, 69), ParseError::bad_ip_source},
      {"DHCP in fragments", with_be16(dhcp(68, 67), kL3 + 6, 0x2000), ParseError::bad_ip_source},
      {"neighbor solicitation", icmpv6(kNeighborSolicitation), ParseError::none},
      {"MLD report", icmpv6(kMldReport), ParseError::none},
      {"MLD done", icmpv6(kMldDone), ParseError::none},
      {"MLDv2 report", icmpv6(kMldv2Report), ParseError::none},
      {"neighbor advertisement", icmpv6(kNeighborAdvertisement), ParseError::bad_ip_source},
      {"MLD query", icmpv6(kMldQuery), ParseError::bad_ip_source},
      {"UDP over IPv6", testing::udp_frame({.src = "::", .dst = "ff02::1", .src_port = 68, .dst_port = 67}),
       ParseError::bad_ip_source},
  });
}

TEST(Parse, ReadsIpv4OptionsAndRefusesSourceRoutes) {
  const PacketInfo info = accepted(testing::tcp_frame({.ip_options = {1, 148, 4, 0, 0, 0}}));
  EXPECT_EQ(info.l4_offset, 42);
  EXPECT_EQ(info.tuple.dst_port, 80);
  const auto options = [](const std::vector<std::uint8_t>& bytes) { return testing::udp_frame({.ip_options = bytes}); };
  expect_verdicts({
      {"nothing after the end is judged", options({0, 131, 3, 4}), ParseError::none},
      {"full of NOP", options(Frame(40, 1)), ParseError::none},
      {"loose source route", options({131, 3, 4, 0}), ParseError::bad_ip_options},
      {"strict source route", options({1, 137, 3, 4}), ParseError::bad_ip_options},
      {"option of length 1", options({148, 1, 0, 0}), ParseError::bad_ip_options},
      {"option that overruns", options({148, 5, 0, 0}), ParseError::bad_ip_options},
      {"kind without length", options({1, 1, 1, 148}), ParseError::bad_ip_options},
  });
}

TEST(Parse, WalksIpv6ExtensionHeaders) {
  const PacketInfo info = accepted(v6_extended({{0, {5, 2, 0, 0, 1, 0}},  // router alert
                                                {60, Frame(14)},
                                                {43, {4, 0, 0, 0, 0, 0}},  // segment routing
                                                {51, Frame(22)},
                                                {44, {0, 0, 0, 0, 0, 1}}}));  // atomic
  EXPECT_EQ(info.l4_offset, 54 + 8 + 16 + 8 + 24 + 8);
  EXPECT_EQ(info.tuple, (Tuple{ip("2001:db8::7"), ip("2001:db8::100"), 40000, 80, kProtocolTcp}));
  EXPECT_FALSE(info.fragment);
  EXPECT_EQ(info.l4_length, 20);
  EXPECT_EQ(accepted(testing::ip_frame(v6(), kProtocolNone)).l4_length, 0);
  const PacketInfo none = accepted(testing::ip_frame(v6({.payload = Frame(5)}), kProtocolNone));
  EXPECT_EQ(none.tuple.protocol, kProtocolNone);
  EXPECT_EQ(none.payload_offset, none.l4_offset);
}

TEST(Parse, RefusesBadExtensionHeaders) {
  const Extension padding{60, Frame(6)};
  const auto cut_length = [](std::vector<Extension> extensions, std::uint8_t length) {
    return with_byte(v6_extended(std::move(extensions)), kL4v6 + 1, length);
  };
  expect_verdicts({
      {"eight", v6_extended(std::vector(8, padding)), ParseError::none},
      {"nine", v6_extended(std::vector(9, padding)), ParseError::bad_extension_header},
      {"hop-by-hop not first", v6_extended({padding, {0, Frame(6)}}), ParseError::bad_extension_header},
      {"hop-by-hop option overruns", v6_extended({{0, {5, 4, 0, 0, 1, 0}}}), ParseError::none},
      {"hop-by-hop option overruns by one", v6_extended({{0, {5, 5, 0, 0, 1, 0}}}), ParseError::bad_extension_header},
      {"hop-by-hop option without length", v6_extended({{0, {0, 0, 0, 0, 0, 5}}}), ParseError::bad_extension_header},
      {"jumbo payload", v6_extended({{0, {0xc2, 4, 0, 1, 0, 0}}}), ParseError::bad_extension_header},
      {"jumbo payload, length 0", with_be16(v6_extended({{0, {0xc2, 4, 0, 1, 0, 0}}}), kL3 + 4, 0),
       ParseError::bad_extension_header},
      {"routing type 0", v6_extended({{43, {0, 0, 0, 0, 0, 0}}}), ParseError::bad_extension_header},
      {"longer than the packet", cut_length({padding}, 3), ParseError::bad_extension_header},
      {"AH longer than the packet", cut_length({{51, Frame(10)}}, 8), ParseError::bad_extension_header},
      {"two fragment headers", v6_extended({{44, Frame(6)}, {44, Frame(6)}}), ParseError::bad_extension_header},
      {"announced and not there", testing::ip_frame(v6(), 60), ParseError::truncated},
      {"half there", testing::ip_frame(v6({.payload = Frame(7)}), 60), ParseError::truncated},
  });
}

TEST(Parse, ReadsFragmentsOfBothFamilies) {
  for (const bool is_v4 : {true, false}) {
    const FrameSpec spec = is_v4 ? FrameSpec{.payload = Frame(3000)} : v6({.payload = Frame(3000)});
    const auto parts = testing::fragments(testing::udp_frame(spec), 1500, 0x5678);
    ASSERT_EQ(parts.size(), 3u);
    std::size_t next = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const PacketInfo info = accepted(parts[i]);
      EXPECT_TRUE(info.fragment);
      EXPECT_EQ(info.fragment_id, 0x5678u);
      EXPECT_EQ(info.fragment_offset, next);
      EXPECT_EQ(info.more_fragments, i < 2);
      EXPECT_EQ(info.later_fragment(), i > 0);
      EXPECT_EQ(info.tuple.dst_port, i == 0 ? 80 : 0);
      EXPECT_EQ(info.tuple.src_port, i == 0 ? 40000 : 0);
      EXPECT_EQ(info.tuple.protocol, kProtocolUdp);
      EXPECT_EQ(info.payload_offset, info.l4_offset + (i == 0 ? 8 : 0));
      EXPECT_TRUE(l4_checksum_ok(parts[i], info));  // can not be judged
      next += info.l4_length;
    }
    EXPECT_EQ(next, 3008u);
  }
}

TEST(Parse, RefusesBadFragments) {
  expect_verdicts({
      {"v4 first", v4_fragment(0x2000, 8), ParseError::none},
      {"v4 last", v4_fragment(3, 5), ParseError::none},
      {"v4 empty", v4_fragment(3, 0), ParseError::bad_fragment},
      {"v4 not multiple of 8", v4_fragment(0x2003, 12), ParseError::bad_fragment},
      {"v4 up to 65535", v4_fragment(8188, 11), ParseError::none},
      {"v4 beyond 65535", v4_fragment(8188, 12), ParseError::bad_fragment},
      {"v4 TCP at 8", v4_fragment(1, 40, kProtocolTcp), ParseError::bad_fragment},
      {"v4 UDP at 8", v4_fragment(1, 40), ParseError::none},
      {"v4 first without whole TCP header", v4_fragment(0x2000, 16, kProtocolTcp), ParseError::bad_fragment},
      {"v4 first without whole TCP options", with_byte(v4_fragment(0x2000, 24, kProtocolTcp), kL4 + 12, 0x70),
       ParseError::bad_fragment},
      {"v4 first without whole ICMP header", v4_fragment(0, 7, kProtocolIcmp), ParseError::truncated},
      {"v6 first", v6_fragment(1, 8), ParseError::none},
      {"v6 last", v6_fragment(24, 5), ParseError::none},
      {"v6 empty", v6_fragment(24, 0), ParseError::bad_fragment},
      {"v6 not multiple of 8", v6_fragment(25, 12), ParseError::bad_fragment},
      {"v6 up to 65535", v6_fragment(0xffe8, 23), ParseError::none},
      {"v6 beyond 65535", v6_fragment(0xffe8, 24), ParseError::bad_fragment},
      {"v6 TCP at 8", v6_fragment(8, 40, kProtocolTcp), ParseError::bad_fragment},
      {"v6 first without whole TCP header", v6_fragment(1, 16, kProtocolTcp), ParseError::bad_fragment},
      {"v6 first without its chain", v6_fragment(1, 0, 60), ParseError::bad_fragment},
      {"v6 neighbor solicitation",
       testing::ip_frame({.src = "fe80::7",
                          .dst = "ff02::1:ff00:1",
                          .payload = {kNeighborSolicitation, 0, 0, 0, 0, 0, 0, 0},
                          .ttl = 255,
                          .extensions = {{44, {0, 1, 0, 0, 0, 1}}}},
                         kProtocolIcmpv6),
       ParseError::bad_fragment},
  });
}

TEST(Parse, RefusesBadTcpHeaders) {
  const auto flags = [](unsigned value) { return testing::tcp_frame({.flags = static_cast<std::uint8_t>(value)}); };
  const Frame good = testing::tcp_frame();
  expect_verdicts({
      {"data offset 16", with_byte(good, kL4 + 12, 0x40), ParseError::bad_tcp_header},
      {"data offset beyond the packet", with_byte(good, kL4 + 12, 0x60), ParseError::bad_tcp_header},
      {"source port 0", testing::tcp_frame({.src_port = 0}), ParseError::bad_tcp_header},
      {"destination port 0", testing::tcp_frame({.dst_port = 0}), ParseError::bad_tcp_header},
      {"shorter than a header", testing::ip_frame({.payload = Frame(19)}, kProtocolTcp), ParseError::truncated},
      {"no flags", flags(0), ParseError::bad_tcp_header},
      {"SYN FIN", flags(kSyn | kFin), ParseError::bad_tcp_header},
      {"SYN FIN ACK", flags(kSyn | kFin | kAck), ParseError::bad_tcp_header},
      {"SYN RST", flags(kSyn | kRst), ParseError::bad_tcp_header},
      {"FIN", flags(kFin), ParseError::bad_tcp_header},
      {"christmas tree", flags(kFin | kPsh | kUrg), ParseError::bad_tcp_header},
      {"FIN ACK", flags(kFin | kAck), ParseError::none},
      {"RST", flags(kRst), ParseError::none},
      {"SYN with ECE and CWR", flags(0xc0 | kSyn), ParseError::none},
  });
  EXPECT_EQ(accepted(flags(0xc0 | kSyn)).tcp_flags, kSyn);
}

TEST(Parse, RefusesBadUdpHeaders) {
  const Frame good = testing::udp_frame({.payload = Frame(4)});
  expect_verdicts({
      {"source port 0", testing::udp_frame({.src_port = 0}), ParseError::none},
      {"destination port 0", testing::udp_frame({.dst_port = 0}), ParseError::bad_udp_header},
      {"length 7", with_be16(good, kL4 + 4, 7), ParseError::bad_udp_header},
      {"length below the packet's", with_be16(good, kL4 + 4, 11), ParseError::none},
      {"length beyond the packet", with_be16(good, kL4 + 4, 13), ParseError::bad_udp_header},
      {"shorter than a header", testing::ip_frame({.payload = Frame(7)}, kProtocolUdp), ParseError::truncated},
  });
}

TEST(Parse, TellsIcmpQueriesFromErrorsInBothFamilies) {
  for (const bool is_v4 : {true, false}) {
    const FrameSpec base = is_v4 ? FrameSpec{} : v6();
    FrameSpec echo = base;
    echo.identifier = 77;
    const PacketInfo request = accepted(testing::echo_frame(echo));
    EXPECT_TRUE(request.icmp_query && !request.icmp_error);
    EXPECT_EQ(request.tuple.src_port, 77);
    EXPECT_EQ(request.tuple.dst_port, 0);
    EXPECT_EQ(request.icmp_type, is_v4 ? 8 : 128);
    EXPECT_EQ(request.payload_offset, request.l4_offset + 8);
    echo.reply = true;
    const PacketInfo reply = accepted(testing::echo_frame(echo));
    EXPECT_TRUE(reply.icmp_query);
    EXPECT_EQ(reply.tuple.src_port, 0);
    EXPECT_EQ(reply.tuple.dst_port, 77);
    EXPECT_EQ(reply.icmp_type, is_v4 ? 0 : 129);
    for (unsigned type = 0; type < 256; ++type) {
      const bool error = is_v4 ? type == 3 || type == 4 || type == 11 || type == 12 : type >= 1 && type <= 4;
      FrameSpec spec = base;
      spec.ttl = 255;
      spec.payload = Frame(44);
      const PacketInfo info = accepted(testing::icmp_frame(spec, static_cast<std::uint8_t>(type), 0));
      EXPECT_EQ(info.icmp_error, error) << type;
      EXPECT_EQ(info.icmp_type, type);
    }
  }
}

TEST(Parse, RefusesBadIcmp) {
  const auto icmp = [](std::size_t length, std::uint8_t type, std::uint8_t code) {
    return testing::icmp_frame({.payload = Frame(length - 4)}, type, code);
  };
  const auto icmpv6 = [](std::size_t length, std::uint8_t type, std::uint8_t code, std::uint8_t ttl) {
    FrameSpec spec = link_local({.payload = Frame(length - 4)});
    spec.ttl = ttl;
    return testing::icmp_frame(spec, type, code);
  };
  expect_verdicts({
      {"v4 shorter than a header", icmp(7, 8, 0), ParseError::truncated},
      {"v4 echo with a code", icmp(8, 8, 1), ParseError::bad_icmp_header},
      {"v4 error without a quote", icmp(27, 3, 0), ParseError::bad_icmp_header},
      {"v4 error with a quoted header", icmp(28, 3, 0), ParseError::none},
      {"v6 echo reply with a code", icmpv6(8, 129, 1, 64), ParseError::bad_icmp_header},
      {"v6 error without a quote", icmpv6(47, 2, 0, 64), ParseError::bad_icmp_header},
      {"NS from beyond the link", icmpv6(24, 135, 0, 254), ParseError::bad_icmp_header},
      {"NA with a code", icmpv6(24, 136, 1, 255), ParseError::bad_icmp_header},
      {"NS without a target", icmpv6(23, 135, 0, 255), ParseError::truncated},
      {"NA", icmpv6(24, 136, 0, 255), ParseError::none},
      {"ICMPv6 in IPv4 is just a protocol", testing::ip_frame({.payload = Frame(3)}, kProtocolIcmpv6),
       ParseError::none},
      {"ICMP in IPv6 is just a protocol", testing::ip_frame(v6({.payload = Frame(3)}), kProtocolIcmp),
       ParseError::none},
  });
}

TEST(Parse, DoesNotBelieveAFragmentedIcmpError) {
  const PacketInfo info = accepted(
      with_be16(testing::icmp_error_frame({}, {}, testing::tcp_frame({.payload = Frame(8)})), kL3 + 6, 0x2000));
  EXPECT_TRUE(info.fragment);
  EXPECT_FALSE(info.icmp_error);
}

TEST(Parse, ChecksL4Checksums) {
  struct Case {
    const char* name;
    Frame frame;
    bool ok;
  };
  const Frame tail = testing::udp_frame({.payload = text("odd")});
  Frame udp_with_tail = with_be16(tail, kL3 + 2, static_cast<std::uint16_t>(tail.size() - 14 + 2));
  udp_with_tail.insert(udp_with_tail.end(), {9, 9});
  const Case cases[] = {
      {"v4 tcp", testing::tcp_frame({.payload = text("abc")}), true},
      {"v4 tcp broken", testing::tcp_frame({.broken_l4_checksum = true}), false},
      {"v4 udp", testing::udp_frame({.payload = text("abc"), .pad_to = 60}), true},
      {"v4 udp broken", testing::udp_frame({.broken_l4_checksum = true}), false},
      {"v4 udp none", testing::udp_frame({.no_udp_checksum = true}), true},
      {"v4 udp with bytes after it", udp_with_tail, true},
      {"v4 icmp", testing::echo_frame({.payload = text("abc")}), true},
      {"v4 icmp broken", testing::echo_frame({.broken_l4_checksum = true}), false},
      {"v4 other", testing::ip_frame({.payload = Frame(8, 9)}, 47), true},
      {"v4 with ICMPv6", testing::ip_frame({.payload = Frame(8, 9)}, kProtocolIcmpv6), true},
      {"v6 tcp", testing::tcp_frame(v6({.payload = text("abc")})), true},
      {"v6 tcp broken", testing::tcp_frame(v6({.broken_l4_checksum = true})), false},
      {"v6 udp", testing::udp_frame(v6({.payload = text("abc")})), true},
      {"v6 udp none", testing::udp_frame(v6({.no_udp_checksum = true})), false},
      {"v6 icmp", testing::echo_frame(v6()), true},
      {"v6 icmp broken", testing::echo_frame(v6({.broken_l4_checksum = true})), false},
      {"v6 with ICMP", testing::ip_frame(v6({.payload = Frame(8, 9)}), kProtocolIcmp), true},
      {"arp", arp(), true},
  };
  for (const Case& c : cases) {
    const PacketInfo info = accepted(c.frame);
    EXPECT_EQ(l4_checksum_ok(c.frame, info), c.ok) << c.name << "\n" << testing::describe(c.frame);
  }
  const Frame whole = testing::tcp_frame({.payload = Frame(300)});
  EXPECT_FALSE(l4_checksum_ok(std::span(whole).first(256), accepted(whole)));
}

// The worker maps one onto the other by position.
TEST(Parse, ErrorsAreTheFirstDropReasonsInTheSameOrder) {
  static constexpr const char* kReasons[] = {
#define X(name, sentence) #name,
      HEADGATE_DROP_REASONS(X)
#undef X
  };
  for (unsigned i = 1; i <= static_cast<unsigned>(ParseError::bad_icmp_header); ++i) {
    EXPECT_STREQ(to_string(static_cast<ParseError>(i)), kReasons[i - 1]);
  }
}

}  // namespace
}  // namespace headgate::packet
