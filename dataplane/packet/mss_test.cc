#include "dataplane/packet/mss.h"

#include <gtest/gtest.h>

#include "dataplane/packet/testing.h"

namespace headgate::packet {
namespace {

using Bytes = std::vector<std::uint8_t>;

struct Case {
  const char* name;
  Bytes options;
  std::uint16_t mss_max;
  Bytes expected;  // options afterwards; equal to `options`: unchanged
};

const Case kCases[] = {
    {"larger is lowered", {2, 4, 0x05, 0xb4}, 1360, {2, 4, 0x05, 0x50}},
    {"equal stays", {2, 4, 0x05, 0x50}, 1360, {2, 4, 0x05, 0x50}},
    {"smaller stays", {2, 4, 0x02, 0x18}, 1360, {2, 4, 0x02, 0x18}},
    {"no options", {}, 1360, {}},
    {"no MSS among others", {1, 3, 3, 7, 4, 2, 0, 0}, 1360, {1, 3, 3, 7, 4, 2, 0, 0}},
    {"after others", {1, 1, 4, 2, 2, 4, 0x05, 0xb4}, 1360, {1, 1, 4, 2, 2, 4, 0x05, 0x50}},
    {"at an odd offset", {1, 2, 4, 0x05, 0xb4, 3, 3, 7}, 1360, {1, 2, 4, 0x05, 0x50, 3, 3, 7}},
    {"given twice", {2, 4, 0x05, 0xb4, 2, 4, 0xff, 0xff}, 1360, {2, 4, 0x05, 0x50, 2, 4, 0x05, 0x50}},
    {"after the end of options", {0, 0, 0, 0, 2, 4, 0x05, 0xb4}, 1360, {0, 0, 0, 0, 2, 4, 0x05, 0xb4}},
    {"MSS of a wrong length", {2, 3, 0x05, 0}, 1360, {2, 3, 0x05, 0}},
    {"MSS cut by the header's end", {1, 1, 2, 4}, 1360, {1, 1, 2, 4}},
    {"kind without length", {1, 1, 1, 3}, 1360, {1, 1, 1, 3}},
    {"option of length 0", {3, 0, 1, 1, 2, 4, 0x05, 0xb4}, 1360, {3, 0, 1, 1, 2, 4, 0x05, 0xb4}},
    {"malformed after the MSS", {2, 4, 0x05, 0xb4, 3, 9, 1, 1}, 1360, {2, 4, 0x05, 0xb4, 3, 9, 1, 1}},
};

TEST(ClampMss, LowersTheOptionAndKeepsTheChecksumRight) {
  for (const Case& c : kCases) {
    for (const char* address : {"192.0.2.10", "2001:db8::7"}) {
      SCOPED_TRACE(c.name);
      auto frame = testing::tcp_frame(
          {.src = address, .dst = address, .payload = testing::text("xyz"), .tcp_options = c.options});
      PacketInfo info;
      ASSERT_EQ(parse(frame, frame.size(), info), ParseError::none);
      const auto tcp = std::span(frame).subspan(info.l4_offset, info.payload_offset - info.l4_offset);
      EXPECT_EQ(clamp_mss(tcp, c.mss_max), c.options != c.expected);
      EXPECT_EQ(Bytes(tcp.begin() + 20, tcp.end()), c.expected);
      EXPECT_TRUE(l4_checksum_ok(frame, info)) << testing::describe(frame);
    }
  }
}

TEST(ClampMss, LeavesAHeaderThatIsNotAllThereAlone) {
  const Bytes whole = {0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 2, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 0x05, 0xb4};
  for (std::size_t length = 0; length < whole.size(); ++length) {
    Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    const Bytes before = cut;
    EXPECT_FALSE(clamp_mss(cut, 1000)) << length;
    EXPECT_EQ(cut, before);
  }
}

}  // namespace
}  // namespace headgate::packet
