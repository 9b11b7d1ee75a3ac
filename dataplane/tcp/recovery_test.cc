// Losing and finding again: RFC 5681 3.2, 6582, 6675, 3042, 5682, 3522, 6937, 8985, 9438, 3168.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/tcp/limits.h"
#include "dataplane/tcp/trace_testing.h"

namespace headgate::tcp::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::SizeIs;

constexpr std::uint32_t kMss = 1460;

SackBlock block(std::uint32_t start, std::uint32_t end) {
  return {{start}, {end}};
}

// `segments` in flight, nothing in sent(), a round trip of 100 ms known.
void in_flight(TraceBench& b, std::uint32_t segments) {
  b.accept();
  b.write(1);
  b.wait(100 * kMillisecond);
  b.peer({});
  b.write(segments * kMss);
  b.sent();
}
constexpr std::uint32_t at(std::uint32_t segment) {
  return 2 + segment * kMss;
}
std::string data(std::uint32_t segment, const char* more = "") {
  return "A seq=" + std::to_string(at(segment)) + " ack=1 len=1460" + more;
}

TEST(LimitedTransmit, TheFirstTwoDuplicatesSendNewData) {  // RFC 3042
  for (const bool sack : {false, true}) {
    TraceBench b({}, {.sack = sack});
    in_flight(b, 12);
    ASSERT_EQ(b.info().flight, 10 * kMss);
    b.peer({.ack = at(0), .sacks = sack ? std::vector{block(at(1), at(2))} : std::vector<SackBlock>{}});
    EXPECT_THAT(b.sent(), ElementsAre(data(10)));
    b.peer({.ack = at(0), .sacks = sack ? std::vector{block(at(1), at(3))} : std::vector<SackBlock>{}});
    EXPECT_THAT(b.sent(), ElementsAre(data(11)));
    EXPECT_STREQ(b.info().recovery, "disorder");
  }
}

TEST(NewReno, TheThirdDuplicateRepeatsTheFirstSegmentAndHalvesTheWindow) {
  TraceBench b;
  in_flight(b, 10);
  for (int i = 0; i < 3; ++i) b.peer({.ack = at(0)});
  EXPECT_THAT(b.sent(), ElementsAre(data(0)));
  EXPECT_EQ(b.info().ssthresh, 5 * kMss);
  EXPECT_EQ(b.info().cwnd, 5 * kMss);
  EXPECT_STREQ(b.info().recovery, "fast");
}

TEST(NewReno, APartialAcknowledgmentRepeatsTheNext) {  // RFC 6582 3.2
  TraceBench b;
  in_flight(b, 10);
  for (int i = 0; i < 9; ++i) b.peer({.ack = at(0)});
  b.sent();
  b.peer({.ack = at(4)});
  EXPECT_THAT(b.sent(), ElementsAre(data(4)));
  EXPECT_STREQ(b.info().recovery, "fast");
  b.peer({.ack = at(10)});
  EXPECT_STREQ(b.info().recovery, "disorder");  // held until something newer is acknowledged
  EXPECT_LE(b.info().cwnd, 5 * kMss);
  for (int i = 0; i < 5; ++i) b.peer({.ack = at(10)});
  EXPECT_THAT(b.sent(), IsEmpty());
}

TEST(NewReno, DuplicatesOfOurOwnRepetitionsDoNotStartItAgain) {  // RFC 6582 4.1
  TraceBench b;
  in_flight(b, 10);
  b.wait(2 * kSecond);  // timeout: go back
  b.peer({.ack = at(10)});
  b.sent();
  b.write(5 * kMss);
  b.sent();
  for (int i = 0; i < 4; ++i) b.peer({.ack = at(10)});
  EXPECT_EQ(b.engine.counters().fast_recoveries, 0u);
}

TEST(Sack, RepeatsExactlyTheHoles) {  // RFC 6675
  TraceBench b({}, {.sack = true});
  in_flight(b, 10);
  b.peer({.ack = at(0), .sacks = {block(at(1), at(2))}});
  b.peer({.ack = at(0), .sacks = {block(at(3), at(4)), block(at(1), at(2))}});
  EXPECT_THAT(b.sent(), IsEmpty());
  b.peer({.ack = at(0), .sacks = {block(at(5), at(10)), block(at(3), at(4)), block(at(1), at(2))}});
  // Lost: 0, 2 and 4. In flight after them nothing else.
  EXPECT_THAT(b.sent(), ElementsAre(data(0), data(2), data(4)));
  EXPECT_EQ(b.info().flight, 3 * kMss);
  b.peer({.ack = at(10)});
  EXPECT_STREQ(b.info().recovery, "open");
  EXPECT_EQ(b.info().ssthresh, 5 * kMss);
}

TEST(Sack, BlocksOutsideOfWhatWasSentAreIgnored) {
  TraceBench b({}, {.sack = true});
  in_flight(b, 4);
  b.peer({.ack = at(0), .sacks = {block(at(2), at(40))}});
  b.peer({.ack = at(0), .sacks = {block(at(3), at(2))}});
  EXPECT_EQ(b.info().flight, 4 * kMss);
  EXPECT_STREQ(b.info().recovery, "disorder");  // they are duplicate ACKs all the same
}

TEST(Sack, DuplicateReportsAreNotNews) {  // RFC 2883
  TraceBench b({}, {.sack = true});
  in_flight(b, 10);
  b.peer({.ack = at(2), .sacks = {block(at(0), at(1))}});
  EXPECT_EQ(b.engine.counters().dsacks_received, 1u);
  EXPECT_EQ(b.info().flight, 8 * kMss);
}

TEST(Sack, IsForgottenAfterATimeout) {  // RFC 2018 8
  TraceBench b({}, {.sack = true});
  in_flight(b, 4);
  b.peer({.ack = at(0), .sacks = {block(at(1), at(4))}});
  b.sent();
  b.wait(2 * kSecond);
  b.sent();
  b.peer({.ack = at(1)});
  EXPECT_THAT(b.sent(), ElementsAre(data(1), data(2)));
}

TEST(Timeout, GoesBackToOneSegmentAndHalvesTheThreshold) {  // RFC 5681 3.1
  TraceBench b;
  in_flight(b, 10);
  b.wait(310 * kMillisecond);
  EXPECT_THAT(b.sent(), ElementsAre(data(0)));
  EXPECT_EQ(b.info().cwnd, kMss);
  EXPECT_EQ(b.info().ssthresh, 5 * kMss);
  b.wait(700 * kMillisecond);  // again: the threshold stays
  EXPECT_EQ(b.info().ssthresh, 5 * kMss);
  EXPECT_THAT(b.sent(), ElementsAre(data(0)));
}

TEST(Timeout, TheWindowGrowsBySingleSegmentsAfterIt) {
  TraceBench b({.spurious_undo = false});
  in_flight(b, 10);
  b.wait(310 * kMillisecond);
  b.sent();
  b.peer({.ack = at(1)});
  EXPECT_THAT(b.sent(), ElementsAre(data(1), data(2)));
}

TEST(Timeout, WhatWaitedBehindAHoleIsNoRoundTrip) {
  for (const bool sack : {false, true}) {
    TraceBench b({}, {.sack = sack});
    in_flight(b, 4);
    b.peer({.ack = at(0), .sacks = sack ? std::vector{block(at(1), at(4))} : std::vector<SackBlock>{}});
    const std::uint32_t before = b.info().srtt_us;
    b.wait(30 * kSecond);
    b.peer({.ack = at(4)});
    EXPECT_EQ(b.info().srtt_us, before);
  }
}

TEST(ForwardRto, ASpuriousTimeoutIsTakenBack) {  // RFC 5682 2.1
  TraceBench b;
  in_flight(b, 12);
  b.wait(310 * kMillisecond);
  EXPECT_THAT(b.sent(), ElementsAre(data(0)));
  b.peer({.ack = at(1)});
  EXPECT_THAT(b.sent(), ElementsAre(data(10)));  // new data instead of another repetition
  b.peer({.ack = at(2)});
  EXPECT_EQ(b.engine.counters().spurious, 1u);
  EXPECT_GE(b.info().cwnd, 10 * kMss);
  EXPECT_STREQ(b.info().recovery, "open");
}

TEST(ForwardRto, ADuplicateShowsThatItWasReal) {
  TraceBench b;
  in_flight(b, 12);
  b.wait(310 * kMillisecond);
  b.peer({.ack = at(1)});
  b.sent();
  b.peer({.ack = at(1)});
  EXPECT_EQ(b.engine.counters().spurious, 0u);
  EXPECT_THAT(b.sent().front(), data(1));
}

TEST(Eifel, AnEchoOfTheOriginalTakesBackAFastRecovery) {  // RFC 3522
  TraceBench b({}, {.timestamps = true, .sack = true});
  b.accept();
  b.write(1);
  b.wait(kMillisecond);
  b.peer({});
  b.write(10 * 1448);
  const std::uint32_t original = b.last_timestamp();
  b.wait(20 * kMillisecond);
  for (std::uint32_t i = 2; i < 6; ++i) b.peer({.ack = 2, .sacks = {block(2 + 1448, 2 + 1448 * i)}});
  ASSERT_STREQ(b.info().recovery, "fast");
  b.peer({.ack = 2 + 5 * 1448, .echo = original});
  EXPECT_EQ(b.engine.counters().spurious, 1u);
  EXPECT_EQ(b.info().cwnd, 14'480u);
}

TEST(Prr, SendsInProportionToWhatIsDelivered) {  // RFC 6937
  TraceBench b({.prr = true}, {.sack = true});
  in_flight(b, 30);
  ASSERT_EQ(b.info().flight, 10 * kMss);
  for (std::uint32_t i = 2; i <= 10; ++i) b.peer({.ack = at(0), .sacks = {block(at(1), at(i))}});
  EXPECT_LE(b.info().flight, 6 * kMss);
  EXPECT_GE(b.info().flight, 4 * kMss);
  b.peer({});
  EXPECT_EQ(b.info().ssthresh, 5 * kMss);
}

TEST(Cubic, ReducesToSevenTenths) {  // RFC 9438 4.6
  TraceBench b({.cubic = true}, {.sack = true});
  in_flight(b, 10);
  for (std::uint32_t i = 2; i <= 5; ++i) b.peer({.ack = at(0), .sacks = {block(at(1), at(i))}});
  EXPECT_EQ(b.info().ssthresh, 10 * kMss * 7 / 10);
}

TEST(Cubic, GrowsSlowlyNearTheOldWindowAndFastBeyond) {
  TraceBench b({.send_buffer = 20'000'000, .cubic = true}, {.scale = 10, .sack = true, .window = 60'000});
  in_flight(b, 9000);
  std::uint32_t acked = at(0);
  const auto round = [&] {
    b.wait(100 * kMillisecond);
    for (std::uint32_t left = b.info().flight; left >= 2 * kMss; left -= 2 * kMss) b.peer({.ack = acked += 2 * kMss});
  };
  for (int i = 0; i < 3; ++i) round();
  const std::uint32_t before = b.info().cwnd;
  for (std::uint32_t i = 2; i <= 6; ++i) b.peer({.ack = acked, .sacks = {{{acked + kMss}, {acked + i * kMss}}}});
  b.peer({.ack = acked += b.info().unacknowledged});
  const std::uint32_t reduced = b.info().ssthresh;
  EXPECT_NEAR(reduced, before * 0.7, kMss * 2);
  std::uint32_t last = b.info().cwnd, growth_near = ~0u, growth_far = 0;
  for (int i = 0; i < 120 && b.info().unsent > 200 * kMss; ++i) {
    round();
    const std::uint32_t now = b.info().cwnd;
    if (now > before * 95 / 100 && now < before * 105 / 100) growth_near = std::min(growth_near, now - last);
    if (now > before * 120 / 100) growth_far = std::max(growth_far, now - last);
    last = now;
  }
  EXPECT_LT(growth_near, growth_far);
}

TEST(Ecn, AnEchoReducesOncePerWindow) {  // RFC 3168 6.1.2
  TraceBench b({.ecn = true}, {.ecn = true});
  b.accept();
  b.write(10 * kMss);
  b.sent();
  b.peer({.ack = 1 + kMss, .flags = kAck | kEce});
  const std::uint32_t reduced = b.info().cwnd;
  EXPECT_EQ(reduced, 9 * kMss / 2);  // half of what was in flight
  b.peer({.ack = 1 + 2 * kMss, .flags = kAck | kEce});
  EXPECT_EQ(b.info().cwnd, reduced);
  b.peer({.ack = 1 + 10 * kMss});
  b.write(100);
  EXPECT_THAT(b.sent(), ElementsAre(HasSubstr("AW seq=")));
}

TEST(Rack, FindsALostRepetitionWithoutATimeout) {  // RFC 8985
  TraceBench b({.rack = true}, {.sack = true});
  in_flight(b, 10);
  b.wait(100 * kMillisecond);
  b.peer({.ack = at(0), .sacks = {block(at(1), at(5))}});
  EXPECT_THAT(b.sent(), ElementsAre(data(0)));
  b.write(2 * kMss);
  b.peer({.ack = at(0), .sacks = {block(at(1), at(10))}});
  EXPECT_THAT(b.sent(), ElementsAre(data(10), data(11)));
  b.wait(110 * kMillisecond);
  b.peer({.ack = at(0), .sacks = {block(at(1), at(12))}});  // sent after the repetition, and here
  EXPECT_THAT(b.sent(), ElementsAre(data(0)));
  EXPECT_EQ(b.engine.counters().timeouts, 0u);
}

TEST(Rack, WaitsForReordering) {
  TraceBench b({.rack = true}, {.sack = true});
  in_flight(b, 3);
  b.wait(100 * kMillisecond);
  b.peer({.ack = at(0), .sacks = {block(at(1), at(2))}});
  EXPECT_THAT(b.sent(), IsEmpty());
  b.wait(10 * kMillisecond);
  EXPECT_THAT(b.sent(), IsEmpty());
  b.wait(30 * kMillisecond);  // a quarter of the round trip
  EXPECT_THAT(b.sent(), ElementsAre(data(0)));
}

// RFC 8985 6.2 steps 3 and 4
TEST(Rack, OfAPathThatReordersACountSaysNothing) {
  TraceBench b({.rack = true}, {.sack = true});
  in_flight(b, 10);
  b.wait(100 * kMillisecond);
  b.peer({.ack = at(0), .sacks = {block(at(1), at(2))}});
  b.peer({.ack = at(2)});  // the first one came behind the second
  b.peer({.ack = at(2), .sacks = {block(at(3), at(8))}});
  EXPECT_THAT(b.sent(), IsEmpty());
  b.wait(15 * kMillisecond);
  b.peer({.ack = at(8)});
  b.wait(100 * kMillisecond);
  EXPECT_THAT(b.sent(), IsEmpty()) << "nothing was lost";
  b.peer({.ack = at(10)});
  EXPECT_EQ(b.engine.counters().fast_recoveries, 0u);
}

TEST(Rack, ARepetitionInVainWidensTheWindowForSixteenRecoveries) {
  TraceBench b({.rack = true}, {.sack = true});
  std::uint32_t first = 0;
  // The first of two segments is missing: for how long until it is sent again?
  const auto patience = [&] {
    b.write(2 * kMss);
    b.sent();
    b.wait(100 * kMillisecond);
    b.peer({.ack = at(first), .sacks = {block(at(first + 1), at(first + 2))}});
    Nanos waited = 0;
    for (; b.sent().empty() && waited < kSecond; waited += 2 * kMillisecond) b.wait(2 * kMillisecond);
    first += 2;
    b.peer({.ack = at(first)});
    return waited;
  };
  in_flight(b, 3);
  b.wait(100 * kMillisecond);
  b.peer({.ack = at(first += 3)});
  const auto near = [](unsigned quarters) {
    return AllOf(Ge(25 * quarters * kMillisecond), Le((25 * quarters + 6) * kMillisecond));
  };
  EXPECT_THAT(patience(), near(1));
  b.peer({.ack = at(first), .sacks = {block(at(first - 2), at(first - 1))}});
  EXPECT_THAT(patience(), near(2));
  b.write(2 * kMss);
  b.peer({.ack = at(first), .sacks = {block(at(first - 2), at(first - 1))}});
  b.peer({.ack = at(first), .sacks = {block(at(first - 2), at(first - 1))}});  // the same round trip
  b.wait(100 * kMillisecond);
  b.peer({.ack = at(first += 2)});
  for (int i = 0; i < 16; ++i) EXPECT_THAT(patience(), near(3)) << i;
  EXPECT_THAT(patience(), near(1));
}

TEST(TailLossProbe, RepeatsTheLastSegmentAfterTwoRoundTrips) {  // RFC 8985 7
  TraceBench b({.rack = true}, {.sack = true});
  in_flight(b, 3);
  b.wait(199 * kMillisecond);
  EXPECT_THAT(b.sent(), IsEmpty());
  b.wait(4 * kMillisecond);
  EXPECT_THAT(b.sent(), ElementsAre(data(2)));
  b.wait(100 * kMillisecond);
  b.peer({.ack = at(0), .sacks = {block(at(2), at(3))}});
  EXPECT_EQ(b.engine.counters().timeouts, 0u);
  EXPECT_THAT(b.sent(), SizeIs(2));
}

TEST(Blocks, WithoutOneLossIsStillRecoveredByTimeouts) {
  Config config;
  config.troubled = 0;
  TraceBench b({}, {.sack = true}, config);
  in_flight(b, 3);
  for (int i = 0; i < 20 && b.info().unacknowledged != 0; ++i) {
    b.wait(kSecond);
    const auto sent = b.sent();
    if (!sent.empty()) b.peer({.ack = at(1 + static_cast<std::uint32_t>(i))});
    if (b.info().unacknowledged == 0) break;
    b.wait(10 * kSecond);
  }
  EXPECT_EQ(b.info().unacknowledged, 0u);
}

}  // namespace
}  // namespace headgate::tcp::testing
