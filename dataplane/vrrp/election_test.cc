// The promotion table: adverts missing, and what the HA link and witnesses say of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/vrrp/group_testing.h"

namespace headgate::vrrp {
namespace {

using testing::Bench;
using ::testing::HasSubstr;

constexpr Nanos kMs = kMillisecond;
constexpr Nanos kDown = 300 * kMs + 60'937'500;
constexpr Nanos kAtOnce = 0, kStays = kNever;

struct Row {
  const char* what;
  Input input;
  Nanos promoted_after;  // of the last advert; the input comes just behind it and is not repeated
};

// A backup that heard its peer until now, and then nothing more.
TEST(PromotionTable, OfAPeerThatWasHeard) {
  const std::vector<Row> rows{
      {"silent, no witness configured", {}, kDown},
      {"silent, a witness answers", {.witness = Witness::answers}, kDown},
      {"silent, no witness answers", {.witness = Witness::silent}, kStays},
      {"dead", {.peer = PeerState::dead}, kAtOnce},
      {"dead, whatever witnesses say", {.peer = PeerState::dead, .witness = Witness::silent}, kAtOnce},
      {"in fault", {.peer = PeerState::fault}, kAtOnce},
      {"backup", {.peer = PeerState::backup}, kDown},
      {"backup, a witness answers", {.peer = PeerState::backup, .witness = Witness::answers}, kDown},
      {"backup, and we come first", {.priority = 200, .peer = PeerState::backup}, kDown},
      {"active, and it said how long", {.peer = PeerState::active, .peer_lease = kSecond}, 1100 * kMs},
      {"active for less than we wait", {.peer = PeerState::active, .peer_lease = 100 * kMs}, kDown},
      {"active, and it does not say how long", {.peer = PeerState::active}, kDown},
      {"active, then silent; no witness answers", {.peer = PeerState::active, .witness = Witness::silent}, kStays},
      {"dead, but we may not", {.eligible = false, .peer = PeerState::dead}, kStays},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    Bench box;
    box.become_backup();
    box.hear(150);
    if (row.input.peer >= PeerState::fault) box.input({.peer = PeerState::active});  // that it is gone is news
    box.input(row.input);
    if (row.promoted_after == kAtOnce) {
      box.run(0);
    } else if (row.promoted_after == kStays) {
      box.run(1000 * kSecond);
      EXPECT_EQ(box.role(), Role::backup);
      continue;
    } else {
      box.run(row.promoted_after - 1);
      EXPECT_EQ(box.role(), Role::backup);
      box.run(1);
    }
    EXPECT_EQ(box.role(), Role::active);
  }
}

// From the start, the peer never heard on a network: times since then.
TEST(PromotionTable, OfAPeerThatWasNeverHeard) {
  const Nanos listened = 3 * kSecond;
  const std::vector<Row> rows{
      {"silent", {}, listened + kDown},
      {"silent, and no witness answers", {.witness = Witness::silent}, listened + kDown},
      {"dead", {.peer = PeerState::dead}, listened + kDown},  // perhaps before our start
      // By turns, 4 ms a step of priority: what the HA link says of whoever was first must arrive.
      {"backup", {.peer = PeerState::backup}, listened + kDown + 156 * kClaimDelay},
      {"backup, ours is the better priority",
       {.priority = 200, .peer = PeerState::backup},
       listened + 321'875'000 + 56 * kClaimDelay},
      {"backup, no witness answers",
       {.peer = PeerState::backup, .witness = Witness::silent},
       listened + kDown + (156 + 512) * kClaimDelay},
      {"backup, and we are degraded",
       {.health = Health::degraded, .peer = PeerState::backup},
       listened + 380'468'750 + (156 + 256) * kClaimDelay},
      {"active, and it said how long", {.peer = PeerState::active, .peer_lease = 5 * kSecond}, 5100 * kMs},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    Bench box;
    box.input(row.input);
    box.run(row.promoted_after - 1);
    EXPECT_NE(box.role(), Role::active);
    box.run(1);
    EXPECT_EQ(box.role(), Role::active);
  }
}

TEST(PromotionTable, APeerThatMayTakeItAtOnceHasAMomentToSaySo) {
  const auto promoted = [] {
    Bench box;
    box.become_backup();
    box.hear(90);
    box.input({.peer = PeerState::backup});
    box.run(kDown);
    EXPECT_EQ(box.role(), Role::active);
    EXPECT_FALSE(box.forwards());
    return box;
  };
  Bench alone = promoted();
  alone.run(kClaimDelay - 1);
  EXPECT_FALSE(alone.forwards());
  alone.run(1);
  EXPECT_TRUE(alone.forwards());

  Bench heard = promoted();  // it took it, too, and hears our advert
  heard.hear(90);
  heard.run(kClaimDelay);
  EXPECT_FALSE(heard.forwards());
  heard.hear(0);
  heard.run(0);
  EXPECT_TRUE(heard.forwards());

  Bench told = promoted();  // the same by the HA link alone
  told.input({.peer = PeerState::active, .peer_lease = 100 * kMs});
  told.run(kClaimDelay);
  EXPECT_FALSE(told.forwards());
  told.input({.peer = PeerState::backup});
  told.run(0);
  EXPECT_TRUE(told.forwards());

  Bench worse;
  worse.become_backup();
  worse.hear(150);
  worse.input({.peer = PeerState::backup});
  worse.run(kDown);
  EXPECT_EQ(worse.role(), Role::active);
  worse.input({.peer = PeerState::active, .peer_lease = 100 * kMs});
  EXPECT_EQ(worse.role(), Role::backup);
  EXPECT_EQ(worse.cause(), "the HA link says that the peer took the group, too");
}

TEST(PromotionTable, WithoutAWordOfThePeerSinceOurOwnStartOrStopItMayTakeItInTheSameMoment) {
  Bench started;
  started.run(3 * kSecond + kDown);
  EXPECT_EQ(started.role(), Role::active);
  EXPECT_FALSE(started.forwards());
  started.run(kClaimDelay);
  EXPECT_TRUE(started.forwards());

  Bench fell_silent;
  fell_silent.become_backup();
  fell_silent.hear(90);
  fell_silent.run(kDown);
  EXPECT_TRUE(fell_silent.forwards());
}

TEST(PromotionTable, WhenBothYieldedAtOnceBothClaimBeforeOneForwards) {
  Bench box;
  box.become_backup();
  box.hear(90);
  box.run(kDown);
  ASSERT_TRUE(box.forwards());
  box.hear(150);  // better than ours: we yield; and so did it, before it heard that
  ASSERT_EQ(box.role(), Role::backup);
  box.run(200 * kMs);
  box.hear(0);
  box.run(100 * kMs);
  EXPECT_EQ(box.role(), Role::active);
  EXPECT_EQ(box.cause(), "the peer resigned, priority 0");
  EXPECT_TRUE(box.forwards());
  Bench other;
  other.become_backup();
  other.hear(90);
  other.run(kDown);
  other.hear(150);
  other.run(150 * kMs);
  other.hear(0);
  while (other.role() != Role::active) other.run(kMs);
  EXPECT_FALSE(other.forwards());
  other.hear(150);
  EXPECT_EQ(other.role(), Role::backup);
}

TEST(PromotionTable, WhenTheHaLinkFallsSilentAmongTurnsTheDownIntervalBeginsAnew) {
  Bench box;
  box.input({.peer = PeerState::backup});
  box.run(3600 * kMs);  // past the down interval, before its turn
  ASSERT_EQ(box.role(), Role::backup);
  box.input({});
  box.run(kDown - 1);
  EXPECT_EQ(box.role(), Role::backup);
  box.run(1);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(PromotionTable, AllWitnessesSilentIsAnAlarmInTheCause) {
  Bench box;
  box.input({.witness = Witness::silent});
  box.run(10 * kSecond);
  EXPECT_THAT(box.cause(), HasSubstr("ALARM: no witness answers"));
  Bench other;  // a peer that was there by the HA link may still be there
  other.input({.peer = PeerState::backup, .witness = Witness::silent});
  other.input({.witness = Witness::silent});
  other.run(100 * kSecond);
  EXPECT_EQ(other.role(), Role::backup);
}

TEST(PromotionTable, ADeadPeerThatIsHeardAgainIsNotDead) {
  for (const auto state : {PeerState::dead, PeerState::fault}) {
    Bench box;
    box.become_backup();
    box.input({.peer = state});
    box.hear(150);  // before we acted: it was started again, or the word was older
    box.run(kDown - 1);
    EXPECT_EQ(box.role(), Role::backup);
    box.run(1);
    EXPECT_EQ(box.role(), Role::active);
  }
}

// A control plane that stood still, or is told to go on, says what it knew; its dataplane, another one since, hears the
// peer meanwhile.
TEST(PromotionTable, ThatThePeerIsGoneIsNoNewsFromWhoKnewNothingOfItsLife) {
  for (const PeerState gone : {PeerState::dead, PeerState::fault}) {
    Bench box;
    box.become_backup();
    box.hear(150);
    box.input({.peer = gone});
    box.run(kDown - 1);
    EXPECT_EQ(box.role(), Role::backup);
    box.hear(150);
    box.input({.peer = PeerState::active});
    box.input({});  // its dataplane does not answer any more
    box.run(20 * kMs);
    box.input({.peer = gone});
    box.run(0);
    EXPECT_EQ(box.role(), Role::active);
  }
}

TEST(PromotionTable, TheWordThatThePeerIsGoneIsHeardOnce) {
  Bench box;
  box.become_backup();
  box.input({.eligible = false, .peer = PeerState::dead});
  box.hear(150);
  box.input({.peer = PeerState::dead});  // repeated, as the control plane does twice a second
  box.run(kDown - 1);
  EXPECT_EQ(box.role(), Role::backup);
}

TEST(PromotionTable, AWordFromBeforeOurOwnFaultDoesNotCount) {
  Bench box;
  box.become_backup();
  box.link(0, false);
  box.link(1, false);
  box.input({.peer = PeerState::fault});
  box.link(0, true);
  box.run(kDown - 1);
  EXPECT_EQ(box.role(), Role::backup);
}

TEST(PromotionTable, AWordFromBeforeOurStartDoesNotCount) {
  Bench box;
  box.hear(150);
  ASSERT_EQ(box.role(), Role::backup);
  box.input({.peer = PeerState::dead});
  box.run(kDown - 1);
  EXPECT_EQ(box.role(), Role::backup);
}

// The call waited in the socket of a process that was stopped.
TEST(PromotionTable, AWordFromBeforeWeWereStoppedDoesNotCount) {
  Bench box;
  box.become_backup();
  box.run_stopped(2 * kSecond);
  box.advance();
  box.hear(150);
  box.input({.peer = PeerState::fault});
  box.advance();
  EXPECT_EQ(box.role(), Role::backup);
  box.input({.peer = PeerState::active});
  box.run_hearing(kSecond + 200 * kMillisecond, 150);
  EXPECT_EQ(box.role(), Role::backup);
  box.input({.peer = PeerState::dead});
  box.advance();
  EXPECT_EQ(box.role(), Role::active) << "and later it is believed as ever";
}

TEST(PromotionTable, AWordFromBeforeOurReignDoesNotCountAfterIt) {
  Bench box;
  box.become_backup();
  box.input({.peer = PeerState::fault});
  box.run(kSecond);
  ASSERT_EQ(box.role(), Role::active);
  box.hear(150);  // it is back, and wins
  ASSERT_EQ(box.role(), Role::backup);
  box.run(kDown - 1);
  EXPECT_EQ(box.role(), Role::backup);

  Bench stopped;
  stopped.become_backup();
  stopped.input({.peer = PeerState::fault});
  stopped.run(kSecond);
  stopped.run_stopped(10 * kSecond);
  stopped.advance();
  stopped.run(kDown - 1);
  EXPECT_EQ(stopped.role(), Role::backup);
}

TEST(PromotionTable, AClaimIsRenewedByBeingSaidAnew) {
  Bench box;
  box.become_backup();
  for (int i = 0; i < 1000; ++i) {
    box.input({.peer = PeerState::active, .peer_lease = 150 * kMs});
    box.run(50 * kMs);
  }
  EXPECT_EQ(box.role(), Role::backup);
  box.run(250 * kMs - 1);  // 300 ms after the last claim: it may have been renewed until the next one was due
  EXPECT_EQ(box.role(), Role::backup);
  box.run(1);
  EXPECT_EQ(box.role(), Role::active);
}

TEST(PromotionTable, AClaimWithoutALeaseIsNotRenewedByRepetition) {
  Bench box;
  box.become_backup();
  for (int i = 0; i < 100; ++i) {
    box.input({.peer = PeerState::active});
    box.run(50 * kMs);
  }
  EXPECT_EQ(box.role(), Role::active);
}

TEST(PromotionTable, AClaimOutlastsASilentHaLinkAndNoWordToTheContrary) {
  Bench box;
  box.become_backup();
  box.input({.peer = PeerState::active, .peer_lease = kSecond});
  box.input({.peer = PeerState::unknown});
  box.run(kSecond);
  EXPECT_EQ(box.role(), Role::backup);
  Bench other;
  other.become_backup();
  other.input({.peer = PeerState::active, .peer_lease = kSecond});
  other.input({.peer = PeerState::backup});
  other.run(kDown);
  EXPECT_EQ(other.role(), Role::active);
}

TEST(PromotionTable, APairOfBoxesThatSeeEachOtherByTheHaLinkAloneIsOneActiveBox) {
  Bench better({.priority = 150}), worse({.priority = 100});
  better.input({.peer = PeerState::backup});
  worse.input({.peer = PeerState::backup});
  for (int i = 0; i < 10'000; ++i) {
    better.run(kMs);
    worse.run(kMs);
    // What each says arrives at the other a moment later.
    if (better.forwards()) worse.input({.peer = PeerState::active, .peer_lease = better.lease()});
    if (worse.forwards()) better.input({.peer = PeerState::active, .peer_lease = worse.lease()});
    EXPECT_FALSE(better.forwards() && worse.forwards());
  }
  EXPECT_TRUE(better.forwards());
}

}  // namespace
}  // namespace headgate::vrrp
