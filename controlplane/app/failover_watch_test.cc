// Failover on the event loop: a real socket to a stand-in for the dataplane's process, and a peer made of values.
#include "controlplane/app/failover_watch.h"

#include <gmock/gmock.h>

#include "controlplane/app/daemon.h"
#include "controlplane/app/test_site.h"
#include "controlplane/config/durable_file.h"

namespace headgate::app {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::HasSubstr;
namespace dp = dataplane::v1;
namespace pb = management::v1;

class TestLink : public failover::PeerLink {
 public:
  const failover::PeerView& view() const override { return view_; }
  void tell(const failover::Word& word) override { told = word; }
  void on_change(std::function<void()> listener) override { listener_ = std::move(listener); }
  // As if it came from the peer.
  void hear(failover::GroupWord word) {
    view_.configured = view_.link_up = view_.agreed = true;
    view_.heard = failover::Clock::now();
    view_.word.groups = {std::move(word)};
    listener_();
  }
  void epoch(std::uint64_t epoch) { view_.word.epoch = epoch; }

  failover::Word told;

 private:
  failover::PeerView view_;
  std::function<void()> listener_;
};

class FailoverWatchTest : public SiteTest {
 protected:
  FailoverWatchTest() { dataplane.listen(socket); }
  // A pair whose one group tracks the link of its network, its pool, and a stand-in for a gateway on loopback.
  void write_pair(const std::string& more = "") const {
    write_config(
        "interface { name: \"front\" port: \"front\" prefix: \"192.0.2.0/24\" address: \"192.0.2.11\" }\n"
        "local_address { address: \"192.0.2.50\" interface: \"front\" allocate_on: A }\n"
        "local_address { address: \"192.0.2.51\" interface: \"front\" allocate_on: A floats: false }\n"
        "probe { port: \"probe\" prefix_v4: \"127.64.0.0/16\" }\n"
        "pool { name: \"web\" minimum_healthy: 1 backend { name: \"web1\" address: \"192.0.2.21\" port: " +
        std::to_string(port) +
        " }\n"
        "  health_check { tcp {} interval_ms: 100 timeout_ms: 100 rise: 2 fall: 2 } }\n"
        "service { name: \"web\" address: \"192.0.2.100\" port: 80 protocol: TCP pool: \"web\" }\n"
        "group { name: \"main\" router { interface: \"front\" vrid: 51 } track { interface: \"front\" }\n"
        "  track { pool: \"web\" effect: DEGRADED } }\n"
        "failover { side: A ha_link { address: \"10.20.0.1\" peer_address: \"10.20.0.2\" } }\n" +
        more);
  }
  void start() {
    backend.listen();
    daemon =
        std::make_unique<Daemon>(*io, Options{.config = config_path(), .dataplane = socket, .state_dir = dir}, disk);
    const auto started = daemon->start();
    ASSERT_TRUE(started) << started.error().message;
    daemon->failover().set_link(&link);
  }
  void end() {
    daemon.reset();
    io = std::make_unique<asio::io_context>();  // nothing of the one before is left in it
  }
  template <class Condition>
  bool run_until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!condition() && std::chrono::steady_clock::now() < end) run_for(5ms);
    return condition();
  }
  void run_for(std::chrono::milliseconds time) {
    io->restart();
    io->run_for(time);
  }
  dp::GroupInput input() {
    return locked<dp::GroupInput>([](const auto& d) {
      return d.failover_input.group_size() == 0 ? dp::GroupInput() : d.failover_input.group(0);
    });
  }
  int inputs() {
    return locked<int>([](const auto& d) { return d.failover_inputs; });
  }
  void set_role(dp::GroupRole role, std::uint64_t change, std::uint64_t epoch) {
    dp::FailoverState state;
    state.set_epoch(epoch);
    state.set_control_lease(true);
    auto& group = *state.add_group();
    group.set_id(1);
    group.set_name("main");
    group.set_role(role);
    group.set_priority(200);
    auto& last = *group.add_change();
    last.set_number(change);
    last.set_from(role == dp::ROLE_ACTIVE ? dp::ROLE_BACKUP : dp::ROLE_ACTIVE);
    last.set_to(role);
    last.set_cause("no advert from the peer for 303 ms");
    last.set_epoch(epoch);
    dataplane.set_failover(state);
  }
  std::vector<std::string> events() {
    std::vector<std::string> texts;
    for (const Event& event : daemon->events().last(100)) {
      if (event.kind == "failover") texts.push_back(event.text);
    }
    return texts;
  }
  std::vector<std::string> problems() {
    pb::SystemReply reply;
    daemon->describe(reply);
    return {reply.problem().begin(), reply.problem().end()};
  }

  std::unique_ptr<asio::io_context> io = std::make_unique<asio::io_context>();
  TestLink link;
  std::unique_ptr<Daemon> daemon;
};

TEST_F(FailoverWatchTest, SaysThatItLivesAndWhatItKnows) {
  write_pair();
  start();
  ASSERT_TRUE(run_until([&] { return input().group_id() == 1; }));
  const int before = inputs();
  run_for(1100ms);
  EXPECT_GE(inputs() - before, 3) << "the dataplane counts on it twice a second";
  link.hear({.name = "main", .state = failover::PeerState::active});
  EXPECT_TRUE(run_until([&] { return input().peer() == dp::PEER_ACTIVE; }));
}

TEST_F(FailoverWatchTest, WithoutGroupsNothingIsAsked) {
  write_site();
  start();
  ASSERT_TRUE(run_until([&] { return weight() == 1; }));
  run_for(600ms);
  EXPECT_EQ(inputs(), 0);
  pb::FailoverReply reply;
  daemon->failover().describe(reply);
  EXPECT_EQ(reply.side(), "");
  EXPECT_EQ(daemon->failover().can_switch("main").error().message, "no group is configured: nothing fails over");
}

TEST_F(FailoverWatchTest, EachPromotionIsAnEventWithItsCauseAndAnEpochOnDisk) {
  write_pair();
  start();
  set_role(dp::ROLE_ACTIVE, 1, 8);
  ASSERT_TRUE(run_until([&] { return link.told.epoch == 8; }));
  EXPECT_THAT(events(), Contains("group main: backup -> active, no advert from the peer for 303 ms; epoch 8"));
  ASSERT_EQ(link.told.groups.size(), 1u);
  EXPECT_EQ(link.told.groups[0].state, failover::PeerState::active);
  EXPECT_EQ(link.told.groups[0].priority, 200u);
  EXPECT_TRUE(run_until([&] { return config::read_file(dir + "/epoch").value_or("") == "8\n"; }));
  end();
  set_role(dp::ROLE_BACKUP, 1, 0);
  start();
  EXPECT_TRUE(run_until([&] {
    return locked<std::uint64_t>([](const auto& d) { return d.failover_input.epoch(); }) == 8;
  })) << "a dataplane that forgot is told";
}

TEST_F(FailoverWatchTest, APoolBelowItsMinimumDegradesAndIsSaid) {
  write_pair();
  start();
  ASSERT_TRUE(run_until([&] { return inputs() > 0 && weight() == 1; }));
  EXPECT_EQ(input().health(), dp::CLASS_OK);
  backend.close();
  ASSERT_TRUE(run_until([&] { return input().health() == dp::CLASS_DEGRADED; }));
  EXPECT_THAT(problems(), Contains("group main is at class degraded here: pool web has 0 healthy, fewer than 1"));
  EXPECT_THAT(problems(), Contains("no peer: the HA link is silent"));
}

// The only address that answers for sure on any machine is one that no configuration may track.
TEST_F(FailoverWatchTest, GatewaysAndWitnessesAreAsked) {
  const config::Document document = config::parse(
      "x",
      "interface { name: \"front\" port: \"front\" prefix: \"192.0.2.0/24\" address: \"192.0.2.11\" }\n"
      "group { name: \"main\" router { interface: \"front\" vrid: 51 } track { gateway: \"127.64.0.9\" } }\n"
      "failover { side: A witness: \"127.64.0.10\" }\n");
  compile::IdTable ids;
  compile::assign_ids(document.config, ids);
  Events log;
  const std::vector<health::Standings::Pool> pools;
  FailoverWatch watch(*io, socket, dir, log, [&]() -> const auto& { return pools; });
  watch.set_config(document.config, ids, 1);
  pb::FailoverReply reply;
  watch.describe(reply);
  EXPECT_EQ(reply.group(0).arithmetic(1), "gateway 127.64.0.9: not known yet");
  EXPECT_EQ(reply.witness(), dp::WITNESS_SILENT) << "it has not answered yet";
  EXPECT_TRUE(run_until([&] {
    reply.Clear();
    watch.describe(reply);
    return reply.group(reply.group_size() - 1).arithmetic(1) == "gateway 127.64.0.9: answers";
  }));
  EXPECT_TRUE(run_until([&] { return input().witness() == dp::WITNESS_ANSWERS; }));
  EXPECT_EQ(input().peer(), dp::PEER_UNKNOWN);
}

TEST_F(FailoverWatchTest, ASwitchWaitsForThePeerAndThenYields) {
  write_pair();
  start();
  set_role(dp::ROLE_ACTIVE, 1, 1);
  link.hear({.name = "main", .state = failover::PeerState::backup});
  ASSERT_TRUE(run_until([&] { return !link.told.groups.empty() && daemon->failover().can_switch("main"); }));
  ASSERT_TRUE(daemon->failover().switch_group("main", "anna"));
  const std::uint64_t number = link.told.groups[0].take;
  EXPECT_NE(number, 0u) << "told at once";
  run_for(50ms);
  EXPECT_FALSE(input().yield());
  link.hear({.name = "main", .state = failover::PeerState::backup, .taking = number});
  ASSERT_TRUE(run_until([&] { return input().yield(); }));
  set_role(dp::ROLE_BACKUP, 2, 1);
  link.hear({.name = "main", .state = failover::PeerState::active});
  ASSERT_TRUE(run_until([&] { return daemon->failover().outcome("main").finished; }));
  EXPECT_TRUE(daemon->failover().outcome("main").good);
  EXPECT_TRUE(run_until([&] { return !input().yield(); }));
  EXPECT_THAT(events(), Contains("switch of group main by anna"));
  EXPECT_THAT(events(), Contains(HasSubstr("group main switched to the other box in ")));
}

TEST_F(FailoverWatchTest, APauseSurvivesARestart) {
  write_pair();
  start();
  ASSERT_TRUE(run_until([&] { return inputs() > 0; }));
  ASSERT_TRUE(daemon->failover().pause("main", true, "anna"));
  EXPECT_EQ(daemon->failover().pause("main", true, "anna").error().message, "group main is paused already");
  EXPECT_EQ(daemon->failover().pause("x", true, "anna").error().message, "there is no group x");
  ASSERT_TRUE(run_until([&] { return input().paused(); }));
  end();
  start();
  run_for(100ms);
  ASSERT_TRUE(run_until([&] { return input().paused(); }));
  EXPECT_THAT(problems(), Contains("group main is paused"));
  ASSERT_TRUE(daemon->failover().pause("main", false, "anna"));
  EXPECT_TRUE(run_until([&] { return !input().paused(); }));
}

TEST_F(FailoverWatchTest, WhatIfKnowsBackendsByName) {
  write_pair();
  start();
  set_role(dp::ROLE_ACTIVE, 1, 1);
  link.hear({.name = "main", .state = failover::PeerState::backup});
  ASSERT_TRUE(run_until([&] { return daemon->failover().director().has_state() && weight() == 1; }));
  const auto ask = [&](pb::WhatIfRequest::What what, const char* name) {
    pb::WhatIfRequest request;
    request.set_what(what);
    request.set_name(name);
    const auto lines = daemon->failover().what_if(request);
    return lines ? lines->back() : lines.error().message;
  };
  EXPECT_THAT(ask(pb::WhatIfRequest::BACKEND, "web1"), HasSubstr("degraded (pool web has 0 healthy, fewer than 1)"));
  EXPECT_EQ(ask(pb::WhatIfRequest::BACKEND, "web/web1"), ask(pb::WhatIfRequest::BACKEND, "web1"));
  EXPECT_EQ(ask(pb::WhatIfRequest::BACKEND, "web9"), "there is no backend web9");
  EXPECT_EQ(ask(pb::WhatIfRequest::POOL, "wbe"), "there is no pool wbe with backends");
  EXPECT_EQ(ask(pb::WhatIfRequest::INTERFACE, "x"), "there is no interface x");
  EXPECT_EQ(ask(pb::WhatIfRequest::GATEWAY, "x"), "'x' is no IP address");
  EXPECT_EQ(ask(pb::WhatIfRequest::BOX, "c"), "there are box a and box b");
  EXPECT_EQ(ask(pb::WhatIfRequest::UNSPECIFIED, "c"), "say what fails");
  EXPECT_THAT(ask(pb::WhatIfRequest::BOX, "a"), HasSubstr("group main: moves to box B"));
}

// A commit and a restart of this process both begin without having seen the link.
TEST_F(FailoverWatchTest, AFaultOutlivesACommitAndARestart) {
  write_pair();
  dataplane.stats.add_port()->set_name("front");  // its link is down
  start();
  ASSERT_TRUE(run_until([&] { return input().health() == dp::CLASS_FAULT; }));
  {
    const std::lock_guard lock(dataplane.mutex);
    dataplane.keep_health = true;
  }
  write_pair("service { name: \"more\" address: \"192.0.2.101\" port: 80 protocol: TCP pool: \"web\" }\n");
  daemon->reload();
  EXPECT_EQ(link.told.groups[0].health, failover::HealthClass::fault) << "in the moment of the commit";
  run_for(600ms);
  end();
  set_role(dp::ROLE_FAULT, 1, 1);
  {
    const std::lock_guard lock(dataplane.mutex);
    dataplane.failover.mutable_group(0)->set_health(dp::CLASS_FAULT);
    dataplane.stats.clear_port();  // it is not seen for a while
  }
  start();
  run_for(1s);
  EXPECT_EQ(link.told.groups[0].health, failover::HealthClass::fault);
  EXPECT_EQ(locked<int>([](const auto& d) { return d.better_inputs; }), 0);
  {
    const std::lock_guard lock(dataplane.mutex);
    dataplane.stats.add_port()->set_name("front");
    dataplane.stats.mutable_port(0)->set_link_up(true);
  }
  EXPECT_TRUE(run_until([&] { return input().health() == dp::CLASS_OK; }));
}

TEST_F(FailoverWatchTest, ADownLinkIsAFaultAtOnce) {
  write_pair();
  dataplane.stats.add_port()->set_name("front");
  dataplane.stats.mutable_port(0)->set_link_up(true);
  start();
  ASSERT_TRUE(run_until([&] { return inputs() > 0; }));
  EXPECT_EQ(input().health(), dp::CLASS_OK);
  {
    const std::lock_guard lock(dataplane.mutex);
    dataplane.stats.mutable_port(0)->set_link_up(false);
  }
  ASSERT_TRUE(run_until([&] { return input().health() == dp::CLASS_FAULT; }));
  EXPECT_EQ(link.told.groups[0].health, failover::HealthClass::fault);
  write_site();
  daemon->reload();
  run_for(50ms);
  EXPECT_TRUE(link.told.groups.empty()) << "without groups there is nothing to say";
}

TEST_F(FailoverWatchTest, APortThatNoGroupTracksIsAProblemAndMovesNothing) {
  write_pair("interface { name: \"lab\" port: \"lab\" prefix: \"10.10.0.0/24\" address: \"10.10.0.11\" }\n");
  for (const char* name : {"front", "lab"}) {
    dataplane.stats.add_port()->set_name(name);
    dataplane.stats.mutable_port(dataplane.stats.port_size() - 1)->set_link_up(true);
  }
  start();
  ASSERT_TRUE(run_until([&] { return inputs() > 0; }));
  const auto said = [&] {
    return std::ranges::count(problems(),
                              "port lab (interface lab) has no carrier, and no group tracks it: nothing "
                              "moves because of it");
  };
  EXPECT_EQ(said(), 0);
  const auto set_link = [&](bool up) {
    const std::lock_guard lock(dataplane.mutex);
    dataplane.stats.mutable_port(1)->set_link_up(up);
  };
  set_link(false);
  EXPECT_TRUE(run_until([&] { return said() == 1; }));
  EXPECT_EQ(input().health(), dp::CLASS_OK);
  set_link(true);
  EXPECT_TRUE(run_until([&] { return said() == 0; }));
}

}  // namespace
}  // namespace headgate::app
