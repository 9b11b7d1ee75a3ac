#include <gtest/gtest.h>

#include <string>

#include "tests/bench/claims.h"
#include "tests/bench/gap.h"

namespace headgate::bench {
namespace {

constexpr Nanos ms(Nanos count) {
  return count * kMillisecond;
}

TEST(GapMeter, FindsTheLongestSilenceAndWhenItBegan) {
  GapMeter meter;
  meter.mark(ms(1000));
  for (Nanos at = 1001; at <= 1100; ++at) meter.answer(ms(at), ms(at));
  for (Nanos at = 1140; at <= 1200; ++at) meter.answer(ms(at), ms(at));
  EXPECT_EQ(meter.longest(ms(1201)), ms(40));
  EXPECT_EQ(meter.longest_at(), ms(100));
}

TEST(GapMeter, CountsAGapThatIsStillOpen) {
  GapMeter meter;
  meter.mark(ms(1000));
  meter.answer(ms(1001), ms(1001));
  EXPECT_EQ(meter.longest(ms(1500)), ms(499));
}

TEST(GapMeter, CountsAGapThatBeganBeforeTheWindow) {
  GapMeter meter;
  meter.mark(ms(1));
  meter.answer(ms(990), ms(990));
  meter.mark(ms(1000));
  meter.answer(ms(1020), ms(1020));
  EXPECT_EQ(meter.longest(ms(1020)), ms(30));
  EXPECT_EQ(meter.longest_at(), 0u);
}

TEST(GapMeter, DoesNotTakeALateAnswerForOne) {
  GapMeter meter;
  meter.mark(ms(1000));
  meter.answer(ms(1000), ms(1000));
  meter.answer(ms(1001), ms(1001) + kLate + 1);  // a stopped box goes on
  EXPECT_EQ(meter.late(), 1u);
  EXPECT_EQ(meter.longest(ms(1300)), ms(300));
}

constexpr std::uint32_t kAddress = 0xc0000264;  // 192.0.2.100

std::vector<std::uint8_t> frame(std::uint16_t type, std::size_t sender_at, std::uint32_t sender,
                                std::uint8_t protocol = 1) {
  std::vector<std::uint8_t> bytes(64);
  bytes[12] = static_cast<std::uint8_t>(type >> 8);
  bytes[13] = static_cast<std::uint8_t>(type);
  if (type == 0x0800) bytes[14 + 9] = protocol;
  for (std::size_t i = 0; i < 4; ++i) bytes[14 + sender_at + i] = static_cast<std::uint8_t>(sender >> (24 - 8 * i));
  return bytes;
}

TEST(IsClaim, KnowsWhatOnlyTheActiveBoxSends) {
  EXPECT_TRUE(is_claim(frame(0x0800, 12, kAddress), kAddress));        // an answer
  EXPECT_TRUE(is_claim(frame(0x0806, 14, kAddress), kAddress));        // ARP: I have it
  EXPECT_FALSE(is_claim(frame(0x0800, 16, kAddress), kAddress));       // to it
  EXPECT_FALSE(is_claim(frame(0x0806, 24, kAddress), kAddress));       // ARP: who has it
  EXPECT_FALSE(is_claim(frame(0x0800, 12, kAddress, 112), kAddress));  // an advert
  EXPECT_FALSE(is_claim(frame(0x86dd, 12, kAddress), kAddress));
  const auto whole = frame(0x0800, 12, kAddress);
  for (std::size_t size : {0u, 13u, 14u, 33u}) EXPECT_FALSE(is_claim(std::span(whole).first(size), kAddress)) << size;
}

struct Case {
  const char* name;
  std::vector<std::pair<std::size_t, Nanos>> claims;  // port, ms after the mark
  Nanos overlap_ms;
};

TEST(Claims, OverlapIsFromTheFirstOfTheNewToTheLastOfTheOld) {
  const std::vector<Case> cases{
      {"nothing happens", {{0, 1}, {0, 2}, {0, 50}}, 0},
      {"an orderly change", {{0, 1}, {0, 2}, {1, 3}, {1, 4}}, 0},
      {"one frame too many", {{0, 1}, {1, 30}, {0, 31}, {1, 32}}, 1},
      {"both all along", {{0, 1}, {1, 30}, {0, 31}, {1, 32}, {0, 500}}, 470},
      {"the old one wakes up later", {{1, 30}, {1, 31}, {0, 300}, {1, 310}}, 270},
      {"nobody", {}, 0},
  };
  for (const Case& test : cases) {
    Claims claims(2);
    claims.mark(0);
    claims.claim(0, ms(10));
    claims.mark(ms(1000));
    for (const auto& [port, at] : test.claims) claims.claim(port, ms(1000 + at));
    EXPECT_EQ(claims.overlap(), ms(test.overlap_ms)) << test.name;
  }
}

TEST(Claims, OfAnIgnoredPortDoNotCount) {
  Claims claims(2);
  claims.claim(1, ms(1));
  claims.mark(ms(10));
  claims.ignore(1, true);
  claims.claim(0, ms(20));
  claims.claim(1, ms(30));
  EXPECT_EQ(claims.overlap(), 0u);
  claims.ignore(1, false);
  claims.claim(1, ms(40));
  EXPECT_EQ(claims.overlap(), ms(20));
  EXPECT_EQ(claims.last(1), ms(30));  // 40 ms, 10 of them before the mark
}

}  // namespace
}  // namespace headgate::bench
