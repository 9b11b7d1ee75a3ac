#include "controlplane/push/pusher.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "controlplane/push/test_dataplane.h"

namespace headgate::push {
namespace {

using namespace std::chrono_literals;
using namespace dataplane::v1;

Snapshot snapshot(const std::string& digest, bool up = true) {
  Snapshot snapshot;
  snapshot.set_digest(digest);
  auto& backend = *snapshot.add_pool()->add_backend();
  backend.set_id(5);
  backend.set_health(up ? UP : DOWN);
  return snapshot;
}

class PusherTest : public testing::Test {
 protected:
  PusherTest() {
    static int count = 0;
    address = "unix:" + testing::TempDir() + "push." + std::to_string(getpid()) + "." + std::to_string(++count);
  }
  void start() {
    pusher =
        std::make_unique<Pusher>(io, address,
                                 Events{.connected = [this](const health::HealthView& view) { seen.push_back(view); },
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
  void run_for(std::chrono::milliseconds time) {
    io.restart();
    io.run_for(time);
  }

  std::string address;
  asio::io_context io;
  TestDataplane box;
  std::vector<health::HealthView> seen;
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
  EXPECT_EQ(seen[0], (health::HealthView{{5, false}})) << "the verdicts to start from";
}

TEST_F(PusherTest, PushesAChangeOfHealthAboveTheRunningGeneration) {
  box.running = snapshot("a");
  box.running.set_generation(41);
  box.listen(address);
  start();
  pusher->set_wanted(snapshot("a", false));
  ASSERT_TRUE(run_until([&] { return in_sync == 1; }));
  EXPECT_EQ(box.running.generation(), 42u);
  EXPECT_EQ(box.running.pool(0).backend(0).health(), DOWN);
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
