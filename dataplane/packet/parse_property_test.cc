// What holds for every frame: nothing outside is read, and a shorter view never gives a different answer.
#include <gtest/gtest.h>

#include "dataplane/base/rng.h"
#include "dataplane/packet/build.h"
#include "dataplane/packet/packet_info.h"
#include "dataplane/packet/testing.h"
#include "tests/seed.h"

namespace headgate::packet {
namespace {

using testing::Frame;
using testing::FrameSpec;

std::vector<Frame> valid_frames() {
  std::vector<Frame> frames;
  for (const bool v4 : {true, false}) {
    for (const std::uint16_t vlan : {std::uint16_t{0}, std::uint16_t{7}}) {
      FrameSpec spec{.payload = Frame(40, 0x11), .vlan = vlan, .outer_vlan = static_cast<std::uint16_t>(vlan * 2)};
      if (v4) {
        spec.ip_options = {1, 148, 4, 0, 0};
      } else {
        spec.src = "2001:db8::7";
        spec.dst = "2001:db8::100";
        spec.extensions = {{0, {5, 2, 0, 0, 1, 0}}, {60, Frame(14)}, {44, {0, 0, 0, 0, 0, 1}}, {51, Frame(14)}};
      }
      frames.push_back(testing::tcp_frame(spec));
      frames.push_back(testing::udp_frame(spec));
      frames.push_back(testing::echo_frame(spec));
      frames.push_back(testing::icmp_error_frame(spec, {.type = v4 ? std::uint8_t{3} : std::uint8_t{1}}, frames[0]));
      spec.extensions.clear();
      for (const Frame& part : testing::fragments(testing::udp_frame(spec), v4 ? 56 : 96)) frames.push_back(part);
    }
  }
  Frame arp(42);
  write_arp(arp.data(), 0, kBroadcastMac, {{2, 0, 0, 0, 0, 2}}, testing::ip("10.0.0.1"), {}, testing::ip("10.0.0.2"),
            false);
  frames.push_back(arp);
  Frame solicitation(kMaxControlFrame);
  solicitation.resize(write_neighbor_solicitation(solicitation.data(), 0, {{0x33, 0x33, 0, 0, 0, 1}},
                                                  {{2, 0, 0, 0, 0, 2}}, testing::ip("fe80::1"),
                                                  testing::ip("ff02::1:ff00:1"), testing::ip("fe80::2")));
  frames.push_back(solicitation);
  return frames;
}

void expect_offsets_inside(const PacketInfo& info, ParseError error, std::size_t length) {
  ASSERT_LE(info.l3_offset, length);
  if (error != ParseError::none || info.network == Network::none) return;
  ASSERT_LE(info.l3_offset + info.l3_length, static_cast<int>(length));
  if (!info.is_ip()) return;
  ASSERT_EQ(info.l4_offset + info.l4_length, info.l3_offset + info.l3_length);
  ASSERT_GE(info.payload_offset, info.l4_offset);
  ASSERT_LE(info.payload_offset, info.l3_offset + info.l3_length);
}

// What the dataplane does with a frame, on a heap copy of exactly its size (AddressSanitizer sees one byte beyond).
ParseError exercise(std::span<const std::uint8_t> frame, PacketInfo& info) {
  const std::vector<std::uint8_t> exact(frame.begin(), frame.end());
  const ParseError error = parse(exact, exact.size(), info);
  expect_offsets_inside(info, error, exact.size());
  if (error != ParseError::none) return error;
  l4_checksum_ok(exact, info);
  if (info.icmp_error) {
    if (const auto quoted = parse_quoted(exact, info)) {
      EXPECT_LE(quoted->l4_offset + 8, quoted->l3_offset + quoted->available);
      EXPECT_LE(quoted->l3_offset + quoted->available, info.l3_offset + info.l3_length);
    }
  }
  return error;
}

TEST(ParseProperty, EveryTruncationOfAValidFrameIsNoticed) {
  for (const Frame& frame : valid_frames()) {
    PacketInfo info;
    ASSERT_EQ(exercise(frame, info), ParseError::none) << testing::describe(frame);
    for (std::size_t length = 0; length < frame.size(); ++length) {
      ASSERT_EQ(exercise(std::span(frame).first(length), info), ParseError::truncated)
          << testing::describe(frame) << " cut to " << length;
    }
  }
}

TEST(ParseProperty, PaddingChangesNothing) {
  for (Frame frame : valid_frames()) {
    PacketInfo before, after;
    exercise(frame, before);
    frame.resize(frame.size() + 30, 0xee);
    ASSERT_EQ(exercise(frame, after), ParseError::none);
    EXPECT_EQ(before.l3_length, after.l3_length);
    EXPECT_EQ(before.l4_length, after.l4_length);
    EXPECT_EQ(before.payload_offset, after.payload_offset);
  }
}

// A window of a longer frame: either the same answer or "truncated".
TEST(ParseProperty, AWindowAnswersLikeTheWholeOrNotAtAll) {
  for (const Frame& frame : valid_frames()) {
    PacketInfo whole;
    ASSERT_EQ(parse(frame, frame.size(), whole), ParseError::none);
    for (std::size_t length = 0; length < frame.size(); ++length) {
      const std::vector<std::uint8_t> window(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(length));
      PacketInfo info;
      const ParseError error = parse(window, frame.size(), info);
      if (error == ParseError::truncated) continue;
      ASSERT_EQ(error, ParseError::none) << length;
      ASSERT_EQ(info.tuple, whole.tuple);
      ASSERT_EQ(info.payload_offset, whole.payload_offset);
      ASSERT_EQ(info.l4_length, whole.l4_length);
    }
    PacketInfo info;
    EXPECT_EQ(parse(std::span(frame).first(std::min(frame.size(), kParseWindow)), frame.size(), info),
              ParseError::none);
  }
}

TEST(ParseProperty, DamagedFramesNeverLeadOutside) {
  const std::uint64_t s = test_seed();
  SCOPED_TRACE(::testing::Message() << "HEADGATE_SEED=" << s);
  Rng rng(s);
  const auto frames = valid_frames();
  int taken = 0;
  for (int round = 0; round < 100000; ++round) {
    Frame frame = frames[rng.below(static_cast<std::uint32_t>(frames.size()))];
    for (unsigned flips = 1 + rng.below(4); flips > 0; --flips) {
      frame[rng.below(static_cast<std::uint32_t>(frame.size()))] = static_cast<std::uint8_t>(rng.next());
    }
    if (rng.chance(0.3)) frame.resize(1 + rng.below(static_cast<std::uint32_t>(frame.size())));
    // The checksum would hide everything behind it.
    if (frame.size() >= 34 && frame[12] == 8 && frame[13] == 0 && (frame[14] & 15) >= 5 &&
        frame.size() >= 14u + (frame[14] & 15) * 4u) {
      testing::fix_ip_checksum(frame);
    }
    PacketInfo info;
    taken += exercise(frame, info) == ParseError::none;
    if (HasFatalFailure()) FAIL() << testing::describe(frame) << " in round " << round;
  }
  EXPECT_GT(taken, 20000);  // damage is light enough to reach every layer
  EXPECT_LT(taken, 80000);
}

}  // namespace
}  // namespace headgate::packet
