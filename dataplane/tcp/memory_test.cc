// Whose memory it is, and what the driver of the wire may rely on: references, headers in place, splice, pressure.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/tcp/trace_testing.h"

namespace headgate::tcp::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A peer of one engine that only opens connections, in plain segments.
class Opener : public Events {
 public:
  explicit Opener(const Config& config) : engine(config, *this, pool, now) {
    engine.listen(IpAddress::from_v4(100), 80);
  }
  void segment(std::uint16_t port, std::uint8_t flags, std::uint32_t seq, std::uint32_t ack, std::uint32_t length = 0) {
    Segment s;
    s.tuple = {IpAddress::from_v4(1), IpAddress::from_v4(100), port, 80, kProtocolTcp};
    s.header.flags = flags;
    s.header.seq = {seq};
    s.header.ack = {ack};
    s.header.window = 65535;
    Slice slice;
    if (length != 0) {
      slice = {pool.with(std::vector<std::uint8_t>(length, 'z')), 0, static_cast<std::uint16_t>(length)};
      s.payload = {&slice, 1};
      s.payload_length = length;
    }
    engine.input(s, now);
    if (slice.buffer != nullptr) drop_reference(slice.buffer);
    engine.flush(now);
  }
  ConnectionId open(std::uint16_t port) {
    segment(port, kSyn, 1000, 0);
    if (engine.output().empty()) return {};
    Header h;
    parse_header({engine.output().back().header.data(), engine.output().back().header_length}, h);
    engine.clear_output();
    last = {};
    segment(port, kAck, 1001, h.seq.value + 1);
    engine.clear_output();
    return last;
  }
  void accepted(ConnectionId id, std::uint16_t) override { last = id; }
  void connected(ConnectionId) override {}
  void data(ConnectionId id) override { with_data.push_back(id); }
  void writable(ConnectionId) override {}
  void fin(ConnectionId) override {}
  void reset(ConnectionId, CloseReason) override {}
  void closed(ConnectionId, CloseReason) override {}

  Nanos now = 1000 * kSecond;
  MemoryPool pool;
  Engine engine;
  ConnectionId last;
  std::vector<ConnectionId> with_data;
};

TEST(Splice, MovesTheBufferItselfAndLeavesHeadersRoom) {
  Opener o({});
  const ConnectionId a = o.open(1), b = o.open(2);
  ASSERT_TRUE(o.engine.splice(a, b));
  o.segment(1, kAck | kPsh, 1001, 0, 500);
  EXPECT_THAT(o.with_data, IsEmpty());
  const OutSegment* sent = nullptr;
  for (const OutSegment& out : o.engine.output()) {
    if (out.payload_length != 0) sent = &out;
  }
  // The acknowledgment number above is not acceptable for a: data needs the real one.
  EXPECT_EQ(sent, nullptr);
  o.engine.clear_output();
  const Info info = o.engine.info(a).value();
  o.segment(1, kAck | kPsh, 1001, info.snd_una.value, 500);
  for (const OutSegment& out : o.engine.output()) {
    if (out.payload_length != 0) sent = &out;
  }
  ASSERT_NE(sent, nullptr);
  EXPECT_EQ(sent->tuple.dst_port, 2);
  ASSERT_EQ(sent->slice_count, 1);
  const Slice& slice = sent->slices[0];
  EXPECT_EQ(slice.offset, 0);
  EXPECT_EQ(slice.length, 500);
  EXPECT_EQ(slice.buffer->refs, 2u);  // the send queue and the output list: a driver may write before the payload
  EXPECT_GE(slice.buffer->headroom, 14 + 40 + sent->header_length);
  EXPECT_EQ(o.pool.in_use(), 1u);  // not one byte was copied
}

TEST(Splice, OpensTheWindowOnlyWhenTheOtherSideTakes) {
  Config config;
  config.profiles[0].receive_buffer = config.profiles[0].send_buffer = 4000;
  config.profiles[0].window_scaling = false;
  Opener o(config);
  const ConnectionId a = o.open(1), b = o.open(2);
  o.engine.splice(a, b);
  const std::uint32_t ack = o.engine.info(a)->snd_una.value;
  std::uint32_t seq = 1001;
  while (o.engine.info(a)->rcv_wnd >= 1000) {
    o.segment(1, kAck, seq, ack, 1000);
    seq += 1000;
    ASSERT_LT(seq, 50'000u);
  }
  // What b queues below its mark, a segment more, and what a's own buffer holds.
  EXPECT_LE(seq - 1001, 4000u + 1000 + 4000);
  EXPECT_GE(seq - 1001, 4000u + 3000);
  o.engine.clear_output();
  const Info info = o.engine.info(b).value();
  o.segment(2, kAck, 1001, info.snd_nxt.value);
  EXPECT_GT(o.engine.info(a)->rcv_wnd, 1000u);
}

TEST(Pressure, NewConnectionsAreRefusedAndOldOnesWork) {
  Config config;
  config.memory = 100'000;
  Opener o(config);
  const ConnectionId a = o.open(1);
  const std::uint32_t ack = o.engine.info(a)->snd_una.value;
  std::uint32_t seq = 1001;
  while (o.engine.memory() < 90'000) {
    o.segment(1, kAck, seq, ack, 1000);
    seq += 1000;
  }
  o.engine.clear_output();
  o.segment(2, kSyn, 1000, 0);
  EXPECT_TRUE(o.engine.output().empty());
  EXPECT_EQ(o.engine.counters().syns_refused, 1u);
  EXPECT_FALSE(o.engine.connect(IpAddress::from_v4(100), IpAddress::from_v4(1), 5, PortSet::range(1, 9)));
  EXPECT_EQ(o.engine.receive(a).bytes(), seq - 1001);
  o.engine.consume(a, seq - 1001);
  o.engine.flush(o.now);
  o.segment(2, kSyn, 1000, 0);
  EXPECT_FALSE(o.engine.output().empty());
}

TEST(Pressure, CookiesComeBeforeRefusal) {
  Config config;
  config.memory = 100'000;
  Opener o(config);
  const ConnectionId a = o.open(1);
  const std::uint32_t ack = o.engine.info(a)->snd_una.value;
  std::uint32_t seq = 1001;
  while (o.engine.memory() < 80'000) {
    o.segment(1, kAck, seq, ack, 1000);
    seq += 1000;
  }
  o.segment(2, kSyn, 1000, 0);
  EXPECT_EQ(o.engine.counters().cookies_sent, 1u);
}

TEST(Pressure, MemoryStaysBelowItsLimitWhateverWindowsWereOffered) {
  Config config;
  config.memory = 100'000;
  Opener o(config);
  std::vector<std::uint32_t> una;
  for (std::uint16_t port = 0; port < 8; ++port) una.push_back(o.engine.info(o.open(port))->snd_una.value);
  for (std::uint32_t seq = 1001; seq < 61'001; seq += 1000) {
    for (std::uint16_t port = 0; port < 8; ++port) o.segment(port, kAck, seq, una[port], 1000);
  }
  EXPECT_GT(o.engine.memory(), 90'000u);
  EXPECT_LT(o.engine.memory(), 100'000u + 4096);
  EXPECT_GT(o.engine.counters().drop_no_memory, 0u);
}

TEST(Pressure, WhatAPeerHasNotTakenYetIsHeldWithinAFairShare) {
  Config config;
  config.memory = 4 << 20;
  Opener o(config);
  for (std::uint16_t port = 1; port < 200; ++port) o.open(port);
  const ConnectionId a = o.open(200);
  const std::uint32_t una = o.engine.info(a)->snd_una.value;
  EXPECT_EQ(o.engine.room(a), kSendMin) << "it has taken nothing";
  const std::vector<std::uint8_t> bytes(kSendMin);
  ASSERT_TRUE(o.engine.send_copy(a, bytes));
  EXPECT_EQ(o.engine.room(a), 0u);
  for (std::uint32_t acked = 2920; acked <= kSendMin + 2920; acked += 2920) {
    o.engine.flush(o.now);
    o.segment(200, kAck, 1001, una + std::min<std::uint32_t>(acked, kSendMin));
  }
  EXPECT_GT(o.engine.room(a), kSendMin) << "it has shown that it reads";
}

TEST(Connections, AcceptedAndResetInOneBurstAreNotMentioned) {
  TraceBench b;
  b.accept();
  b.abort();
  b.peer_syn();
  b.told();
  b.burst({{}, {.flags = kRst}});
  EXPECT_THAT(b.told(), IsEmpty());
  EXPECT_EQ(b.engine.connections(), 0u);
}

TEST(Connections, WithoutRoomTheHandshakeIsTriedAgain) {
  Config config;
  config.connections = 1;
  Opener o(config);
  const ConnectionId a = o.open(1);
  EXPECT_EQ(o.open(2), ConnectionId{});
  EXPECT_EQ(o.engine.half_open(), 1u);
  o.engine.abort(a);
  o.engine.flush(o.now);
  o.engine.clear_output();
  o.now += kSecond;
  o.engine.advance(o.now);  // the SYN-ACK again, and its ACK
  Header h;
  ASSERT_EQ(o.engine.output().size(), 1u);
  parse_header({o.engine.output()[0].header.data(), o.engine.output()[0].header_length}, h);
  o.engine.clear_output();
  o.segment(2, kAck, 1001, h.seq.value + 1);
  EXPECT_NE(o.last, ConnectionId{});
}

TEST(ConnectionIds, OfTheDeadDoNothing) {
  TraceBench b;
  b.accept();
  const ConnectionId old = b.id;
  b.abort();
  EXPECT_FALSE(b.engine.send_copy(old, std::vector<std::uint8_t>(1)));
  EXPECT_EQ(b.engine.room(old), 0u);
  EXPECT_EQ(b.engine.receive(old).bytes(), 0u);
  EXPECT_FALSE(b.engine.info(old));
  b.engine.consume(old, 5);
  b.engine.shutdown(old);
  b.engine.abort(old);
  EXPECT_FALSE(b.engine.splice(old, old));
  EXPECT_EQ(b.engine.user(old), 0u);
}

TEST(ConnectionIds, OfAReusedSlotDiffer) {
  Config config;
  config.connections = 1;
  Opener o(config);
  const ConnectionId a = o.open(1);
  o.engine.abort(a);
  o.engine.flush(o.now);
  o.engine.clear_output();
  const ConnectionId b = o.open(2);
  EXPECT_EQ(a.index, b.index);
  EXPECT_NE(a.generation, b.generation);
  EXPECT_FALSE(o.engine.info(a));
}

TEST(ActivePorts, AreNotTakenFromTimeWait) {
  TraceBench b;
  b.connect();
  b.shutdown();
  b.peer({.flags = kFin | kAck});
  ASSERT_EQ(b.engine.time_waits(), 1u);
  const Tuple t = b.arriving();
  EXPECT_FALSE(b.engine.connect(t.dst, t.src, t.src_port, PortSet::range(t.dst_port, t.dst_port)));
  EXPECT_TRUE(b.engine.connect(t.dst, t.src, t.src_port, PortSet::range(t.dst_port, 90)));
}

}  // namespace
}  // namespace headgate::tcp::testing
