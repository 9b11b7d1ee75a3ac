// The thread that elects, with a worker that steps when the test says so.
#include "dataplane/app/election.h"

#include <gtest/gtest.h>
#include <rte_eal.h>
#include <rte_log.h>
#include <rte_mbuf.h>

#include <chrono>

#include "dataplane/snapshot/testing.h"

namespace headgate::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Ordinary memory, no devices, nothing on disk.
rte_mempool* start_dpdk() {
  static rte_mempool* const pool = [] {
    static std::vector<std::string> arguments{"test", "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry",
                                              "-m",   "128",       "--lcores",    "0"};
    static std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    rte_log_set_global_level(RTE_LOG_ERR);
    HEADGATE_CHECK(rte_eal_init(static_cast<int>(argv.size()), argv.data()) >= 0);
    return rte_pktmbuf_pool_create("test", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  }();
  return pool;
}

class TheElection : public ::testing::Test {
 protected:
  TheElection()
      : pool_(start_dpdk()),
        port_(*port::Port::open(*port::parse_port_spec("x=null"), std::span(&pool_, 1), {})),
        fleet_({.workers = 1, .flows = 1024, .idle = {worker::Idle::poll}}, {port_.get()}, {{.mac = port_->mac()}},
               pool_, steering_),
        election_(fleet_, {port_.get()}) {}

  void configure(const std::string& times = "solo_lease_ms: 100") {
    snapshot_ = source_.accept(R"(
        interface { id: 1 name: "front" port: "p0" prefix: "192.0.2.0/24" address: "192.0.2.11" }
        failover { startup_wait_ms: 1 )" +
                               times + R"(
          group { id: 7 name: "site" priority: 200 interval_ms: 10
            router { interface_id: 1 vrid: 51 source: "192.0.2.11" address: "192.0.2.100" } } })");
    election_.configure(*snapshot_);
  }
  void say(dataplane::v1::HealthClass health) {
    dataplane::v1::FailoverInput input;
    auto* group = input.add_group();
    group->set_group_id(7);
    group->set_health(health);
    election_.input(input);
  }
  // As a worker's runner does: it steps, and the driver takes every advert.
  void step() {
    fleet_.at(0).counters().steps.add(1);
    auto& link = fleet_.failover();
    for (worker::AdvertOut out; link.out.pop(out);) {
      if (out.kind != worker::AdvertOut::Kind::advert) continue;
      worker::AdvertIn taken;
      taken.kind = worker::AdvertIn::Kind::accepted;
      taken.router = out.router;
      taken.interval = out.interval;
      taken.at = fleet_.clock().now();
      link.accepted.push(taken);
    }
    fleet_.election().wake();
  }
  void pass(milliseconds time, bool steps) {
    for (const auto end = steady_clock::now() + time; steady_clock::now() < end;) {
      if (steps) step();
      std::this_thread::sleep_for(milliseconds(1));
    }
  }
  dataplane::v1::GroupState state() {
    dataplane::v1::FailoverState all;
    election_.describe(all);
    return all.group_size() == 1 ? all.group(0) : dataplane::v1::GroupState{};
  }
  bool becomes_active(milliseconds within) {
    for (const auto end = steady_clock::now() + within; steady_clock::now() < end; pass(milliseconds(10), true)) {
      if (state().role() == dataplane::v1::ROLE_ACTIVE) return true;
    }
    return false;
  }

  rte_mempool* pool_;
  snapshot::testing::Source source_{{"p0"}};
  std::shared_ptr<const snapshot::Snapshot> snapshot_;
  worker::Steering steering_{kDefaultRssKey, {}};
  std::unique_ptr<port::Port> port_;
  Fleet fleet_;
  Election election_;
};

TEST_F(TheElection, TakesNothingWhileAWorkerStandsStill) {
  configure();
  pass(milliseconds(60), true);
  pass(milliseconds(600), false);  // by far longer than it listens
  EXPECT_EQ(state().promotions(), 0u) << state().cause();
  EXPECT_TRUE(becomes_active(milliseconds(5000)));
}

TEST_F(TheElection, DoesNothingTwiceWhenAConfigurationChangesNothingOrAnAdvertIsMalformed) {
  configure();
  say(dataplane::v1::HealthClass(2));
  ASSERT_EQ(state().role(), dataplane::v1::ROLE_FAULT);
  election_.take_log();
  configure();
  worker::AdvertIn bad;
  bad.router = {7, 0};
  bad.carrier = {*parse_ip("192.0.2.12"), *parse_ip("224.0.0.18"), 255};
  bad.length = 3;
  fleet_.failover().in.push(bad);
  fleet_.election().wake();
  for (int i = 0; i < 1000 && state().router(0).oddity_size() == 0; ++i) pass(milliseconds(1), false);
  EXPECT_EQ(state().router(0).oddity_size(), 1) << "it was read";
  EXPECT_EQ(state().change_size(), 1);
  EXPECT_TRUE(election_.take_log().empty());
}

TEST_F(TheElection, TakesNothingFromASilentPeerWhenNobodyCanAskTheWitnesses) {
  configure(R"(control_grace_ms: 50 solo_lease_ms: 100)");
  dataplane::v1::FailoverInput input;
  auto* group = input.add_group();
  group->set_group_id(7);
  group->set_peer(dataplane::v1::PEER_BACKUP);  // it was there
  group->set_witness(dataplane::v1::WITNESS_ANSWERS);
  election_.input(input);
  pass(milliseconds(1000), true);
  EXPECT_EQ(state().role(), dataplane::v1::ROLE_BACKUP) << state().cause();
  EXPECT_EQ(state().health(), dataplane::v1::HealthClass(1)) << "the grace is over";
  group->set_peer(dataplane::v1::PEER_UNKNOWN);
  election_.input(input);
  EXPECT_TRUE(becomes_active(milliseconds(5000)));
}

TEST_F(TheElection, ServesOnceNobodyIsLeftThatCouldMakeItEligible) {
  configure(R"(control_grace_ms: 100 solo_lease_ms: 100)");
  dataplane::v1::FailoverInput input;
  auto* group = input.add_group();
  group->set_group_id(7);
  group->set_not_eligible(true);
  election_.input(input);
  EXPECT_TRUE(becomes_active(milliseconds(5000))) << state().cause();
}

TEST_F(TheElection, CountsPromotionsFromBeforeItKnewTheEpoch) {
  configure(R"(solo_lease_ms: 100)");
  ASSERT_TRUE(becomes_active(milliseconds(5000)));
  EXPECT_EQ(state().change(state().change_size() - 1).epoch(), 1u);
  dataplane::v1::FailoverInput input;
  input.set_epoch(57);
  election_.input(input);
  EXPECT_EQ(state().change(state().change_size() - 1).epoch(), 58u);
  election_.input(input);
  input.set_epoch(60);
  election_.input(input);
  dataplane::v1::FailoverState all;
  election_.describe(all);
  EXPECT_EQ(all.epoch(), 60u);
}

TEST_F(TheElection, CountsAdvertsOfRoutersThatNoGroupHas) {
  configure();
  const IpAddress listed[] = {*parse_ip("192.0.2.100")};
  std::array<std::uint8_t, vrrp::kFrameMax> frame{};
  const std::size_t length = vrrp::write_frame({.vrid = 52,
                                                .priority = 250,
                                                .interval = 10 * kMillisecond,
                                                .source_mac = vrrp::virtual_mac(52, false),
                                                .destination_mac = {},
                                                .source = *parse_ip("192.0.2.12"),
                                                .destination = vrrp::kGroupV4,
                                                .addresses = listed},
                                               frame);
  constexpr std::size_t kHeaders = 14 + 20;
  worker::AdvertIn other;
  other.router = {7, 0};
  other.carrier = {*parse_ip("192.0.2.12"), vrrp::kGroupV4, 255};
  other.length = static_cast<std::uint16_t>(length - kHeaders);
  std::copy_n(frame.begin() + kHeaders, other.length, other.message.begin());
  fleet_.failover().in.push(other);
  fleet_.election().wake();
  for (int i = 0; i < 1000 && state().router(0).oddity_size() == 0; ++i) pass(milliseconds(1), false);
  ASSERT_EQ(state().router(0).oddity_size(), 1);
  EXPECT_EQ(state().router(0).oddity(0).reason(), "unknown_vrid");
  EXPECT_EQ(state().router(0).received(), 1u);
  EXPECT_NE(state().role(), dataplane::v1::ROLE_BACKUP) << "it was not taken for a peer";
}

TEST_F(TheElection, TellsWhoWaitsOfAChange) {
  EXPECT_EQ(election_.wait_for_change(0, milliseconds(1)), 0u);
  configure();
  std::thread change([this] {
    std::this_thread::sleep_for(milliseconds(20));
    say(dataplane::v1::HealthClass(2));
  });
  const auto start = steady_clock::now();
  EXPECT_EQ(election_.wait_for_change(0, milliseconds(20'000)), 1u);
  EXPECT_LT(steady_clock::now() - start, milliseconds(10'000));
  change.join();
  EXPECT_EQ(election_.wait_for_change(0, milliseconds(20'000)), 1u) << "it was before";
}

}  // namespace
}  // namespace headgate::app
