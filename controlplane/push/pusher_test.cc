#include "controlplane/push/pusher.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "controlplane/push/test_dataplane.h"

namespace headgate::push {
namespace {

using namespace std::chrono_literals;
using namespace dataplane::v1;

// Backends 5 to 8; `up` is that of 5.
Snapshot snapshot(const std::string& digest, bool up = true) {
  Snapshot snapshot;
  snapshot.set_digest(digest);
  auto& pool = *snapshot.add_pool();
  for (std::uint32_t id = 5; id <= 8; ++id) {
    auto& backend = *pool.add_backend();
    backend.set_id(id);
    backend.set_weight(10);
    backend.set_health(up || id != 5 ? UP : DOWN);
  }
  return snapshot;
}

dataplane::v1::BackendState state(std::uint32_t id, Health health, std::uint32_t weight = 10, bool drain = false) {
  dataplane::v1::BackendState state;
  state.set_backend_id(id);
  state.set_health(health);
  state.set_weight(weight);
  state.set_drain(drain);
  return state;
}

class PusherTest : public testing::Test {
 protected:
  PusherTest() {
    static int count = 0;
    address = "unix:" + testing::TempDir() + "push." + std::to_string(getpid()) + "." + std::to_string(++count);
  }
  void start() {
    pusher = std::make_unique<Pusher>(io, address,
                                      Events{.connected = [this](const States& states) { seen.push_back(states); },
                                             .in_sync = [this] { ++in_sync; },
                                             .refused = [this](const Snapshot&, const ApplyReply&) { ++refused; },
                                             .lost = [this] { ++lost; }});
    pusher->start();
  }
  template <class Condition>
  bool run_until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!condition() && std::chrono::steady_clock::now() < end) {
      io.restart();
      io.run_for(5ms);
    }
    return condition();
  }
  // Runs snapshot("a").
  void sync() {
    start();
    pusher->set_wanted(snapshot("a"));
    ASSERT_TRUE(run_until([&] { return in_sync == 1; }));
  }
  std::vector<StateUpdate> updates() {
    const std::lock_guard lock(box.mutex);
    return box.updates;
  }
  Backend running(int i) {
    const std::lock_guard lock(box.mutex);
    return box.running.pool(0).backend(i);
  }
  void run_for(std::chrono::milliseconds time) {
    io.restart();
    io.run_for(time);
  }

  std::string address;
  asio::io_context io;
  TestDataplane box;
  std::vector<States> seen;
  int in_sync = 0, refused = 0, lost = 0;
  std::unique_ptr<Pusher> pusher;  // destroyed first
};

TEST_F(PusherTest, PushesToAnEmptyDataplane) {
  box.listen(address);
  start();
  pusher->set_wanted(snapshot("a"));
  ASSERT_TRUE(run_until([&] { return in_sync == 1; }));
  EXPECT_EQ(box.running.digest(), "a");
  EXPECT_EQ(box.running.generation(), 1u);
  run_for(300ms);
  EXPECT_EQ(box.applies, 1);
}

TEST_F(PusherTest, WaitsForADataplaneThatIsNotThereYet) {
  start();
  pusher->set_wanted(snapshot("a"));
  run_for(350ms);
  box.listen(address);
  const auto up = std::chrono::steady_clock::now();
  ASSERT_TRUE(run_until([&] { return in_sync == 1; }));
  EXPECT_LT(std::chrono::steady_clock::now() - up, 1s);
}

TEST_F(PusherTest, PushesNothingWhenDigestAndHealthMatch) {
  box.running = snapshot("a", false);
  box.running.set_generation(41);
  box.listen(address);
  start();
  pusher->set_wanted(snapshot("a", false));
  ASSERT_TRUE(run_until([&] { return in_sync == 1; }));
  EXPECT_EQ(box.applies, 0);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0], (States{{5, {.up = false, .weight = 10}}, {6, {true, 10}}, {7, {true, 10}}, {8, {true, 10}}}))
      << "the states to start from";
}

TEST_F(PusherTest, OnlyStatesThatDifferLeaveAfterARestartOfOurs) {
  box.running = snapshot("a");
  box.running.set_generation(41);
  box.listen(address);
  start();
  pusher->set_wanted(snapshot("a", false));
  ASSERT_TRUE(run_until([&] { return in_sync == 1; }));
  EXPECT_EQ(box.applies, 0);
  ASSERT_EQ(updates().size(), 1u);
  EXPECT_EQ(updates()[0].base_generation(), 41u);
  EXPECT_EQ(updates()[0].generation(), 42u);
  ASSERT_EQ(updates()[0].backend_size(), 1);
  EXPECT_EQ(updates()[0].backend(0).backend_id(), 5u);
  EXPECT_EQ(running(0).health(), DOWN);
}

TEST_F(PusherTest, TheFirstChangeLeavesAtOnceAndLaterOnesGather) {
  box.listen(address);
  sync();
  run_for(30ms);
  pusher->set_states({state(5, DOWN)});
  for (int i = 0; i < 100; ++i) {
    pusher->set_states({state(6, i % 2 == 0 ? DOWN : UP)});
    pusher->set_states({state(7, UP, 11 + static_cast<std::uint32_t>(i))});
  }
  ASSERT_TRUE(run_until([&] { return in_sync == 2; }));
  ASSERT_EQ(updates().size(), 2u);
  ASSERT_EQ(updates()[0].backend_size(), 1);
  EXPECT_EQ(updates()[0].backend(0).backend_id(), 5u);
  ASSERT_EQ(updates()[1].backend_size(), 1) << "6 came back to what runs";
  EXPECT_EQ(updates()[1].backend(0).weight(), 110u);
  EXPECT_EQ(pusher->stats().updates, 2u);
  EXPECT_EQ(pusher->stats().pushes, 1u);
  EXPECT_EQ(pusher->stats().delay.count(), 2u);
  EXPECT_GE(pusher->stats().delay.longest(), 5ms) << "the second one gathered";
  EXPECT_EQ(box.applies, 1);
}

TEST_F(PusherTest, ChangesDuringACallAreNotLost) {
  box.listen(address);
  sync();
  box.answer_takes = 50ms;
  pusher->set_states({state(5, DOWN)});
  for (const std::uint32_t weight : {11u, 12u, 13u}) {
    run_for(5ms);
    pusher->set_states({state(5, UP, weight), state(8, UP, 10, true)});
  }
  ASSERT_TRUE(run_until([&] { return in_sync == 2; }));
  EXPECT_EQ(updates().size(), 2u);
  EXPECT_EQ(running(0).health(), UP);
  EXPECT_EQ(running(0).weight(), 13u);
  EXPECT_TRUE(running(3).drain());
}

TEST_F(PusherTest, AChangeDuringAWholePushFollowsIt) {
  box.listen(address);
  box.answer_takes = 50ms;
  start();
  pusher->set_wanted(snapshot("a"));
  ASSERT_TRUE(run_until([&] { return pusher->connected(); }));
  pusher->set_states({state(6, DOWN)});  // the push is under way
  ASSERT_EQ(in_sync, 0);
  ASSERT_TRUE(run_until([&] { return in_sync == 1; }));
  EXPECT_EQ(running(1).health(), DOWN);
  EXPECT_EQ(box.applies, 1);
}

TEST_F(PusherTest, WhatIsNoChangeLeavesNot) {
  box.listen(address);
  sync();
  pusher->set_states({state(5, UP), state(99, DOWN)});
  pusher->set_wanted(snapshot("a"));
  ASSERT_TRUE(run_until([&] { return in_sync == 2; }));
  run_for(50ms);
  EXPECT_TRUE(updates().empty());
  EXPECT_EQ(box.applies, 1);
}

TEST_F(PusherTest, AWrongBaseLeadsToAWholePush) {
  box.listen(address);
  sync();
  {
    const std::lock_guard lock(box.mutex);
    box.running.set_generation(77);  // somebody else was here
  }
  pusher->set_states({state(5, DOWN)});
  ASSERT_TRUE(run_until([&] { return in_sync == 2; }));
  EXPECT_EQ(pusher->stats().resyncs, 1u);
  EXPECT_EQ(lost, 1);
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_EQ(box.applies, 2);
  EXPECT_EQ(box.running.generation(), 78u);
  EXPECT_EQ(running(0).health(), DOWN);
  pusher->set_states({state(5, UP)});
  ASSERT_TRUE(run_until([&] { return in_sync == 3; }));
  EXPECT_EQ(box.applies, 2) << "updates again";
}

TEST_F(PusherTest, ADataplaneThatRestartsDuringAnUpdateGetsItAfterwards) {
  box.listen(address);
  sync();
  box.answer_takes = 100ms;
  pusher->set_states({state(5, DOWN)});
  run_for(20ms);
  box.answer_takes = 0ms;
  box.die();  // the call's answer is lost, perhaps also what it did
  {
    const std::lock_guard lock(box.mutex);
    box.running = snapshot("a");
    box.running.set_generation(1);
    box.updates.clear();
  }
  pusher->set_states({state(6, DOWN)});
  box.listen(address);
  ASSERT_TRUE(run_until([&] { return in_sync == 2; }));
  EXPECT_EQ(box.applies, 1) << "an equal digest needs no whole push";
  ASSERT_EQ(updates().size(), 1u);
  EXPECT_EQ(updates()[0].backend_size(), 2);
  EXPECT_EQ(running(0).health(), DOWN);
  EXPECT_EQ(running(1).health(), DOWN);
}

TEST_F(PusherTest, StatesThatAreRefusedEndAsARefusedSnapshot) {
  box.listen(address);
  sync();
  pusher->set_states({state(5, UP, 1001)});
  ASSERT_TRUE(run_until([&] { return refused == 1; }));
  EXPECT_EQ(pusher->stats().refusals, 2u);
  run_for(300ms);
  EXPECT_EQ(updates().size(), 1u);
  EXPECT_EQ(box.applies, 2);
  pusher->set_wanted(snapshot("a"));
  ASSERT_TRUE(run_until([&] { return in_sync == 2; }));
}

TEST_F(PusherTest, ResyncsAfterARestartThatForgotEverything) {
  box.listen(address);
  start();
  pusher->set_wanted(snapshot("a"));
  ASSERT_TRUE(run_until([&] { return in_sync == 1; }));
  box.die();
  box.running.Clear();
  box.listen(address);
  ASSERT_TRUE(run_until([&] { return in_sync == 2; }));
  EXPECT_EQ(lost, 1);
  EXPECT_EQ(box.running.digest(), "a");
  EXPECT_EQ(box.running.generation(), 2u) << "never backwards";
}

TEST_F(PusherTest, LeavesADataplaneAloneThatRestartedWithItsSnapshot) {
  box.listen(address);
  start();
  pusher->set_wanted(snapshot("a"));
  ASSERT_TRUE(run_until([&] { return in_sync == 1; }));
  box.die();
  box.listen(address);
  ASSERT_TRUE(run_until([&] { return in_sync == 2; }));
  EXPECT_EQ(box.applies, 1);
}

TEST_F(PusherTest, DoesNotRepeatWhatWasRefused) {
  box.refuse = true;
  box.listen(address);
  start();
  pusher->set_wanted(snapshot("a"));
  run_for(500ms);
  EXPECT_EQ(box.applies, 1);
  EXPECT_EQ(refused, 1);
  EXPECT_EQ(in_sync, 0);
  {
    const std::lock_guard lock(box.mutex);
    box.refuse = false;
  }
  pusher->set_wanted(snapshot("b"));
  ASSERT_TRUE(run_until([&] { return in_sync == 1; }));
  EXPECT_EQ(box.running.digest(), "b");
}

TEST_F(PusherTest, TheNewestWins) {
  box.listen(address);
  start();
  for (int i = 0; i < 100; ++i) pusher->set_wanted(snapshot("d" + std::to_string(i)));
  ASSERT_TRUE(run_until([&] { return in_sync == 1; }));
  EXPECT_EQ(box.running.digest(), "d99");
  EXPECT_LE(box.applies, 2);
}

TEST_F(PusherTest, StopsCleanlyWithACallUnderWay) {
  box.listen(address);
  for (int i = 0; i < 20; ++i) {
    start();
    pusher->set_wanted(snapshot("a" + std::to_string(i)));
    run_for(std::chrono::milliseconds(i / 4));
    pusher.reset();
  }
}

}  // namespace
}  // namespace headgate::push
