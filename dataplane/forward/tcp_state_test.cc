// Segment traces: who says what, and what the flow is afterwards.
#include "dataplane/forward/tcp_state.h"

#include <gtest/gtest.h>

#include <vector>

namespace headgate::forward {
namespace {

using flow::Direction;
using flow::State;
using packet::kAck;
using packet::kFin;
using packet::kPsh;
using packet::kRst;
using packet::kSyn;

constexpr Direction kClient = Direction::forward, kBackend = Direction::reverse;

struct Segment {
  Direction from;
  unsigned flags;
  State after;
};

class Trace {
 public:
  explicit Trace(snapshot::Mode mode = snapshot::Mode::full_nat) {
    flow_ = table_.allocate();
    flow_->client = IpAddress::from_v4(0xc000020a);
    flow_->service = IpAddress::from_v4(0xc0000264);
    flow_->local = IpAddress::from_v4(0x0a0a0040);
    flow_->backend = IpAddress::from_v4(0x0a0a0015);
    flow_->client_port = 40000;
    flow_->service_port = 80;
    flow_->protocol = kProtocolTcp;
    flow_->mode = mode;
    flow_->reverse_indexed = mode == snapshot::Mode::full_nat || mode == snapshot::Mode::nat;
    flow_->state = State::tcp_syn;
    EXPECT_TRUE(table_.index(*flow_, now_ms_));
  }
  ~Trace() { table_.erase(*flow_); }

  void run(const std::vector<Segment>& segments) {
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const Segment& s = segments[i];
      now_ms_ += 10;
      sequence_ += 100;
      track_tcp(table_, *flow_, s.from, static_cast<std::uint8_t>(s.flags), sequence_, now_ms_);
      EXPECT_EQ(to_string(flow_->state), std::string(to_string(s.after))) << "after segment " << i;
      EXPECT_EQ(flow_->last_seen_ms, now_ms_) << "after segment " << i;
      EXPECT_EQ(s.from == kClient ? flow_->seq_to_backend : flow_->seq_to_client, sequence_) << "after segment " << i;
    }
  }
  bool rebinds(Direction from, unsigned flags) const {
    return must_rebind(*flow_, from, static_cast<std::uint8_t>(flags));
  }

 private:
  flow::FlowTable table_{64, 1};
  flow::Flow* flow_;
  std::uint32_t now_ms_ = 1000, sequence_ = 5000;
};

const std::vector<Segment> kHandshake{
    {kClient, kSyn, State::tcp_syn},
    {kBackend, kSyn | kAck, State::tcp_syn},
    {kClient, kAck, State::tcp_established},
};

TEST(TcpState, AConnectionOpensIsUsedAndCloses) {
  Trace trace;
  trace.run(kHandshake);
  trace.run({{kClient, kAck | kPsh, State::tcp_established},
             {kBackend, kAck, State::tcp_established},
             {kClient, kFin | kAck, State::tcp_established},
             {kBackend, kFin | kAck, State::tcp_closed},
             {kClient, kAck, State::tcp_closed}});
}

TEST(TcpState, AHalfClosedConnectionStaysEstablished) {
  Trace trace;
  trace.run(kHandshake);
  trace.run({{kClient, kFin | kAck, State::tcp_established},
             {kBackend, kAck, State::tcp_established},
             {kBackend, kAck | kPsh, State::tcp_established},
             {kClient, kAck, State::tcp_established},
             {kBackend, kFin | kAck, State::tcp_closed}});
}

TEST(TcpState, BothMayCloseAtOnce) {
  Trace trace;
  trace.run(kHandshake);
  trace.run({{kBackend, kFin | kAck, State::tcp_established},
             {kClient, kFin | kAck, State::tcp_closed},
             {kClient, kAck, State::tcp_closed},
             {kBackend, kAck, State::tcp_closed}});
}

TEST(TcpState, ARepeatedFinIsNotTheOtherSides) {
  Trace trace;
  trace.run(kHandshake);
  trace.run({{kClient, kFin | kAck, State::tcp_established},
             {kClient, kFin | kAck, State::tcp_established},
             {kClient, kFin | kAck, State::tcp_established}});
}

TEST(TcpState, SpoofedSegmentsOfAClientDoNotEstablish) {
  Trace trace;
  trace.run({{kClient, kSyn, State::tcp_syn}, {kClient, kAck, State::tcp_syn}, {kClient, kAck | kPsh, State::tcp_syn}});
}

TEST(TcpState, AnAckThatWasLostIsMadeUpForByData) {
  Trace trace;
  trace.run({{kClient, kSyn, State::tcp_syn},
             {kClient, kSyn, State::tcp_syn},
             {kBackend, kSyn | kAck, State::tcp_syn},
             {kBackend, kSyn | kAck, State::tcp_syn},
             {kClient, kAck | kPsh, State::tcp_established}});
}

TEST(TcpState, AResetClosesAndDataAfterItRevives) {
  // RFC 7857 section 2.2: the receiver may have found the RST out of its window.
  Trace trace;
  trace.run(kHandshake);
  trace.run({{kBackend, kRst, State::tcp_closed},
             {kClient, kAck | kPsh, State::tcp_transitory},
             {kBackend, kAck, State::tcp_transitory},
             {kClient, kRst | kAck, State::tcp_closed}});
}

TEST(TcpState, ARefusedConnectionCloses) {
  Trace trace;
  trace.run({{kClient, kSyn, State::tcp_syn}, {kBackend, kRst | kAck, State::tcp_closed}});
}

TEST(TcpState, OneWayModesFollowTheClientAlone) {
  for (const auto mode : {snapshot::Mode::dsr, snapshot::Mode::tunnel}) {
    Trace trace(mode);
    trace.run({{kClient, kSyn, State::tcp_syn},
               {kClient, kSyn, State::tcp_syn},
               {kClient, kAck, State::tcp_established},
               {kClient, kAck | kPsh, State::tcp_established},
               {kClient, kFin | kAck, State::tcp_transitory},
               {kClient, kAck, State::tcp_transitory},
               {kClient, kRst, State::tcp_closed}});
  }
}

TEST(TcpState, ASynOfTheClientRebindsAClosedFlowAndNothingElseDoes) {
  Trace trace;
  EXPECT_FALSE(trace.rebinds(kClient, kSyn));  // half-open: a retransmission
  trace.run(kHandshake);
  EXPECT_FALSE(trace.rebinds(kClient, kSyn));
  trace.run({{kClient, kFin | kAck, State::tcp_established}});
  EXPECT_FALSE(trace.rebinds(kClient, kSyn));
  trace.run({{kBackend, kFin | kAck, State::tcp_closed}});
  EXPECT_TRUE(trace.rebinds(kClient, kSyn));
  EXPECT_FALSE(trace.rebinds(kBackend, kSyn));
  EXPECT_FALSE(trace.rebinds(kClient, kSyn | kAck));
  EXPECT_FALSE(trace.rebinds(kClient, kAck));
  EXPECT_FALSE(trace.rebinds(kClient, kFin | kAck));
  EXPECT_FALSE(trace.rebinds(kClient, kRst));
}

TEST(TcpState, ASynRebindsAClosingFlowToo) {
  Trace one_way(snapshot::Mode::dsr);
  one_way.run({{kClient, kSyn, State::tcp_syn},
               {kClient, kAck, State::tcp_established},
               {kClient, kFin | kAck, State::tcp_transitory}});
  EXPECT_TRUE(one_way.rebinds(kClient, kSyn));
  EXPECT_FALSE(one_way.rebinds(kClient, kAck));

  Trace revived;
  revived.run(kHandshake);
  revived.run({{kBackend, kRst, State::tcp_closed}, {kClient, kAck, State::tcp_transitory}});
  EXPECT_TRUE(revived.rebinds(kClient, kSyn));
}

}  // namespace
}  // namespace headgate::forward
