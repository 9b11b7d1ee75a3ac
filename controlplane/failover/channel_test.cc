#include "controlplane/failover/channel.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "controlplane/push/test_dataplane.h"

namespace headgate::failover {
namespace {

using namespace std::chrono_literals;
namespace dp = dataplane::v1;

class ChannelTest : public testing::Test {
 protected:
  ChannelTest() {
    static int count = 0;
    socket = "unix:" + testing::TempDir() + "channel." + std::to_string(getpid()) + "." + std::to_string(++count);
    dataplane = std::make_unique<push::TestDataplane>();
    dataplane->listen(socket);
    connect();
  }
  void connect() {
    channel = std::make_unique<Channel>(
        io, socket,
        Channel::Events{.state = [this](const dp::FailoverState& state) { states.push_back(state); },
                        .delivered = [this](std::uint64_t version) { delivered = version; },
                        .lost = [this] { ++lost; }});
  }
  template <class Condition>
  bool run_until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!condition() && std::chrono::steady_clock::now() < end) {
      io.restart();
      io.run_for(2ms);
    }
    return condition();
  }
  static dp::FailoverState state_of(dp::GroupRole role) {
    dp::FailoverState state;
    auto& group = *state.add_group();
    group.set_name("main");
    group.set_role(role);
    return state;
  }
  int inputs() {
    const std::lock_guard lock(dataplane->mutex);
    return dataplane->failover_inputs;
  }

  asio::io_context io;
  std::string socket;
  std::unique_ptr<push::TestDataplane> dataplane;
  std::vector<dp::FailoverState> states;
  std::uint64_t delivered = 0;
  int lost = 0;
  std::unique_ptr<Channel> channel;
};

TEST_F(ChannelTest, EachChangeOfARoleComesAtOnce) {
  dataplane->set_failover(state_of(dp::ROLE_BACKUP));
  channel->want(true);
  ASSERT_TRUE(run_until([&] { return !states.empty(); }));
  dataplane->set_failover(state_of(dp::ROLE_ACTIVE));
  EXPECT_TRUE(run_until([&] { return states.back().group(0).role() == dp::ROLE_ACTIVE; }));
  EXPECT_EQ(inputs(), 0);
}

TEST_F(ChannelTest, TheNewestInputArrivesAndIsAcknowledged) {
  channel->want(true);
  dp::FailoverInput input;
  for (std::uint64_t version = 1; version <= 50; ++version) {
    input.set_epoch(version);
    channel->set(input, version);
  }
  ASSERT_TRUE(run_until([&] { return delivered == 50; }));
  const std::lock_guard lock(dataplane->mutex);
  EXPECT_EQ(dataplane->failover_input.epoch(), 50u);
  EXPECT_LT(dataplane->failover_inputs, 50) << "what waited was replaced";
}

TEST_F(ChannelTest, ADataplaneThatComesBackIsFoundAgain) {
  channel->want(true);
  ASSERT_TRUE(run_until([&] { return !states.empty(); }));
  dataplane->die();
  ASSERT_TRUE(run_until([&] { return lost == 1; }));
  states.clear();
  dataplane = std::make_unique<push::TestDataplane>();
  dataplane->listen(socket);
  EXPECT_TRUE(run_until([&] { return !states.empty(); }));
  EXPECT_EQ(lost, 1) << "said once";
}

TEST_F(ChannelTest, NothingIsAskedWhileItIsNotWanted) {
  channel->set({}, 1);
  io.run_for(300ms);
  EXPECT_EQ(inputs(), 0);
  EXPECT_TRUE(states.empty());
  channel->want(true);
  ASSERT_TRUE(run_until([&] { return !states.empty(); }));
  channel->want(false);
  io.restart();
  io.run_for(100ms);
  states.clear();
  dataplane->set_failover(state_of(dp::ROLE_ACTIVE));
  io.restart();
  io.run_for(100ms);
  EXPECT_TRUE(states.empty());
}

// Must neither hang nor touch what is gone, and never leave the end of gRPC's queue to a thread of gRPC: see LastWord.
TEST_F(ChannelTest, ItCanEndWhileCallsAreUnderWay) {
  for (int round = 0; round < 200; ++round) {
    connect();
    channel->want(true);
    channel->set({}, 1);
    channel.reset();
  }
  io.restart();
  io.run_for(20ms);
  EXPECT_TRUE(states.empty());
}

}  // namespace
}  // namespace headgate::failover
