#include <gtest/gtest.h>

#include "dataplane/packet/packet_info.h"
#include "dataplane/packet/testing.h"

namespace headgate::packet {
namespace {

using testing::Frame;
using testing::ip;

struct Quote {
  ParseError error;
  PacketInfo info;
  std::optional<QuotedPacket> packet;
};

Quote quote(const Frame& frame) {
  const std::vector<std::uint8_t> exact(frame.begin(), frame.end());
  Quote q;
  q.error = parse(exact, exact.size(), q.info);
  if (q.info.icmp_error) q.packet = parse_quoted(exact, q.info);
  return q;
}

struct Family {
  const char *src, *dst, *router;
  std::uint8_t unreachable, icmp;
  std::size_t header;
};
const Family kFamilies[] = {
    {"192.0.2.10", "192.0.2.100", "198.51.100.1", kIcmpUnreachable, kProtocolIcmp, 20},
    {"2001:db8::7", "2001:db8::100", "2001:db8:ffff::1", kIcmpv6Unreachable, kProtocolIcmpv6, 40},
};

Frame error_about(const Family& f, const Frame& offender, std::size_t bytes = 1000) {
  return testing::icmp_error_frame({.src = f.router, .dst = f.src}, {.type = f.unreachable, .quote = bytes}, offender);
}

TEST(Quoted, NamesTheFlowOfEachProtocolFromEightBytes) {
  for (const Family& f : kFamilies) {
    struct Case {
      const char* name;
      Frame offender;
      Tuple tuple;
      std::uint32_t sequence;
    };
    const Case cases[] = {
        {"tcp",
         testing::tcp_frame({.src = f.src, .dst = f.dst, .src_port = 4000, .sequence = 77}),
         {ip(f.src), ip(f.dst), 4000, 80, kProtocolTcp},
         77},
        {"udp",
         testing::udp_frame({.src = f.src, .dst = f.dst, .dst_port = 53}),
         {ip(f.src), ip(f.dst), 40000, 53, kProtocolUdp},
         0},
        {"echo request",
         testing::echo_frame({.src = f.src, .dst = f.dst, .identifier = 9}),
         {ip(f.src), ip(f.dst), 9, 0, f.icmp},
         0},
        {"echo reply",
         testing::echo_frame({.src = f.src, .dst = f.dst, .identifier = 9, .reply = true}),
         {ip(f.src), ip(f.dst), 0, 9, f.icmp},
         0},
        {"other protocol",
         testing::ip_frame({.src = f.src, .dst = f.dst, .payload = Frame(8)}, 47),
         {ip(f.src), ip(f.dst), 0, 0, 47},
         0},
    };
    for (const Case& c : cases) {
      for (const std::size_t bytes : {f.header + 8, std::size_t{1000}}) {
        SCOPED_TRACE(c.name);
        const Quote q = quote(error_about(f, c.offender, bytes));
        ASSERT_EQ(q.error, ParseError::none);
        ASSERT_TRUE(q.packet);
        EXPECT_EQ(q.packet->tuple, c.tuple) << to_string(q.packet->tuple);
        EXPECT_EQ(q.packet->tcp_sequence, c.sequence);
        EXPECT_EQ(q.packet->l3_offset, q.info.payload_offset);
        EXPECT_EQ(q.packet->l4_offset, q.info.payload_offset + f.header);
        EXPECT_EQ(q.packet->available, std::min(bytes, c.offender.size() - 14));
        EXPECT_FALSE(q.packet->later_fragment);
      }
    }
  }
}

TEST(Quoted, IsNothingWhenShorterThanEightBytesOfL4) {
  for (const Family& f : kFamilies) {
    const Frame offender = testing::tcp_frame({.src = f.src, .dst = f.dst});
    for (std::size_t bytes = 0; bytes < f.header + 8; ++bytes) {
      const Quote q = quote(error_about(f, offender, bytes));
      EXPECT_FALSE(q.packet) << bytes;
      EXPECT_EQ(q.error, bytes < f.header ? ParseError::bad_icmp_header : ParseError::none) << bytes;
    }
  }
}

TEST(Quoted, KnowsLaterFragmentsAndSkipsOptionsAndExtensionHeaders) {
  for (const Family& f : kFamilies) {
    const auto parts = testing::fragments(testing::udp_frame({.src = f.src, .dst = f.dst, .payload = Frame(300)}), 176);
    const Quote first = quote(error_about(f, parts[0])), second = quote(error_about(f, parts[1]));
    ASSERT_TRUE(first.packet && second.packet);
    EXPECT_EQ(first.packet->tuple.dst_port, 80);
    EXPECT_FALSE(first.packet->later_fragment);
    EXPECT_EQ(second.packet->tuple, (Tuple{ip(f.src), ip(f.dst), 0, 0, kProtocolUdp}));
    EXPECT_TRUE(second.packet->later_fragment);
  }
  const Quote options = quote(error_about(kFamilies[0], testing::udp_frame({.ip_options = {148, 4, 0, 0}})));
  ASSERT_TRUE(options.packet);
  EXPECT_EQ(options.packet->l4_offset - options.packet->l3_offset, 24);
  const Family& v6 = kFamilies[1];
  const Quote extended = quote(error_about(
      v6, testing::udp_frame({.src = v6.src, .dst = v6.dst, .extensions = {{.type = 60, .body = {1, 0}}}})));
  ASSERT_TRUE(extended.packet);
  EXPECT_EQ(extended.packet->l4_offset - extended.packet->l3_offset, 48);
  EXPECT_EQ(extended.packet->tuple.protocol, kProtocolUdp);
}

TEST(Quoted, IsNothingWhenTheQuotedHeaderIsMalformed) {
  struct Case {
    const char* name;
    std::size_t family, at;  // byte of the quoted IP header
    std::uint8_t value;
  };
  const Case cases[] = {
      {"v4 version", 0, 0, 0x65},
      {"v4 header length", 0, 0, 0x44},
      {"v4 header longer than quote", 0, 0, 0x4f},
      {"v4 total length 0", 0, 3, 0},
      {"v6 version", 1, 0, 0x45},
      {"v6 payload length 4", 1, 5, 4},
      {"v6 cut extension chain", 1, 6, 0},
      {"v6 routing type 0", 1, 6, 43},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const Family& f = kFamilies[c.family];
    Frame offender = testing::udp_frame({.src = f.src, .dst = f.dst, .src_port = 0x1100, .dst_port = 80});
    offender[14 + c.at] = c.value;
    EXPECT_FALSE(quote(error_about(f, offender)).packet);
  }
}

// The quote ends where the ICMP message ends, not where the frame's padding does.
TEST(Quoted, DoesNotReadPadding) {
  const Family& f = kFamilies[0];
  Frame frame = error_about(f, testing::tcp_frame({}), 27);
  frame.resize(frame.size() + 20);
  EXPECT_FALSE(quote(frame).packet);
}

}  // namespace
}  // namespace headgate::packet
