#include "controlplane/app/daemon.h"

#include "controlplane/app/test_site.h"

namespace headgate::app {
namespace {

using namespace std::chrono_literals;

class DaemonTest : public SiteTest {
 protected:
  DaemonTest() { dataplane.listen(socket); }
  void start() {
    daemon = std::make_unique<Daemon>(io, Options{.config = config_path(), .dataplane = socket, .state_dir = dir});
    const auto started = daemon->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  template <class Condition>
  bool run_until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!condition() && std::chrono::steady_clock::now() < end) run_for(5ms);
    return condition();
  }
  void run_for(std::chrono::milliseconds time) {
    io.restart();
    io.run_for(time);
  }
  asio::io_context io;
  std::unique_ptr<Daemon> daemon;
};

TEST_F(DaemonTest, PushesTheFileAndWhatProbesFind) {
  write_site();
  start();
  ASSERT_TRUE(run_until([&] { return weight() == 1; }));
  ASSERT_TRUE(run_until([&] { return down(); }));
  EXPECT_EQ(applies(), 2);
  backend.listen();
  EXPECT_TRUE(run_until([&] { return !down(); }));
  EXPECT_EQ(applies(), 3);
}

TEST_F(DaemonTest, NothingFlapsWhileTheDataplaneIsAway) {
  backend.listen();
  write_site();
  start();
  ASSERT_TRUE(run_until([&] { return weight() == 1; }));
  dataplane.die();
  backend.close();  // as probes through a dead dataplane see it
  run_for(1s);
  EXPECT_TRUE(daemon->health().begin()->second);
}

TEST_F(DaemonTest, AReloadWithErrorsLeavesEverythingRunning) {
  write_site();
  start();
  ASSERT_TRUE(run_until([&] { return down(); }));
  const int before = applies();
  write_config("pool { name: }");
  daemon->reload();
  run_for(300ms);
  EXPECT_EQ(applies(), before);
  write_site(7);
  daemon->reload();
  EXPECT_TRUE(run_until([&] { return weight() == 7; }));
  EXPECT_TRUE(down()) << "a verdict survives a reload";
}

TEST_F(DaemonTest, ARestartDisturbsNothing) {
  write_site();
  start();
  ASSERT_TRUE(run_until([&] { return down(); }));
  const int before = applies();
  daemon.reset();
  start();
  ASSERT_TRUE(run_until([&] { return !daemon->health().empty(); }));
  EXPECT_FALSE(daemon->health().begin()->second) << "it starts from the verdict that runs";
  run_for(300ms);
  EXPECT_EQ(applies(), before);
  EXPECT_EQ(generation(), 2u);
}

TEST_F(DaemonTest, DoesNotStartWithoutAPlaceForItsIds) {
  write_site();
  Daemon refused(io, Options{.config = config_path(), .dataplane = socket, .state_dir = dir + "/absent"});
  EXPECT_FALSE(refused.start());
}

}  // namespace
}  // namespace headgate::app
