// The servers' own traffic, and our probes along the path of traffic.
#include <gtest/gtest.h>

#include <set>

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
using packet::testing::ip;
using packet::testing::tcp_frame;
using packet::testing::udp_frame;
using sim::Box;
using sim::kInside;
using sim::kOutside;
using sim::kProbe;
using sim::Out;
using telemetry::DropReason;
using telemetry::Exit;

packet::PacketInfo parsed(const Frame& frame) {
  packet::PacketInfo info;
  EXPECT_EQ(packet::parse(frame, frame.size(), info), packet::ParseError::none) << describe(frame);
  EXPECT_TRUE(packet::l4_checksum_ok(frame, info)) << describe(frame);
  return info;
}

constexpr const char* kSnat = "egress: EGRESS_SNAT snat_address: \"192.0.2.77\" snat_address: \"2001:db8:1::77\"";

using Make = Frame (*)(const FrameSpec&);

class Egress : public ::testing::TestWithParam<std::tuple<bool, Make>> {
 protected:
  bool v4() const { return std::get<0>(GetParam()); }
  Frame make(const FrameSpec& spec) const { return std::get<1>(GetParam())(spec); }
  bool echo() const { return std::get<1>(GetParam()) == echo_frame; }
  FrameSpec request(std::uint16_t i = 0) const {
    FrameSpec spec{.src = v4() ? "10.10.0.22" : "2001:db8:2::22", .dst = v4() ? "203.0.113.9" : "2001:db8:99::9"};
    spec.src_port = static_cast<std::uint16_t>(50000 + i);
    spec.identifier = static_cast<std::uint16_t>(50000 + i);
    spec.dst_port = 443;
    return spec;
  }
  // What the remote host answers to `sent`.
  Frame reply_to(const packet::PacketInfo& sent) const {
    FrameSpec spec{
        .src = sent.tuple.dst, .dst = sent.tuple.src, .src_port = sent.tuple.dst_port, .dst_port = sent.tuple.src_port};
    spec.flags = kSyn | kAck;
    spec.identifier = sent.tuple.src_port;
    spec.reply = true;
    return make(spec);
  }
};

TEST_P(Egress, IsDeniedUnlessConfigured) {
  Box box;
  box.apply(sim::text_of({}));
  EXPECT_TRUE(box.exchange(kInside, make(request())).empty());
  EXPECT_EQ(box.drops(DropReason::egress_denied), 1u);
}

TEST_P(Egress, RouteKeepsAddresses) {
  for (const unsigned workers : {1u, 4u}) {
    Box box({.workers = workers});
    box.apply(sim::text_of({.inside = "egress: EGRESS_ROUTE"}));
    for (std::uint16_t i = 0; i < 20; ++i) {
      const auto out = box.exchange(kInside, make(request(i)));
      ASSERT_EQ(out.size(), 1u);
      EXPECT_EQ(out[0].port, kOutside);
      const auto sent = parsed(out[0].frame);
      EXPECT_EQ(sent.tuple.src, ip(v4() ? "10.10.0.22" : "2001:db8:2::22"));
      EXPECT_EQ(sent.ttl, 63);
      const auto back = box.exchange(kOutside, reply_to(sent));
      ASSERT_EQ(back.size(), 1u);
      EXPECT_EQ(back[0].port, kInside);
      EXPECT_EQ(parsed(back[0].frame).tuple.dst, sent.tuple.src);
    }
    EXPECT_EQ(box.flows(), 20u);
  }
}

TEST_P(Egress, SnatLendsAnAddressAndBringsTheAnswerHome) {
  for (const unsigned workers : {1u, 4u}) {
    Box box({.workers = workers});
    box.apply(sim::text_of({.inside = kSnat}));
    std::set<std::uint16_t> ports;
    for (std::uint16_t i = 0; i < 40; ++i) {
      const auto out = box.exchange(kInside, make(request(i)));
      ASSERT_EQ(out.size(), 1u);
      EXPECT_EQ(out[0].port, kOutside);
      const auto sent = parsed(out[0].frame);
      EXPECT_EQ(sent.tuple.src, ip(v4() ? "192.0.2.77" : "2001:db8:1::77"));
      EXPECT_EQ(sent.tuple.dst, ip(v4() ? "203.0.113.9" : "2001:db8:99::9"));
      EXPECT_TRUE(ports.insert(sent.tuple.src_port).second) << "a port used twice";
      const auto back = box.exchange(kOutside, reply_to(sent));
      ASSERT_EQ(back.size(), 1u) << i;
      EXPECT_EQ(back[0].port, kInside);
      const auto info = parsed(back[0].frame);
      EXPECT_EQ(info.tuple.src, sent.tuple.dst);
      EXPECT_EQ(info.tuple.dst, ip(v4() ? "10.10.0.22" : "2001:db8:2::22"));
      EXPECT_EQ(info.tuple.dst_port, 50000 + i);
      // The same flow again takes the same port.
      EXPECT_EQ(parsed(box.exchange(kInside, make(request(i))).at(0).frame).tuple.src_port, sent.tuple.src_port);
    }
    EXPECT_EQ(box.flows(), 40u);
    EXPECT_EQ(box.exits(Exit::dropped), 0u);
    box.advance(400 * kSecond);
    EXPECT_EQ(box.flows(), 0u);
    EXPECT_EQ(box.local_ports(), 0u);
  }
}

TEST_P(Egress, AnErrorAboutItReachesTheServer) {
  Box box({.workers = 4});
  box.apply(sim::text_of({.inside = kSnat}));
  for (int arrives_at = 0; arrives_at < 4; ++arrives_at) {
    const auto out = box.exchange(kInside, make(request()));
    ASSERT_EQ(out.size(), 1u);
    const auto sent = parsed(out[0].frame);
    const std::uint8_t type = v4() ? 11 : 3;  // time exceeded
    const auto back =
        box.exchange(kOutside,
                     icmp_error_frame({.src = v4() ? "198.51.100.1" : "2001:db8:98::1", .dst = sent.tuple.src},
                                      {.type = type}, out[0].frame),
                     arrives_at);
    ASSERT_EQ(back.size(), 1u);
    const auto info = parsed(back[0].frame);
    EXPECT_EQ(back[0].port, kInside);
    EXPECT_EQ(info.tuple.src, ip(v4() ? "198.51.100.1" : "2001:db8:98::1"));
    EXPECT_EQ(info.tuple.dst, request().src);
    EXPECT_EQ(packet::parse_quoted(back[0].frame, info)->tuple.src, request().src);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Egress,
                         ::testing::Combine(::testing::Bool(), ::testing::Values(tcp_frame, udp_frame, echo_frame)),
                         [](const auto& param) {
                           const Make make = std::get<1>(param.param);
                           return std::string(std::get<0>(param.param) ? "v4_" : "v6_") + (make == tcp_frame ? "tcp"
                                                                                           : make == udp_frame
                                                                                               ? "udp"
                                                                                               : "icmp");
                         });

TEST(EgressPorts, OfTcpComeBackOnlyAfterAllOthersOfTheirClass) {
  // The remote host keeps a closed connection in TIME_WAIT: the next one must not look like it.
  Box box;
  box.apply(sim::text_of({.inside = kSnat}));
  std::set<std::uint16_t> ports;
  unsigned opened = 0;
  for (unsigned port = 1024; port < 65536; ++port) {
    FrameSpec spec{.src = "10.10.0.22", .dst = "203.0.113.9", .src_port = static_cast<std::uint16_t>(port)};
    // One bucket, so one class of local ports.
    if (box.steering().toeplitz().bucket({spec.src, spec.dst, spec.src_port, 80, kProtocolTcp}) != 7) continue;
    const auto out = box.exchange(kInside, tcp_frame(spec));
    ASSERT_EQ(out.size(), 1u);
    EXPECT_TRUE(ports.insert(parsed(out[0].frame).tuple.src_port).second) << "again after " << opened;
    spec.flags = kRst;
    spec.sequence = 1001;
    EXPECT_EQ(box.exchange(kInside, tcp_frame(spec)).size(), 1u);
    box.advance(5 * kSecond);
    ASSERT_EQ(box.flows(), 0u);
    ++opened;
  }
  EXPECT_GT(opened, 480u);
}

TEST(EgressRefusals, AreCounted) {
  Box box;
  box.apply(sim::text_of({.inside = kSnat}));
  EXPECT_TRUE(box.exchange(kInside, tcp_frame({.src = "10.10.0.22", .dst = "203.0.113.9", .flags = kAck})).empty());
  EXPECT_EQ(box.drops(DropReason::no_flow), 1u);
  EXPECT_TRUE(box.exchange(kInside, tcp_frame({.src = "203.0.113.1", .dst = "203.0.113.9"})).empty());
  EXPECT_EQ(box.drops(DropReason::not_ours), 1u);
  EXPECT_TRUE(box.exchange(kInside, packet::testing::ip_frame(
                                        {.src = "10.10.0.22", .dst = "203.0.113.9", .payload = Frame(20)}, 47))
                  .empty());
  EXPECT_EQ(box.drops(DropReason::egress_denied), 1u);
}

// ---- Probes ----

struct ProbeCase {
  unsigned service;
  bool v4;
};

class Probes : public ::testing::TestWithParam<ProbeCase> {
 protected:
  // The probe address of the service's first backend.
  static IpAddress address(unsigned service, bool v4, bool probe_v4) {
    const std::uint32_t id = (service * 2 + (v4 ? 0 : 1)) * 100 + 1;
    IpAddress a = probe_v4 ? ip("198.18.0.0") : ip("fd00:6867::");
    store_be32(a.bytes.data() + 12, load_be32(a.bytes.data() + 12) + id);
    return a;
  }
  static IpAddress kernel(bool v4) { return v4 ? ip("198.19.255.254") : ip("fd00:6867::ffff:1"); }
};

TEST_P(Probes, TravelAsFlowsToTheirBackendDo) {
  const auto [service, v4] = GetParam();
  const bool across = service >= 105, backend_v4 = v4 != across;
  const std::string backend = backend_v4 ? "10.10.0.21" : "2001:db8:2::21";
  const IpAddress service_address = ip((v4 ? "192.0.2." : "2001:db8:1::") + std::to_string(service));
  for (const unsigned workers : {1u, 4u}) {
    Box box({.workers = workers});
    box.apply(sim::text_of({}));
    for (std::uint16_t i = 0; i < 10; ++i) {
      const FrameSpec syn{
          .src = kernel(v4), .dst = address(service, v4, v4), .src_port = static_cast<std::uint16_t>(60000 + i)};
      const auto out = box.exchange(kProbe, tcp_frame(syn));
      ASSERT_EQ(out.size(), 1u);
      EXPECT_EQ(out[0].port, kInside);
      const MacAddress mac = box.lan().mac(backend);
      EXPECT_TRUE(std::equal(mac.bytes.begin(), mac.bytes.end(), out[0].frame.begin()));
      // The packet as the backend's stack sees it.
      const std::size_t headers =
          service < 103 ? 0 : (backend_v4 ? 20u : 40u) + (service == 104 || service == 106 ? 12u : 0u);
      Frame inner = out[0].frame;
      inner.erase(inner.begin() + 14, inner.begin() + static_cast<std::ptrdiff_t>(14 + headers));
      store_be16(&inner[12], v4 ? packet::kEtherIpv4 : packet::kEtherIpv6);
      const auto sent = parsed(inner);
      EXPECT_EQ(sent.tuple.dst, service <= 101 ? ip(backend) : service_address);
      EXPECT_EQ(sent.tuple.dst_port, 80);
      EXPECT_EQ(sent.tcp_flags, kSyn);
      const auto back = box.exchange(kInside,
                                     tcp_frame({.src = sent.tuple.dst,
                                                .dst = sent.tuple.src,
                                                .src_port = 80,
                                                .dst_port = sent.tuple.src_port,
                                                .flags = kSyn | kAck}),
                                     static_cast<int>(i % workers));  // whichever worker receives it
      ASSERT_EQ(back.size(), 1u);
      EXPECT_EQ(back[0].port, kProbe);
      EXPECT_EQ(parsed(back[0].frame).tuple, (Tuple{syn.dst, syn.src, 80, syn.src_port, kProtocolTcp}));
    }
    EXPECT_EQ(box.exits(Exit::dropped), 0u);
    EXPECT_EQ(box.flows(), 10u);
    box.advance(20 * kSecond);
    EXPECT_EQ(box.local_ports(), 0u);
  }
}

TEST_P(Probes, ReachBackendsThatAreDownOrDrained) {
  const auto [service, v4] = GetParam();
  Box box;
  box.apply(sim::text_of({.backend = "health: DOWN drain: true"}));
  EXPECT_EQ(box.exchange(kProbe, tcp_frame({.src = kernel(v4), .dst = address(service, v4, v4)})).at(0).port, kInside);
}

TEST_P(Probes, OfTheOtherFamilyAreRefusedWhereThePathCannotCarryThem) {
  const auto [service, v4] = GetParam();
  Box box;
  box.apply(sim::text_of({}));
  const auto out = box.exchange(kProbe, tcp_frame({.src = kernel(!v4), .dst = address(service, v4, !v4)}));
  for (const Out& o : out) {
    EXPECT_EQ(o.port, kProbe) << describe(o.frame);
    EXPECT_NE(parsed(o.frame).tcp_flags & kRst, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Probes,
                         ::testing::Values(ProbeCase{100, true}, ProbeCase{101, true}, ProbeCase{102, true},
                                           ProbeCase{103, true}, ProbeCase{104, true}, ProbeCase{105, true},
                                           ProbeCase{106, true}, ProbeCase{100, false}, ProbeCase{101, false},
                                           ProbeCase{102, false}, ProbeCase{103, false}, ProbeCase{104, false},
                                           ProbeCase{105, false}, ProbeCase{106, false}),
                         [](const auto& param) {
                           return std::to_string(param.param.service) + (param.param.v4 ? "_v4" : "_v6");
                         });

TEST_P(Probes, ByUdpAreForgottenSoon) {
  const auto [service, v4] = GetParam();
  Box box;
  box.apply(sim::text_of({}));
  for (std::uint16_t i = 0; i < 10; ++i) {
    const FrameSpec question{
        .src = kernel(v4), .dst = address(service, v4, v4), .src_port = static_cast<std::uint16_t>(60000 + i)};
    ASSERT_EQ(box.exchange(kProbe, udp_frame(question)).size(), 1u);
  }
  EXPECT_EQ(box.flows(), 10u);
  box.advance(6 * kSecond);
  EXPECT_EQ(box.flows(), 0u);
}

TEST(ProbeRefusals, AreCounted) {
  Box box;
  box.apply(sim::text_of({}));
  EXPECT_EQ(
      parsed(box.exchange(kProbe, tcp_frame({.src = "198.19.255.254", .dst = "198.18.0.1"})).at(0).frame).tcp_flags,
      kRst | kAck);
  EXPECT_TRUE(box.exchange(kProbe, tcp_frame({.src = "198.19.255.254", .dst = "203.0.113.9"})).empty());
  EXPECT_EQ(box.drops(DropReason::not_ours), 1u);
}

}  // namespace
}  // namespace headgate::worker
