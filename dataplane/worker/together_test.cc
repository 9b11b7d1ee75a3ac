// Features that meet: fragments with persistence, one server in two pools, kept flows of mode nat, frames in segments.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

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
using packet::testing::tcp_frame;
using packet::testing::udp_frame;
using sim::Box;
using sim::kInside;
using sim::kOutside;
using sim::Out;
using telemetry::DropReason;

packet::PacketInfo parsed(const Frame& frame) {
  packet::PacketInfo info;
  EXPECT_EQ(packet::parse(frame, frame.size(), info), packet::ParseError::none) << describe(frame);
  return info;
}

// The later fragments of a new flow travel with the first one to the worker that decides, and back.
TEST(Together, FragmentsOfANewFlowArriveWithPersistenceAndLimitsOnFourWorkers) {
  for (const char* pool : {"persistence { prefix_length_v4: 32 prefix_length_v6: 128 timeout_s: 60 }", ""}) {
    for (const char* dst : {"192.0.2.100", "2001:db8:1::100"}) {
      Box box({.workers = 4});
      box.apply(sim::text_of({.pool = pool, .backend = "max_connections: 100"}));
      const std::string src = dst[0] == '1' ? "192.0.2." : "2001:db8:1::";
      unsigned arrived = 0;
      for (unsigned i = 0; i < 20; ++i) {
        const FrameSpec spec{.src = (src + std::to_string(20 + i)).c_str(),
                             .dst = dst,
                             .dst_port = 53,
                             .payload = Frame(3000),
                             .dont_fragment = false};
        for (const Frame& part : fragments(udp_frame(spec), 1280, 0x100 + i)) box.inject(kOutside, part);
        for (const Out& out : box.run()) arrived += out.port == kInside;
      }
      EXPECT_EQ(arrived, 60u) << dst << " " << pool;
      EXPECT_EQ(box.dropped(), 0u);
    }
  }
}

TEST(Together, AFragmentedPingIsAnsweredWhole) {
  for (const unsigned workers : {1u, 4u}) {
    Box box({.workers = workers});
    box.apply(sim::text_of({}));
    const Frame whole = echo_frame({.payload = Frame(3000), .identifier = 77, .dont_fragment = false});
    unsigned answers = 0;
    for (const Frame& part : fragments(whole, 1280)) box.inject(kOutside, part);
    for (const Out& out : box.run()) answers += out.port == kOutside;
    EXPECT_EQ(answers, 3u) << workers;
    EXPECT_EQ(box.dropped(), 0u);
  }
}

// A local port is taken towards an endpoint, whichever pool names it: no connection is refused for a port in use.
TEST(Together, OneServerInTwoPoolsSharesItsLocalPorts) {
  Box box({.flows = 32768});
  box.apply(sim::text_of({.extra = R"(
    pool { id: 900 name: "one" algorithm: ROUND_ROBIN backend { id: 9001 name: "a" address: "10.10.0.21" port: 80 weight: 1 } }
    pool { id: 901 name: "again" algorithm: ROUND_ROBIN backend { id: 9002 name: "b" address: "10.10.0.21" port: 80 weight: 1 } }
    service { id: 902 name: "one" address: "192.0.2.150" port: 80 protocol: TCP pool_id: 900 mode: FULL_NAT }
    service { id: 903 name: "again" address: "192.0.2.151" port: 80 protocol: TCP pool_id: 901 mode: FULL_NAT })"}));
  for (unsigned i = 0; i < 20000; ++i) {
    const FrameSpec syn{.dst = i % 2 == 0 ? "192.0.2.150" : "192.0.2.151",
                        .src_port = static_cast<std::uint16_t>(1024 + i / 2)};
    const auto out = box.exchange(kOutside, tcp_frame(syn));
    ASSERT_TRUE(out.size() == 1 && out[0].port == kInside) << "connection " << i;
  }
}

// Policy keep, mode nat: replies come from an endpoint that no snapshot names any more, and still find their worker.
TEST(Together, KeptFlowsOfModeNatSurviveOnFourWorkersUntilTheyEnd) {
  Box box({.workers = 4});
  box.apply(sim::text_of({.pool = "on_removal: KEEP"}));
  struct Kept {
    FrameSpec client;
    Frame sent;
  };
  std::vector<Kept> flows;
  for (unsigned i = 0; i < 60; ++i) {
    const FrameSpec syn{.dst = "192.0.2.101", .src_port = static_cast<std::uint16_t>(2000 + i)};
    const auto out = box.exchange(kOutside, tcp_frame(syn));
    ASSERT_EQ(out.size(), 1u);
    flows.push_back({syn, out[0].frame});
  }
  const auto replies = [&] {
    unsigned through = 0;
    for (const Kept& kept : flows) {
      const Tuple request = parsed(kept.sent).tuple;
      const Frame reply = tcp_frame({.src = {request.dst},
                                     .dst = {request.src},
                                     .src_port = request.dst_port,
                                     .dst_port = request.src_port,
                                     .flags = kSyn | kAck,
                                     .acknowledgment = 1001});
      const auto out = box.exchange(kInside, reply);
      through += out.size() == 1 && out[0].port == kOutside;
    }
    return through;
  };
  box.apply(sim::text_of({.pool = "on_removal: KEEP", .backends = 1}));
  EXPECT_EQ(box.snapshot().departed_nat_endpoints.size(), 8u);  // two backends, two families, TCP and UDP
  EXPECT_EQ(replies(), 60u);
  box.apply(sim::text_of({.pool = "on_removal: KEEP", .service = "no_ping: true", .backends = 1}));
  EXPECT_EQ(replies(), 60u);
  box.apply(sim::text_of({.pool = "on_removal: KEEP"}));
  EXPECT_TRUE(box.snapshot().departed_nat_endpoints.empty());
}

// A jumbo frame lies in several buffers: its checksum is judged, not taken for wrong.
TEST(Together, AFrameInSegmentsStartsAFlowAndABrokenOneDoesNot) {
  for (const std::size_t first : {std::size_t{256}, std::size_t{301}}) {
    for (const bool broken : {false, true}) {
      Box box;
      box.apply(sim::text_of({.outside = "mtu: 9000", .inside = "mtu: 9000"}));
      Frame payload(4000);
      for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::uint8_t>(i * 7);
      const FrameSpec spec{.dst_port = 53, .payload = payload, .broken_l4_checksum = broken};
      box.inject_in_segments(kOutside, udp_frame(spec), {first, 1001, 2000});
      EXPECT_EQ(box.run().size(), broken ? 0u : 1u) << first;
      EXPECT_EQ(box.drops(DropReason::bad_l4_checksum), broken ? 1u : 0u);
    }
  }
}

}  // namespace
}  // namespace headgate::worker
