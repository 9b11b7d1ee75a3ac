// The roles: start, promotion, resignation, losing and winning adverts, preemption, fault, orders.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/vrrp/group_testing.h"

namespace headgate::vrrp {
namespace {

using testing::Bench;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Trace = std::vector<std::string>;

constexpr Nanos kInterval = 100 * kMillisecond;
// Priority 100 at 100 ms: skew 60.9375 ms.
constexpr Nanos kDown = 300 * kMillisecond + 60'937'500;

TEST(Start, ALoneBoxListensThenServes) {
  Bench box;
  box.run(10 * kSecond);
  EXPECT_THAT(box.take_trace(), ElementsAre("3000.000 backup: listened for 3000 ms",
                                            "3360.938 active: no peer was heard for 3360 ms since the start"));
  EXPECT_TRUE(box.forwards());
  EXPECT_EQ(box.announced(), 1u);
}

TEST(Start, ListensForTheLongestLeaseAndTheDownIntervalAtLeast) {
  Bench box({.startup_wait = 0});
  box.run(1399 * kMillisecond);
  EXPECT_EQ(box.role(), Role::starting);  // solo lease 1 s, down interval at most 4 x 100 ms
  box.run(kMillisecond);
  EXPECT_EQ(box.role(), Role::backup);
  Bench slow({.interval = 10 * kSecond});
  slow.run(59 * kSecond);
  EXPECT_EQ(slow.role(), Role::starting);
}

TEST(Start, APeerThatIsHeardMakesABackupAtOnce) {
  Bench box;
  box.run(50 * kMillisecond);
  box.hear(90);
  EXPECT_THAT(box.take_trace(), ElementsAre("50.000 backup: a peer was heard, priority 90 from 192.0.2.12"));
}

TEST(Start, ABoxThatIsNotEligibleWaits) {
  Bench box;
  box.input({.eligible = false});
  box.run_hearing(10 * kSecond, 90);
  box.run(10 * kSecond);
  EXPECT_EQ(box.role(), Role::starting);
  EXPECT_EQ(box.group().next_deadline(), kNever);
  box.input({});
  box.run(kSecond);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Start, ABackupThatIsNoLongerEligibleDoesNotPromote) {
  Bench box;
  box.become_backup();
  box.input({.eligible = false});
  box.run(10 * kSecond);
  EXPECT_EQ(box.role(), Role::backup);
  box.input({});
  box.run(0);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(DownInterval, IsThreeIntervalsAndTheSkewInNanoseconds) {
  Bench box;
  box.become_backup();
  box.hear(150);
  EXPECT_EQ(box.group().status().down_interval, kDown);
  EXPECT_EQ(box.group().status().due, box.now() + kDown);
  box.run(kDown - 1);
  EXPECT_EQ(box.role(), Role::backup);
  box.run(1);
  EXPECT_EQ(box.role(), Role::active);
  EXPECT_THAT(box.cause(), "no advert from the peer for 360 ms, down interval 360 ms");
}

TEST(DownInterval, At10MillisecondsTheSkewStillTellsBoxesApart) {
  Bench box({.priority = 254, .interval = 10 * kMillisecond});
  box.become_backup();
  box.hear(255);
  EXPECT_EQ(box.group().status().down_interval, 30 * kMillisecond + 78'125);
}

TEST(DownInterval, IsLearnedFromAdvertsThatCount) {
  Bench box;
  box.become_backup();
  box.run_hearing(3 * kSecond, 150, kSecond, kSecond);
  EXPECT_EQ(box.group().status().down_interval, 10 * kDown);
  box.run_hearing(10 * kSecond, 150, kInterval);  // and back, once the long one is no longer current
  EXPECT_EQ(box.group().status().down_interval, kDown);
}

TEST(DownInterval, IsTheLargestThatIsCurrentOverAllRouters) {
  Bench box;
  box.become_backup();
  box.hear_on(0, 150, kSecond);
  box.hear_on(1, 150);
  EXPECT_EQ(box.group().status().down_interval, 10 * kDown);
  box.run_hearing(2900 * kMillisecond, 150, kInterval);
  box.hear(150);
  EXPECT_EQ(box.group().status().down_interval, kDown);
  box.hear_on(0, 150, kSecond);
  box.link(0, false);  // what was learned there is not current any more
  box.hear_on(1, 150);
  EXPECT_EQ(box.group().status().down_interval, kDown);
}

TEST(DownInterval, Version2LearnsNothingAndDropsAnotherInterval) {
  Bench box({.interval = kSecond, .routers = 1, .version = 2});
  box.input({.peer = PeerState::active});
  box.run_hearing(20 * kSecond, 150, kSecond);
  EXPECT_EQ(box.role(), Role::backup);
  EXPECT_EQ(box.hear_on(0, 150, 2 * kSecond), Oddity::version2_interval);
  EXPECT_EQ(box.group().status().down_interval, 10 * kDown);
  EXPECT_EQ(box.group().router(0).oddities[static_cast<std::size_t>(Oddity::version2_interval)], 1u);
}

TEST(DownInterval, AGroupWithAVersion2RouterCountsInSeconds) {
  Bench box({.routers = 2, .version = 2});
  EXPECT_EQ(box.group().status().interval, kSecond);
}

TEST(DownInterval, OneRouterThatIsHeardIsEnough) {
  Bench box;
  box.become_backup();
  for (int i = 0; i < 50; ++i) {
    box.hear_on(1, 150);
    box.run(kInterval);
  }
  EXPECT_EQ(box.role(), Role::backup);
}

TEST(Resignation, InAPairPromotesAtOnce) {
  Bench box;
  box.become_backup();
  box.hear(150);
  box.hear(0);
  box.run(0);
  EXPECT_EQ(box.role(), Role::active);
  EXPECT_EQ(box.cause(), "the peer resigned, priority 0");
  EXPECT_TRUE(box.forwards());
}

TEST(Resignation, AmongManyPromotesAfterTheSkewTimeUnlessItIsOurTurn) {
  for (const bool take : {false, true}) {
    Bench box({.has_peer = false});
    box.become_backup();
    box.input({.take = take});
    box.hear(150);
    box.hear(0);
    box.run(0);
    EXPECT_EQ(box.role(), take ? Role::active : Role::backup);
    box.run(60'937'500);
    EXPECT_EQ(box.role(), Role::active);
  }
}

// The peer's claim by the HA link is authenticated, an advert is not: whoever is on the network can write one.
TEST(Resignation, IsNotBelievedWhileTheHaLinkSaysThatThePeerIsActive) {
  Bench box({.priority = 254});  // a skew time of less than a millisecond
  box.become_backup();
  for (int i = 0; i < 100; ++i) {
    box.hear(150);
    box.input({.peer = PeerState::active, .peer_lease = 200 * kMillisecond});
    box.run(kInterval / 2);
    box.hear(0);
    box.run(kInterval / 2);
    ASSERT_EQ(box.role(), Role::backup) << i;
  }
  box.hear(0);
  box.run(200 * kMillisecond - 1);  // what is left of the claim: its lease and an interval, an interval ago
  EXPECT_EQ(box.role(), Role::backup);
  box.run(1);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Resignation, IsBelievedOnceTheHaLinkAgrees) {
  for (const auto peer : {PeerState::backup, PeerState::fault, PeerState::dead}) {
    Bench box;
    box.become_backup();
    box.hear(150);
    box.input({.peer = PeerState::active, .peer_lease = 200 * kMillisecond});
    box.hear(0);
    box.run(2 * kMillisecond);
    box.hear_on(1, 150);  // overtaken
    box.run(0);
    EXPECT_EQ(box.role(), Role::backup);
    box.input({.peer = peer});
    box.run(0);
    EXPECT_EQ(box.role(), Role::active);
    EXPECT_TRUE(box.forwards());
  }
}

TEST(Resignation, ByOrderNeedsNoOtherWord) {
  Bench box;
  box.become_backup();
  box.hear(150);
  box.input({.take = true, .peer = PeerState::active, .peer_lease = 200 * kMillisecond});
  box.hear(0);
  box.run(0);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Resignation, OfSomebodyWhoIsNotThePeerIsTakenBackByThePeersNextAdvert) {
  Bench box;
  box.become_backup();
  box.hear(150);
  box.run(50 * kMillisecond);
  box.hear_on(0, 0, 0, "192.0.2.13");
  box.run(50 * kMillisecond);
  EXPECT_EQ(box.role(), Role::backup);
  box.hear(150);
  box.run(kDown - 1);
  EXPECT_EQ(box.role(), Role::backup);
  box.hear(150);
  box.hear_on(0, 0, 0, "192.0.2.13");
  box.run(60'937'500);  // of a peer that is silent, too, it shortens the wait to the skew time (RFC 9568 6.4.2)
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Resignation, IsNotTakenBackByAnAdvertThatItOvertook) {
  Bench box;
  box.become_backup();
  box.hear(0);
  box.hear_on(0, 150);
  box.run(0);
  EXPECT_EQ(box.role(), Role::active);
  box.run(99 * kMillisecond);
  box.hear_on(0, 150);
  EXPECT_EQ(box.role(), Role::active);
  box.run(kMillisecond);
  box.hear_on(0, 150);
  EXPECT_EQ(box.role(), Role::backup);
}

// A box that was stopped reads at once what came in a second: adverts, the peer's end, and the adverts of its next
// life.
TEST(Resignation, ThatWaitedWhileWeWereStoppedIsTakenBackByWhatFollowedIt) {
  Bench box;
  box.become_backup();
  box.run_stopped(kSecond);
  box.input({});
  box.advance();
  box.hear(150);
  box.hear(0);
  box.hear(150);
  box.advance();
  EXPECT_EQ(box.role(), Role::backup);
  box.run_hearing(kSecond, 150);
  EXPECT_EQ(box.role(), Role::backup);
}

TEST(Resignation, OfAPeerThatIsStillGoneCountsAnIntervalAfterWeWereStopped) {
  Bench box;
  box.become_backup();
  box.run_stopped(kSecond);
  box.input({});
  box.advance();
  box.hear(150);
  box.hear(0);
  box.run(kInterval - 1);
  EXPECT_EQ(box.role(), Role::backup);
  box.run(1);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Resignation, IsTakenBackByAnAdvert) {
  Bench box({.has_peer = false});
  box.become_backup();
  box.hear(0);
  box.run(10 * kMillisecond);
  box.hear(150);
  box.run(kDown - 1);
  EXPECT_EQ(box.role(), Role::backup);
}

TEST(Resignation, OfOthersIsAnsweredByTheActiveBox) {
  Bench box;
  box.become_active();
  box.run(30 * kMillisecond);
  box.sent(100);
  box.hear_on(0, 0);
  EXPECT_EQ(box.sent(100), 1u);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Active, SendsEveryIntervalAndTwiceAsOftenWhenItIsShort) {
  for (const unsigned interval : {10u, 20u, 30u, 100u}) {
    Bench box({.interval = interval * kMillisecond});
    box.become_active();
    box.run(1200 * kMillisecond);
    EXPECT_EQ(box.sent(100), 1200 / interval * (interval <= 20 ? 2u : 1u)) << interval;
  }
}

TEST(Active, AnswersALosingAdvertOnceAndStays) {
  Bench box;
  box.become_active();
  box.run(30 * kMillisecond);
  box.sent(100);
  box.hear_on(0, 99);
  EXPECT_EQ(box.sent(100), 1u);
  EXPECT_EQ(box.role(), Role::active);
  EXPECT_EQ(box.group().status().down_interval, kDown);
  box.hear_on(1, 99);  // answered where it was heard, on router 1
  EXPECT_EQ(box.sent(100), 0u);
}

TEST(Active, LearnsNothingFromALosingAdvert) {
  Bench box;
  box.become_active();
  box.hear_on(0, 99, kSecond);
  EXPECT_EQ(box.group().status().down_interval, kDown);
}

TEST(Active, AnnouncesAgainOnceALosingPeerWasHeard) {
  Bench box;
  box.become_active();
  for (int i = 0; i < 5; ++i) box.hear(99);
  EXPECT_EQ(box.announced(), 0u);
  box.run(100 * kMillisecond);
  EXPECT_EQ(box.announced(), 1u);  // paced, not one per advert
  box.run(kSecond);
  EXPECT_EQ(box.announced(), 0u);
}

// Its adverts reach us, ours do not reach it, there is no HA link, and no witness hears us.
TEST(Active, GivesWayToAPeerThatHearsNoAnswer) {
  Bench box;
  box.become_active();
  box.input({.witness = Witness::silent});
  box.run_hearing(550 * kMillisecond, 99);
  EXPECT_EQ(box.role(), Role::backup);
  EXPECT_EQ(box.cause(), "priority 99 from 192.0.2.12 claims the group for 5 intervals and hears no answer");
  box.run_hearing(5 * kSecond, 99);
  EXPECT_EQ(box.role(), Role::backup);
  box.input({.witness = Witness::answers});
  box.run(kSecond);
  EXPECT_EQ(box.role(), Role::active) << "the other one died";
}

TEST(Active, StaysWhenALosingPeerIsDeafOrClaimsNowAndThenOrTheHaLinkSpeaks) {
  Bench heard;
  heard.become_active();
  heard.run_hearing(2 * kSecond, 99);
  EXPECT_EQ(heard.role(), Role::active) << "nobody says that we are mute";
  Bench box;
  box.become_active();
  box.input({.witness = Witness::silent});
  for (int i = 0; i < 20; ++i) {
    for (int burst = 0; burst < 10; ++burst) box.hear(99);  // as what waited while one of the two was stopped
    box.run(400 * kMillisecond);
  }
  EXPECT_EQ(box.role(), Role::active);
  box.input({.peer = PeerState::backup, .witness = Witness::silent});
  box.run_hearing(2 * kSecond, 99);
  EXPECT_EQ(box.role(), Role::active);
  Bench stranger({.has_peer = false});
  stranger.become_active();
  stranger.input({.witness = Witness::silent});
  stranger.run_hearing(2 * kSecond, 99);
  EXPECT_EQ(stranger.role(), Role::active) << "others are to step down when they hear us";
}

TEST(Active, ALoneBoxThatHearsALosingPeerHasTheShortLease) {
  Bench box({.has_peer = false});
  box.become_active();
  EXPECT_GT(box.lease(), 800 * kMillisecond);
  box.hear(99);
  box.run(100 * kMillisecond);
  EXPECT_LE(box.lease(), 200 * kMillisecond);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Active, YieldsToAWinningAdvertAndFollowsItsInterval) {
  Bench box;
  box.become_active();
  box.hear_on(1, 101, kSecond);
  EXPECT_EQ(box.role(), Role::backup);
  EXPECT_EQ(box.cause(), "priority 101 from fe80::12 wins over our 100");
  EXPECT_FALSE(box.forwards());
  EXPECT_EQ(box.group().status().down_interval, 10 * kDown);
  EXPECT_EQ(box.sent(0), 1u);  // the pair's confirmation
}

TEST(Active, ConfirmsNothingToStrangers) {
  Bench box({.has_peer = false});
  box.become_active();
  box.hear_on(0, 101);
  EXPECT_EQ(box.role(), Role::backup);
  EXPECT_EQ(box.sent(0), 0u);
}

TEST(Active, EqualPrioritiesAreDecidedByTheHigherAddressOnTheFirstRouterWhereBothAreKnown) {
  struct Row {
    const char *v4, *v6;
    Role role;
  };
  for (const Row& row : {Row{"192.0.2.12", nullptr, Role::backup}, Row{"192.0.2.9", nullptr, Role::active},
                         Row{nullptr, "fe80::12", Role::backup}, Row{nullptr, "fe80::9", Role::active},
                         Row{"192.0.2.9", "fe80::12", Role::active}, Row{"192.0.2.12", "fe80::9", Role::backup}}) {
    Bench box;
    box.become_active();
    if (row.v4 != nullptr) box.hear_on(0, 100, 0, row.v4);
    if (row.v6 != nullptr && box.role() == Role::active) box.hear_on(1, 100, 0, row.v6);
    EXPECT_EQ(box.role(), row.role) << (row.v4 != nullptr ? row.v4 : row.v6);
  }
}

TEST(Active, AdvertisesTheFormOfChecksumThatThePeerUsesIfItMay) {
  Bench alone({.routers = 1});
  alone.become_active();
  alone.run(kInterval);
  EXPECT_EQ(alone.last().back().form, ChecksumForm::pseudo_header);
  for (const auto& [rule, form] :
       {std::pair{ChecksumRule::automatic, ChecksumForm::plain}, std::pair{ChecksumRule::rfc9568, ChecksumForm::plain},
        std::pair{ChecksumRule::pseudo_header, ChecksumForm::pseudo_header}}) {
    Bench box({.routers = 1, .checksum = rule});
    box.hear_on(0, 99);  // plain
    EXPECT_EQ(box.group().router(0).peer_form, ChecksumForm::plain);
    box.run(4 * kSecond);
    ASSERT_EQ(box.role(), Role::active);
    EXPECT_EQ(box.last().back().form, form);
  }
}

TEST(Backup, HonoursALowerPriorityUnderStayAndManual) {
  for (const auto policy : {Preemption::stay, Preemption::manual}) {
    Bench box({.priority = 200, .preemption = policy});
    box.become_backup();
    box.run_hearing(60 * kSecond, 100);
    EXPECT_EQ(box.role(), Role::backup);
  }
}

TEST(Preemption, AfterItsDelayAndNeverAtOnce) {
  Bench box({.priority = 200, .preemption = Preemption::after, .preempt_delay = 10 * kSecond, .has_peer = false});
  box.run_hearing(9900 * kMillisecond, 100);
  EXPECT_EQ(box.role(), Role::backup);
  box.run_hearing(200 * kMillisecond, 100);
  EXPECT_EQ(box.role(), Role::active);
  EXPECT_EQ(box.cause(), "our priority 200 is above the peer's 100, ready for 10000 ms");
  EXPECT_TRUE(box.forwards());
  Bench fast({.priority = 200, .preemption = Preemption::after, .has_peer = false});
  fast.run_hearing(200 * kMillisecond, 100);
  EXPECT_EQ(fast.role(), Role::backup);
  fast.run_hearing(200 * kMillisecond, 100);
  EXPECT_EQ(fast.role(), Role::active);
}

TEST(Preemption, StartsAnewWhenTheBoxWasNotReady) {
  const testing::BoxSpec spec{
      .priority = 200, .preemption = Preemption::after, .preempt_delay = 10 * kSecond, .has_peer = false};
  for (const Input& unready : {Input{.paused = true}, Input{.health = Health::degraded}, Input{.priority = 90},
                               Input{.eligible = false}, Input{.health = Health::fault}}) {
    Bench box(spec);
    box.run_hearing(9 * kSecond, 100);
    box.input(unready);
    box.run_hearing(kSecond, 100);
    box.input({});
    box.run_hearing(9 * kSecond, 100);
    EXPECT_EQ(box.role(), Role::backup);
    box.run_hearing(2 * kSecond, 100);
    EXPECT_EQ(box.role(), Role::active);
  }
}

TEST(Preemption, DoesNotForwardBeforeThePeerSaysThatItYields) {
  Bench box({.priority = 200, .preemption = Preemption::after, .preempt_delay = kSecond});
  while (box.role() != Role::active) box.run_hearing(kInterval, 100);
  EXPECT_FALSE(box.forwards());
  EXPECT_EQ(box.announced(), 0u);
  box.hear(0);
  box.advance();
  EXPECT_TRUE(box.forwards());
  EXPECT_EQ(box.announced(), 1u);
}

TEST(Preemption, OnlyOfAPeerThatIsHeardNow) {
  Bench box({.priority = 200, .preemption = Preemption::after});
  box.run_hearing(kInterval, 100);
  box.input({.peer = PeerState::active, .peer_lease = kSecond});  // what keeps it active does not reach us
  box.run(kSecond);
  EXPECT_EQ(box.role(), Role::backup);
}

TEST(Preemption, ForwardsNothingWhileTheHaLinkSaysThatThePeerIsActive) {
  Bench box({.priority = 200, .preemption = Preemption::after});
  while (box.role() != Role::active) box.run_hearing(kInterval, 100);
  for (int i = 0; i < 300; ++i) {
    box.input({.peer = PeerState::active, .peer_lease = 150 * kMillisecond});
    box.run(kMillisecond);
    EXPECT_FALSE(box.forwards());
  }
}

TEST(Preemption, ForwardsNothingOnAResignationThatTheHaLinkContradicts) {
  Bench box({.priority = 200, .preemption = Preemption::after});
  while (box.role() != Role::active) box.run_hearing(kInterval, 100);
  box.input({.peer = PeerState::active, .peer_lease = 150 * kMillisecond});
  box.hear(0);
  box.run(0);
  EXPECT_FALSE(box.forwards());
  box.input({.peer = PeerState::backup});
  box.run(0);
  EXPECT_TRUE(box.forwards());
}

TEST(Preemption, ForwardsWhenThePeerHasBeenSilentForLongerThanItsLease) {
  Bench box({.priority = 200, .preemption = Preemption::after, .preempt_delay = kSecond});
  box.run_hearing(1010 * kMillisecond, 100, 10 * kMillisecond);
  ASSERT_EQ(box.role(), Role::active);
  box.run(280 * kMillisecond);
  EXPECT_FALSE(box.forwards());
  box.run(30 * kMillisecond);
  EXPECT_TRUE(box.forwards());
}

TEST(Preemption, GivesItUpWhenThePeerDoesNotYield) {
  Bench box({.priority = 200, .preemption = Preemption::after, .preempt_delay = kSecond});
  Nanos forwarded = 0;
  for (int i = 0; i < 300; ++i) {
    box.run_hearing(10 * kMillisecond, 100, 10 * kMillisecond);
    forwarded += box.forwards() ? 1 : 0;
  }
  EXPECT_EQ(forwarded, 0u);
  EXPECT_THAT(box.take_trace(), ::testing::Contains(HasSubstr("the peer does not yield to our priority 200")));
}

TEST(Preemption, AnOwnerNeedsNoPolicyAndNoDelay) {
  Bench box({.priority = 255, .preempt_delay = kSecond * 100, .has_peer = false});
  box.input({.health = Health::degraded});  // trackers do not change it
  EXPECT_EQ(box.group().status().priority, 255);
  box.input({});
  box.run_hearing(kSecond, 254);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Health, FaultResignsAndStaysAway) {
  Bench box;
  box.become_active();
  box.input({.health = Health::fault});
  EXPECT_EQ(box.role(), Role::fault);
  EXPECT_EQ(box.sent(0), 1u);
  EXPECT_FALSE(box.forwards());
  EXPECT_EQ(box.group().active_until(), 0u);
  box.run(kSecond * 100);
  EXPECT_EQ(box.role(), Role::fault);
  box.input({});
  EXPECT_EQ(box.role(), Role::backup);
  box.run(kDown - 1);
  EXPECT_EQ(box.role(), Role::backup);
  box.run(1);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Health, FaultYieldsEvenWhilePaused) {
  Bench box;
  box.become_active();
  box.input({.health = Health::fault, .paused = true});
  EXPECT_EQ(box.role(), Role::fault);
}

TEST(Health, DegradedOnlyLowersThePriority) {
  Bench box;
  box.become_active();
  box.input({.health = Health::degraded});
  box.run(10 * kSecond);
  EXPECT_EQ(box.role(), Role::active);
  EXPECT_EQ(box.sent(50), 100u);
  EXPECT_EQ(box.group().status().priority, 50);
  box.hear(51);
  EXPECT_EQ(box.role(), Role::backup);
}

TEST(Health, ADegradedBackupTakesAGroupThatNobodyHas) {
  Bench box;
  box.become_backup();
  box.input({.health = Health::degraded});
  box.run(kSecond);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Links, WithoutAnyItIsFaultWithOneItIsNot) {
  Bench box;
  box.become_active();
  box.link(0, false);
  box.run(kSecond);
  EXPECT_EQ(box.role(), Role::active);
  EXPECT_TRUE(box.forwards());
  box.link(1, false);
  EXPECT_EQ(box.role(), Role::fault);
  EXPECT_EQ(box.cause(), "no router has a link");
  EXPECT_FALSE(box.forwards());
  box.run(kSecond);
  box.link(0, true);
  EXPECT_EQ(box.role(), Role::backup);
  box.run(kDown);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Links, AFlapDuringTheStartGoesOnListening) {
  Bench box;
  box.link(0, false);
  box.link(1, false);
  box.run(kSecond);
  box.link(0, true);
  EXPECT_EQ(box.role(), Role::starting);
  box.run(1999 * kMillisecond);
  EXPECT_EQ(box.role(), Role::starting);
}

TEST(Order, YieldResignsOnAllRoutersAndComesBackWhenNobodyTakesIt) {
  Bench box;
  box.become_active();
  box.input({.yield = true, .peer = PeerState::backup});
  EXPECT_EQ(box.role(), Role::backup);
  EXPECT_EQ(box.cause(), "given up by order, priority 0 sent");
  EXPECT_EQ(box.last().size(), 3u);  // two adverts, and the role
  EXPECT_EQ(box.last()[0].priority, 0);
  EXPECT_EQ(box.last()[1].priority, 0);
  EXPECT_FALSE(box.forwards());
  box.run(499 * kMillisecond);
  EXPECT_EQ(box.role(), Role::backup);
  box.run(kMillisecond);
  EXPECT_EQ(box.role(), Role::active);
  EXPECT_EQ(box.cause(), "taken again: nobody took it for 500 ms after it was given up");
  box.run(kSecond);  // the order was for once
  EXPECT_TRUE(box.forwards());
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Order, YieldIsDoneWhenThePeerWasHeardActive) {
  Bench box;
  box.become_active();
  box.input({.yield = true, .peer = PeerState::backup});
  box.run(10 * kMillisecond);
  box.run_hearing(60 * kSecond, 50);
  EXPECT_EQ(box.role(), Role::backup);
}

TEST(Order, YieldToNobodyIsNotObeyed) {
  for (const auto peer : {PeerState::dead, PeerState::fault}) {
    Bench box;
    box.become_active();
    box.input({.yield = true, .peer = peer});
    EXPECT_EQ(box.role(), Role::active);
  }
}

TEST(Order, PausedStillTakesAGroupThatNobodyHas) {
  Bench box;
  box.become_backup();
  box.input({.paused = true});
  box.run(kSecond);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(Resign, IsTheEnd) {
  Bench box;
  box.become_active();
  box.resign("the process ends");
  EXPECT_EQ(box.sent(0), 1u);
  EXPECT_EQ(box.group().active_until(), 0u);
  EXPECT_EQ(box.cause(), "the process ends");
  box.run(100 * kSecond);
  box.input({});
  EXPECT_EQ(box.role(), Role::fault);
  Bench backup;
  backup.become_backup();
  backup.resign("the process ends");
  EXPECT_EQ(backup.sent(0), 0u);
}

TEST(Oddities, AreCountedPerRouterAndDropWhatTheyMust) {
  Bench box({.routers = 1, .peers = testing::ips({"192.0.2.12"})});
  EXPECT_EQ(box.hear_on(0, 150, 0, "192.0.2.11"), Oddity::own_source);
  EXPECT_EQ(box.hear_on(0, 150, 0, "192.0.2.13"), Oddity::unknown_peer);
  EXPECT_EQ(box.role(), Role::starting);
  EXPECT_EQ(box.hear_on(0, 150, kSecond), Oddity::interval_differs);
  EXPECT_EQ(box.role(), Role::backup);
  EXPECT_EQ(box.hear_on(0, 255), Oddity::owner_priority);
  box.group().odd(0, Oddity::bad_checksum);
  const RouterStatus& router = box.group().router(0);
  EXPECT_EQ(router.received, 4u);
  for (const auto oddity : {Oddity::own_source, Oddity::unknown_peer, Oddity::interval_differs, Oddity::owner_priority,
                            Oddity::bad_checksum}) {
    EXPECT_EQ(router.oddities[static_cast<std::size_t>(oddity)], 1u) << name(oddity);
  }
  EXPECT_EQ(router.peer, testing::ip("192.0.2.12"));
  EXPECT_EQ(router.peer_priority, 255);
}

TEST(Configure, KeepsTheRoleAndWhatIsKnownOfRoutersThatStay) {
  Bench box({.routers = 4});
  box.become_active();
  auto config = box.group().config();
  config.priority = 120;
  config.routers.erase(config.routers.begin());
  config.routers[2].vrid = 99;
  box.configure(config);
  box.run(0);
  EXPECT_EQ(box.role(), Role::active);
  EXPECT_TRUE(box.forwards());
  EXPECT_GT(box.group().router(0).sent, 10u);
  EXPECT_EQ(box.group().router(2).sent, 1u);
  EXPECT_EQ(box.group().status().priority, 120);
  config.routers.clear();
  box.configure(config);
  EXPECT_EQ(box.role(), Role::fault);
}

TEST(Cause, EveryChangeOfRoleHasOne) {
  Bench box;
  box.become_backup();
  box.run(kSecond);
  box.input({.yield = true});
  box.run(kSecond);
  box.input({.health = Health::fault});
  box.input({});
  box.hear(0);
  const Trace trace = box.take_trace();
  EXPECT_GE(trace.size(), 5u);
  for (const std::string& line : trace) EXPECT_GT(line.size(), line.find(": ") + 10) << line;
}

}  // namespace
}  // namespace headgate::vrrp
