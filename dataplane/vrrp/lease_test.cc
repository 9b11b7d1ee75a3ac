// The active lease: what renews it, what ends it, and what happens after a lapse.
#include "dataplane/vrrp/lease.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/vrrp/group_testing.h"

namespace headgate::vrrp {
namespace {

using testing::Bench;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr Nanos kMs = kMillisecond;
constexpr Nanos kInterval = 100 * kMs;
constexpr Nanos kDown = 300 * kMs + 60'937'500;

// Active, with an advert accepted just now on all routers.
Bench active_bench(const testing::BoxSpec& spec = {}) {
  Bench box(spec);
  box.become_active();
  box.run(box.group().next_deadline() - box.now());
  return box;
}

TEST(Lease, IsTwoIntervalsFromTheAcceptanceOfTheLastAdvert) {
  Bench box = active_bench();
  EXPECT_EQ(box.lease(), 200 * kMs);
  box.run(99 * kMs);
  EXPECT_EQ(box.lease(), 101 * kMs);
  box.run(kMs);
  EXPECT_EQ(box.lease(), 200 * kMs);
}

TEST(Lease, DoesNotBeginBeforeTheDriverAcceptedAnAdvert) {
  Bench box;
  box.become_backup();
  box.hear(150);
  box.driver_accepts = false;
  box.run(kDown);
  ASSERT_EQ(box.role(), Role::active);
  EXPECT_EQ(box.group().active_until(), 0u);
  box.group().accepted(0, kInterval, box.now());
  EXPECT_EQ(box.lease(), 200 * kMs);
}

TEST(Lease, AcceptanceCountsFromItsOwnTimeHoweverLateItIsTold) {
  Bench box = active_bench();
  box.driver_accepts = false;
  const Nanos sent_at = box.now();
  box.run(150 * kMs);
  box.group().accepted(0, kInterval, sent_at + 100 * kMs);
  box.group().accepted(1, kInterval, sent_at + 100 * kMs);
  EXPECT_EQ(box.lease(), 150 * kMs);
}

TEST(Lease, IsThatOfTheOldestRouterWithALink) {
  Bench box = active_bench();
  box.accepts_on[1] = false;
  box.run(150 * kMs);
  EXPECT_EQ(box.lease(), 50 * kMs);
  box.link(1, false);  // it does not count now, and its health is not our business
  EXPECT_EQ(box.lease(), 150 * kMs);
  box.run(10 * kSecond);
  EXPECT_TRUE(box.forwards());
}

TEST(Lease, ALinkThatComesUpCountsFromThenOn) {
  Bench box = active_bench();
  box.link(1, false);
  box.run(10 * kSecond);
  box.accepts_on[1] = false;
  box.link(1, true);
  EXPECT_TRUE(box.forwards());
  box.run(210 * kMs);  // nothing was accepted there
  EXPECT_FALSE(box.forwards());
}

TEST(Lease, EndsWhenTheDriverAcceptsNothing) {
  Bench box = active_bench();
  box.driver_accepts = false;
  box.run(199 * kMs);
  EXPECT_TRUE(box.forwards());
  box.run(kMs);
  EXPECT_FALSE(box.forwards());
  box.run(kSecond);
  EXPECT_THAT(box.take_trace(), Contains(HasSubstr("backup: the lease ended")));
}

TEST(Lease, PromotionsOfWhichNothingIsAcceptedBecomeRare) {
  Bench box;
  box.driver_accepts = false;
  box.run(600 * kSecond);
  EXPECT_LT(box.group().status().promotions, 40u);
  EXPECT_GT(box.group().status().promotions, 10u);
  EXPECT_THAT(box.take_trace(), Contains(HasSubstr("no port accepted an advert since the promotion 200 ms ago")));
  box.driver_accepts = true;
  box.run(30 * kSecond);
  EXPECT_TRUE(box.forwards());
}

TEST(Lease, AWorkerWithoutProgressWithholdsAdvertsAndEndsInFault) {
  Bench box = active_bench();
  box.progress = false;
  box.sent(100);
  box.run(250 * kMs);
  EXPECT_EQ(box.sent(100), 0u);
  EXPECT_FALSE(box.forwards());
  EXPECT_GE(box.group().status().withheld, 2u);
  box.hear(50);  // nor is a losing advert answered
  EXPECT_EQ(box.sent(100), 0u);
  box.run(200 * kMs);
  EXPECT_EQ(box.role(), Role::fault);
  EXPECT_THAT(box.cause(), HasSubstr("a worker makes no progress"));
  box.run(100 * kSecond);
  EXPECT_EQ(box.role(), Role::fault);
  box.progress = true;
  box.run(kSecond);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Lease, WithholdingForLessThanALeaseCostsNothing) {
  Bench box = active_bench();
  box.progress = false;
  box.run(150 * kMs);
  box.progress = true;
  box.run(kSecond);
  EXPECT_EQ(box.group().status().lease_gaps, 0u);
  EXPECT_TRUE(box.forwards());
  EXPECT_EQ(box.take_trace().size(), 0u);
}

TEST(Lease, ABackupWithoutProgressDoesNotPromote) {
  Bench box;
  box.become_backup();
  box.progress = false;
  box.run(10 * kSecond);
  EXPECT_EQ(box.role(), Role::backup);
  box.progress = true;
  box.run(kInterval);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Lapse, TheThreadThatStandsStillIsSeenWhateverIsToldMeanwhile) {
  Bench box;
  box.become_backup();
  for (int i = 0; i < 100; ++i) {  // by another thread
    box.run_stopped(50 * kMs);
    box.input({.peer = PeerState::active, .peer_lease = 200 * kMs});
  }
  box.run_stopped(350 * kMs);
  box.hear(0);  // waited since, with what came after it
  EXPECT_EQ(box.role(), Role::backup);
  box.hear(150);
  box.advance();
  box.run_hearing(10 * kSecond, 150);
  EXPECT_EQ(box.role(), Role::backup);
}

TEST(Lapse, ABackupThatIsLateWaitsForWordsThatWaited) {
  const auto late = [] {
    Bench box;
    box.become_backup();
    box.hear(150);
    box.run(kDown - kMs);
    box.run_stopped(50 * kMs);
    box.advance();
    EXPECT_EQ(box.role(), Role::backup);
    return box;
  };
  Bench alone = late();
  alone.run(kLate);
  EXPECT_EQ(alone.role(), Role::active);
  Bench told = late();
  told.input({.peer = PeerState::active, .peer_lease = 200 * kMs});
  told.run(kLate);
  EXPECT_EQ(told.role(), Role::backup);
}

TEST(Lapse, AShortStopGoesOnAndIsCounted) {
  Bench box = active_bench();
  box.run_stopped(250 * kMs);
  EXPECT_FALSE(box.forwards());
  box.advance();
  EXPECT_TRUE(box.forwards());
  EXPECT_EQ(box.group().status().lease_gaps, 1u);
  box.run(kSecond);
  EXPECT_EQ(box.group().status().lease_gaps, 1u);
  EXPECT_EQ(box.take_trace().size(), 0u);
}

TEST(Lapse, AStopAsLongAsThePeersShortestWaitIsABackup) {
  Bench box = active_bench();
  box.run_stopped(300 * kMs);
  box.advance();
  EXPECT_EQ(box.role(), Role::backup);
  EXPECT_EQ(box.cause(), "the lease ended 100 ms ago, long enough for a peer to take over");
  EXPECT_EQ(box.sent(0), 0u);  // no word of ours when somebody else has it
  box.run(kDown - 1);
  EXPECT_EQ(box.role(), Role::backup);
  box.run(1);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Lapse, AClaimThatWasReadMeanwhileIsABackup) {
  Bench box = active_bench();
  box.run_stopped(250 * kMs);
  box.sent(100);
  box.hear(50);  // although we would win over it
  EXPECT_EQ(box.sent(100), 0u);
  box.advance();
  EXPECT_EQ(box.role(), Role::backup);
  EXPECT_EQ(box.cause(), "the lease ended 50 ms ago, and the peer claims the group meanwhile");
  box.run_hearing(10 * kSecond, 50);
  EXPECT_EQ(box.role(), Role::backup);
}

TEST(Lapse, AClaimOverTheHaLinkCountsToo) {
  Bench box = active_bench();
  box.run_stopped(250 * kMs);
  box.input({.peer = PeerState::active, .peer_lease = 150 * kMs});
  box.advance();
  EXPECT_EQ(box.role(), Role::backup);
}

TEST(Lapse, AnAcceptanceAfterThePeersShortestWaitRenewsNothing) {
  Bench box = active_bench();
  box.driver_accepts = false;
  box.run_stopped(250 * kMs);
  box.advance();
  ASSERT_EQ(box.role(), Role::active);
  box.run_stopped(50 * kMs);
  for (std::size_t i = 0; i < 2; ++i) box.group().accepted(i, kInterval, box.now());
  EXPECT_FALSE(box.forwards());
  box.advance();
  EXPECT_EQ(box.role(), Role::backup);
  EXPECT_EQ(box.sent(0), 1u);  // for the peer heard that we went on
}

TEST(Lapse, ABackupThatWasStoppedWaitsOnceMore) {
  Bench box;
  box.become_backup();
  box.hear(150);
  box.run_stopped(10 * kSecond);
  box.advance();
  EXPECT_EQ(box.role(), Role::backup);
  box.run(kDown - 1);
  EXPECT_EQ(box.role(), Role::backup);
  box.run_stopped(150 * kMs);  // not for ever, on a machine that is always late
  box.advance();
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Lapse, ABackupThatIsStoppedAgainForLongListensAgain) {
  Bench box;
  box.become_backup();
  for (int i = 0; i < 5; ++i) {
    box.run_stopped(5 * kSecond);
    box.advance();
    ASSERT_EQ(box.role(), Role::backup) << i;
    box.run(100 * kMs);
  }
  box.run(kDown);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Lapse, ABackupThatWasStoppedIsNotLateWhenItReadWhatWaited) {
  Bench box;
  box.become_backup();
  box.run_stopped(10 * kSecond);
  box.hear(150);
  box.advance();
  EXPECT_EQ(box.role(), Role::backup);
  box.run(kDown);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Solo, OnlyWithoutAPeer) {
  Bench alone({.has_peer = false});
  alone.become_active();
  EXPECT_GT(alone.lease(), 900 * kMs);

  Bench pair = active_bench();
  EXPECT_EQ(pair.lease(), 200 * kMs);
  for (const auto state : {PeerState::backup, PeerState::fault, PeerState::dead, PeerState::unknown}) {
    pair.input({.peer = state});
    pair.run(kSecond);
    EXPECT_LE(pair.lease(), 200 * kMs);
  }
}

TEST(Solo, NotWithAUnicastPeerNorAfterSomebodyWasHeard) {
  Bench unicast({.has_peer = false, .peers = testing::ips({"192.0.2.12"})});
  unicast.become_active();
  EXPECT_LE(unicast.lease(), 200 * kMs);
  Bench heard({.has_peer = false});
  heard.hear(50);
  heard.become_active();
  EXPECT_LE(heard.lease(), 200 * kMs);
}

TEST(Solo, EndsWhenAPeerIsConfigured) {
  Bench box({.has_peer = false});
  box.become_active();
  auto config = box.group().config();
  config.has_peer = true;
  box.configure(config);
  EXPECT_EQ(box.lease(), 200 * kMs);
}

TEST(Solo, APairWhoseHaLinkWasNeverUpWaitsNoLongerThanTheDownInterval) {
  Bench box;
  box.run_hearing(5 * kSecond, 150);
  box.hear(150);
  box.run(kDown - 1);
  EXPECT_EQ(box.role(), Role::backup);
  box.run(1);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Interval, AShorterOneShortensTheLeaseFirstAndLosesNoFrame) {
  Bench box = active_bench({.interval = kSecond});
  box.run(500 * kMs);
  auto config = box.group().config();
  config.interval = 10 * kMs;
  box.configure(config);
  EXPECT_EQ(box.lease(), 20 * kMs);
  EXPECT_TRUE(box.group().actions().empty());
  box.run(0);
  EXPECT_EQ(box.last()[0].interval, 10 * kMs);
  box.sent(100);
  box.run(kSecond);
  EXPECT_EQ(box.sent(100), 200u);
  EXPECT_TRUE(box.forwards());
  EXPECT_EQ(box.group().status().lease_gaps, 0u);
}

TEST(Interval, ALongerOneIsAnnouncedInThreeAdvertsBeforeTheLeaseUsesIt) {
  Bench box = active_bench();
  auto config = box.group().config();
  config.interval = kSecond;
  box.configure(config);
  for (unsigned advert = 1; advert <= 2; ++advert) {
    box.run(box.group().next_deadline() - box.now());
    EXPECT_EQ(box.last()[0].interval, kSecond);
    EXPECT_EQ(box.lease(), 200 * kMs) << advert;
  }
  box.run(box.group().next_deadline() - box.now());
  EXPECT_EQ(box.lease(), 2 * kSecond);
  box.sent(100);
  box.run(20 * kSecond);
  EXPECT_EQ(box.sent(100), 20u);
  EXPECT_EQ(box.group().status().lease_gaps, 0u);
}

TEST(Interval, ALongerOneIsNotUsedWhileOneRouterHasNotAnnouncedIt) {
  Bench box = active_bench();
  auto config = box.group().config();
  config.interval = kSecond;
  box.configure(config);
  box.accepts_on[1] = false;
  box.run(150 * kMs);
  EXPECT_LE(box.lease(), 200 * kMs);
}

TEST(Interval, ABackupJustWaitsByWhatItHears) {
  Bench box;
  box.become_backup();
  auto config = box.group().config();
  config.interval = kSecond;
  box.configure(config);
  box.hear(150, kInterval);
  EXPECT_EQ(box.group().status().down_interval, kDown);
}

// Whatever happens, never later than two intervals after the last acceptance, nor than the links allow.
TEST(Lease, OfItselfNeverOutlastsTheLastAcceptance) {
  Lease lease;
  lease.begin(2, kInterval, kSecond);
  EXPECT_EQ(lease.until(), 0u);
  lease.accepted(0, kInterval, kSecond - 1);  // of an earlier reign
  EXPECT_EQ(lease.until(), 0u);
  lease.accepted(0, kInterval, kSecond + 10 * kMs);
  EXPECT_EQ(lease.until(), kSecond + 200 * kMs);  // the other router counts from the beginning
  lease.accepted(1, kInterval, kSecond + 20 * kMs);
  EXPECT_EQ(lease.until(), kSecond + 210 * kMs);
  lease.link(0, false, kSecond + 30 * kMs);
  EXPECT_EQ(lease.until(), kSecond + 220 * kMs);
  lease.link(0, true, kSecond + 100 * kMs);
  lease.link(1, false, kSecond + 100 * kMs);
  EXPECT_EQ(lease.until(), kSecond + 220 * kMs);  // a fresh link is no acceptance
  lease.end();
  EXPECT_EQ(lease.until(), 0u);
  lease.accepted(0, kInterval, 2 * kSecond);
  EXPECT_EQ(lease.until(), 0u);
}

}  // namespace
}  // namespace headgate::vrrp
