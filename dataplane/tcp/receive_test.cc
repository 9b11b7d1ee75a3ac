// Receiving: RFC 9293 3.4, 3.8.6, 3.10.7.4; RFC 1122 4.2.3.2; RFC 5681 4.2; RFC 2018; RFC 2883; RFC 7323 4, 5.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/tcp/limits.h"
#include "dataplane/tcp/trace_testing.h"

namespace headgate::tcp::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Profile kSmall{.receive_buffer = 4000, .window_scaling = false};

TEST(DelayedAck, ComesAfterItsTime) {
  TraceBench b;
  b.accept();
  b.peer({.length = 100});
  EXPECT_THAT(b.sent(), IsEmpty());
  b.wait(kDelayedAck);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=101"));
  b.wait(kSecond);
  EXPECT_THAT(b.sent(), IsEmpty());
}

TEST(DelayedAck, EverySecondFullSegmentAtOnce) {
  TraceBench b;
  b.accept();
  b.peer({.length = 1460});
  EXPECT_THAT(b.sent(), IsEmpty());
  b.peer({.length = 1460});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=2921"));
}

TEST(DelayedAck, ABurstGetsOneForEveryTwoSegments) {
  TraceBench b;
  b.accept();
  b.burst({{.length = 1460}, {.length = 1460}, {.length = 1460}, {.length = 1460}, {.length = 1460}});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=2921", "A seq=1 ack=5841"));
  EXPECT_THAT(b.told(), ElementsAre("data 7300"));  // and the application one call
}

TEST(DelayedAck, RidesOnData) {
  TraceBench b;
  b.accept();
  b.peer({.length = 100});
  b.write(50);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=101 len=50"));
  b.wait(kDelayedAck);
  EXPECT_THAT(b.sent(), IsEmpty());
}

TEST(Front, ShowsWhatWaitsAndDiscardTakesItWithoutAPiece) {
  Config tight;
  tight.pieces = 2;
  TraceBench b(Profile{}, {}, tight);
  b.accept();
  b.burst({{.length = 1000}, {.length = 500}});
  const auto text = [&] {
    const auto front = b.engine.front(b.id);
    return std::string(front.begin(), front.end());
  };
  EXPECT_EQ(text().size(), 1000u);
  EXPECT_EQ(text().substr(0, 3), "abc");
  EXPECT_EQ(b.engine.discard(b.id, 1), 1u);
  EXPECT_EQ(text().substr(0, 3), "bcd");
  EXPECT_EQ(b.info().received, 1499u);
  EXPECT_EQ(b.info().unconsumed, 1499u);
  EXPECT_EQ(b.engine.discard(b.id, 1009), 1009u);
  EXPECT_EQ(text().size(), 490u);
  EXPECT_EQ(b.engine.audit(), "");
  EXPECT_EQ(b.engine.discard(b.id, 10'000), 490u);
  EXPECT_EQ(text(), "");
  EXPECT_EQ(b.engine.pieces(), 0u);
  b.peer({.flags = kAck | kFin});
  EXPECT_THAT(b.told(), ElementsAre("data 1500", "fin"));
}

TEST(OutOfOrder, EachSegmentIsAcknowledgedAtOnceAndNotDelivered) {
  TraceBench b;
  b.accept();
  b.burst({{.seq = 4, .length = 3}, {.seq = 10, .length = 3}});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1", "A seq=1 ack=1"));
  EXPECT_THAT(b.told(), IsEmpty());
  b.peer({.seq = 1, .length = 3});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=7"));
  EXPECT_THAT(b.told(), ElementsAre("data 6"));
  b.peer({.seq = 7, .length = 3});
  EXPECT_EQ(b.read(), "abcdefghijkl");
}

TEST(OutOfOrder, OverlapsInEveryWayLeaveTheBytesRight) {
  // The stream is the alphabet; segments {seq, length} in any order have to give it back.
  const std::vector<std::vector<std::pair<std::uint32_t, std::uint32_t>>> rows = {
      {{5, 5}, {5, 5}, {1, 4}},
      {{5, 5}, {3, 10}, {1, 2}},
      {{5, 5}, {6, 2}, {1, 20}},
      {{5, 2}, {9, 2}, {13, 2}, {4, 12}, {1, 3}},
      {{5, 2}, {9, 2}, {6, 4}, {1, 5}},
      {{10, 5}, {5, 5}, {1, 6}},
      {{5, 5}, {1, 5}},
      {{5, 5}, {8, 6}, {2, 5}, {1, 3}},
  };
  for (const auto& row : rows) {
    for (const bool sack : {false, true}) {
      TraceBench b({}, {.sack = sack});
      b.accept();
      std::uint32_t end = 1;
      for (const auto& [seq, length] : row) {
        b.peer({.seq = seq, .length = length});
        end = std::max(end, seq + length);
      }
      EXPECT_EQ(b.read(), std::string("abcdefghijklmnopqrstuvwxyz").substr(0, end - 1));
      for (const std::string& line : b.sent()) EXPECT_EQ(line.find("AUDIT"), std::string::npos) << line;
    }
  }
}

TEST(Sack, ReportsTheNewestBlockFirst) {
  TraceBench b({}, {.sack = true});
  b.accept();
  b.peer({.seq = 11, .length = 10});
  b.peer({.seq = 41, .length = 10});
  b.peer({.seq = 71, .length = 10});
  b.peer({.seq = 21, .length = 5});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1 sack=11-21", "A seq=1 ack=1 sack=41-51 sack=11-21",
                                    "A seq=1 ack=1 sack=71-81 sack=41-51 sack=11-21",
                                    "A seq=1 ack=1 sack=11-26 sack=71-81 sack=41-51"));
}

TEST(Sack, ThreeBlocksFitBesideTimestamps) {
  TraceBench b({}, {.timestamps = true, .sack = true});
  b.accept();
  for (const std::uint32_t seq : {11u, 21u, 31u, 41u, 51u}) b.peer({.seq = seq, .length = 5});
  EXPECT_EQ(b.sent().back(), "A seq=1 ack=1 sack=51-56 sack=41-46 sack=31-36");
}

TEST(Sack, ReportsDuplicatesOnce) {  // RFC 2883
  TraceBench b({}, {.sack = true});
  b.accept();
  b.peer({.length = 10});
  b.sent();
  b.peer({.seq = 1, .length = 10});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=11 sack=1-11"));
  b.peer({.seq = 21, .length = 10});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=11 sack=21-31"));
  b.peer({.seq = 21, .length = 10});  // above the acknowledgment: the block that holds it is second
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=11 sack=21-31 sack=21-31"));
}

TEST(Window, ShrinksWithUnreadDataAndStops) {
  TraceBench b(kSmall);
  b.show_window = true;
  b.accept();
  b.peer({.length = 1460});
  b.peer({.length = 1460});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=2921 win=1080"));
  b.peer({.length = 1080});
  b.wait(kDelayedAck);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=4001 win=0"));
}

TEST(Window, WithNoRoomAProbeIsAnsweredAndNotTaken) {  // RFC 9293 MUST-36
  TraceBench b(kSmall);
  b.show_window = true;
  b.accept();
  b.burst({{.length = 1460}, {.length = 1460}, {.length = 1080}});
  b.sent();
  b.peer({.seq = 4001, .length = 1});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=4001 win=0"));
  b.peer({.seq = 4000});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=4001 win=0"));
  EXPECT_EQ(b.read().size(), 4000u);
}

TEST(Window, WithNoRoomAcknowledgmentsStillCount) {
  TraceBench b(kSmall);
  b.accept();
  b.burst({{.length = 1460}, {.length = 1460}, {.length = 1080}});
  b.write(100);
  b.sent();
  b.peer({.ack = 101});
  EXPECT_EQ(b.info().unacknowledged, 0u);
  b.write(50);
  b.peer({.ack = 151, .length = 1});  // data that is refused with an ACK that is not
  EXPECT_EQ(b.info().unacknowledged, 0u);
}

TEST(Window, OpensByItselfWhenTheApplicationReads) {  // smoltcp #199
  TraceBench b(kSmall);
  b.show_window = true;
  b.accept();
  b.burst({{.length = 1460}, {.length = 1460}, {.length = 1080}});
  b.sent();
  b.read(100);
  EXPECT_THAT(b.sent(), IsEmpty());  // silly windows are not offered (RFC 9293 3.8.6.2.2)
  b.read(2000);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=4001 win=2100"));
}

TEST(Window, ReadingIsNotConsuming) {
  TraceBench b(kSmall);
  b.accept();
  b.burst({{.length = 1460}, {.length = 1460}, {.length = 1080}});
  b.sent();
  EXPECT_EQ(b.read(4000, false).size(), 4000u);
  EXPECT_THAT(b.sent(), IsEmpty());
  b.consume(4000);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=4001"));
}

TEST(Window, ItsRightEdgeNeverMovesBackWhateverTheScale) {
  for (const std::uint32_t buffer : {3000u, 70'000u, 300'000u, 5'000'000u}) {
    TraceBench b({.receive_buffer = buffer}, {.scale = 0});
    b.accept();
    std::uint32_t seq = 1;
    std::uint64_t edge = 0;
    for (int i = 0; i < 3000; ++i) {
      const std::uint32_t length = 1 + static_cast<std::uint32_t>(i * 37 % 200);
      if (b.info().rcv_wnd < length) break;
      b.peer({.seq = seq, .length = length});
      seq += length;
      ASSERT_GE(seq + b.info().rcv_wnd, edge);
      edge = seq + b.info().rcv_wnd;
      // It may creep by the rounding of one scale unit, no more.
      ASSERT_LE(edge, 1 + std::max(buffer, 65535u) + (1u << b.info().rcv_scale));
    }
  }
}

TEST(SequenceNumbers, OutsideTheWindowAreAnsweredWithWhereWeAre) {
  TraceBench b;
  b.accept();
  b.peer({.seq = 500'000, .length = 5});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1"));
  EXPECT_THAT(b.told(), IsEmpty());
}

TEST(SequenceNumbers, AFilledWindowsEdgeIsAcceptable) {
  TraceBench b(kSmall);
  b.accept();
  b.write(10);
  b.sent();
  b.peer({.seq = 4001, .ack = 11});
  EXPECT_EQ(b.info().unacknowledged, 0u);
  EXPECT_THAT(b.sent(), IsEmpty());
}

TEST(Urgent, DataIsDataInBand) {
  TraceBench b;
  b.accept();
  b.peer({.flags = kAck | kUrg, .length = 3});
  EXPECT_EQ(b.read(), "abc");
}

TEST(Timestamps, AreEchoedFromTheSegmentThatTheAckIsFor) {  // RFC 7323 4.3
  TraceBench b({}, {.timestamps = true});
  b.show_timestamps = true;
  b.accept();
  b.peer({.length = 10, .ts = 6000});
  b.peer({.length = 10, .ts = 6005});  // the earliest not yet acknowledged counts
  b.wait(kDelayedAck);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=21 echo=6000"));
  b.peer({.seq = 31, .length = 10, .ts = 6020});  // out of order: not
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=21 echo=6000"));
}

TEST(Paws, DropsOldSegmentsWithAnAnswer) {
  TraceBench b({}, {.timestamps = true});
  b.accept();
  b.peer({.length = 10, .ts = 6000});
  b.wait(kDelayedAck);
  b.sent();
  b.told();
  b.peer({.length = 10, .ts = 5999});
  EXPECT_THAT(b.told(), IsEmpty());
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=11"));
  EXPECT_EQ(b.engine.counters().drop_paws, 1u);
}

TEST(Paws, DoesNotConcernResets) {
  TraceBench b({}, {.timestamps = true});
  b.accept();
  b.peer({.flags = kRst, .ts = 1});
  EXPECT_FALSE(b.alive());
}

TEST(Paws, ForgetsAfterTwentyFourDays) {
  TraceBench b({}, {.timestamps = true});
  b.accept();
  b.peer({.length = 10, .ts = 2'000'000'000});
  b.wait(24ull * 24 * 3600 * kSecond + kSecond);
  b.peer({.length = 10, .ts = 1'000'000'000});
  EXPECT_EQ(b.info().received, 20u);
}

TEST(Paws, ASegmentWithoutATimestampIsDropped) {
  TraceBench b({}, {.timestamps = true});
  b.accept();
  b.peer({.length = 10, .no_timestamp = true});
  EXPECT_THAT(b.told(), IsEmpty());
  EXPECT_EQ(b.engine.counters().drop_no_timestamp, 1u);
}

TEST(Ecn, CongestionIsEchoedUntilTheSenderReduced) {  // RFC 3168 6.1.3
  TraceBench b({.ecn = true}, {.ecn = true});
  b.accept();
  EXPECT_TRUE(b.info().ecn);
  b.peer({.length = 10, .marked = true});
  EXPECT_THAT(b.sent(), ElementsAre("AE seq=1 ack=11"));
  b.write(5);
  EXPECT_THAT(b.sent(), ElementsAre("AE seq=1 ack=11 len=5"));
  b.peer({.flags = kAck | kCwr, .length = 10});
  b.wait(kDelayedAck);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=6 ack=21"));
}

TEST(TinySegments, ThatWaitInAQueueShareABuffer) {
  TraceBench b;
  b.accept();
  for (int i = 0; i < 1000; ++i) b.peer({.length = 1});
  EXPECT_LE(b.pool.in_use(), 3u);
  EXPECT_EQ(b.info().received, 1000u);
  EXPECT_EQ(b.read().substr(0, 28), "abcdefghijklmnopqrstuvwxyzab");
  EXPECT_EQ(b.pool.in_use(), 0u);
}

TEST(Memory, TinySegmentsOutOfOrderCannotPinMoreThanTheirShare) {
  TraceBench b({.receive_buffer = 65535}, {.sack = true});
  b.accept();
  for (std::uint32_t i = 0; i < 30'000; ++i) b.peer({.seq = 3 + 2 * i, .length = 1});
  EXPECT_LE(b.info().truesize, 2u * 65535 + 65536 + 3000);
  EXPECT_GT(b.engine.counters().drop_early, 0u);
}

TEST(Memory, UnderPressureWindowsShrinkThenEarlyDataGoesThenCookiesThenNothing) {
  Config config;
  config.memory = 100'000;
  TraceBench b({.receive_buffer = 60'000, .window_scaling = false}, {.sack = true}, config);
  b.accept();
  const auto fill_to = [&](std::uint32_t percent) {
    while (b.engine.memory() < config.memory / 100 * percent) b.peer({.length = 1400});
    b.sent();
  };
  fill_to(50);
  EXPECT_LT(b.info().rcv_wnd + b.info().unconsumed, 60'001u);
  fill_to(70);
  const std::uint64_t early = b.engine.counters().drop_early;
  b.peer({.seq = b.info().unconsumed + 11, .length = 10});
  EXPECT_EQ(b.engine.counters().drop_early, early + 1);
}

TEST(Memory, WithoutBuffersOrPiecesWhatCannotBeKeptIsNotAcknowledged) {
  Config config;
  config.pieces = 2;
  TraceBench b({}, {}, config);
  b.accept();
  b.peer({.length = 1000});
  b.peer({.length = 1000});
  b.sent();
  b.peer({.seq = 2001, .length = 1000});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=2001"));
  EXPECT_EQ(b.read().size(), 2000u);
  b.peer({.seq = 2001, .length = 1000});
  EXPECT_EQ(b.read().size(), 1000u);
}

}  // namespace
}  // namespace headgate::tcp::testing
