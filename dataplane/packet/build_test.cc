#include "dataplane/packet/build.h"

#include <gtest/gtest.h>

#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/packet_info.h"
#include "dataplane/packet/testing.h"

namespace headgate::packet {
namespace {

using testing::Frame;
using testing::ip;

constexpr MacAddress kOurs{{2, 0, 0, 0, 0, 9}}, kTheirs{{2, 0, 0, 0, 0, 7}};

// What every built frame must be: accepted, with right checksums, no byte beyond the IP packet.
PacketInfo accepted(const Frame& frame) {
  PacketInfo info;
  EXPECT_EQ(parse(frame, frame.size(), info), ParseError::none) << testing::describe(frame);
  EXPECT_TRUE(l4_checksum_ok(frame, info)) << testing::describe(frame);
  EXPECT_EQ(info.l3_offset + info.l3_length, static_cast<int>(frame.size()));
  return info;
}

template <class Write>
Frame built(Write write) {
  Frame frame(kMaxControlFrame, 0xee);  // what is not written shows
  frame.resize(write(frame.data()));
  return frame;
}

TEST(Build, ArpRequestIsByteExact) {
  const Frame frame = built([](std::uint8_t* out) {
    return write_arp(out, 0, kBroadcastMac, kOurs, ip("10.10.0.5"), {}, ip("10.10.0.21"), false);
  });
  const Frame wanted = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0,  9,  0x08, 0x06,
                        0,    1,    0x08, 0x00, 6,    4,    0, 1, 2, 0, 0,  0,  0,    9,
                        10,   10,   0,    5,    0,    0,    0, 0, 0, 0, 10, 10, 0,    21};
  EXPECT_EQ(frame, wanted);
  const PacketInfo info = accepted(frame);
  EXPECT_EQ(info.network, Network::arp);
  EXPECT_TRUE(info.dst_mac_group);
}

TEST(Build, ArpReplyCarriesItsVlan) {
  const Frame frame = built([](std::uint8_t* out) {
    return write_arp(out, 7, kTheirs, kOurs, ip("10.10.0.5"), kTheirs, ip("10.10.0.21"), true);
  });
  const PacketInfo info = accepted(frame);
  EXPECT_EQ(info.vlan, 7);
  EXPECT_EQ(load_be16(&frame[info.l3_offset + 6]), 2);
  EXPECT_EQ(info.tuple.src, ip("10.10.0.5"));
  EXPECT_EQ(info.tuple.dst, ip("10.10.0.21"));
}

TEST(Build, NeighborSolicitationsAreAcceptedWithAndWithoutSource) {
  const IpAddress target = ip("2001:db8::21"), group = solicited_node(target);
  for (const char* src : {"2001:db8::5", "::"}) {
    const Frame frame = built([&](std::uint8_t* out) {
      return write_neighbor_solicitation(out, 7, multicast_mac(group), kOurs, ip(src), group, target);
    });
    const PacketInfo info = accepted(frame);
    EXPECT_EQ(info.icmp_type, kNeighborSolicitation);
    EXPECT_EQ(info.ttl, 255);
    EXPECT_EQ(IpAddress::load_v6(&frame[info.l4_offset + std::size_t{8}]), target);
    // RFC 4861 4.3: no link-layer option from the unspecified address.
    EXPECT_EQ(info.l4_length, ip(src).is_unspecified() ? 24 : 32);
  }
}

TEST(Build, NeighborAdvertisementCarriesFlagsTargetAndAddress) {
  const Frame frame = built([](std::uint8_t* out) {
    return write_neighbor_advertisement(out, 0, kTheirs, kOurs, ip("fe80::9"), ip("fe80::7"), ip("2001:db8::100"),
                                        kNaSolicited | kNaOverride);
  });
  const PacketInfo info = accepted(frame);
  const std::uint8_t* icmp = &frame[info.l4_offset];
  EXPECT_EQ(info.icmp_type, kNeighborAdvertisement);
  EXPECT_EQ(load_be32(icmp + 4), 0x60000000u);
  EXPECT_EQ(IpAddress::load_v6(icmp + 8), ip("2001:db8::100"));
  EXPECT_EQ(load_be16(icmp + 24), 0x0201);
  EXPECT_EQ(0, std::memcmp(icmp + 26, kOurs.bytes.data(), 6));
}

TEST(Build, MldReportsAreAcceptedForEveryNumberOfGroups) {
  for (std::size_t count = 0; count <= kMaxMldRecords; ++count) {
    const std::vector<IpAddress> groups(count, solicited_node(ip("2001:db8::100")));
    for (const char* src : {"fe80::9", "::"}) {
      const Frame frame = built([&](std::uint8_t* out) { return write_mld_report(out, 7, kOurs, ip(src), groups); });
      const PacketInfo info = accepted(frame);
      EXPECT_EQ(info.icmp_type, kMldv2Report);
      EXPECT_EQ(info.ttl, 1);
      EXPECT_EQ(info.tuple.dst, ip("ff02::16"));
      EXPECT_EQ(load_be16(&frame[info.l4_offset + 6u]), count);
    }
  }
}

TEST(Build, IcmpErrorsQuoteTheOffenderAndStaySmall) {
  struct Case {
    IcmpError kind;
    std::uint8_t v4_type, v4_code, v6_type, v6_code;
  };
  const Case cases[] = {
      {IcmpError::too_big, 3, 4, 2, 0},           {IcmpError::time_exceeded, 11, 0, 3, 0},
      {IcmpError::port_unreachable, 3, 3, 1, 4},  {IcmpError::host_unreachable, 3, 1, 1, 3},
      {IcmpError::admin_prohibited, 3, 13, 1, 1},
  };
  for (const Case& c : cases) {
    for (const bool v4 : {true, false}) {
      for (const std::size_t payload : {std::size_t{0}, std::size_t{1}, std::size_t{1400}}) {
        const testing::Address client = v4 ? "192.0.2.10" : "2001:db8::7", vip = v4 ? "192.0.2.100" : "2001:db8::100";
        const Frame offender = testing::udp_frame({.src = client, .dst = vip, .payload = Frame(payload, 0x5a)});
        const Frame frame = built([&](std::uint8_t* out) {
          const std::size_t at = write_ethernet(out, kTheirs, kOurs, 7, v4 ? kEtherIpv4 : kEtherIpv6);
          return at + write_icmp_error(out + at, c.kind, vip, client, std::span(offender).subspan(14), 1400);
        });
        const PacketInfo info = accepted(frame);
        EXPECT_EQ(info.icmp_type, v4 ? c.v4_type : c.v6_type);
        EXPECT_EQ(info.icmp_code, v4 ? c.v4_code : c.v6_code);
        EXPECT_TRUE(info.icmp_error);
        EXPECT_EQ(load_be32(&frame[info.l4_offset + 4u]), c.kind == IcmpError::too_big ? 1400u : 0u);
        EXPECT_LE(frame.size(), kMaxControlFrame);
        EXPECT_TRUE(!v4 || info.l3_length <= 576);
        const auto quoted = parse_quoted(frame, info);
        ASSERT_TRUE(quoted);
        EXPECT_EQ(quoted->tuple, (Tuple{client, vip, 40000, 80, kProtocolUdp}));
      }
    }
  }
}

TEST(Build, TcpWithoutOptionsIsAccepted) {
  for (const bool v4 : {true, false}) {
    const testing::Address src = v4 ? "192.0.2.100" : "2001:db8::100", dst = v4 ? "192.0.2.10" : "2001:db8::7";
    const Frame frame = built([&](std::uint8_t* out) {
      std::size_t at = write_ethernet(out, kTheirs, kOurs, 0, v4 ? kEtherIpv4 : kEtherIpv6);
      at += write_ip(out + at, {.src = src, .dst = dst, .protocol = kProtocolTcp, .payload_length = kTcpLength});
      return at + write_tcp(out + at, {.src_port = 80, .dst_port = 40000, .sequence = 1, .flags = kRst}, src, dst);
    });
    const PacketInfo info = accepted(frame);
    EXPECT_EQ(info.tcp_flags, kRst);
    EXPECT_EQ(info.payload_offset, frame.size());
  }
}

TEST(Build, GroupsHaveTheirHardwareAddress) {
  EXPECT_EQ(to_string(multicast_mac(ip("224.0.0.18"))), "01:00:5e:00:00:12");
  EXPECT_EQ(to_string(multicast_mac(ip("239.129.2.3"))), "01:00:5e:01:02:03");
  EXPECT_EQ(to_string(multicast_mac(ip("ff02::1:ff00:100"))), "33:33:ff:00:01:00");
  EXPECT_EQ(to_string(solicited_node(ip("2001:db8::ab:cdef:100"))), "ff02::1:ffef:100");
}

}  // namespace
}  // namespace headgate::packet
