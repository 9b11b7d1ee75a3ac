// The life of flows: closing and reopening, expiry, removed backends, a full table, snapshots swapped under traffic.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/build.h"
#include "tests/sim/box.h"
#include "tests/sim/site.h"

namespace headgate::worker {
namespace {

using flow::State;
using packet::kAck;
using packet::kFin;
using packet::kRst;
using packet::kSyn;
using packet::testing::describe;
using packet::testing::Frame;
using packet::testing::FrameSpec;
using packet::testing::ip;
using packet::testing::tcp_frame;
using packet::testing::udp_frame;
using sim::Box;
using sim::kInside;
using sim::kOutside;
using sim::Out;
using telemetry::DropReason;
using telemetry::Exit;

packet::PacketInfo parsed(const Frame& frame) {
  packet::PacketInfo info;
  EXPECT_EQ(packet::parse(frame, frame.size(), info), packet::ParseError::none) << describe(frame);
  EXPECT_TRUE(packet::l4_checksum_ok(frame, info)) << describe(frame);
  return info;
}

// A client's connection through the box, segment by segment.
class Connection {
 public:
  Connection(Box& box, const FrameSpec& syn) : box_(box), syn_(syn) {}

  // What the backend saw, or nothing.
  std::optional<packet::PacketInfo> client(std::uint8_t flags, std::uint32_t sequence = 1000, std::size_t payload = 0) {
    FrameSpec spec = syn_;
    spec.flags = flags;
    spec.sequence = sequence;
    spec.payload = Frame(payload);
    const auto out = box_.exchange(kOutside, tcp_frame(spec));
    if (out.size() != 1 || out[0].port != kInside) return std::nullopt;
    sent_ = parsed(out[0].frame);
    return sent_;
  }
  std::optional<packet::PacketInfo> backend(std::uint8_t flags, std::uint32_t sequence = 9000,
                                            std::size_t payload = 0) {
    const auto out = box_.exchange(kInside, tcp_frame({.src = sent_.tuple.dst,
                                                       .dst = sent_.tuple.src,
                                                       .src_port = sent_.tuple.dst_port,
                                                       .dst_port = sent_.tuple.src_port,
                                                       .payload = Frame(payload),
                                                       .flags = flags,
                                                       .sequence = sequence}));
    if (out.size() != 1 || out[0].port != kOutside) return std::nullopt;
    return parsed(out[0].frame);
  }
  void open() {
    EXPECT_TRUE(client(kSyn, 1000));
    EXPECT_TRUE(backend(kSyn | kAck, 9000));
    EXPECT_TRUE(client(kAck, 1001));
  }
  void close() {
    EXPECT_TRUE(client(kFin | kAck, 1001));
    EXPECT_TRUE(backend(kFin | kAck, 9001));
    EXPECT_TRUE(client(kAck, 1002));
  }
  const packet::PacketInfo& sent() const { return sent_; }

 private:
  Box& box_;
  FrameSpec syn_;
  packet::PacketInfo sent_;
};

TEST(Reopening, ASynOnAClosedFlowIsANewConnectionAtOnce) {
  for (const unsigned workers : {1u, 4u}) {
    Box box({.workers = workers});
    box.apply(sim::text_of({}));
    std::set<IpAddress> backends;
    std::uint16_t last_port = 0;
    for (unsigned round = 0; round < 3; ++round) {
      Connection c(box, {});
      c.open();
      backends.insert(c.sent().tuple.dst);
      EXPECT_NE(c.sent().tuple.src_port, last_port) << "the backend still knows that one";
      last_port = c.sent().tuple.src_port;
      c.close();
      EXPECT_EQ(box.flows(), 1u);
    }
    EXPECT_EQ(backends.size(), 3u);  // round robin moved on
    EXPECT_EQ(box.local_ports(), 1u);
    EXPECT_EQ(box.exits(Exit::dropped), 0u);
  }
}

TEST(Reopening, WorksInEveryMode) {
  for (const char* service : {"192.0.2.100", "192.0.2.101", "192.0.2.102", "192.0.2.103", "2001:db8:1::104"}) {
    SCOPED_TRACE(service);
    Box box;
    box.apply(sim::text_of({}));
    FrameSpec spec{.src = ip(service).is_v4() ? "192.0.2.10" : "2001:db8:1::10", .dst = service};
    const auto first = box.exchange(kOutside, tcp_frame(spec));
    spec.flags = kRst;
    EXPECT_EQ(box.exchange(kOutside, tcp_frame(spec)).size(), 1u);
    spec.flags = kSyn;
    const auto second = box.exchange(kOutside, tcp_frame(spec));
    ASSERT_EQ(second.size(), 1u);
    EXPECT_FALSE(std::equal(first.at(0).frame.begin(), first[0].frame.begin() + 6, second[0].frame.begin()))
        << "same backend";
    EXPECT_EQ(box.flows(), 1u);
  }
}

TEST(Reopening, AGuessedResetAndASynDoNotEndAConnection) {
  Box box;
  box.apply(sim::text_of({}));
  Connection c(box, {});
  c.open();
  const Tuple tuple = c.sent().tuple;
  for (std::uint32_t i = 1; i < 16; ++i) {
    EXPECT_TRUE(c.client(kRst, 1001 + (i << 28)));  // forwarded: its receiver judges it
    EXPECT_TRUE(c.client(kSyn, 1001 + (i << 28)));
    EXPECT_EQ(c.sent().tuple, tuple);
  }
  EXPECT_TRUE(c.client(kAck, 1001, 10));
  EXPECT_TRUE(c.backend(kAck, 9001, 10));
  EXPECT_EQ(c.sent().tuple, tuple);
}

TEST(Reopening, ASynWithABrokenChecksumEndsNothing) {
  Box box;
  box.apply(sim::text_of({}));
  Connection c(box, {});
  c.open();
  EXPECT_TRUE(c.client(kRst, 1001));
  EXPECT_TRUE(box.exchange(kOutside, tcp_frame({.broken_l4_checksum = true})).empty());
  EXPECT_EQ(box.drops(DropReason::bad_l4_checksum), 1u);
  EXPECT_TRUE(c.backend(kAck, 9001, 10));  // the RST was not accepted
  EXPECT_TRUE(c.client(kAck, 1001, 10));
  EXPECT_EQ(box.flows(), 1u);
}

TEST(Expiry, AnEstablishedFlowIsResetOnBothSides) {
  Box box;
  box.apply(sim::text_of({.timeouts = "tcp_established_s: 60"}));
  Connection c(box, {});
  c.open();
  EXPECT_TRUE(c.client(kAck, 1001, 100));
  EXPECT_TRUE(c.backend(kAck, 9001, 200));
  EXPECT_TRUE(c.client(kAck, 1100, 0));  // keep-alives lie behind, and change nothing
  EXPECT_TRUE(c.backend(kAck, 9200, 1));
  const auto out = box.advance(70 * kSecond);
  ASSERT_EQ(out.size(), 2u);
  const std::size_t to_backend = out[0].port == kInside ? 0 : 1;
  const auto inside = parsed(out[to_backend].frame), outside = parsed(out[1 - to_backend].frame);
  EXPECT_EQ(out[1 - to_backend].port, kOutside);
  EXPECT_EQ(inside.tuple, c.sent().tuple);
  EXPECT_EQ(outside.tuple, (Tuple{ip("192.0.2.100"), ip("192.0.2.10"), 80, 40000, kProtocolTcp}));
  EXPECT_EQ(inside.tcp_flags, kRst | kAck);
  EXPECT_EQ(outside.tcp_flags, kRst | kAck);
  // At the next number each side expects, or RFC 5961 makes it a challenge.
  EXPECT_EQ(load_be32(&out[to_backend].frame[inside.l4_offset + 4]), 1101u);
  EXPECT_EQ(load_be32(&out[1 - to_backend].frame[outside.l4_offset + 4]), 9201u);
  EXPECT_EQ(box.flows(), 0u);
  EXPECT_EQ(box.local_ports(), 0u);
}

TEST(Expiry, IsSilentWhenSwitchedOffAndForHalfOpenFlows) {
  Box box;
  box.apply(sim::text_of({.service = "no_reset_on_expiry: true", .timeouts = "tcp_established_s: 60"}));
  Connection c(box, {});
  c.open();
  box.exchange(kOutside, tcp_frame({.src_port = 41000}));
  EXPECT_TRUE(box.advance(70 * kSecond).empty());
  EXPECT_EQ(box.flows(), 0u);
}

TEST(Expiry, StatesHaveTheTimersOfTheirRfcs) {
  Box box;
  box.apply(sim::text_of({}));
  Connection open(box, {.src_port = 1001}), closed(box, {.src_port = 1002}), half_open(box, {.src_port = 1003});
  open.open();
  closed.open();
  closed.close();
  EXPECT_TRUE(half_open.client(kSyn));
  box.exchange(kOutside, udp_frame({.src_port = 1004, .dst_port = 53}));
  EXPECT_EQ(box.flows(), 4u);
  box.advance(6 * kSecond);
  EXPECT_EQ(box.flows(), 3u);  // closed: 4 s
  box.advance(5 * kSecond);
  EXPECT_EQ(box.flows(), 2u);  // half-open: 10 s
  box.advance(25 * kSecond);
  EXPECT_EQ(box.flows(), 1u);  // unreplied UDP: 30 s
  box.advance(7300 * kSecond);
  EXPECT_EQ(box.flows(), 1u);
  EXPECT_TRUE(open.client(kAck, 1001));  // established: 2 h 4 min, and starts anew with every packet
  box.advance(7300 * kSecond);
  EXPECT_EQ(box.flows(), 1u);
  box.advance(200 * kSecond);
  EXPECT_EQ(box.flows(), 0u);
}

TEST(Expiry, UdpInUseLivesMinutesInEveryMode) {
  // RFC 4787 REQ-5. Answers of dsr (102) and tunnel (103) backends do not pass here.
  for (const char* service : {"192.0.2.100", "192.0.2.101", "192.0.2.102", "192.0.2.103"}) {
    SCOPED_TRACE(service);
    Box box;
    box.apply(sim::text_of({}));
    const Frame datagram = udp_frame({.dst = service, .dst_port = 53});
    const auto sent = box.exchange(kOutside, datagram);
    ASSERT_EQ(sent.size(), 1u);
    if (ip(service) == ip("192.0.2.100") || ip(service) == ip("192.0.2.101")) {
      const auto info = parsed(sent[0].frame);
      box.exchange(kInside, udp_frame({.src = info.tuple.dst,
                                       .dst = info.tuple.src,
                                       .src_port = info.tuple.dst_port,
                                       .dst_port = info.tuple.src_port}));
    }
    box.advance(20 * kSecond);
    EXPECT_EQ(box.exchange(kOutside, datagram).size(), 1u);
    box.advance(120 * kSecond);
    EXPECT_EQ(box.flows(), 1u);
    box.advance(200 * kSecond);
    EXPECT_EQ(box.flows(), 0u);
  }
}

// ---- Removal of a backend ----

class Removal : public ::testing::TestWithParam<unsigned> {
 protected:
  Removal() : box_({.workers = GetParam()}) {}
  // 20 TCP connections and 20 UDP flows over three backends, then backend 1 leaves.
  void run(const std::string& policy) {
    box_.apply(sim::text_of({.pool = "on_removal: " + policy}));
    for (std::uint16_t i = 0; i < 20; ++i) {
      connections_.emplace_back(box_, FrameSpec{.src_port = static_cast<std::uint16_t>(3000 + i)});
      connections_.back().open();
      udp_[i] = udp_target(i);
    }
    before_ = box_.flows();
    box_.publish(sim::text_of({.pool = "on_removal: " + policy, .backends = 2}));
    out_ = box_.advance(kSecond);
  }
  IpAddress udp_target(std::uint16_t i) {
    const auto out =
        box_.exchange(kOutside, udp_frame({.src_port = static_cast<std::uint16_t>(4000 + i), .dst_port = 53}));
    EXPECT_EQ(out.size(), 1u);
    return out.empty() ? IpAddress{} : parsed(out[0].frame).tuple.dst;
  }
  bool removed(const IpAddress& address) const { return address == ip("10.10.0.23"); }

  Box box_;
  std::vector<Connection> connections_;
  std::map<std::uint16_t, IpAddress> udp_;
  std::vector<Out> out_;
  std::uint32_t before_ = 0;
};

TEST_P(Removal, KeepLetsFlowsGoOn) {
  run("KEEP");
  EXPECT_TRUE(out_.empty());
  EXPECT_EQ(box_.flows(), before_);
  for (Connection& c : connections_) {
    const Tuple tuple = c.sent().tuple;
    ASSERT_TRUE(c.client(kAck, 1001, 10));
    EXPECT_EQ(c.sent().tuple, tuple);
    EXPECT_TRUE(c.backend(kAck, 9001));
  }
  for (const auto& [i, target] : udp_) EXPECT_EQ(udp_target(i), target);
}

TEST_P(Removal, ResetEndsTcpOnBothSidesAndNothingElse) {
  run("RESET");
  unsigned gone = 0;
  for (Connection& c : connections_) gone += removed(c.sent().tuple.dst);
  EXPECT_GE(gone, 5u);
  EXPECT_EQ(out_.size(), 2 * gone);
  for (const Out& o : out_) EXPECT_EQ(parsed(o.frame).tcp_flags, kRst | kAck);
  EXPECT_EQ(box_.drops(DropReason::flow_reset), gone);
  for (Connection& c : connections_) EXPECT_EQ(c.client(kAck, 1001, 10).has_value(), !removed(c.sent().tuple.dst));
  for (const auto& [i, target] : udp_) EXPECT_FALSE(removed(udp_target(i)));
}

TEST_P(Removal, RehashMovesUdpAndResetsTcp) {
  run("REHASH");
  for (const auto& [i, target] : udp_) {
    const IpAddress now = udp_target(i);
    EXPECT_FALSE(removed(now));
    if (!removed(target)) {
      EXPECT_EQ(now, target);
    }
  }
  for (Connection& c : connections_) EXPECT_EQ(c.client(kAck, 1001, 10).has_value(), !removed(c.sent().tuple.dst));
}

TEST_P(Removal, IsSeenByWorkersThatSleptThroughTheChange) {
  // The snapshot they knew may be freed, and a later one may lie at its address.
  for (unsigned round = 0; round < 20; ++round) {
    box_.apply(sim::text_of({.pool = "on_removal: RESET"}));
    std::vector<Connection> open;
    for (std::uint16_t i = 0; i < 6; ++i) {
      open.emplace_back(box_, FrameSpec{.src_port = static_cast<std::uint16_t>(3000 + round * 6 + i)});
      open.back().open();
    }
    for (unsigned i = 0; i < box_.workers(); ++i) box_.sleep(i);
    box_.publish(sim::text_of({.pool = "on_removal: RESET", .backends = 2}));
    for (unsigned i = 0; i < box_.workers(); ++i) box_.wake(i);
    box_.advance(kSecond);
    unsigned left = 0;
    for (Connection& c : open) left += c.client(kAck, 1001).has_value();
    EXPECT_LT(left, 6u);
    EXPECT_GT(left, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Workers, Removal, ::testing::Values(1u, 4u));

// ---- A full table ----

TEST(FullTable, ShedsTheOldestHalfOpenFirstAndNeverTheEstablished) {
  Box box({.flows = 64});
  box.apply(sim::text_of({}));
  std::vector<Connection> established;
  for (std::uint16_t i = 0; i < 40; ++i) {
    established.emplace_back(box, FrameSpec{.src_port = static_cast<std::uint16_t>(3000 + i)});
    established.back().open();
  }
  for (std::uint16_t i = 0; i < 500; ++i) {  // a SYN flood
    box.tick(kMillisecond);
    EXPECT_EQ(box.exchange(kOutside, tcp_frame({.src_port = static_cast<std::uint16_t>(5000 + i)})).size(), 1u);
  }
  EXPECT_EQ(box.flows(), 64u);
  EXPECT_EQ(box.worker().counters().flows_shed.read(), 500u - 24);
  for (Connection& c : established) EXPECT_TRUE(c.client(kAck, 1001, 1));
  // The newest half-open ones are still there: their backend's answers pass. The oldest went.
  EXPECT_EQ(box.local_ports(), 64u);
  // Idle UDP goes next; established never.
  for (std::uint16_t i = 0; i < 24; ++i) {
    established.emplace_back(box, FrameSpec{.src_port = static_cast<std::uint16_t>(7000 + i)});
    established.back().open();
  }
  EXPECT_TRUE(box.exchange(kOutside, tcp_frame({.src_port = 8000})).empty());
  EXPECT_EQ(box.drops(DropReason::flow_table_full), 1u);
  for (Connection& c : established) EXPECT_TRUE(c.client(kAck, 1001, 1));
  EXPECT_EQ(box.local_ports(), 64u);
}

TEST(FullTable, ShedsUdpAfterHalfOpenTcp) {
  Box box({.flows = 64});
  box.apply(sim::text_of({}));
  for (std::uint16_t i = 0; i < 60; ++i)
    box.exchange(kOutside, udp_frame({.src_port = static_cast<std::uint16_t>(3000 + i), .dst_port = 53}));
  for (std::uint16_t i = 0; i < 4; ++i)
    box.exchange(kOutside, tcp_frame({.src_port = static_cast<std::uint16_t>(3000 + i)}));
  const auto half_open = [&] {
    unsigned n = 0;
    for (flow::FlowIndex i = 0; i < box.worker().flows().high_water(); ++i)
      n += box.worker().flows().at(i).state == State::tcp_syn;
    return n;
  };
  EXPECT_EQ(half_open(), 4u);
  for (std::uint16_t i = 0; i < 4; ++i)
    box.exchange(kOutside, udp_frame({.src_port = static_cast<std::uint16_t>(4000 + i), .dst_port = 53}));
  EXPECT_EQ(half_open(), 0u);
  EXPECT_EQ(box.exchange(kOutside, udp_frame({.src_port = 4100, .dst_port = 53})).size(), 1u);
  EXPECT_EQ(box.flows(), 64u);
}

TEST(FullTable, OneWayTcpMakesRoomWhateverAForgerSends) {
  // In dsr and tunnel mode a spoofed SYN and ACK look like a connection; in the other modes they do not.
  for (const char* service : {"192.0.2.102", "192.0.2.103"}) {
    SCOPED_TRACE(service);
    Box box({.flows = 64});
    box.apply(sim::text_of({}));
    std::vector<Connection> two_way;
    for (std::uint16_t i = 0; i < 20; ++i) {
      two_way.emplace_back(box, FrameSpec{.src_port = static_cast<std::uint16_t>(3000 + i)});
      two_way.back().open();
    }
    const auto one_way = [&](std::uint16_t port, std::uint8_t flags) {
      return box.exchange(kOutside, tcp_frame({.dst = service, .src_port = port, .flags = flags})).size();
    };
    one_way(4000, kSyn);
    one_way(4000, kAck);
    for (std::uint16_t i = 0; i < 500; ++i) {
      box.tick(kMillisecond);
      ASSERT_EQ(one_way(static_cast<std::uint16_t>(5000 + i), kSyn), 1u) << i;
      ASSERT_EQ(one_way(static_cast<std::uint16_t>(5000 + i), kAck), 1u) << i;
      ASSERT_EQ(one_way(4000, kAck), 1u) << i;
    }
    for (Connection& c : two_way) EXPECT_TRUE(c.client(kAck, 1001, 1));
    EXPECT_EQ(box.drops(DropReason::flow_table_full), 0u);
    EXPECT_EQ(box.flows(), 64u);
  }
}

TEST(FullTable, LocalPortsRunOutPerBackendAndAreCounted) {
  // One backend, one local address of the family (v6), one bucket: 512 candidates, some below 1024.
  Box box({.flows = 4096});
  box.apply(sim::text_of({.backends = 1}));
  unsigned sent = 0, tried = 0;
  for (const char* client : {"2001:db8:1::9", "2001:db8:1::10"}) {
    for (unsigned port = 1024; port < 65536 && tried < 600; ++port) {
      const FrameSpec spec{.src = client, .dst = "2001:db8:1::100", .src_port = static_cast<std::uint16_t>(port)};
      if (box.steering().toeplitz().bucket({spec.src, spec.dst, spec.src_port, 80, kProtocolTcp}) != 7) continue;
      ++tried;
      sent += static_cast<unsigned>(box.exchange(kOutside, tcp_frame(spec)).size());
    }
  }
  EXPECT_EQ(tried, 600u);
  EXPECT_LE(sent, 512u);
  EXPECT_GE(sent, 500u);
  EXPECT_EQ(box.drops(DropReason::local_ports_exhausted), 600u - sent);
  const auto& refused = box.worker().counters().service_refused;
  const auto reason = std::ranges::find(telemetry::kRefusals, DropReason::local_ports_exhausted);
  std::uint64_t of_services = 0;
  for (std::size_t slot = 0; slot < refused.size(); ++slot)
    of_services += refused[slot].by_reason[static_cast<std::size_t>(reason - telemetry::kRefusals.begin())].read();
  EXPECT_EQ(of_services, 600u - sent) << "the service's own count";
  EXPECT_EQ(box.local_ports(), box.flows());
}

// ---- Snapshots under traffic ----

TEST(Snapshots, SwappedUnderTrafficLoseNothing) {
  Box box({.workers = 4});
  box.apply(sim::text_of({}));
  std::vector<Connection> connections;
  for (std::uint16_t i = 0; i < 60; ++i) {
    connections.emplace_back(box, FrameSpec{.src_port = static_cast<std::uint16_t>(3000 + i)});
    connections.back().open();
  }
  const char* weights[] = {"1,1,1", "3,2,1", "5,1,1"};
  std::uint32_t sequence = 1001;
  for (unsigned round = 0; round < 60; ++round) {
    box.publish(sim::text_of({.inside = round % 2 == 0 ? "mtu: 1500" : "mtu: 1600",
                              .weights = weights[round % 3],
                              .service = round % 5 == 0 ? "no_ping: true" : ""}));
    for (Connection& c : connections) {
      const Tuple before = c.sent().tuple;
      ASSERT_TRUE(c.client(kAck, sequence, 10)) << round;
      ASSERT_EQ(c.sent().tuple, before);
      ASSERT_TRUE(c.backend(kAck, 9001 + round * 10, 10)) << round;
    }
    sequence += 10;
    box.advance(50 * kMillisecond);
  }
  EXPECT_EQ(box.exits(Exit::dropped), 0u);
}

TEST(Snapshots, AServiceThatLeftKeepsItsFlowsAndTakesNoNewOnes) {
  Box box;
  box.apply(sim::text_of({}));
  Connection c(box, {.dst = "192.0.2.101"});
  c.open();
  box.apply(sim::text_of({.all_services = false}));
  EXPECT_TRUE(c.client(kAck, 1001, 10));
  EXPECT_TRUE(c.backend(kAck, 9001, 10));
  EXPECT_TRUE(box.exchange(kOutside, tcp_frame({.dst = "192.0.2.101", .src_port = 5})).empty());
}

TEST(Snapshots, ADrainedBackendKeepsItsFlowsAndTakesNoNewOnes) {
  Box box;
  box.apply(sim::text_of({.backends = 1}));
  Connection c(box, {});
  c.open();
  box.apply(sim::text_of({.backend = "drain: true", .backends = 1}));
  EXPECT_TRUE(c.client(kAck, 1001, 10));
  EXPECT_TRUE(c.backend(kAck, 9001, 10));
  const auto refused = box.exchange(kOutside, tcp_frame({.src_port = 5}));
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(parsed(refused[0].frame).tcp_flags, kRst | kAck);
}

}  // namespace
}  // namespace headgate::worker
