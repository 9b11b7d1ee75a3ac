// Opening: RFC 9293 3.5, 3.10.7.1 to 3.10.7.4; RFC 7323 2, 3; RFC 2018 2; RFC 3168 6.1.1; RFC 4987; RFC 6528.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/tcp/isn.h"
#include "dataplane/tcp/limits.h"
#include "dataplane/tcp/trace_testing.h"

namespace headgate::tcp::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

void listen(TraceBench& b) {
  ASSERT_TRUE(b.engine.listen(b.arriving().dst, b.arriving().dst_port));
}

TEST(PassiveOpen, AnswersASynAndAcceptsWithTheAck) {
  TraceBench b;
  listen(b);
  b.peer_syn();
  EXPECT_THAT(b.sent(), ElementsAre("SA ack=1 mss=1460"));
  EXPECT_THAT(b.told(), IsEmpty());
  EXPECT_EQ(b.engine.half_open(), 1u);
  EXPECT_EQ(b.engine.connections(), 0u);
  b.peer({});
  EXPECT_THAT(b.told(), ElementsAre("accepted"));
  EXPECT_THAT(b.sent(), IsEmpty());
  EXPECT_EQ(b.engine.half_open(), 0u);
  EXPECT_EQ(b.info().state, State::established);
}

TEST(PassiveOpen, OffersOnlyWhatThePeerOffered) {
  const struct {
    PeerOptions peer;
    Profile profile;
    const char* answer;
  } rows[] = {
      {{}, {}, "SA ack=1 mss=1460"},
      {{.scale = 7}, {}, "SA ack=1 mss=1460 scale=3"},
      {{.timestamps = true}, {}, "SA ack=1 mss=1460 ts"},
      {{.sack = true}, {}, "SA ack=1 mss=1460 sack"},
      {{.scale = 0, .timestamps = true, .sack = true}, {}, "SA ack=1 mss=1460 scale=3 sack ts"},
      {{.scale = 7, .timestamps = true, .sack = true},
       {.window_scaling = false, .timestamps = false, .sack = false},
       "SA ack=1 mss=1460"},
      {{.ecn = true}, {}, "SA ack=1 mss=1460"},
      {{.ecn = true}, {.ecn = true}, "SAE ack=1 mss=1460"},
      {{.v6 = true}, {}, "SA ack=1 mss=1440"},
      {{.mss = 0}, {}, "SA ack=1 mss=1460"},
  };
  for (const auto& row : rows) {
    TraceBench b(row.profile, row.peer);
    listen(b);
    b.peer_syn();
    EXPECT_THAT(b.sent(), ElementsAre(row.answer));
  }
}

TEST(PassiveOpen, BelievesAnMssWithinReasonAndTakesOptionsOffIt) {
  const struct {
    PeerOptions peer;
    std::uint16_t mss;
  } rows[] = {
      {{.mss = 0}, 536},                          // RFC 9293 MUST-15
      {{.mss = 0, .v6 = true}, 1220},             // RFC 9293 MUST-15
      {{.mss = 1400}, 1400},                      //
      {{.mss = 1400, .timestamps = true}, 1388},  // RFC 6691 2
      {{.mss = 48}, kMssMin},                     // CVE-2019-11479
      {{.mss = 9000}, 1460},                      // what our own link carries
  };
  for (const auto& row : rows) {
    TraceBench b({}, row.peer);
    b.accept();
    EXPECT_EQ(b.info().mss, row.mss) << row.peer.mss;
  }
}

TEST(PassiveOpen, NeverScalesTheWindowOfASynAndClampsTheShift) {
  TraceBench b({}, {.scale = 200, .window = 50'000});
  b.show_window = true;
  listen(b);
  b.peer_syn();
  EXPECT_THAT(b.sent(), ElementsAre("SA ack=1 win=65535 mss=1460 scale=3"));
  b.peer({});
  EXPECT_EQ(b.info().snd_scale, 14);  // RFC 7323 2.3
  EXPECT_EQ(b.info().snd_wnd, 50'000u << 14);
}

TEST(PassiveOpen, RepeatsTheSynAckWithBackoffAndForgets) {
  TraceBench b;
  listen(b);
  b.peer_syn();
  b.sent();
  for (const unsigned seconds : {1u, 2u, 4u, 8u, 16u}) {
    b.wait(seconds * kSecond - kMillisecond);
    EXPECT_THAT(b.sent(), IsEmpty());
    b.wait(kMillisecond);
    EXPECT_THAT(b.sent(), ElementsAre("SA ack=1 mss=1460"));
  }
  b.wait(32 * kSecond);
  EXPECT_THAT(b.sent(), IsEmpty());
  EXPECT_EQ(b.engine.half_open(), 0u);
}

TEST(PassiveOpen, AnswersARepeatedSynWithTheSameNumber) {
  TraceBench b;
  listen(b);
  b.peer_syn();
  b.peer_syn();
  EXPECT_THAT(b.sent(), ElementsAre("SA ack=1 mss=1460", "SA ack=1 mss=1460"));
  EXPECT_EQ(b.engine.half_open(), 1u);
}

TEST(PassiveOpen, TakesDataThatComesWithTheLastAck) {
  TraceBench b;
  listen(b);
  b.peer_syn();
  b.sent();
  b.peer({.length = 5});
  EXPECT_THAT(b.told(), ElementsAre("accepted", "data 5"));
  EXPECT_EQ(b.read(), "abcde");
}

TEST(PassiveOpen, AWrongAckIsAnsweredWithAResetAndTheEntryStays) {
  TraceBench b;
  listen(b);
  b.peer_syn();
  b.sent();
  b.peer({.ack = 77});
  EXPECT_THAT(b.sent(), ElementsAre("R seq=77"));
  b.peer({.ack = 1});
  EXPECT_THAT(b.told(), ElementsAre("accepted"));
}

TEST(PassiveOpen, OnlyAResetOfTheExactNumberEndsAHalfOpenConnection) {
  TraceBench b;
  listen(b);
  b.peer_syn();
  b.peer({.seq = 2, .flags = kRst});
  EXPECT_EQ(b.engine.half_open(), 1u);
  b.peer({.seq = 1, .flags = kRst});
  EXPECT_EQ(b.engine.half_open(), 0u);
}

TEST(ClosedPort, AnswersAsTheRfcWants) {
  TraceBench b;
  b.peer({.seq = 10, .flags = kSyn});  // RFC 9293 3.10.7.1: no ACK: seq 0, ack = seq + length
  EXPECT_THAT(b.sent(), ElementsAre("RA ack=11"));
  b.peer({.seq = 10, .flags = kSyn | kFin, .length = 3});
  EXPECT_THAT(b.sent(), ElementsAre("RA ack=15"));
  b.peer({.seq = 10, .flags = kRst});
  b.peer({.seq = 10, .flags = kRst | kAck});
  EXPECT_THAT(b.sent(), IsEmpty());
}

TEST(ClosedPort, ResetsAreLimited) {
  TraceBench b;
  for (int i = 0; i < 5000; ++i) b.peer({.seq = 10, .flags = kSyn});
  EXPECT_EQ(b.sent().size(), 1000u);
  EXPECT_EQ(b.engine.counters().resets_limited, 4000u);
}

TEST(ActiveOpen, SendsASynAndConnects) {
  TraceBench b({}, {.scale = 2, .timestamps = true, .sack = true});
  b.start_connect();
  EXPECT_THAT(b.sent(), ElementsAre("S mss=1460 scale=3 sack ts"));
  b.peer_syn(kAck);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1"));
  EXPECT_THAT(b.told(), ElementsAre("connected"));
  EXPECT_TRUE(b.info().sack);
  EXPECT_TRUE(b.info().timestamps);
}

TEST(ActiveOpen, RepeatsTheSynWithBackoffAndGivesUp) {
  TraceBench b;
  b.start_connect();
  b.sent();
  for (const unsigned seconds : {1u, 2u, 4u, 8u, 16u, 32u, 60u, 60u}) {
    b.wait(seconds * kSecond);
    EXPECT_EQ(b.sent().size(), 1u) << seconds;
  }
  b.wait(60 * kSecond);
  EXPECT_THAT(b.sent(), IsEmpty());
  EXPECT_THAT(b.told(), ElementsAre("reset: timed out", "closed: timed out"));
  EXPECT_EQ(b.engine.connections(), 0u);
}

TEST(ActiveOpen, StartsWithOneSegmentWhenTheSynWasRepeated) {
  TraceBench b;
  b.start_connect();
  b.wait(kSecond);
  b.peer_syn(kAck);
  EXPECT_EQ(b.info().cwnd, 1460u);  // RFC 6928 2
}

TEST(ActiveOpen, ARefusalNeedsToKnowOurSyn) {
  TraceBench b;
  b.start_connect();
  b.peer({.seq = 0, .flags = kRst});
  b.peer({.seq = 0, .ack = 5, .flags = kRst | kAck});
  EXPECT_THAT(b.told(), IsEmpty());
  b.peer({.seq = 0, .ack = 1, .flags = kRst | kAck});
  EXPECT_THAT(b.told(), ElementsAre("reset: refused", "closed: refused"));
}

TEST(ActiveOpen, AnAckOfSomethingElseIsReset) {
  TraceBench b;
  b.start_connect();
  b.sent();
  b.peer({.seq = 0, .ack = 9});
  EXPECT_THAT(b.sent(), ElementsAre("R seq=9"));
  b.peer_syn(kAck);
  EXPECT_THAT(b.told(), ElementsAre("connected"));
}

TEST(ActiveOpen, UnreachableEndsItOnlyWhenItQuotesOurSyn) {
  TraceBench b;
  b.start_connect();
  b.engine.unreachable(b.arriving().reversed(), b.absolute(100), b.now);
  EXPECT_TRUE(b.alive());
  b.engine.unreachable(b.arriving().reversed(), b.absolute(0), b.now);
  b.wait(0);
  EXPECT_THAT(b.told(), ElementsAre("reset: unreachable", "closed: unreachable"));
}

TEST(ActiveOpen, DataWrittenBeforeTheHandshakeGoesAfterIt) {
  TraceBench b;
  b.start_connect();
  b.write(100);
  b.sent();
  b.peer_syn(kAck);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1 len=100"));
}

TEST(SimultaneousOpen, BothSynsCrossAndBothConnect) {
  TraceBench b;
  b.start_connect();
  b.sent();
  b.peer_syn();
  EXPECT_THAT(b.sent(), ElementsAre("SA ack=1 mss=1460"));
  EXPECT_EQ(b.info().state, State::syn_received);
  b.peer({.seq = 0, .flags = kSyn | kAck});  // its SYN-ACK: not acceptable, so answered, which is all it needs
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1"));
  b.peer({.seq = 1});
  EXPECT_THAT(b.told(), ElementsAre("connected"));
  EXPECT_EQ(b.info().state, State::established);
}

TEST(SynCookies, CarryAConnectionWithoutAnEntry) {
  Config config;
  config.cookies_above_percent = 0;
  TraceBench b({}, {.mss = 1400, .scale = 6, .timestamps = true, .sack = true}, config);
  listen(b);
  b.peer_syn();
  EXPECT_THAT(b.sent(), ElementsAre("SA ack=1 mss=1460 scale=3 sack ts"));
  EXPECT_EQ(b.engine.half_open(), 0u);
  b.peer({.length = 3});
  EXPECT_THAT(b.told(), ElementsAre("accepted", "data 3"));
  const Info info = b.info();
  EXPECT_EQ(info.mss, 1360 - 12);  // rounded down
  EXPECT_EQ(info.snd_scale, 6);
  EXPECT_TRUE(info.sack && info.timestamps);
}

TEST(SynCookies, AForgedOneIsIgnoredAndAnOldOneReset) {
  Config config;
  config.cookies_above_percent = 0;
  TraceBench b({}, {}, config);
  listen(b);
  b.peer_syn();
  b.sent();
  b.peer({.ack = 2});
  b.peer({.seq = 100, .ack = 1});  // data that overtook the ACK
  EXPECT_THAT(b.sent(), IsEmpty());
  b.wait(129 * kSecond);
  b.peer({.ack = 1});
  EXPECT_THAT(b.sent(), ElementsAre("R seq=1"));
  EXPECT_THAT(b.told(), IsEmpty());
}

TEST(SynCookies, AreNotForServersThatSpeakFirst) {
  Config config;
  config.half_open = 2;
  config.cookies_above_percent = 0;
  TraceBench b({.real_entries = true}, {}, config);
  listen(b);
  b.peer_syn();
  EXPECT_EQ(b.engine.half_open(), 1u);
  EXPECT_EQ(b.engine.counters().cookies_sent, 0u);
}

TEST(Claim, SaysWhoWouldTakeASegment) {
  using Claim = Engine::Claim;
  TraceBench b;
  const auto claim = [&] { return b.engine.claim(b.arriving(), b.now).by; };
  listen(b);
  EXPECT_EQ(claim(), Claim::none);
  b.peer_syn();
  EXPECT_EQ(claim(), Claim::half_open);
  EXPECT_EQ(b.engine.find(b.arriving()), ConnectionId{});
  b.peer({});
  EXPECT_EQ(claim(), Claim::connection);
  EXPECT_EQ(b.engine.find(b.arriving()), b.id);
  b.shutdown();
  b.peer({.flags = kFin | kAck});
  EXPECT_EQ(claim(), Claim::time_wait);
}

TEST(Terminate, ResetsThePeerAndTellsTheApplication) {
  TraceBench b;
  b.accept();
  b.engine.terminate(b.id);
  b.wait(0);
  EXPECT_THAT(b.sent(), ElementsAre("RA seq=1 ack=1"));
  EXPECT_THAT(b.told(), ElementsAre("reset: terminated", "closed: terminated"));
  EXPECT_EQ(b.engine.connections(), 0u);
}

TEST(Listeners, KeepTheirNumberWhenTheyAreOpenedAgain) {
  TraceBench b;
  const IpAddress address = IpAddress::from_v4(1);
  const auto first = b.engine.listen(address, 80), other = b.engine.listen(address, 81);
  EXPECT_FALSE(b.engine.listen(address, 80));
  b.engine.unlisten(*first);
  EXPECT_EQ(b.engine.listen(address, 80), first);
  EXPECT_NE(first, other);
}

TEST(InitialSequenceNumber, IsKeyedAndMovesWithTime) {
  const Secrets a({1, 2}), b({1, 3});
  const Tuple t{IpAddress::from_v4(1), IpAddress::from_v4(2), 3, 4, kProtocolTcp};
  Tuple other = t;
  other.src_port = 5;
  EXPECT_NE(a.initial_sequence(t, 0), b.initial_sequence(t, 0));
  EXPECT_NE(a.initial_sequence(t, 0), a.initial_sequence(other, 0));
  EXPECT_EQ(a.initial_sequence(t, kSecond) - a.initial_sequence(t, 0), 250'000u);  // RFC 6528 3: 4 us
}

}  // namespace
}  // namespace headgate::tcp::testing
