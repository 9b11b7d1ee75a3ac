// Sending: RFC 9293 3.7.4, 3.8.6; RFC 5681; RFC 6928; RFC 6298; RFC 1191, 8201.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/limits.h"
#include "dataplane/tcp/trace_testing.h"

namespace headgate::tcp::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(Segmentation, CutsAtTheSegmentSize) {
  TraceBench b;
  b.accept();
  b.write(3000);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1 len=1460", "A seq=1461 ack=1 len=1460", "A seq=2921 ack=1 len=80"));
}

TEST(Segmentation, TheLastSegmentIsPushed) {
  TraceBench b;
  b.accept();
  b.engine.send_copy(b.id, std::vector<std::uint8_t>(2000));
  b.engine.flush(b.now);
  ASSERT_EQ(b.engine.output().size(), 2u);
  EXPECT_EQ(b.engine.output()[0].header[13] & kPsh, 0);
  EXPECT_EQ(b.engine.output()[1].header[13] & kPsh, kPsh);
}

TEST(Segmentation, SmallWritesOfOneTurnShareASegment) {
  TraceBench b;
  b.accept();
  for (int i = 0; i < 10; ++i) b.engine.send_copy(b.id, std::vector<std::uint8_t>(10));
  b.write(10);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1 len=110"));
}

TEST(Segmentation, ASegmentHasAtMostSevenSlices) {
  TraceBench b;
  b.accept();
  Chain chain = b.engine.chain();
  for (int i = 0; i < 10; ++i) {
    Buffer* buffer = b.pool.with(std::vector<std::uint8_t>(100));
    ASSERT_TRUE(chain.append({buffer, 0, 100}));
    drop_reference(buffer);
  }
  ASSERT_TRUE(b.engine.send(b.id, std::move(chain)));
  b.wait(0);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1 len=700", "A seq=701 ack=1 len=300"));
}

TEST(Cork, HoldsAPartialSegmentUntilMoreComes) {
  TraceBench b;
  b.accept();
  b.write(2000, true);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1 len=1460"));
  b.write(100);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1461 ack=1 len=640"));
}

TEST(Nagle, HoldsASmallSegmentWhileAnotherIsOut) {
  TraceBench b({.nodelay = false});
  b.accept();
  b.write(10);
  b.write(10);
  b.write(10);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1 len=10"));
  b.peer({});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=11 ack=1 len=20"));
}

TEST(PeerWindow, IsNeverOverrun) {
  TraceBench b({}, {.window = 3000});
  b.accept();
  b.write(10'000);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1 len=1460", "A seq=1461 ack=1 len=1460"));
  b.peer({.ack = 1461, .window = 1540});
  EXPECT_THAT(b.sent(), IsEmpty());  // 80 bytes would be silly (RFC 9293 3.8.6.2.1)
  b.peer({.window = 3000});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=2921 ack=1 len=1460", "A seq=4381 ack=1 len=1460"));
}

TEST(PeerWindow, AnOldSegmentDoesNotMoveIt) {  // RFC 9293 3.10.7.4: SND.WL1, SND.WL2
  TraceBench b;
  b.accept();
  b.peer({.length = 10, .window = 5000});
  b.peer({.seq = 1, .window = 10});
  EXPECT_EQ(b.info().snd_wnd, 5000u);
}

TEST(PeerWindow, ComesWithARepeatedSegmentThatAcknowledgesSomethingNew) {
  TraceBench b({}, {.window = 3000});
  b.accept();
  b.peer({.length = 100});
  b.write(5000);
  b.sent();
  b.peer({.seq = 51, .ack = 2921, .length = 100, .window = 1000});  // its number is older than the last window's
  EXPECT_EQ(b.info().snd_wnd, 1000u);
}

TEST(PeerWindow, SurvivesThatAPeerTakesItBack) {  // RFC 9293 MUST-34
  TraceBench b;
  b.accept();
  b.write(5000);
  b.sent();
  b.peer({.ack = 1, .length = 1, .window = 100});
  b.write(100);
  EXPECT_THAT(b.sent(), IsEmpty());
  b.peer({.ack = 1461, .window = 10'000});
  EXPECT_EQ(b.info().unsent, 0u);
}

TEST(PeerWindow, ThatWasTakenBackToNothingIsProbed) {  // RFC 9293 MUST-35
  TraceBench b;
  b.accept();
  b.write(3000);
  b.sent();
  b.peer({.ack = 1, .length = 1, .window = 0});
  b.wait(kSecond);
  EXPECT_EQ(b.sent().back(), "A ack=2");  // snd_una - 1, no data beyond the window
  b.peer({.ack = 1, .window = 5000});
  EXPECT_EQ(b.sent().front(), "A seq=1 ack=2 len=1460");  // and what was lost goes at once
}

TEST(Persist, ProbesAClosedWindowWithBackoff) {  // RFC 9293 3.8.6.1
  TraceBench b({}, {.window = 1000});
  b.accept();
  b.write(2000);
  b.sent();
  b.peer({.window = 0});
  EXPECT_THAT(b.sent(), IsEmpty());
  std::vector<Nanos> at;
  for (int i = 0; i < 600; ++i) {
    b.wait(100 * kMillisecond);
    for (const std::string& line : b.sent()) {
      EXPECT_EQ(line, "A seq=1000 ack=1");  // snd_una - 1
      at.push_back(b.now);
    }
  }
  ASSERT_GE(at.size(), 6u);
  EXPECT_NEAR(static_cast<double>(at[3] - at[2]), 2.0 * static_cast<double>(at[2] - at[1]), 3e8);
  b.peer({.window = 2000});
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1001 ack=1 len=1000"));
}

TEST(Persist, LastsAsLongAsThePeerAnswers) {  // RFC 9293 MUST-37
  TraceBench b({.give_up = 100 * kSecond}, {.window = 1000});
  b.accept();
  b.write(2000);
  b.peer({.window = 0});
  for (int i = 0; i < 1000; ++i) {
    b.wait(kSecond);
    if (!b.sent().empty()) b.peer({.window = 0});
  }
  EXPECT_TRUE(b.alive());
  b.wait(200 * kSecond);
  EXPECT_FALSE(b.alive());
  EXPECT_THAT(b.told(), ElementsAre("reset: timed out", "closed: timed out"));
}

TEST(Persist, ASillyWindowIsUsedInTheEnd) {
  TraceBench b({}, {.window = 2000});
  b.accept();
  b.write(5000);
  b.peer({.window = 500});
  b.sent();
  b.peer({.ack = 1461, .window = 500});
  b.sent();
  b.wait(2 * kSecond);
  EXPECT_THAT(b.sent().front(), "A seq=1461 ack=1 len=500");
}

TEST(Writable, IsToldWhenHalfOfTheBufferIsFree) {
  TraceBench b({.send_buffer = 4000});
  b.accept();
  EXPECT_EQ(b.engine.room(b.id), 4000u);
  b.write(4000);
  EXPECT_EQ(b.engine.room(b.id), 0u);
  b.peer({.ack = 1461});
  EXPECT_THAT(b.told(), IsEmpty());
  b.peer({.ack = 2921});
  EXPECT_THAT(b.told(), ElementsAre("writable"));
  b.peer({.ack = 4001});
  EXPECT_THAT(b.told(), IsEmpty());
}

TEST(InitialWindow, IsTenSegments) {  // RFC 6928
  TraceBench b;
  b.accept();
  b.write(30'000);
  EXPECT_THAT(b.sent(), SizeIs(10));
  EXPECT_EQ(b.info().flight, 14'600u);
}

TEST(CongestionWindow, IsComparedWithWhatIsInFlight) {
  TraceBench b;
  b.accept();
  for (int i = 0; i < 40; ++i) b.write(1460);
  EXPECT_THAT(b.sent(), SizeIs(10));
}

TEST(SlowStart, GrowsByWhatIsAcknowledgedUpToTwoSegments) {  // RFC 5681 3.1, RFC 3465
  TraceBench b;
  b.accept();
  b.write(60'000);
  b.sent();
  b.peer({.ack = 1461});
  EXPECT_EQ(b.info().cwnd, 14'600u + 1460);
  b.peer({.ack = 1461 + 2920});
  EXPECT_EQ(b.info().cwnd, 14'600u + 3 * 1460);
  b.peer({.ack = 1461 + 2920 + 5 * 1460});
  EXPECT_EQ(b.info().cwnd, 14'600u + 5 * 1460);
  for (std::uint32_t i = 1; i <= 10; ++i) b.peer({.ack = 1461 + 2920 + 5 * 1460 + i * 10});  // ACK division
  EXPECT_EQ(b.info().cwnd, 14'600u + 5 * 1460 + 100);
}

TEST(SlowStart, DoesNotGrowAWindowThatIsNotUsed) {  // RFC 7661 is about more; this is the least
  TraceBench b;
  b.accept();
  for (std::uint32_t i = 1; i < 50; ++i) {
    b.write(1000);
    b.peer({.ack = 1 + 1000 * i});
  }
  EXPECT_EQ(b.info().cwnd, 14'600u);
}

TEST(IdleRestart, GoesBackToTheInitialWindow) {  // RFC 5681 4.1
  TraceBench b;
  b.accept();
  std::uint32_t acked = 1;
  for (int i = 0; i < 6; ++i) {
    b.write(40'000);
    b.wait(10 * kMillisecond);
    while (b.info().unacknowledged != 0) b.peer({.ack = acked += std::min(2920u, b.info().unacknowledged)});
  }
  EXPECT_GT(b.info().cwnd, 20'000u);
  b.wait(5 * kSecond);
  b.write(1);
  EXPECT_EQ(b.info().cwnd, 14'600u);
}

TEST(RoundTrip, IsMeasuredAndGivesTheTimeout) {  // RFC 6298 2
  TraceBench b;
  b.accept();
  EXPECT_EQ(b.info().timeout_ms, 1000u);
  b.write(100);
  b.wait(80 * kMillisecond);
  b.peer({});
  EXPECT_EQ(b.info().srtt_us, 80'000u);
  EXPECT_EQ(b.info().rttvar_us, 40'000u);
  EXPECT_EQ(b.info().timeout_ms, 280u);  // the floor is on the variance
  b.write(100);
  b.wait(160 * kMillisecond);
  b.peer({});
  EXPECT_EQ(b.info().srtt_us, 90'000u);
  EXPECT_EQ(b.info().rttvar_us, 50'000u);
}

TEST(RoundTrip, OfNothingIsNotNoRoundTrip) {  // gVisor #6113
  TraceBench b;
  b.accept();
  for (std::uint32_t i = 1; i < 100; ++i) {
    b.write(10);
    b.peer({.ack = 1 + 10 * i});
  }
  EXPECT_EQ(b.info().srtt_us, 1u);
  EXPECT_EQ(b.info().timeout_ms, 200u);
}

TEST(RoundTrip, OfARepeatedSegmentIsNotMeasured) {  // Karn
  TraceBench b;
  b.accept();
  b.write(100);
  b.wait(kSecond);
  b.wait(500 * kMillisecond);
  b.peer({});
  EXPECT_EQ(b.info().srtt_us, 0u);
}

TEST(Timeout, RepeatsWithBackoffAndGivesUp) {  // RFC 6298 5.5, RFC 9293 3.8.3
  TraceBench b({.give_up = 100 * kSecond});
  b.accept();
  b.write(100);
  b.sent();
  Nanos last = b.now;
  std::vector<std::uint64_t> gaps;
  while (b.alive() && gaps.size() < 20) {
    b.wait(kMillisecond * 500);
    for (const std::string& line : b.sent()) {
      if (line.find('R') == std::string::npos) {
        EXPECT_EQ(line, "A seq=1 ack=1 len=100");
        gaps.push_back((b.now - last) / kSecond);
        last = b.now;
      }
    }
  }
  EXPECT_THAT(gaps, ElementsAre(1, 2, 4, 8, 16, 32));
  EXPECT_THAT(b.told(), ElementsAre("reset: timed out", "closed: timed out"));
}

TEST(Timeout, AnAckThatAcknowledgesNothingDoesNotPostponeIt) {  // smoltcp #62
  TraceBench b;
  b.accept();
  b.write(100);
  b.sent();
  for (int i = 0; i < 9; ++i) {
    b.wait(100 * kMillisecond);
    b.peer({.ack = 1, .length = 1});
  }
  b.sent();
  b.wait(100 * kMillisecond);
  EXPECT_EQ(b.sent().back(), "A seq=1 ack=10 len=100");
}

TEST(PathMtu, IsLoweredByAnErrorAboutWhatIsInFlight) {
  TraceBench b;
  b.accept();
  b.write(2000);
  b.sent();
  b.engine.packet_too_big(b.arriving().reversed(), b.absolute(5000), 1000, b.now);
  b.wait(0);
  EXPECT_EQ(b.info().mss, 1460);  // not in flight
  b.engine.packet_too_big(b.arriving().reversed(), b.absolute(1), 1000, b.now);
  b.wait(0);
  EXPECT_EQ(b.info().mss, 960);
  EXPECT_THAT(b.sent(), ElementsAre("A seq=1 ack=1 len=960", "A seq=961 ack=1 len=960", "A seq=1921 ack=1 len=80"));
  EXPECT_EQ(b.info().cwnd, 14'600u);  // RFC 1191 6.5: it is no congestion
}

TEST(PathMtu, IsNotLoweredBelowReasonNorRaised) {
  const struct {
    bool v6;
    std::uint32_t mtu;
    std::uint16_t mss;
  } rows[] = {{false, 68, 512}, {true, 100, 1220}, {false, 1500, 1460}, {false, 9000, 1460}};
  for (const auto& row : rows) {
    TraceBench b({}, {.v6 = row.v6});
    b.accept();
    b.write(1400);
    b.engine.packet_too_big(b.arriving().reversed(), b.absolute(1), row.mtu, b.now);
    EXPECT_EQ(b.info().mss, row.mss);
  }
}

TEST(PathMtu, ABlackHoleIsFoundByTimeouts) {
  TraceBench b;
  b.accept();
  b.write(1460);
  b.wait(8 * kSecond);
  EXPECT_LT(b.info().mss, 1460);
  EXPECT_EQ(b.engine.counters().black_holes, 1u);
}

TEST(Cubic, CubeRootsAreFloors) {
  for (std::uint64_t root : {0ull, 1ull, 2ull, 9ull, 1000ull, 65'535ull, 1'000'003ull, 2'097'151ull}) {
    EXPECT_EQ(cube_root(root * root * root), root);
    EXPECT_EQ(cube_root((root + 1) * (root + 1) * (root + 1) - 1), root);
  }
}

}  // namespace
}  // namespace headgate::tcp::testing
