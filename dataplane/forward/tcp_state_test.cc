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

struct Step {
  Direction from;
  unsigned flags;
  State after;
  std::int64_t off = 0;      // sequence number, from the right one
  std::int64_t ack_off = 0;  // acknowledgment, likewise
  std::uint32_t payload = 0;
};

// Both sides' numbers are kept right, across the wrap, unless a step is off.
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

  void run(const std::vector<Step>& steps) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const Step& s = steps[i];
      now_ms_ += 10;
      const bool client = s.from == kClient;
      std::uint32_t& next = client ? client_next_ : backend_next_;
      Segment segment{.flags = static_cast<std::uint8_t>(s.flags)};
      segment.sequence = next + static_cast<std::uint32_t>(s.off);
      segment.after = segment.sequence + s.payload + ((s.flags & kSyn) ? 1 : 0) + ((s.flags & kFin) ? 1 : 0);
      if (s.flags & kAck)
        segment.acknowledgment = (client ? backend_next_ : client_next_) + static_cast<std::uint32_t>(s.ack_off);
      if (s.off == 0) next = segment.after;
      track_tcp(table_, *flow_, s.from, segment, now_ms_);
      EXPECT_EQ(to_string(flow_->state), std::string(to_string(s.after))) << "after segment " << i;
      EXPECT_EQ(flow_->last_seen_ms, now_ms_) << "after segment " << i;
    }
  }
  // Off: what the flow expects, from the right number.
  std::int32_t off_to_backend() const { return static_cast<std::int32_t>(flow_->seq_to_backend - client_next_); }
  std::int32_t off_to_client() const { return static_cast<std::int32_t>(flow_->seq_to_client - backend_next_); }
  bool rebinds(Direction from, unsigned flags) const {
    return must_rebind(*flow_, from, static_cast<std::uint8_t>(flags));
  }

 private:
  flow::FlowTable table_{64, 1};
  flow::Flow* flow_;
  std::uint32_t now_ms_ = 1000, client_next_ = 0xffffff00, backend_next_ = 0x7fffff00;
};

const std::vector<Step> kHandshake{
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

TEST(TcpState, SpoofedSegmentsDoNotEstablishWhenTheBackendAnswersNeither) {
  // The answer went to the client they are made up for: nobody who sent them knows its number.
  Trace trace;
  trace.run({{kClient, kSyn, State::tcp_syn},
             {kBackend, kSyn | kAck, State::tcp_syn},
             {kClient, kAck, State::tcp_syn, 0, 70'000},
             {kClient, kAck, State::tcp_syn, 0, -70'000},
             {kClient, kAck, State::tcp_syn, 0, 1'000'000'000},
             {kClient, kAck, State::tcp_established}});
}

TEST(TcpState, AfterAResetItsSenderRevivesAndItsReceiverOnlyProlongs) {
  Trace trace;
  trace.run(kHandshake);
  trace.run({{kBackend, kRst, State::tcp_closed},
             {kClient, kAck | kPsh, State::tcp_transitory, 0, 0, 100},  // may have been under way
             {kClient, kAck, State::tcp_transitory},
             {kBackend, kAck, State::tcp_transitory, -500, 0, 100},  // and so may this, overtaken by the RST
             {kBackend, kAck, State::tcp_established},               // this was not: RFC 6146 section 3.5.2.2
             {kClient, kRst | kAck, State::tcp_closed},
             {kBackend, kAck, State::tcp_transitory},
             {kClient, kAck, State::tcp_established}});
  Trace one_way(snapshot::Mode::dsr);
  one_way.run({{kClient, kSyn, State::tcp_syn},
               {kClient, kAck, State::tcp_established},
               {kClient, kRst, State::tcp_closed},
               {kClient, kAck, State::tcp_established}});
}

TEST(TcpState, ASpoofedResetOfAHalfOpenFlowDoesNotHelpToEstablishIt) {
  Trace trace;
  trace.run(
      {{kClient, kSyn, State::tcp_syn}, {kClient, kRst, State::tcp_closed}, {kClient, kAck, State::tcp_transitory}});
}

TEST(TcpState, AResetOrFinFarFromTheExpectedNumberIsNotBelieved) {
  for (const std::int64_t off : {-70'000l, -1'000'000'000l, 1'100'000l, 2'000'000'000l}) {
    SCOPED_TRACE(off);
    Trace trace;
    trace.run(kHandshake);
    trace.run({{kClient, kRst, State::tcp_established, off},
               {kBackend, kRst | kAck, State::tcp_established, off},
               {kClient, kFin | kAck, State::tcp_established, off},
               {kBackend, kFin | kAck, State::tcp_established, off},
               {kClient, kAck, State::tcp_established}});
    EXPECT_FALSE(trace.rebinds(kClient, kSyn));
    trace.run({{kClient, kRst, State::tcp_closed}});
  }
  // Lost data ahead of it, or data under way behind it.
  for (const std::int64_t off : {-60'000l, 1'000'000l}) {
    Trace trace;
    trace.run(kHandshake);
    trace.run({{kBackend, kRst, State::tcp_closed, off}});
  }
}

TEST(TcpState, TheExpectedNumbersOnlyGoForwards) {
  Trace trace;
  trace.run(kHandshake);
  trace.run({{kClient, kAck | kPsh, State::tcp_established, 0, 0, 1000},
             {kClient, kAck, State::tcp_established, -1},                    // keep-alive
             {kClient, kAck | kPsh, State::tcp_established, -900, 0, 500},   // retransmission
             {kBackend, kAck, State::tcp_established, 0, -1000},             // of before the data came
             {kClient, kAck | kPsh, State::tcp_established, 1 << 30, 0, 9},  // nobody's
             {kBackend, kAck | kPsh, State::tcp_established, 0, 0, 77}});
  EXPECT_EQ(trace.off_to_backend(), 0);
  EXPECT_EQ(trace.off_to_client(), 0);
}

TEST(TcpState, AcknowledgmentsPutTheExpectedNumbersRight) {
  // 100 MB went another way. Then somebody's acknowledgment led astray.
  Trace trace;
  trace.run(kHandshake);
  trace.run({{kClient, kAck | kPsh, State::tcp_established, 0, 0, 100'000'000}});
  EXPECT_NE(trace.off_to_backend(), 0);
  trace.run({{kBackend, kAck, State::tcp_established}});
  EXPECT_EQ(trace.off_to_backend(), 0);
  trace.run({{kClient, kAck, State::tcp_established, 1 << 30, 1 << 30}});
  EXPECT_NE(trace.off_to_client(), 0);
  trace.run({{kClient, kAck, State::tcp_established}});
  EXPECT_EQ(trace.off_to_client(), 0);
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
