// Bad input: every frame ends in one counted exit, nothing leaks, nothing comes out that should not.
#include <gtest/gtest.h>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/build.h"
#include "tests/sim/box.h"
#include "tests/sim/site.h"

namespace headgate::worker {
namespace {

using packet::kAck;
using packet::kRst;
using packet::kSyn;
using packet::testing::describe;
using packet::testing::echo_frame;
using packet::testing::Frame;
using packet::testing::FrameSpec;
using packet::testing::icmp_error_frame;
using packet::testing::icmp_frame;
using packet::testing::ip_frame;
using packet::testing::tcp_frame;
using packet::testing::text;
using packet::testing::udp_frame;
using sim::Box;
using sim::kInside;
using sim::kOutside;
using sim::Out;
using telemetry::DropReason;
using telemetry::Exit;

Frame cut(Frame frame, std::size_t bytes) {
  frame.resize(frame.size() - bytes);
  return frame;
}
Frame changed(Frame frame, std::size_t at, std::uint8_t value, bool fix = true) {
  frame[at] = value;
  if (fix) packet::testing::fix_ip_checksum(frame);
  return frame;
}
Frame ethertype(Frame frame, std::uint16_t type) {
  store_be16(&frame[12], type);
  return frame;
}

struct DropRow {
  const char* name;
  Frame frame;
  DropReason reason;
  std::uint16_t port = kOutside;
};

std::vector<DropRow> drop_rows() {
  using R = DropReason;
  const Frame tcp = tcp_frame({});
  Frame group_source = tcp;
  group_source[6] |= 1;
  return {
      {"an empty Ethernet header", Frame(13), R::truncated},
      {"cut in the IP header", cut(tcp, 30), R::truncated},
      {"cut in the TCP header", cut(tcp, 4), R::truncated},
      {"source MAC with the group bit", group_source, R::bad_ethernet},
      {"unknown ethertype", ethertype(tcp, 0x88cc), R::unknown_ethertype},
      {"IPv6 in an IPv4 frame", changed(tcp, 14, 0x65, false), R::bad_ip_version},
      {"header length 16", changed(tcp, 14, 0x44, false), R::bad_ip_header_length},
      {"IP checksum", tcp_frame({.broken_ip_checksum = true}), R::bad_ip_checksum},
      {"from multicast", tcp_frame({.src = "224.0.0.1"}), R::bad_ip_source},
      {"from loopback", tcp_frame({.src = "127.0.0.1"}), R::bad_ip_source},
      {"to loopback", tcp_frame({.dst = "127.0.0.1"}), R::bad_ip_destination},
      {"source route", tcp_frame({.ip_options = {131, 7, 4, 10, 0, 0, 1, 0}}), R::bad_ip_options},
      {"routing header 0",
       tcp_frame({.src = "2001:db8:1::10", .dst = "2001:db8:1::100", .extensions = {{43, {0, 0, 0, 0, 0, 0}}}}),
       R::bad_extension_header},
      {"SYN and FIN", tcp_frame({.flags = kSyn | packet::kFin}), R::bad_tcp_header},
      {"no flags", tcp_frame({.flags = 0}), R::bad_tcp_header},
      {"port 0", tcp_frame({.src_port = 0}), R::bad_tcp_header},
      {"UDP to port 0", udp_frame({.dst_port = 0}), R::bad_udp_header},
      {"echo with a code", icmp_frame({.payload = {0, 1, 0, 1}}, 8, 3), R::bad_icmp_header},
      {"TCP checksum", tcp_frame({.broken_l4_checksum = true}), R::bad_l4_checksum},
      {"UDP checksum", udp_frame({.dst_port = 53, .broken_l4_checksum = true}), R::bad_l4_checksum},
      {"UDP over IPv6 without checksum",
       udp_frame({.src = "2001:db8:1::10", .dst = "2001:db8:1::100", .dst_port = 53, .no_udp_checksum = true}),
       R::bad_l4_checksum},
      {"echo checksum", echo_frame({.broken_l4_checksum = true}), R::bad_l4_checksum},
      {"checksum towards a closed port", tcp_frame({.dst_port = 81, .broken_l4_checksum = true}), R::bad_l4_checksum},
      {"from our service address", tcp_frame({.src = "192.0.2.101"}), R::spoofed_source},
      {"from our interface address", tcp_frame({.src = "192.0.2.11"}), R::spoofed_source},
      {"from our local address", tcp_frame({.src = "10.10.0.64"}), R::spoofed_source},
      {"from our own v6 address", tcp_frame({.src = "2001:db8:2::a:0", .dst = "2001:db8:1::100"}), R::spoofed_source},
      {"to somebody else", tcp_frame({.dst = "203.0.113.9"}), R::not_ours},
      {"RST of no flow", tcp_frame({.flags = kRst}), R::no_flow},
      {"to a local address", tcp_frame({.src = "10.10.0.21", .dst = "10.10.0.64"}), R::no_flow, kInside},
      {"a protocol nobody listens to", ip_frame({.payload = Frame(20)}, 47), R::no_service},
      {"a timestamp request", icmp_frame({.payload = Frame(16)}, 13, 0), R::icmp_unsupported},
      {"an echo reply nobody asked for", echo_frame({.reply = true}), R::icmp_unsupported},
      {"an error about an unknown flow",
       icmp_error_frame({}, {}, tcp_frame({.src = "192.0.2.100", .dst = "192.0.2.10"})), R::icmp_unmatched},
      {"a VLAN nobody configured", tcp_frame({.vlan = 99}), R::unknown_vlan},
  };
}

TEST(BadInput, IsDroppedForItsReasonAndAnsweredByNothing) {
  for (const DropRow& row : drop_rows()) {
    SCOPED_TRACE(std::string(row.name) + ": " + describe(row.frame));
    Box box;
    box.apply(sim::text_of({}));
    const std::vector<Out> out = box.exchange(row.port, row.frame);
    EXPECT_TRUE(out.empty()) << describe(out[0].frame);
    EXPECT_EQ(box.drops(row.reason), 1u);
    EXPECT_EQ(box.dropped(), 1u);
    EXPECT_EQ(box.exits(Exit::dropped), 1u);
    EXPECT_EQ(box.flows(), 0u);
    EXPECT_EQ(box.buffers_in_use(), 0u);
  }
}

// The one answer, with every checksum right.
packet::PacketInfo answer(const std::vector<Out>& out, std::uint16_t port = kOutside) {
  packet::PacketInfo info;
  EXPECT_EQ(out.size(), 1u);
  if (out.size() != 1) return info;
  EXPECT_EQ(out[0].port, port);
  EXPECT_EQ(packet::parse(out[0].frame, out[0].frame.size(), info), packet::ParseError::none) << describe(out[0].frame);
  EXPECT_TRUE(packet::l4_checksum_ok(out[0].frame, info)) << describe(out[0].frame);
  return info;
}

class Answers : public ::testing::TestWithParam<bool> {
 protected:
  Answers() { box_.apply(sim::text_of({})); }
  bool v4() const { return GetParam(); }
  packet::testing::FrameSpec spec() const {
    packet::testing::FrameSpec spec;
    if (!v4()) {
      spec.src = "2001:db8:1::10";
      spec.dst = "2001:db8:1::100";
    }
    return spec;
  }
  Box box_;
};

TEST_P(Answers, ASynToAClosedPortIsReset) {
  auto s = spec();
  s.dst_port = 81;
  s.sequence = 4711;
  s.payload = text("xyz");
  const auto out = box_.exchange(kOutside, tcp_frame(s));
  // RFC 9293 3.10.7.1: sequence 0, acknowledges all of the segment.
  packet::testing::FrameSpec wanted{.src = s.dst, .dst = s.src, .src_port = 81, .dst_port = 40000};
  wanted.flags = kRst | kAck;
  wanted.sequence = 0;
  wanted.acknowledgment = 4711 + 1 + 3;
  wanted.window = 0;
  wanted.eth_src = Box::mac(kOutside);
  wanted.eth_dst = s.eth_src;
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].frame, tcp_frame(wanted)) << describe(out[0].frame);
  EXPECT_EQ(box_.exits(Exit::answered), 1u);
}

TEST_P(Answers, ASegmentOfNoFlowIsResetAtItsOwnNumber) {
  auto s = spec();
  s.flags = kAck;
  s.acknowledgment = 999;
  const auto out = box_.exchange(kOutside, tcp_frame(s));
  const auto info = answer(out);
  EXPECT_EQ(info.tcp_flags, kRst);
  EXPECT_EQ(load_be32(&out[0].frame[info.l4_offset + 4]), 999u);
}

TEST_P(Answers, UdpToAClosedPortIsAnsweredUnreachable) {
  auto s = spec();
  s.dst_port = 54;
  s.payload = text("is anybody there?");
  const auto out = box_.exchange(kOutside, udp_frame(s));
  const auto info = answer(out);
  EXPECT_EQ(info.icmp_type, v4() ? 3 : 1);
  EXPECT_EQ(info.icmp_code, v4() ? 3 : 4);
  EXPECT_EQ(info.tuple.src, s.dst);
  EXPECT_EQ(info.tuple.dst, s.src);
  const auto quoted = packet::parse_quoted(out[0].frame, info);
  ASSERT_TRUE(quoted);
  EXPECT_EQ(quoted->tuple, (Tuple{s.src, s.dst, 40000, 54, kProtocolUdp}));
}

TEST_P(Answers, APacketAtItsLastHopIsAnsweredTimeExceeded) {
  auto s = spec();
  s.ttl = 1;
  s.payload = text("traceroute");
  const auto out = box_.exchange(kOutside, tcp_frame(s));
  const auto info = answer(out);
  EXPECT_EQ(info.icmp_type, v4() ? 11 : 3);
  EXPECT_EQ(info.icmp_code, 0);
  EXPECT_EQ(packet::parse_quoted(out[0].frame, info)->tuple.dst_port, 80);
}

TEST_P(Answers, NoBackendIsSaidToTheClient) {
  box_.apply(sim::text_of({.backend = "health: DOWN"}));
  EXPECT_EQ(answer(box_.exchange(kOutside, tcp_frame(spec()))).tcp_flags, kRst | kAck);
  auto s = spec();
  s.dst_port = 53;
  EXPECT_TRUE(answer(box_.exchange(kOutside, udp_frame(s))).icmp_error);
  EXPECT_EQ(box_.flows(), 0u);
}

TEST_P(Answers, DropUnmatchedSaysNothing) {
  box_.apply(sim::text_of({.extra = "drop_unmatched: true"}));
  auto s = spec();
  s.dst_port = 81;
  EXPECT_TRUE(box_.exchange(kOutside, tcp_frame(s)).empty());
  EXPECT_TRUE(box_.exchange(kOutside, udp_frame(s)).empty());
  EXPECT_EQ(box_.drops(DropReason::no_service), 2u);
}

TEST_P(Answers, OurOwnAnswersAreLimited) {
  auto s = spec();
  s.dst_port = 81;
  unsigned answered = 0;
  for (std::uint16_t i = 0; i < 500; ++i) {
    s.src_port = static_cast<std::uint16_t>(2000 + i);
    answered += static_cast<unsigned>(box_.exchange(kOutside, tcp_frame(s)).size());
  }
  EXPECT_EQ(answered, kAnswersBurst);
  EXPECT_EQ(box_.drops(DropReason::rate_limited), 500u - kAnswersBurst);
}

TEST_P(Answers, GroupFramesAreNeverAnswered) {
  auto s = spec();
  s.dst_port = 81;
  s.eth_dst = kBroadcastMac;
  EXPECT_TRUE(box_.exchange(kOutside, tcp_frame(s)).empty());
  EXPECT_TRUE(box_.exchange(kOutside, udp_frame(s)).empty());
  EXPECT_TRUE(box_.exchange(kOutside, echo_frame(s)).empty());
}

TEST_P(Answers, PingToAServiceIsAnsweredWhileItCanServe) {
  auto s = spec();
  s.payload = text("abcdefgh");
  s.ttl = 7;
  auto wanted = s;
  std::swap(wanted.src, wanted.dst);
  wanted.reply = true;
  wanted.ttl = 64;
  wanted.eth_src = Box::mac(kOutside);
  wanted.eth_dst = s.eth_src;
  auto out = box_.exchange(kOutside, echo_frame(s));
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].frame, echo_frame(wanted)) << describe(out[0].frame);

  box_.apply(sim::text_of({.backend = "health: DOWN"}));
  EXPECT_TRUE(box_.exchange(kOutside, echo_frame(s)).empty());
  EXPECT_EQ(box_.drops(DropReason::ping_unserved), 1u);

  box_.apply(sim::text_of({.service = "no_ping: true"}));
  EXPECT_TRUE(box_.exchange(kOutside, echo_frame(s)).empty());
  EXPECT_EQ(box_.drops(DropReason::ping_unserved), 2u);

  // The box's own address always answers.
  s.dst = v4() ? "192.0.2.11" : "2001:db8:1::11";
  EXPECT_EQ(box_.exchange(kOutside, echo_frame(s)).size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(BothFamilies, Answers, ::testing::Bool(),
                         [](const auto& param) { return param.param ? "v4" : "v6"; });

// On a flooding switch, or beside the other box: no answer, no flow, not even to a known flow.
TEST(OtherMac, WhatIsSentToAnotherHostIsNotOurs) {
  Box box({.exceptions = true});
  box.apply(sim::text_of({}));
  FrameSpec syn{.src_port = 1234};
  ASSERT_EQ(box.exchange(kOutside, tcp_frame(syn)).size(), 1u);
  for (const FrameSpec& spec :
       {FrameSpec{.src_port = 99}, FrameSpec{.src_port = 1234}, FrameSpec{.src_port = 98, .flags = packet::kAck}}) {
    FrameSpec elsewhere = spec;
    elsewhere.eth_dst = MacAddress{{0x02, 0xbb, 0, 0, 0, 0x77}};
    EXPECT_TRUE(box.exchange(kOutside, tcp_frame(elsewhere)).empty());
  }
  EXPECT_EQ(box.drops(DropReason::other_mac), 3u);
  EXPECT_EQ(box.flows(), 1u);
}

TEST(Exceptions, WhatIsNotOursGoesToTheKernelAndComesBack) {
  Box box({.exceptions = true});
  box.apply(sim::text_of({}));
  const Frame foreign = Box::addressed(kOutside, tcp_frame({.dst = "203.0.113.9", .dst_port = 22}));
  EXPECT_EQ(box.exchange(kOutside, foreign), (std::vector<Out>{{sim::kOutsideKernel, foreign}}));
  EXPECT_EQ(box.exits(Exit::exception), 1u);
  const Frame reply = tcp_frame({.src = "203.0.113.9", .dst = "192.0.2.10", .eth_dst = {{2, 0, 0, 0, 0, 9}}});
  EXPECT_EQ(box.exchange(sim::kOutsideKernel, reply), (std::vector<Out>{{kOutside, reply}}));
  const Frame lldp = Box::addressed(kInside, ethertype(tcp_frame({}), 0x88cc));
  EXPECT_EQ(box.exchange(kInside, lldp), (std::vector<Out>{{sim::kInsideKernel, lldp}}));
  EXPECT_EQ(box.exits(Exit::dropped), 0u);
}

}  // namespace
}  // namespace headgate::worker
