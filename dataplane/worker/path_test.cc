// What else travels a flow's path: ICMP errors, fragments, packets too large for the next link, MSS.
#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/build.h"
#include "tests/sim/box.h"
#include "tests/sim/site.h"

namespace headgate::worker {
namespace {

using packet::kAck;
using packet::kSyn;
using packet::testing::describe;
using packet::testing::echo_frame;
using packet::testing::fragments;
using packet::testing::Frame;
using packet::testing::FrameSpec;
using packet::testing::icmp_error_frame;
using packet::testing::IcmpErrorSpec;
using packet::testing::ip;
using packet::testing::tcp_frame;
using packet::testing::udp_frame;
using sim::Box;
using sim::kInside;
using sim::kOutside;
using sim::Out;
using telemetry::DropReason;
using telemetry::Exit;
using telemetry::Handover;

packet::PacketInfo parsed(const Frame& frame) {
  packet::PacketInfo info;
  EXPECT_EQ(packet::parse(frame, frame.size(), info), packet::ParseError::none) << describe(frame);
  EXPECT_TRUE(packet::l4_checksum_ok(frame, info)) << describe(frame);
  return info;
}

// The frame as a host behind `port` would build it to answer `info`.
FrameSpec answer_to(const packet::PacketInfo& info) {
  return {.src = info.tuple.dst,
          .dst = info.tuple.src,
          .src_port = info.tuple.dst_port,
          .dst_port = info.tuple.src_port,
          .flags = kSyn | kAck};
}

FrameSpec client_spec(bool v4, unsigned service) {
  FrameSpec spec{.src = v4 ? "192.0.2.10" : "2001:db8:1::10",
                 .dst = ((v4 ? "192.0.2." : "2001:db8:1::") + std::to_string(service)).c_str()};
  return spec;
}

// ---- ICMP errors: (family, service, workers) ----

class IcmpErrors : public ::testing::TestWithParam<std::tuple<bool, unsigned, unsigned>> {
 protected:
  IcmpErrors() : box_({.workers = workers()}) { box_.apply(sim::text_of({})); }
  bool v4() const { return std::get<0>(GetParam()); }
  unsigned service() const { return std::get<1>(GetParam()); }
  unsigned workers() const { return std::get<2>(GetParam()); }
  IcmpErrorSpec too_big() const {
    return v4() ? IcmpErrorSpec{.type = 3, .code = 4, .mtu = 1400}
                : IcmpErrorSpec{.type = packet::kIcmpv6TooBig, .mtu = 1400};
  }
  Box box_;
};

TEST_P(IcmpErrors, AboutARequestReachTheClientAsIfFromItsService) {
  for (std::uint16_t i = 0; i < 8; ++i) {
    for (unsigned arrives_at = 0; arrives_at < workers(); ++arrives_at) {
      FrameSpec request = client_spec(v4(), service());
      request.src_port = static_cast<std::uint16_t>(40000 + i * 16 + arrives_at);
      const auto out = box_.exchange(kOutside, tcp_frame(request));
      ASSERT_EQ(out.size(), 1u);
      const auto sent = parsed(out[0].frame);
      for (const bool from_router : {false, true}) {
        FrameSpec outer{.src = sent.tuple.dst, .dst = sent.tuple.src};
        if (from_router) outer.src = v4() ? "10.99.0.1" : "2001:db8:99::1";
        const auto translated =
            box_.exchange(kInside, icmp_error_frame(outer, too_big(), out[0].frame), static_cast<int>(arrives_at));
        ASSERT_EQ(translated.size(), 1u);
        ASSERT_EQ(translated[0].port, kOutside);
        FrameSpec wanted{.src = from_router ? outer.src : request.dst, .dst = request.src};
        --wanted.ttl;
        wanted.eth_src = Box::mac(kOutside);
        wanted.eth_dst = box_.lan().find(request.src)->mac;
        FrameSpec original = request;
        --original.ttl;  // as it left
        EXPECT_EQ(translated[0].frame, icmp_error_frame(wanted, too_big(), tcp_frame(original)))
            << describe(translated[0].frame);
      }
    }
  }
  EXPECT_EQ(box_.exits(Exit::dropped), 0u);
  if (workers() > 1) {
    EXPECT_GT(box_.handovers(Handover::icmp_error), 0u);
  }
}

TEST_P(IcmpErrors, AboutAReplyReachTheBackend) {
  FrameSpec request = client_spec(v4(), service());
  const auto sent = parsed(box_.exchange(kOutside, tcp_frame(request)).at(0).frame);
  const FrameSpec reply = answer_to(sent);
  const auto back = box_.exchange(kInside, tcp_frame(reply));
  ASSERT_EQ(back.size(), 1u);
  for (unsigned arrives_at = 0; arrives_at < workers(); ++arrives_at) {
    FrameSpec outer{.src = request.src, .dst = request.dst};
    const auto translated =
        box_.exchange(kOutside, icmp_error_frame(outer, too_big(), back[0].frame), static_cast<int>(arrives_at));
    ASSERT_EQ(translated.size(), 1u);
    EXPECT_EQ(translated[0].port, kInside);
    const auto info = parsed(translated[0].frame);
    EXPECT_EQ(info.tuple.src, sent.tuple.src);
    EXPECT_EQ(info.tuple.dst, sent.tuple.dst);
    EXPECT_EQ(packet::parse_quoted(translated[0].frame, info)->tuple, sent.tuple.reversed());
  }
}

TEST_P(IcmpErrors, ThatLoopOrDoNotFitAreDropped) {
  const FrameSpec request = client_spec(v4(), service());
  const auto out = box_.exchange(kOutside, tcp_frame(request));
  const auto sent = parsed(out.at(0).frame);
  FrameSpec outer{.src = sent.tuple.dst, .dst = sent.tuple.src, .ttl = 1};
  EXPECT_TRUE(box_.exchange(kInside, icmp_error_frame(outer, too_big(), out[0].frame)).empty());
  EXPECT_EQ(box_.drops(DropReason::ttl_expired), 1u);

  box_.apply(sim::text_of({.outside = "mtu: 1280"}));
  outer.ttl = 64;
  EXPECT_EQ(box_.exchange(kInside, icmp_error_frame(outer, too_big(), out[0].frame)).size(), 1u);
  const Frame large = tcp_frame({.src = sent.tuple.src,
                                 .dst = sent.tuple.dst,
                                 .src_port = sent.tuple.src_port,
                                 .dst_port = sent.tuple.dst_port,
                                 .payload = Frame(1250)});
  EXPECT_TRUE(box_.exchange(kInside, icmp_error_frame(outer, too_big(), large)).empty());
  EXPECT_EQ(box_.drops(DropReason::too_big), 1u);
}

INSTANTIATE_TEST_SUITE_P(All, IcmpErrors,
                         ::testing::Combine(::testing::Bool(), ::testing::Values(100u, 101u),
                                            ::testing::Values(1u, 4u)),
                         [](const auto& param) {
                           return std::string(std::get<1>(param.param) == 100 ? "full_nat" : "nat") +
                                  (std::get<0>(param.param) ? "_v4_" : "_v6_") +
                                  std::to_string(std::get<2>(param.param)) + "_workers";
                         });

TEST(IcmpErrorsOneWay, AboutABackendsOwnReplyReachThatBackend) {
  for (const unsigned service : {102u, 103u, 104u}) {
    SCOPED_TRACE(service);
    Box box;
    box.apply(sim::text_of({}));
    const FrameSpec request = client_spec(true, service);
    const auto out = box.exchange(kOutside, tcp_frame(request));
    ASSERT_EQ(out.size(), 1u);
    const Frame reply =
        tcp_frame({.src = request.dst, .dst = request.src, .src_port = 80, .dst_port = 40000, .flags = kSyn | kAck});
    const Frame error =
        icmp_error_frame({.src = "192.0.2.9", .dst = request.dst}, {.type = 3, .code = 4, .mtu = 1400}, reply);
    const auto forwarded = box.exchange(kOutside, error);
    ASSERT_EQ(forwarded.size(), 1u);
    EXPECT_EQ(forwarded[0].port, kInside);
    EXPECT_TRUE(std::equal(out[0].frame.begin(), out[0].frame.begin() + 12, forwarded[0].frame.begin()))
        << "to another host";
    const std::size_t headers = service == 102 ? 0 : service == 103 ? 20 : 32;
    Frame inner(forwarded[0].frame.begin() + static_cast<std::ptrdiff_t>(14 + headers), forwarded[0].frame.end());
    EXPECT_EQ(inner.size(), error.size() - 14);
    EXPECT_TRUE(std::equal(inner.begin() + 12, inner.end(), error.begin() + 14 + 12)) << "changed on the way";
  }
}

// ---- Fragments ----

class Fragments : public ::testing::TestWithParam<std::tuple<bool, unsigned>> {
 protected:
  bool v4() const { return std::get<0>(GetParam()); }
  unsigned workers() const { return std::get<1>(GetParam()); }
};

TEST_P(Fragments, ArriveInAnyOrderAndFollowTheirFirst) {
  FrameSpec spec = client_spec(v4(), 100);
  spec.dst_port = 53;
  spec.payload = Frame(3500, 0x5a);
  const std::vector<Frame> parts = fragments(udp_frame(spec), 1280);
  ASSERT_EQ(parts.size(), 3u);
  std::vector<unsigned> order{0, 1, 2};
  std::uint32_t id = 100;
  Box box({.workers = workers()});
  box.apply(sim::text_of({}));
  do {
    SCOPED_TRACE(std::to_string(order[0]) + std::to_string(order[1]) + std::to_string(order[2]));
    spec.src_port = static_cast<std::uint16_t>(5000 + id);
    const std::vector<Frame> sent = fragments(udp_frame(spec), 1280, id++);
    std::vector<Out> out;
    for (const unsigned i : order) {
      for (Out& o : box.exchange(kOutside, sent[i])) out.push_back(std::move(o));
    }
    ASSERT_EQ(out.size(), 3u);
    std::optional<packet::PacketInfo> first;
    std::size_t data = 0;
    for (const Out& o : out) {
      const auto info = parsed(o.frame);
      EXPECT_TRUE(info.fragment);
      EXPECT_EQ(o.port, kInside);
      data += info.l4_length;
      if (!info.later_fragment()) first = info;
    }
    ASSERT_TRUE(first);
    EXPECT_EQ(data, 3508u);
    for (const Out& o : out) {
      EXPECT_EQ(parsed(o.frame).tuple.src, first->tuple.src);
      EXPECT_EQ(parsed(o.frame).tuple.dst, first->tuple.dst);
    }
    // The whole datagram's checksum is right for the new addresses: the first fragment equals one cut from the whole.
    FrameSpec wanted = spec;
    wanted.src = first->tuple.src;
    wanted.dst = first->tuple.dst;
    wanted.src_port = first->tuple.src_port;
    wanted.ttl = 63;
    const Frame whole = fragments(udp_frame(wanted), 1280, id - 1)[0];
    const auto same = [&](const Out& o) {
      return std::equal(whole.begin() + 14, whole.end(), o.frame.begin() + 14, o.frame.end());
    };
    EXPECT_TRUE(std::any_of(out.begin(), out.end(), same));
  } while (std::next_permutation(order.begin(), order.end()));
  EXPECT_EQ(box.exits(Exit::dropped), 0u);
  EXPECT_EQ(box.flows(), 6u);
}

TEST_P(Fragments, WithoutTheirFirstAreGivenUpAndCounted) {
  FrameSpec spec = client_spec(v4(), 100);
  spec.dst_port = 53;
  spec.payload = Frame(3500);
  const std::vector<Frame> parts = fragments(udp_frame(spec), 1280);
  Box box({.workers = workers()});
  box.apply(sim::text_of({}));
  EXPECT_TRUE(box.exchange(kOutside, parts[1]).empty());
  EXPECT_TRUE(box.exchange(kOutside, parts[2]).empty());
  EXPECT_EQ(box.held(), 2u);
  EXPECT_TRUE(box.advance(3 * kSecond).empty());
  EXPECT_EQ(box.drops(DropReason::fragment_unmatched), 2u);
  EXPECT_EQ(box.buffers_in_use(), 0u);
}

TEST_P(Fragments, ThatWaitAreLimited) {
  Box box({.workers = workers()});
  box.apply(sim::text_of({}));
  FrameSpec spec = client_spec(v4(), 100);
  spec.dst_port = 53;
  spec.payload = Frame(1400);
  for (std::uint32_t id = 0; id < 2000; ++id) box.exchange(kOutside, fragments(udp_frame(spec), 1280, id)[1]);
  EXPECT_EQ(box.held(), std::min<std::size_t>(2000, workers() * flow::kFragmentsHeldMax));
  EXPECT_EQ(box.drops(DropReason::fragment_limit), 2000 - box.held());
  box.advance(3 * kSecond);
  EXPECT_EQ(box.buffers_in_use(), 0u);
}

INSTANTIATE_TEST_SUITE_P(All, Fragments, ::testing::Combine(::testing::Bool(), ::testing::Values(1u, 4u)),
                         [](const auto& param) {
                           return std::string(std::get<0>(param.param) ? "v4_" : "v6_") +
                                  std::to_string(std::get<1>(param.param)) + "_workers";
                         });

// ---- Sizes ----

std::uint16_t mss_of(const Frame& frame, std::size_t l4_offset) {
  EXPECT_EQ(load_be16(&frame[l4_offset + 20]), 0x0204);
  return load_be16(&frame[l4_offset + 22]);
}

TEST(Sizes, TheMssIsLoweredToWhatATunnelLeaves) {
  struct Row {
    unsigned service;
    bool v4;
    unsigned overhead;
  };
  for (const Row& row : {Row{103, true, 20}, Row{104, true, 32}, Row{105, true, 40}, Row{106, true, 52},
                         Row{103, false, 40}, Row{104, false, 52}, Row{105, false, 20}, Row{106, false, 32}}) {
    SCOPED_TRACE(std::to_string(row.service) + (row.v4 ? " v4" : " v6"));
    Box box;
    box.apply(sim::text_of({}));
    FrameSpec spec = client_spec(row.v4, row.service);
    spec.tcp_options = {2, 4, 0x23, 0x28};  // 9000
    const auto out = box.exchange(kOutside, tcp_frame(spec));
    ASSERT_EQ(out.size(), 1u);
    const std::size_t l4 = 14 + row.overhead + (row.v4 ? 20 : 40);
    const unsigned mss = 1500 - row.overhead - (row.v4 ? 40 : 60);
    EXPECT_EQ(mss_of(out[0].frame, l4), mss);
    // Still a right checksum: the inner packet is the client's with another option.
    spec.tcp_options = {2, 4, static_cast<std::uint8_t>(mss >> 8), static_cast<std::uint8_t>(mss)};
    --spec.ttl;
    const Frame inner = tcp_frame(spec);
    EXPECT_TRUE(std::equal(inner.begin() + 14, inner.end(), out[0].frame.begin() + 14 + row.overhead));
  }
}

TEST(Sizes, TheMssIsLoweredToTheNarrowerLinkInBothDirections) {
  Box box;
  box.apply(sim::text_of({.outside = "mtu: 1500", .inside = "mtu: 1400"}));
  const auto out = box.exchange(kOutside, tcp_frame({.tcp_options = {2, 4, 5, 180}}));
  const auto sent = parsed(out.at(0).frame);
  EXPECT_EQ(mss_of(out[0].frame, sent.l4_offset), 1360);
  FrameSpec reply = answer_to(sent);
  reply.tcp_options = {2, 4, 5, 180};
  const auto back = box.exchange(kInside, tcp_frame(reply));
  EXPECT_EQ(mss_of(back.at(0).frame, parsed(back[0].frame).l4_offset), 1360);
}

TEST(Sizes, AnMssThatFitsIsLeftAlone) {
  Box box;
  box.apply(sim::text_of({}));
  const auto out = box.exchange(kOutside, tcp_frame({.tcp_options = {2, 4, 2, 0}}));
  EXPECT_EQ(mss_of(out.at(0).frame, 34), 512);
}

TEST(Sizes, ATooLargePacketIsAnsweredWithWhatFits) {
  struct Row {
    unsigned service;
    bool v4;
    unsigned mtu;
  };
  for (const Row& row : {Row{103, true, 1480}, Row{104, true, 1468}, Row{105, true, 1460}, Row{106, true, 1448},
                         Row{103, false, 1460}, Row{104, false, 1448}}) {
    SCOPED_TRACE(std::to_string(row.service) + (row.v4 ? " v4" : " v6"));
    Box box;
    box.apply(sim::text_of({}));
    FrameSpec spec = client_spec(row.v4, row.service);
    EXPECT_EQ(box.exchange(kOutside, tcp_frame(spec)).size(), 1u);
    spec.flags = kAck;
    const std::size_t headers = row.v4 ? 40 : 60;
    spec.payload = Frame(row.mtu - headers);
    EXPECT_EQ(box.exchange(kOutside, tcp_frame(spec)).at(0).port, kInside);
    spec.payload = Frame(row.mtu - headers + 1);
    const auto out = box.exchange(kOutside, tcp_frame(spec));
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].port, kOutside);
    const auto info = parsed(out[0].frame);
    EXPECT_EQ(info.icmp_type, row.v4 ? 3 : 2);
    EXPECT_EQ(info.icmp_code, row.v4 ? 4 : 0);
    EXPECT_EQ(load_be32(&out[0].frame[info.l4_offset + 4]), row.mtu);
    EXPECT_EQ(info.tuple.src, spec.dst);
    EXPECT_EQ(packet::parse_quoted(out[0].frame, info)->tuple, (Tuple{spec.src, spec.dst, 40000, 80, kProtocolTcp}));
  }
}

TEST(Sizes, TooLargePacketsAreAnsweredThroughoutAPortScanAndATraceroute) {
  Box box;
  box.apply(sim::text_of({}));
  FrameSpec large = client_spec(true, 103);
  EXPECT_EQ(box.exchange(kOutside, tcp_frame(large)).size(), 1u);
  FrameSpec closed = client_spec(true, 100);
  closed.dst_port = 81;
  FrameSpec hop = client_spec(true, 103);
  hop.ttl = 1;
  hop.flags = kAck;
  for (unsigned i = 0; i < 500; ++i) {
    box.exchange(kOutside, i % 2 == 0 ? tcp_frame(closed) : echo_frame(client_spec(true, 100)));
    box.exchange(kOutside, tcp_frame(hop));
  }
  EXPECT_EQ(box.drops(DropReason::rate_limited), 1000u - 2 * kAnswersBurst);
  large.flags = kAck;
  large.payload = Frame(1480);
  const auto out = box.exchange(kOutside, tcp_frame(large));
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].port, kOutside);
}

TEST(Sizes, ABackendsTooLargePacketIsAnsweredFromOurAddressThere) {
  Box box;
  box.apply(sim::text_of({.outside = "mtu: 1400"}));
  const auto sent = parsed(box.exchange(kOutside, tcp_frame(client_spec(true, 101))).at(0).frame);
  FrameSpec reply = answer_to(sent);
  reply.payload = Frame(1380);
  const auto out = box.exchange(kInside, tcp_frame(reply));
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].port, kInside);
  const auto info = parsed(out[0].frame);
  EXPECT_EQ(info.tuple.src, ip("10.10.0.1"));
  EXPECT_EQ(load_be32(&out[0].frame[info.l4_offset + 4]), 1400u);
}

}  // namespace
}  // namespace headgate::worker
