#include "dataplane/packet/checksum.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/rng.h"
#include "dataplane/packet/testing.h"
#include "tests/seed.h"

namespace headgate::packet {
namespace {

using testing::ip;

std::vector<std::uint8_t> random_bytes(Rng& rng, std::size_t length) {
  std::vector<std::uint8_t> bytes(length);
  // Long runs of 00 and ff are where ones' complement has its corner cases.
  const std::uint32_t kind = rng.below(4);
  for (auto& byte : bytes) {
    byte = kind == 0 ? 0 : kind == 1 ? 0xff : static_cast<std::uint8_t>(rng.next());
  }
  return bytes;
}

// As RFC 1071 writes it: one 16-bit word after the other.
std::uint16_t plain_sum(std::span<const std::uint8_t> bytes) {
  std::uint32_t s = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) s += i % 2 == 0 ? bytes[i] * 256u : bytes[i];
  while (s >> 16 != 0) s = (s >> 16) + (s & 0xffff);
  return __builtin_bswap16(static_cast<std::uint16_t>(s));
}

std::uint16_t word_at(const std::vector<std::uint8_t>& bytes, std::size_t at) {
  std::uint16_t word;
  std::memcpy(&word, &bytes[at], 2);
  return word;
}

TEST(Checksum, MatchesTheExampleOfRfc1071) {
  const std::vector<std::uint8_t> bytes{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(__builtin_bswap16(sum(bytes)), 0xddf2);
}

TEST(Checksum, AgreesWithThePlainSumForEveryLengthAndAlignment) {
  const std::uint64_t s = test_seed();
  SCOPED_TRACE(::testing::Message() << "HEADGATE_SEED=" << s);
  Rng rng(s);
  for (std::size_t length = 0; length < 200; ++length) {
    for (std::size_t offset = 0; offset < 8; ++offset) {
      const auto bytes = random_bytes(rng, offset + length);
      const auto view = std::span(bytes).subspan(offset);
      ASSERT_EQ(sum(view), plain_sum(view)) << length << " bytes at " << offset;
    }
  }
}

TEST(Checksum, DoesNotOverflowOnTheLargestPacketOfOnes) {
  EXPECT_EQ(sum(std::vector<std::uint8_t>(65535, 0xff)), plain_sum(std::vector<std::uint8_t>(65535, 0xff)));
}

TEST(Checksum, ContinuesFromAnEvenPart) {
  Rng rng(3);
  for (std::size_t cut = 0; cut <= 64; cut += 2) {
    const auto bytes = random_bytes(rng, 97);
    const auto view = std::span<const std::uint8_t>(bytes);
    EXPECT_EQ(sum(view.subspan(cut), sum(view.first(cut))), sum(view));
  }
}

TEST(Checksum, PseudoHeaderIsTheSumOfItsBytes) {
  std::vector<std::uint8_t> v4{192, 0, 2, 10, 192, 0, 2, 100, 0, 6, 0x05, 0xdc};
  EXPECT_EQ(pseudo_header_sum(ip("192.0.2.10"), ip("192.0.2.100"), 6, 1500), plain_sum(v4));
  const IpAddress src = ip("2001:db8::7"), dst = ip("fe80::ffff:1");
  std::vector<std::uint8_t> v6(src.bytes.begin(), src.bytes.end());
  v6.insert(v6.end(), dst.bytes.begin(), dst.bytes.end());
  for (const int byte : {0, 1, 0x11, 0x70, 0, 0, 0, 58}) v6.push_back(static_cast<std::uint8_t>(byte));
  EXPECT_EQ(pseudo_header_sum(src, dst, 58, 70000), plain_sum(v6));
}

// RFC 1624 section 4: the case that equation 4 of RFC 1141 gets wrong.
TEST(Checksum, AdjustsTheExampleOfRfc1624) {
  std::uint8_t field[2] = {0xdd, 0x2f};
  Delta delta;
  delta.replace(__builtin_bswap16(0x5555), __builtin_bswap16(0x3285));
  adjust(field, delta);
  EXPECT_EQ(load_be16(field), 0x0000);
}

// A packet is never all zero (its pseudo header is not), which is where ones' complement would have two answers.
TEST(Checksum, IncrementalUpdateEqualsFullRecomputation) {
  const std::uint64_t s = test_seed();
  SCOPED_TRACE(::testing::Message() << "HEADGATE_SEED=" << s);
  Rng rng(s);
  for (int round = 0; round < 20000; ++round) {
    auto bytes = random_bytes(rng, 40);
    bytes[20] = 6;  // keeps the sum from zero
    bytes[0] = bytes[1] = 0;
    std::uint16_t checksum = invert(sum(bytes));
    Delta delta;
    for (unsigned change = rng.below(6); change > 0; --change) {
      const std::size_t at = 2 + 2 * std::size_t{rng.below(9)};
      const std::uint16_t before = word_at(bytes, at);
      const std::uint32_t kind = rng.below(4);
      const auto after = static_cast<std::uint16_t>(kind == 0 ? 0 : kind == 1 ? 0xffff : rng.next());
      std::memcpy(&bytes[at], &after, 2);
      delta.replace(before, after);
    }
    adjust(reinterpret_cast<std::uint8_t*>(&checksum), delta);
    ASSERT_EQ(checksum, invert(sum(bytes))) << "round " << round;
  }
}

TEST(Checksum, AddressDeltasRewriteTcpInBothFamilies) {
  for (const auto& [src, dst, other] : {std::tuple{"192.0.2.10", "192.0.2.100", "255.254.0.0"},
                                        std::tuple{"2001:db8::7", "2001:db8::100", "fd00::ffff:0:1:2"}}) {
    auto before = testing::tcp_frame({.src = src, .dst = dst, .payload = testing::text("hello")});
    const auto wanted = testing::tcp_frame({.src = src, .dst = other, .payload = testing::text("hello")});
    PacketInfo info;
    ASSERT_EQ(parse(before, before.size(), info), ParseError::none);
    Delta delta;
    delta.replace(ip(dst), ip(other));
    std::uint8_t* field = before.data() + info.l4_offset + 16;
    adjust(field, delta);
    EXPECT_EQ(load_be16(field), load_be16(wanted.data() + info.l4_offset + 16)) << testing::describe(wanted);
  }
}

TEST(Checksum, UdpZeroStaysAndIsNeverMade) {
  std::uint8_t none[2] = {0, 0};
  Delta delta;
  delta.replace(0x1234, 0x4321);
  adjust_udp(none, delta);
  EXPECT_EQ(load_be16(none), 0);

  // ~HC + delta = 0xffff would give 0.
  std::uint8_t field[2] = {0x00, 0x01};
  Delta one;
  one.replace(0, __builtin_bswap16(1));
  adjust_udp(field, one);
  EXPECT_EQ(load_be16(field), 0xffff);
}

}  // namespace
}  // namespace headgate::packet
