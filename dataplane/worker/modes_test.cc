// What a client's packet looks like when it leaves towards the backend, and the answer when it leaves towards the
// client: every mode x family x protocol. Expected frames are built from scratch and compared byte by byte, so lengths,
// checksums, MACs and TTL are all in the comparison.
#include <gtest/gtest.h>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/build.h"
#include "tests/sim/box.h"
#include "tests/sim/site.h"

namespace headgate::worker {
namespace {

using packet::kAck;
using packet::kSyn;
using packet::testing::describe;
using packet::testing::Frame;
using packet::testing::FrameSpec;
using packet::testing::ip;
using packet::testing::tcp_frame;
using packet::testing::text;
using packet::testing::udp_frame;
using sim::Box;
using sim::kInside;
using sim::kOutside;
using sim::Out;
using telemetry::Exit;

struct Row {
  const char* name;
  unsigned service;  // last part of its address
  bool backend_v4_for_v4;
};
constexpr Row kModes[] = {
    {"full_nat", 100, true}, {"nat", 101, true},          {"dsr", 102, true},         {"ipip", 103, true},
    {"gue", 104, true},      {"ipip across", 105, false}, {"gue across", 106, false},
};

class Modes : public ::testing::TestWithParam<std::tuple<Row, bool, bool>> {
 protected:
  Modes() { box_.apply(sim::text_of({})); }

  Row row() const { return std::get<0>(GetParam()); }
  bool v4() const { return std::get<1>(GetParam()); }
  bool tcp() const { return std::get<2>(GetParam()); }
  bool backend_v4() const { return row().backend_v4_for_v4 == v4(); }
  Frame make(const FrameSpec& spec) const { return tcp() ? tcp_frame(spec) : udp_frame(spec); }

  std::string client() const { return v4() ? "192.0.2.10" : "2001:db8:1::10"; }
  std::string service() const { return (v4() ? "192.0.2." : "2001:db8:1::") + std::to_string(row().service); }
  std::string backend(unsigned i = 0) const {
    return (backend_v4() ? "10.10.0." : "2001:db8:2::") + std::to_string(21 + i);
  }
  std::uint16_t port() const { return tcp() ? 80 : 53; }

  FrameSpec request() const {
    FrameSpec spec{.src = client().c_str(), .dst = service().c_str(), .src_port = 40000, .dst_port = port()};
    spec.payload = tcp() ? std::vector<std::uint8_t>{} : text("who are you?");
    spec.tos = 0x28;
    spec.eth_src = box_.lan().mac(client());
    spec.eth_dst = Box::mac(kOutside);
    return spec;
  }
  // `spec` as it leaves through `port` to a host.
  FrameSpec towards(FrameSpec spec, std::uint16_t out, const std::string& host) const {
    --spec.ttl;
    spec.eth_src = Box::mac(out);
    spec.eth_dst = box_.lan().mac(host);
    return spec;
  }
  Out only(const std::vector<Out>& out) const {
    EXPECT_EQ(out.size(), 1u);
    return out.empty() ? Out{} : out.front();
  }

  mutable Box box_;
};

// Addresses of packets that go to the backend under another name.
bool is_local(const IpAddress& address) {
  return address == ip("10.10.0.64") || address == ip("10.10.0.65") || address == ip("2001:db8:2::a:0");
}

packet::PacketInfo parsed(const Frame& frame) {
  packet::PacketInfo info;
  EXPECT_EQ(packet::parse(frame, frame.size(), info), packet::ParseError::none) << describe(frame);
  return info;
}

Frame outer_headers(const Frame& frame, std::size_t length) {
  return {frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(length)};
}

TEST_P(Modes, CarryARequestAndItsReply) {
  const Out out = only(box_.exchange(kOutside, make(request())));
  ASSERT_EQ(out.port, kInside);
  FrameSpec wanted = towards(request(), kInside, backend());
  const packet::PacketInfo info = parsed(out.frame);
  if (row().service == 100) {
    ASSERT_TRUE(is_local(info.tuple.src)) << describe(out.frame);
    EXPECT_GE(info.tuple.src_port, 1024);
    wanted.src = info.tuple.src;
    wanted.src_port = info.tuple.src_port;
  }
  if (row().service <= 101) wanted.dst = backend().c_str();
  if (row().service <= 102) {
    EXPECT_EQ(out.frame, make(wanted)) << describe(out.frame);
  } else {
    const Frame inner = make(wanted);
    const bool gue = row().service == 104 || row().service == 106;
    const std::size_t headers = (backend_v4() ? 20 : 40) + (gue ? 12 : 0);
    ASSERT_EQ(out.frame.size(), inner.size() + headers);
    EXPECT_EQ(Frame(out.frame.begin() + static_cast<std::ptrdiff_t>(14 + headers), out.frame.end()),
              Frame(inner.begin() + 14, inner.end()));
    EXPECT_EQ(outer_headers(out.frame, 12), outer_headers(inner, 12));  // MACs
    EXPECT_EQ(info.tuple.src, ip(backend_v4() ? "10.10.0.1" : "2001:db8:2::1"));
    EXPECT_EQ(info.tuple.dst, ip(backend()));
    EXPECT_EQ(info.tuple.protocol, gue ? kProtocolUdp : v4() ? kProtocolIpip : kProtocolIpv6);
    if (gue) {
      EXPECT_EQ(info.tuple.dst_port, 6080);
      EXPECT_GE(info.tuple.src_port, 49152);
    }
  }
  EXPECT_EQ(box_.exits(Exit::dropped), 0u);
  EXPECT_EQ(box_.flows(), 1u);
  if (row().service > 101) return;  // the backend answers past us

  FrameSpec reply = wanted;
  std::swap(reply.src, reply.dst);
  std::swap(reply.src_port, reply.dst_port);
  reply.flags = kSyn | kAck;
  reply.ttl = 64;
  reply.eth_src = box_.lan().mac(backend());
  reply.eth_dst = Box::mac(kInside);
  const Out back = only(box_.exchange(kInside, make(reply)));
  EXPECT_EQ(back.port, kOutside);
  FrameSpec seen = towards(reply, kOutside, client());
  seen.src = service().c_str();
  seen.dst = client().c_str();
  seen.src_port = port();
  seen.dst_port = 40000;
  EXPECT_EQ(back.frame, make(seen)) << describe(back.frame);
}

TEST_P(Modes, EveryBackendGetsItsTurnAndAFlowStaysWhereItIs) {
  std::map<IpAddress, unsigned> hits;
  const auto frame_target = [this](const Out& out) {
    // By hardware address, which is the same for all modes.
    for (unsigned i = 0; i < 3; ++i) {
      const MacAddress mac = box_.lan().mac(backend(i));
      if (std::equal(mac.bytes.begin(), mac.bytes.end(), out.frame.begin())) return ip(backend(i));
    }
    ADD_FAILURE() << "not to a backend: " << describe(out.frame);
    return IpAddress{};
  };
  for (std::uint16_t i = 0; i < 12; ++i) {
    FrameSpec spec = request();
    spec.src_port = static_cast<std::uint16_t>(41000 + i);
    const IpAddress first = frame_target(only(box_.exchange(kOutside, make(spec))));
    ++hits[first];
    spec.flags = kAck;
    EXPECT_EQ(frame_target(only(box_.exchange(kOutside, make(spec)))), first);
  }
  EXPECT_EQ(hits.size(), 3u);
  for (const auto& [address, count] : hits) EXPECT_EQ(count, 4u) << to_string(address);
}

TEST_P(Modes, NothingIsLeftWhenFlowsEnd) {
  for (std::uint16_t i = 0; i < 50; ++i) {
    FrameSpec spec = request();
    spec.src_port = static_cast<std::uint16_t>(42000 + i);
    box_.exchange(kOutside, make(spec));
  }
  EXPECT_EQ(box_.flows(), 50u);
  EXPECT_EQ(box_.local_ports(), row().service == 100 ? 50u : 0u);
  box_.advance(40 * kSecond);  // half-open TCP 10 s, unreplied UDP 30 s
  EXPECT_EQ(box_.flows(), 0u);
  EXPECT_EQ(box_.local_ports(), 0u);
  EXPECT_EQ(box_.held(), 0u);
  EXPECT_EQ(box_.buffers_in_use(), 0u);
}

INSTANTIATE_TEST_SUITE_P(All, Modes,
                         ::testing::Combine(::testing::ValuesIn(kModes), ::testing::Bool(), ::testing::Bool()),
                         [](const auto& param) {
                           std::string name = std::get<0>(param.param).name;
                           std::replace(name.begin(), name.end(), ' ', '_');
                           return name + (std::get<1>(param.param) ? "_v4" : "_v6") +
                                  (std::get<2>(param.param) ? "_tcp" : "_udp");
                         });

// ---- VLANs and padding ----

TEST(Link, FramesLeaveWithTheirInterfacesTag) {
  Box box;
  for (const char* host : {"10.10.0.21", "10.10.0.22", "10.10.0.23"})
    const_cast<sim::Lan::Host*>(box.lan().find(ip(host)))->vlan = 20;
  const_cast<sim::Lan::Host*>(box.lan().find(ip("192.0.2.10")))->vlan = 7;
  box.apply(sim::text_of({.outside = "vlan: 7", .inside = "vlan: 20"}));
  const auto out = box.exchange(kOutside, tcp_frame({.vlan = 7}));
  ASSERT_EQ(out.size(), 1u);
  const packet::PacketInfo info = parsed(out[0].frame);
  EXPECT_EQ(info.vlan, 20);
  const auto back = box.exchange(kInside, tcp_frame({.src = info.tuple.dst,
                                                     .dst = info.tuple.src,
                                                     .src_port = info.tuple.dst_port,
                                                     .dst_port = info.tuple.src_port,
                                                     .flags = kSyn | kAck,
                                                     .vlan = 20}));
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(parsed(back[0].frame).vlan, 7);
  EXPECT_EQ(box.exchange(kOutside, tcp_frame({.src_port = 2, .vlan = 8})).size(), 0u);
  EXPECT_EQ(box.drops(telemetry::DropReason::unknown_vlan), 1u);
}

TEST(Link, PaddingIsNotCarriedOn) {
  Box box;
  box.apply(sim::text_of({}));
  const auto out = box.exchange(kOutside, tcp_frame({.pad_to = 60}));
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].frame.size(), 54u);
}

TEST(Link, APacketWaitsForItsNextHopAndFollowsItsPredecessors) {
  Box box;
  box.lan().set_silent(ip("10.10.0.21"), true);
  box.publish(sim::text_of({.backends = 1}));
  box.inject(kOutside, tcp_frame({}));
  box.step(0);
  EXPECT_EQ(box.exits(Exit::held), 1u);
  box.inject(kOutside, tcp_frame({.flags = kAck}));
  box.step(0);
  EXPECT_EQ(box.exits(Exit::held), 2u);
  box.lan().set_silent(ip("10.10.0.21"), false);
  std::vector<Out> out = box.advance(3 * kSecond);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(parsed(out[0].frame).tcp_flags, kSyn);
  EXPECT_EQ(parsed(out[1].frame).tcp_flags, kAck);
}

TEST(Link, PacketsToADeadNextHopAreDroppedAndCounted) {
  Box box;
  box.lan().set_silent(ip("10.10.0.21"), true);
  box.publish(sim::text_of({.backends = 1}));
  for (std::uint16_t i = 0; i < 20; ++i)
    box.inject(kOutside, tcp_frame({.src_port = static_cast<std::uint16_t>(1000 + i)}));
  box.step(0);
  EXPECT_EQ(box.exits(Exit::held), 8u);
  EXPECT_EQ(box.drops(telemetry::DropReason::neighbor_queue_full), 12u);
  box.advance(10 * kSecond);
  EXPECT_EQ(box.drops(telemetry::DropReason::neighbor_failed), 8u);
  box.exchange(kOutside, tcp_frame({.src_port = 999}));
  EXPECT_EQ(box.drops(telemetry::DropReason::neighbor_failed), 9u);
  EXPECT_EQ(box.held(), 0u);
}

}  // namespace
}  // namespace headgate::worker
