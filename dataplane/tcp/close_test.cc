// Ending: RFC 9293 3.6, 3.10.7.4; RFC 5961; RFC 1337; RFC 6191; RFC 1122 4.2.2.13.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/tcp/limits.h"
#include "dataplane/tcp/trace_testing.h"

namespace headgate::tcp::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Close, WeCloseFirst) {
  TraceBench b;
  b.accept();
  b.shutdown();
  EXPECT_THAT(b.sent(), ElementsAre("FA seq=1 ack=1"));
  EXPECT_EQ(b.info().state, State::fin_wait_1);
  b.peer({});
  EXPECT_EQ(b.info().state, State::fin_wait_2);
  b.peer({.flags = kFin | kAck});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=2 ack=2"));
  EXPECT_THAT(b.told(), ElementsAre("fin", "closed: normal"));
  EXPECT_EQ(b.engine.connections(), 0u);
  EXPECT_EQ(b.engine.time_waits(), 1u);
  b.wait(kTimeWait + kMillisecond);
  EXPECT_EQ(b.engine.time_waits(), 0u);
}

TEST(Close, ThePeerClosesFirst) {
  TraceBench b;
  b.accept();
  b.peer({.flags = kFin | kAck});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=2"));
  EXPECT_THAT(b.told(), ElementsAre("fin"));
  EXPECT_EQ(b.info().state, State::close_wait);
  b.shutdown();
  EXPECT_THAT(b.sent(), ElementsAre("FA seq=1 ack=2"));
  EXPECT_EQ(b.info().state, State::last_ack);
  b.peer({});
  EXPECT_THAT(b.told(), ElementsAre("closed: normal"));
  EXPECT_EQ(b.engine.time_waits(), 0u);
}

TEST(Close, BothCloseAtOnce) {
  TraceBench b;
  b.accept();
  b.shutdown();
  b.sent();
  b.peer({.ack = 1, .flags = kFin | kAck});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=2 ack=2"));
  EXPECT_EQ(b.info().state, State::closing);
  b.peer({.ack = 2});
  EXPECT_THAT(b.told(), ElementsAre("fin", "closed: normal"));
  EXPECT_EQ(b.engine.time_waits(), 1u);
}

TEST(Close, AFinThatAcknowledgesOursGoesStraightToTimeWait) {
  TraceBench b;
  b.accept();
  b.shutdown();
  b.sent();
  b.peer({.flags = kFin | kAck});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=2 ack=2"));
  EXPECT_EQ(b.engine.time_waits(), 1u);
}

TEST(HalfClose, WeStillReceiveAfterOurFin) {
  TraceBench b;
  b.accept();
  b.shutdown();
  b.peer({});
  b.sent();
  b.peer({.length = 4});
  EXPECT_THAT(b.told(), ElementsAre("data 4"));
  EXPECT_EQ(b.read(), "abcd");
  EXPECT_FALSE(b.engine.send_copy(b.id, std::vector<std::uint8_t>(3)));
}

TEST(HalfClose, WeStillSendAfterTheirFin) {
  TraceBench b;
  b.accept();
  b.peer({.flags = kFin | kAck});
  b.sent();
  b.write(10);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=2 len=10"));
}

TEST(HalfClose, EndsAfterItsTimeWithoutAWord) {
  TraceBench b({.half_closed = 10 * kSecond});
  b.accept();
  b.shutdown();
  b.peer({});
  b.sent();
  b.wait(8 * kSecond);
  b.peer({.length = 1});
  b.wait(8 * kSecond);
  EXPECT_TRUE(b.alive());
  b.sent();
  b.wait(2 * kSecond);
  EXPECT_THAT(b.sent(), ElementsAre("RA seq=2 ack=2"));
  EXPECT_THAT(b.told(), ElementsAre("data 1", "reset: half-closed", "closed: half-closed"));
}

TEST(Fin, GoesWithTheLastData) {
  TraceBench b;
  b.accept();
  b.engine.send_copy(b.id, std::vector<std::uint8_t>(5));
  b.shutdown();
  EXPECT_THAT(b.sent(), ElementsAre("FA seq=1 ack=1 len=5"));
}

TEST(Fin, WaitsForDataThatTheWindowHoldsBack) {
  TraceBench b({}, {.window = 1000});
  b.accept();
  b.engine.send_copy(b.id, std::vector<std::uint8_t>(1500));
  b.shutdown();
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1 len=1000"));
  b.peer({});
  EXPECT_THAT(b.sent(), ElementsAre("FA seq=1001 ack=1 len=500"));
}

TEST(Fin, IsRepeatedAlone) {
  TraceBench b;
  b.accept();
  b.shutdown();
  b.sent();
  b.wait(kSecond);
  EXPECT_THAT(b.sent(), ElementsAre("FA seq=1 ack=1"));
}

TEST(Fin, IsRepeatedWithItsData) {
  TraceBench b;
  b.accept();
  b.engine.send_copy(b.id, std::vector<std::uint8_t>(5));
  b.shutdown();
  b.sent();
  b.wait(kSecond);
  EXPECT_THAT(b.sent(), ElementsAre("FA seq=1 ack=1 len=5"));
}

TEST(Fin, ThatCameEarlyCountsWhenTheGapIsFilled) {
  TraceBench b;
  b.accept();
  b.peer({.seq = 4, .flags = kFin | kAck, .length = 3});
  EXPECT_THAT(b.told(), IsEmpty());
  b.peer({.seq = 1, .length = 3});
  EXPECT_THAT(b.told(), ElementsAre("data 6"));
  EXPECT_EQ(b.read(), "abcdef");
  EXPECT_THAT(b.told(), ElementsAre("fin"));
}

TEST(Fin, IsToldAfterTheDataBeforeIt) {
  TraceBench b;
  b.accept();
  b.peer({.flags = kFin | kAck, .length = 3});
  EXPECT_THAT(b.told(), ElementsAre("data 3"));
  EXPECT_EQ(b.read(), "abc");
  EXPECT_THAT(b.told(), ElementsAre("fin"));
}

TEST(Fin, DataBehindItIsIgnored) {
  TraceBench b;
  b.accept();
  b.peer({.flags = kFin | kAck});
  b.told();
  b.sent();
  b.peer({.seq = 2, .length = 5});
  EXPECT_THAT(b.told(), IsEmpty());
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=2"));
}

TEST(Fin, BeyondTheWindowIsNotTaken) {
  TraceBench b({.receive_buffer = 10, .window_scaling = false});
  b.accept();
  b.peer({.flags = kFin | kAck, .length = 12});
  EXPECT_THAT(b.told(), ElementsAre("data 10"));
  EXPECT_EQ(b.info().state, State::established);
}

TEST(Fin, IsTakenByAClosedWindow) {
  TraceBench b({.receive_buffer = 10, .window_scaling = false});
  b.accept();
  b.peer({.length = 10});
  b.peer({.flags = kFin | kAck});
  EXPECT_EQ(b.info().state, State::close_wait);
}

TEST(Closed, WaitsUntilTheApplicationHasReadAll) {
  TraceBench b;
  b.accept();
  b.shutdown();
  b.peer({.flags = kFin | kAck, .length = 3});
  EXPECT_THAT(b.told(), ElementsAre("data 3"));
  EXPECT_EQ(b.engine.time_waits(), 1u);
  EXPECT_EQ(b.read(), "abc");
  EXPECT_THAT(b.told(), ElementsAre("fin", "closed: normal"));
  EXPECT_EQ(b.engine.connections(), 0u);
}

TEST(Abort, SendsAResetAndSaysNothing) {
  TraceBench b;
  b.accept();
  b.write(100);
  b.sent();
  b.abort();
  EXPECT_THAT(b.sent(), ElementsAre("RA seq=101 ack=1"));
  EXPECT_THAT(b.told(), IsEmpty());
  EXPECT_EQ(b.engine.connections(), 0u);
  EXPECT_EQ(b.engine.pieces(), 0u);
}

// RFC 5961 3.2, 4.2, 5.2.
TEST(Reset, OnlyTheExactNumberIsBelieved) {
  TraceBench b;
  b.accept();
  b.peer({.seq = 2, .flags = kRst});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1"));  // challenge
  b.peer({.seq = 4'000'000, .flags = kRst});
  EXPECT_THAT(b.sent(), IsEmpty());
  EXPECT_TRUE(b.alive());
  b.peer({.seq = 1, .flags = kRst});
  EXPECT_THAT(b.told(), ElementsAre("reset: reset by peer", "closed: reset by peer"));
}

TEST(Reset, IsTakenWithAClosedWindow) {
  TraceBench b({.receive_buffer = 10, .window_scaling = false});
  b.accept();
  b.peer({.length = 10});
  b.told();
  b.peer({.flags = kRst});
  EXPECT_THAT(b.told(), ElementsAre("reset: reset by peer", "closed: reset by peer"));
}

TEST(Reset, InLastAckIsAnEndInOrder) {
  TraceBench b;
  b.accept();
  b.peer({.flags = kFin | kAck});
  b.shutdown();
  b.told();
  b.peer({.flags = kRst});
  EXPECT_THAT(b.told(), ElementsAre("closed: normal"));
}

TEST(Syn, InAConnectionIsChallenged) {
  for (const std::uint32_t seq : {0u, 1u, 500u, 4'000'000u}) {
    TraceBench b;
    b.accept();
    b.peer({.seq = seq, .flags = kSyn});
    EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1")) << seq;
    EXPECT_TRUE(b.alive());
  }
}

TEST(Challenges, AreLimitedPerConnection) {
  TraceBench b;
  b.accept();
  for (int i = 0; i < 100; ++i) b.peer({.seq = 5, .flags = kRst});
  EXPECT_EQ(b.sent().size(), kChallengesMax);
  b.wait(kChallengeWindow);
  b.peer({.seq = 5, .flags = kRst});
  EXPECT_EQ(b.sent().size(), 1u);
}

TEST(Acknowledgment, OfTheFutureOrTheFarPastIsChallenged) {
  TraceBench b({}, {.window = 1000});
  b.accept();
  b.peer({.ack = 2, .length = 5});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1"));
  b.peer({.seq = 1, .ack = static_cast<std::uint32_t>(-5000), .length = 5});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1"));
  EXPECT_THAT(b.told(), IsEmpty());
}

TEST(Acknowledgment, AbsentTheSegmentIsDropped) {
  TraceBench b;
  b.accept();
  b.peer({.flags = 0, .length = 5});
  EXPECT_THAT(b.told(), IsEmpty());
  EXPECT_THAT(b.sent(), IsEmpty());
}

void into_time_wait(TraceBench& b) {
  b.accept();
  b.shutdown();
  b.peer({.flags = kFin | kAck});
  b.sent();
  b.told();
}

TEST(TimeWaitState, AnswersARepeatedFinAndStartsAnew) {
  TraceBench b;
  into_time_wait(b);
  b.wait(50 * kSecond);
  b.peer({.seq = 1, .flags = kFin | kAck});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=2 ack=2"));
  b.wait(50 * kSecond);
  EXPECT_EQ(b.engine.time_waits(), 1u);
  b.wait(10 * kSecond + kMillisecond);
  EXPECT_EQ(b.engine.time_waits(), 0u);
}

TEST(TimeWaitState, IsNotEndedByAReset) {  // RFC 1337
  TraceBench b;
  into_time_wait(b);
  b.peer({.flags = kRst});
  EXPECT_EQ(b.engine.time_waits(), 1u);
  EXPECT_THAT(b.sent(), IsEmpty());
}

TEST(TimeWaitState, ANewerSynOpensAnewAndAnOlderOneDoesNot) {  // RFC 6191
  const struct {
    bool timestamps;
    std::uint32_t seq;
    std::int32_t clock;
    bool opens;
  } rows[] = {
      {false, 100, 0, true},   {false, 1, 0, false}, {true, 1, 10, true},
      {true, 100, -10, false}, {true, 100, 0, true}, {true, 1, 0, false},
  };
  for (const auto& row : rows) {
    TraceBench b({}, {.timestamps = row.timestamps});
    into_time_wait(b);
    b.peer_clock += static_cast<std::uint32_t>(row.clock);
    b.peer({.seq = row.seq, .flags = kSyn});
    EXPECT_EQ(b.engine.half_open(), row.opens ? 1u : 0u) << row.seq << " " << row.clock;
    EXPECT_EQ(b.engine.time_waits(), row.opens ? 0u : 1u);
    EXPECT_EQ(b.sent().size(), 1u);
  }
}

TEST(Keepalive, IsOffByDefault) {  // RFC 9293 MUST-25
  TraceBench b;
  b.accept();
  b.wait(24 * 3600 * kSecond);
  EXPECT_THAT(b.sent(), IsEmpty());
  EXPECT_TRUE(b.alive());
}

TEST(Keepalive, ProbesAnIdlePeerAndGivesUp) {
  TraceBench b({.keepalive_idle = 60 * kSecond, .keepalive_interval = 10 * kSecond, .keepalive_probes = 2});
  b.accept();
  b.wait(59 * kSecond);
  EXPECT_THAT(b.sent(), IsEmpty());
  b.wait(kSecond);
  EXPECT_THAT(b.sent(), ElementsAre("A ack=1"));  // seq is snd_una - 1
  b.peer({});
  b.wait(60 * kSecond);
  EXPECT_THAT(b.sent(), ElementsAre("A ack=1"));
  b.wait(10 * kSecond);
  EXPECT_THAT(b.sent(), ElementsAre("A ack=1"));
  b.wait(10 * kSecond);
  EXPECT_THAT(b.sent(), ElementsAre("RA seq=1 ack=1"));
  EXPECT_THAT(b.told(), ElementsAre("reset: keepalive", "closed: keepalive"));
}

TEST(Keepalive, TheirProbesAreAnswered) {
  TraceBench b;
  b.accept();
  b.peer({.seq = 0});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1"));
  b.peer({.seq = 0, .length = 1});  // with a byte of garbage (RFC 1122 4.2.3.6)
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1"));
  EXPECT_THAT(b.told(), IsEmpty());
}

}  // namespace
}  // namespace headgate::tcp::testing
