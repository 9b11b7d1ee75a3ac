// Thousands of flows end at once, by an operator, with their backend or by expiry: both sides of each one hear of it.
#include <gtest/gtest.h>

#include "tests/sim/box.h"
#include "tests/sim/site.h"

namespace headgate::worker {
namespace {

using packet::kAck;
using packet::kRst;
using packet::kSyn;
using packet::testing::tcp_frame;
using sim::Box;
using sim::kInside;
using sim::kOutside;
using sim::Out;
using telemetry::DropReason;

constexpr unsigned kFlows = 2000;

struct Case {
  const char* name;
  Box::Options options;
};

class MassReset : public ::testing::TestWithParam<Case> {
 protected:
  MassReset() : box_(GetParam().options) {}

  void open(const sim::Site& site) {
    box_.apply(sim::text_of(site));
    for (unsigned i = 0; i < kFlows; ++i) {
      const auto port = static_cast<std::uint16_t>(2000 + i);
      const auto syn = box_.exchange(kOutside, tcp_frame({.src_port = port}));
      ASSERT_EQ(syn.size(), 1u);
      packet::PacketInfo info;
      ASSERT_EQ(packet::parse(syn[0].frame, syn[0].frame.size(), info), packet::ParseError::none);
      box_.exchange(kInside, tcp_frame({.src = info.tuple.dst,
                                        .dst = info.tuple.src,
                                        .src_port = info.tuple.dst_port,
                                        .dst_port = info.tuple.src_port,
                                        .flags = kSyn | kAck}));
      box_.exchange(kOutside, tcp_frame({.src_port = port, .flags = kAck, .sequence = 1001}));
    }
    ASSERT_EQ(box_.flows(), kFlows);
  }
  void expect_all_told(const std::vector<Out>& sent) {
    unsigned resets[2] = {0, 0};
    for (const Out& out : sent) {
      packet::PacketInfo info;
      ASSERT_EQ(packet::parse(out.frame, out.frame.size(), info), packet::ParseError::none);
      if (info.tcp_flags & kRst) ++resets[out.port];
    }
    EXPECT_EQ(resets[kOutside], kFlows);
    EXPECT_EQ(resets[kInside], kFlows);
    EXPECT_EQ(box_.flows(), 0u);
    EXPECT_EQ(box_.drops(DropReason::tx_full), 0u);
    EXPECT_EQ(box_.drops(DropReason::handover_full), 0u);
  }

  Box box_;
};

TEST_P(MassReset, OfFlowsClearedByAnOperator) {
  open({});
  std::vector<Out> sent;
  for (unsigned i = 0; i < box_.workers(); ++i) {
    // As the API server: one task a step, over as much of the table as may be reset in it.
    flow::FlowIndex next = 0;
    while (next < box_.worker(i).flows().high_water()) {
      ASSERT_TRUE(box_.worker(i).post(
          [](Worker& worker, void* argument) {
            auto& at = *static_cast<flow::FlowIndex*>(argument);
            for (; at < worker.flows().high_water() && worker.resets_left() != 0; ++at) {
              flow::Flow& flow = worker.flows().at(at);
              if (flow.state != flow::State::free) worker.clear_flow(flow);
            }
          },
          &next));
      const auto out = box_.run();
      sent.insert(sent.end(), out.begin(), out.end());
    }
  }
  expect_all_told(sent);
}

TEST_P(MassReset, OfFlowsWhoseBackendsLeft) {
  open({.pool = "on_removal: RESET", .backends = 1});
  box_.publish(sim::text_of({.pool = "on_removal: RESET", .backends = 0}));
  expect_all_told(box_.advance(kSecond));
}

TEST_P(MassReset, OfFlowsThatExpireTogether) {
  open({.timeouts = "tcp_established_s: 60"});
  expect_all_told(box_.advance(70 * kSecond));
}

INSTANTIATE_TEST_SUITE_P(Boxes, MassReset,
                         ::testing::Values(Case{"one_worker", {}}, Case{"four_workers", {.workers = 4}},
                                           Case{"one_transmit_queue", {.workers = 4, .outside_tx_queues = 1}}),
                         [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace headgate::worker
