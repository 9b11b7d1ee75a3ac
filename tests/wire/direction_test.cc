#include "tests/wire/direction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/seed.h"

namespace headgate::wire {
namespace {

std::uint64_t chosen_seed() {
  const std::uint64_t seed = test_seed();
  std::printf("HEADGATE_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

std::vector<std::uint8_t> numbered(std::uint16_t number) {
  return {static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
}

// The numbers of all frames that have come out by `now`.
std::vector<int> drain(Direction& wire, Nanos now) {
  std::vector<int> numbers;
  while (const auto frame = wire.pop(now)) numbers.push_back((*frame)[0] << 8 | (*frame)[1]);
  return numbers;
}

Impairment impaired(std::string_view words) {
  const auto result = changed({}, words);
  EXPECT_TRUE(result.has_value()) << words;
  return result.value_or(Impairment{});
}

TEST(Direction, IsACableWithoutImpairments) {
  Direction wire(1);
  for (std::uint16_t i = 0; i < 100; ++i) wire.push(numbered(i), i);
  const auto out = drain(wire, 99);
  ASSERT_EQ(out.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(out[static_cast<std::size_t>(i)], i);
}

TEST(Direction, LosesAndDuplicatesTheSaidPart) {
  Direction wire(chosen_seed());
  wire.set(impaired("loss 0.3 duplicate 0.1"));
  for (int i = 0; i < 100'000; ++i) {
    wire.push(numbered(1), 0);
    drain(wire, 0);
  }
  const Counters& seen = wire.counters();
  EXPECT_NEAR(static_cast<double>(seen.lost), 30'000, 1'000);  // 7 standard deviations
  EXPECT_NEAR(static_cast<double>(seen.duplicated), 7'000, 600);
  EXPECT_EQ(seen.sent, seen.received - seen.lost + seen.duplicated);
}

TEST(Direction, DelaysEveryFrameWithinTheJitter) {
  Direction wire(chosen_seed());
  wire.set(impaired("delay 5 jitter 2"));
  for (int i = 0; i < 1000; ++i) {
    wire.push(numbered(1), 0);
    EXPECT_GE(wire.next_deadline(), 5 * kMillisecond);
    EXPECT_LE(wire.next_deadline(), 7 * kMillisecond);
    EXPECT_TRUE(drain(wire, 5 * kMillisecond - 1).empty());
    EXPECT_EQ(drain(wire, 7 * kMillisecond).size(), 1u);
  }
}

TEST(Direction, JitterReordersAndAnEqualDelayDoesNot) {
  for (const bool jitter : {false, true}) {
    Direction wire(7);
    wire.set(impaired(jitter ? "delay 1 jitter 50" : "delay 50"));
    for (std::uint16_t i = 0; i < 100; ++i) wire.push(numbered(i), i * kMillisecond);
    const auto out = drain(wire, kSecond);
    ASSERT_EQ(out.size(), 100u);
    EXPECT_EQ(std::is_sorted(out.begin(), out.end()), !jitter);
  }
}

TEST(Direction, ACutLosesWhatIsUnderWayAndAllThatComes) {
  Direction wire(1);
  wire.set(impaired("delay 10"));
  wire.push(numbered(1), 0);
  wire.set(impaired("delay 10 cut"));
  wire.push(numbered(2), 0);
  EXPECT_TRUE(drain(wire, kSecond).empty());
  EXPECT_EQ(wire.counters().cut, 2u);
  wire.set(impaired("heal"));
  wire.push(numbered(3), 0);
  EXPECT_EQ(drain(wire, 0), std::vector<int>{3});
}

TEST(Direction, TheSameSeedGivesTheSameLuckAlsoAfterOtherSettings) {
  const std::uint64_t seed = chosen_seed();
  const auto fate = [seed](std::string_view before) {
    Direction wire(seed);
    wire.set(impaired(before));
    for (std::uint16_t i = 0; i < 50; ++i) wire.push(numbered(i), 0);
    drain(wire, kSecond);
    wire.set(impaired("loss 0.5 jitter 20"));
    for (std::uint16_t i = 0; i < 500; ++i) wire.push(numbered(i), i);
    return drain(wire, kSecond);
  };
  const auto first = fate("heal");
  EXPECT_EQ(first, fate("heal"));
  EXPECT_EQ(first, fate("cut"));
  EXPECT_EQ(first, fate("loss 0.9 duplicate 0.5 jitter 3"));
}

TEST(Direction, IsBounded) {
  Direction wire(1);
  wire.set(impaired("delay 1"));
  for (std::size_t i = 0; i < kFramesMax + 5; ++i) wire.push(numbered(1), 0);
  EXPECT_EQ(wire.counters().overflowed, 5u);
  EXPECT_EQ(drain(wire, kSecond).size(), kFramesMax);
}

TEST(Commands, SetOnlyWhatTheyName) {
  const auto base = impaired("loss 0.5 delay 3");
  EXPECT_EQ(changed(base, "jitter 1.5"), (Impairment{.loss = 0.5, .delay = 3 * kMillisecond, .jitter = 1'500'000}));
  EXPECT_EQ(changed(base, "cut")->cut, true);
  EXPECT_EQ(changed(base, "heal"), Impairment{});
  const auto command = parse_command("ba loss 1");
  ASSERT_TRUE(command.has_value());
  EXPECT_FALSE(command->ab);
  EXPECT_TRUE(command->ba);
  EXPECT_TRUE(parse_command("both cut")->ab);
}

TEST(Commands, AreRefusedWithTheWordThatIsWrong) {
  for (const auto& [words, wrong] : {std::pair{"loss 1.5", "1.5"},
                                     {"loss", "loss"},
                                     {"delay -1", "-1"},
                                     {"delay 3ms", "3ms"},
                                     {"delay nan", "nan"},
                                     {"delay 1e9", "1e9"},
                                     {"brake", "brake"}}) {
    const auto result = changed({}, words);
    ASSERT_FALSE(result.has_value()) << words;
    EXPECT_NE(result.error().message.find(wrong), std::string::npos) << result.error().message;
  }
  EXPECT_FALSE(parse_command("up cut").has_value());
  EXPECT_FALSE(parse_command("").has_value());
}

}  // namespace
}  // namespace headgate::wire
