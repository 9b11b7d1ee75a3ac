#include "controlplane/app/daemon.h"

#include "controlplane/app/refusal.h"
#include "controlplane/app/test_site.h"
#include "controlplane/config/durable_file.h"

namespace headgate::app {
namespace {

using namespace std::chrono_literals;

class DaemonTest : public SiteTest {
 protected:
  DaemonTest() { dataplane.listen(socket); }
  void start() {
    daemon =
        std::make_unique<Daemon>(io, Options{.config = config_path(), .dataplane = socket, .state_dir = dir}, disk);
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
  // It goes back in a second.
  void commit_to_confirm(unsigned heavier) {
    write_site(heavier);
    const Proposal proposal{
        .text = *config::read_file(config_path()), .base = {}, .user = "anna", .comment = "", .confirm_s = 1};
    ASSERT_EQ(daemon->commit(proposal).kind, Verdict::Kind::committed);
  }
  // Handlers that ran meanwhile.
  std::uint64_t turns_while(std::chrono::milliseconds time) {
    io.restart();
    return io.run_for(time);
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
  EXPECT_FALSE(down());
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

TEST_F(DaemonTest, ARefusedConfigurationLeavesThePreviousOneInForceWithHealth) {
  dataplane.port = "front";
  write_site();
  start();
  ASSERT_TRUE(run_until([&] { return down(); }));
  const int before = applies();
  write_site(7, "fornt");
  daemon->reload();
  ASSERT_TRUE(run_until([&] { return applies() > before; }));
  backend.listen();
  EXPECT_TRUE(run_until([&] { return !down(); })) << "health checks go on";
  EXPECT_EQ(weight(), 1);

  daemon.reset();
  start();  // with the file that is refused
  run_for(500ms);
  backend.close();
  EXPECT_TRUE(run_until([&] { return down(); })) << "health checks go on after a restart of the control plane";

  dataplane.die();
  dataplane.listen(socket);
  run_for(500ms);
  backend.open(asio::ip::tcp::v4());
  backend.set_option(asio::socket_base::reuse_address(true));
  backend.bind({asio::ip::make_address(kStandIn), static_cast<std::uint16_t>(port)});
  backend.listen();
  EXPECT_TRUE(run_until([&] { return !down(); })) << "and after one of the dataplane";
  EXPECT_EQ(weight(), 1);

  write_site(7);
  daemon->reload();
  EXPECT_TRUE(run_until([&] { return weight() == 7; }));
  EXPECT_FALSE(down());
}

TEST_F(DaemonTest, ARefusalIsSaidWithItsPlaceInTheFile) {
  write_site();
  config::Document document = config::load_file(config_path());
  compile::IdTable ids;
  compile::assign_ids(document.config, ids);
  const auto snapshot = compile::compile(document.config, ids);
  dataplane::v1::SnapshotError error;
  error.set_message("no");
  error.set_path("interface[0].port");
  EXPECT_EQ(describe_refusal(document, snapshot, error), config_path() + ":1:27: interface[0].port: no");
  error.set_path("pool[0].backend[0].weight");
  EXPECT_EQ(describe_refusal(document, snapshot, error).substr(0, config_path().size() + 3), config_path() + ":4:");
  error.set_path("pool[9].algorithm");
  EXPECT_EQ(describe_refusal(document, snapshot, error), config_path() + ": pool[9].algorithm: no");
}

TEST_F(DaemonTest, ARestartDisturbsNothing) {
  write_site();
  start();
  ASSERT_TRUE(run_until([&] { return down(); }));
  const int before = applies();
  daemon.reset();
  start();
  ASSERT_TRUE(run_until([&] { return !daemon->backends().details().empty(); }));
  EXPECT_TRUE(down()) << "it starts from the verdict that runs";
  run_for(300ms);
  EXPECT_EQ(applies(), before);
  EXPECT_EQ(generation(), 2u);
}

// A disk that takes nothing must neither keep in force what nobody confirmed nor become a loop.
TEST_F(DaemonTest, WhatIsNotConfirmedGoesAlsoWhenTheDiskIsFullAndIsWrittenLater) {
  write_site();
  start();
  ASSERT_TRUE(run_until([&] { return weight() == 1; }));
  commit_to_confirm(9);
  ASSERT_TRUE(run_until([&] { return weight() == 9; }));
  disk.fill(true);
  ASSERT_TRUE(run_until([&] { return weight() == 1; }));
  const auto is_back = [](const Event& event) { return event.text.find("not confirmed in time") != std::string::npos; };
  const std::uint64_t turns = turns_while(1500ms);
  EXPECT_LT(turns, 200u) << "the loop spins";
  const auto events = daemon->events().last(1000);
  EXPECT_EQ(std::count_if(events.begin(), events.end(), is_back), 1);
  management::v1::SystemReply said;
  daemon->describe(said);
  EXPECT_NE(said.ShortDebugString().find("not on disk"), std::string::npos);
  disk.fill(false);
  EXPECT_TRUE(run_until([&] { return !daemon->configuration().history().unwritten(); }));
}

// The text to go back to cannot be read: tried again, a second between.
TEST_F(DaemonTest, AReturnThatFailsIsTriedAgainAndNotAtOnce) {
  write_site();
  start();
  ASSERT_TRUE(run_until([&] { return weight() == 1; }));
  commit_to_confirm(9);
  const std::string first = dir + "/history/00000001.txtpb", kept = *disk.read(first);
  ASSERT_TRUE(disk.remove(first));
  run_for(1100ms);
  EXPECT_LT(turns_while(1500ms), 200u) << "the loop spins";
  EXPECT_EQ(weight(), 9);
  ASSERT_TRUE(disk.write(first, kept));
  EXPECT_TRUE(run_until([&] { return weight() == 1; }));
}

TEST_F(DaemonTest, DoesNotStartWithoutAPlaceForItsIds) {
  write_site();
  config::KernelDisk real;
  Daemon refused(io, Options{.config = config_path(), .dataplane = socket, .state_dir = dir + "/absent"}, real);
  EXPECT_FALSE(refused.start());
}

}  // namespace
}  // namespace headgate::app
