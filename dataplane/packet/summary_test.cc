#include "dataplane/packet/summary.h"

#include <gtest/gtest.h>

#include "dataplane/packet/build.h"
#include "dataplane/packet/testing.h"

namespace headgate::packet {
namespace {

using namespace testing;  // NOLINT

std::string summary_of(const Frame& frame) {
  return summary(frame, frame.size());
}

TEST(Summary, SaysWhoTalksToWhomAndWhatItIs) {
  EXPECT_EQ(summary_of(tcp_frame({})), "tcp 192.0.2.10:40000 > 192.0.2.100:80 SYN");
  EXPECT_EQ(
      summary_of(tcp_frame({.src = "2001:db8::7", .dst = "2001:db8::100", .flags = kFin | kPsh | kAck, .vlan = 7})),
      "vlan 7, tcp [2001:db8::7]:40000 > [2001:db8::100]:80 FIN,PSH,ACK");
  EXPECT_EQ(summary_of(udp_frame({.dst_port = 53})), "udp 192.0.2.10:40000 > 192.0.2.100:53");
  EXPECT_EQ(summary_of(udp_frame({.payload = Frame(20)})), summary(udp_frame({.payload = Frame(20)}), 62));
}

TEST(Summary, NamesIcmpMessagesAndWhatTheyQuote) {
  EXPECT_TRUE(summary_of(echo_frame({})).ends_with(" echo request")) << summary_of(echo_frame({}));
  EXPECT_TRUE(
      summary_of(echo_frame({.src = "2001:db8::7", .dst = "2001:db8::100", .reply = true})).ends_with(" echo reply"));
  const std::string error = summary_of(
      icmp_error_frame({.src = "192.0.2.1"}, {.type = kIcmpUnreachable, .code = 4, .mtu = 1400}, tcp_frame({})));
  EXPECT_TRUE(error.ends_with(" unreachable code 4, of tcp 192.0.2.10:40000 > 192.0.2.100:80")) << error;
}

TEST(Summary, TellsFragmentsAndFramesThatAreNoIp) {
  const auto pieces = fragments(udp_frame({.payload = Frame(3000)}), 1500);
  EXPECT_TRUE(summary_of(pieces.front()).ends_with(", fragment at 0")) << summary_of(pieces.front());
  EXPECT_TRUE(summary_of(pieces.back()).ends_with(", fragment at 2960, the last")) << summary_of(pieces.back());
  Frame arp(60);
  write_arp(arp.data(), 0, {}, {}, ip("192.0.2.10"), {}, ip("192.0.2.254"), false);
  EXPECT_EQ(summary_of(arp), "arp 192.0.2.10 > 192.0.2.254");
  Frame other = tcp_frame({});
  other[12] = 0x88;
  other[13] = 0xcc;
  EXPECT_EQ(summary_of(other), "ethertype 0x88cc");
}

TEST(Summary, ReadsNoFurtherThanWhatWasCaptured) {
  const Frame whole = tcp_frame({.src = "2001:db8::7", .dst = "2001:db8::100", .payload = Frame(1000)});
  for (std::size_t kept = 0; kept < 100; ++kept) {
    const Frame cut(whole.begin(),
                    whole.begin() + static_cast<std::ptrdiff_t>(kept));  // its own memory: ASan sees its end
    const std::string text = summary(cut, whole.size());
    EXPECT_FALSE(text.empty());
    if (kept >= 74) {
      EXPECT_EQ(text, "tcp [2001:db8::7]:40000 > [2001:db8::100]:80 SYN") << kept;
    }
  }
}

}  // namespace
}  // namespace headgate::packet
