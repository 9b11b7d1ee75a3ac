#include "dataplane/forward/encapsulate.h"

#include <gtest/gtest.h>

#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/build.h"
#include "dataplane/packet/packet_info.h"
#include "dataplane/packet/testing.h"

namespace headgate::forward {
namespace {

using packet::testing::Frame;
using packet::testing::FrameSpec;
using packet::testing::ip;
using packet::testing::tcp_frame;
using packet::testing::text;

struct Case {
  bool outer_v4, gue, inner_v4;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const bool outer_v4 : {true, false}) {
    for (const bool gue : {true, false}) {
      for (const bool inner_v4 : {true, false}) all.push_back({outer_v4, gue, inner_v4});
    }
  }
  return all;
}

std::string name_of(const Case& c) {
  return std::string(c.inner_v4 ? "v4" : "v6") + " in " + (c.gue ? "GUE" : "IPIP") + " over " +
         (c.outer_v4 ? "v4" : "v6");
}

FrameSpec inner_spec(bool v4) {
  FrameSpec spec{.payload = text("the inner payload"), .tos = 0xb9};
  if (!v4) {
    spec.src = "2001:db8:1::10";
    spec.dst = "2001:db8:1::100";
  }
  return spec;
}

Outer outer_of(const Case& c) {
  return {.src = c.outer_v4 ? ip("10.10.0.11") : ip("2001:db8:2::11"),
          .dst = c.outer_v4 ? ip("10.10.0.21") : ip("2001:db8:2::21"),
          .gue = c.gue,
          .gue_port = 6081,
          .source_port = 0xc123};
}

// The inner packet with an Ethernet header and the tunnel's headers in front of it.
Frame encapsulated(const Case& c, const FrameSpec& spec) {
  const Frame inner = tcp_frame(spec);
  const std::size_t room = 14 + encapsulation_length(c.outer_v4, c.gue);
  Frame out(room, 0xee);
  out.insert(out.end(), inner.begin() + 14, inner.end());
  const std::uint8_t* start =
      encapsulate(&out[room], static_cast<std::uint16_t>(inner.size() - 14), c.inner_v4, outer_of(c));
  EXPECT_EQ(start, &out[14]);
  EXPECT_TRUE(std::equal(inner.begin() + 14, inner.end(), out.begin() + static_cast<std::ptrdiff_t>(room)))
      << "inner packet changed";
  EXPECT_EQ(out[13], 0xee) << "wrote in front of the outer header";
  packet::write_ethernet(out.data(), {}, {}, 0, c.outer_v4 ? packet::kEtherIpv4 : packet::kEtherIpv6);
  return out;
}

TEST(Encapsulate, TheOuterHeadersNameBothEndsAndTheInnerPacketIsIntact) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(name_of(c));
    const Frame out = encapsulated(c, inner_spec(c.inner_v4));
    packet::PacketInfo info;
    ASSERT_EQ(packet::parse(out, out.size(), info), packet::ParseError::none);  // verifies the IPv4 header checksum
    const std::uint8_t inner_protocol = c.inner_v4 ? kProtocolIpip : kProtocolIpv6;
    EXPECT_EQ(info.tuple.src, outer_of(c).src);
    EXPECT_EQ(info.tuple.dst, outer_of(c).dst);
    EXPECT_EQ(info.tuple.protocol, c.gue ? kProtocolUdp : inner_protocol);
    EXPECT_EQ(info.l3_length, out.size() - 14);
    EXPECT_EQ(info.ttl, 64);
    if (!c.gue) continue;
    const std::uint8_t* udp = &out[info.l4_offset];
    EXPECT_EQ(load_be16(udp), 0xc123);
    EXPECT_EQ(load_be16(udp + 2), 6081);
    EXPECT_EQ(load_be16(udp + 4), info.l4_length);
    EXPECT_EQ(load_be16(udp + 6), 0);  // RFC 6935
    EXPECT_EQ(load_be32(udp + 8), std::uint32_t{inner_protocol} << 16);
  }
}

TEST(Encapsulate, CopiesDontFragmentAndTheTrafficClass) {
  for (const Case& c : cases()) {
    for (const bool dont_fragment : {true, false}) {
      SCOPED_TRACE(name_of(c));
      FrameSpec spec = inner_spec(c.inner_v4);
      spec.dont_fragment = dont_fragment;
      const Frame out = encapsulated(c, spec);
      if (c.outer_v4) {
        EXPECT_EQ(out[15], 0xb9);
        EXPECT_EQ((out[20] & 0x40) != 0, dont_fragment || !c.inner_v4);
      } else {
        EXPECT_EQ((load_be32(&out[14]) >> 20 & 0xff), 0xb9u);
      }
    }
  }
}

TEST(Encapsulate, PacketsThatMayBeFragmentedGetIdentifiersOfTheirOwn) {
  // RFC 6864 section 4.3: with DF clear a router on the way may cut, and equal identifiers would be put together
  // wrongly.
  const Case c{.outer_v4 = true, .gue = false, .inner_v4 = true};
  FrameSpec first = inner_spec(true), second = inner_spec(true);
  first.dont_fragment = second.dont_fragment = false;
  first.ip_id = 1;
  second.ip_id = 2;
  EXPECT_NE(load_be16(&encapsulated(c, first)[18]), load_be16(&encapsulated(c, second)[18]));
}

}  // namespace
}  // namespace headgate::forward
