// What rewriting must give is what a sender with the new addresses would have sent: every expectation is a frame built
// from scratch, checksums summed in full, and compared byte by byte.
#include "dataplane/forward/rewrite.h"

#include <gtest/gtest.h>

#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/rng.h"
#include "dataplane/packet/build.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/testing.h"

namespace headgate::forward {
namespace {

using packet::PacketInfo;
using packet::ParseError;
using packet::testing::describe;
using packet::testing::echo_frame;
using packet::testing::fragments;
using packet::testing::Frame;
using packet::testing::FrameSpec;
using packet::testing::icmp_error_frame;
using packet::testing::IcmpErrorSpec;
using packet::testing::ip;
using packet::testing::ip_frame;
using packet::testing::tcp_frame;
using packet::testing::text;
using packet::testing::udp_frame;

PacketInfo parsed(const Frame& frame) {
  PacketInfo info;
  EXPECT_EQ(packet::parse(frame, frame.size(), info), ParseError::none) << describe(frame);
  return info;
}

Frame rewritten(Frame frame, const Endpoint& src, const Endpoint& dst, unsigned hops = 1) {
  const PacketInfo info = parsed(frame);
  rewrite(frame.data(), info, src, dst, hops);
  return frame;
}

bool is_echo(Frame (*make)(const FrameSpec&)) {
  return make == echo_frame;
}

// The endpoints that turn a packet of `before` into one of `after`.
Endpoint source_of(Frame (*make)(const FrameSpec&), const FrameSpec& spec) {
  return {spec.src, is_echo(make) ? spec.identifier : spec.src_port};
}
Endpoint destination_of(Frame (*make)(const FrameSpec&), const FrameSpec& spec) {
  return {spec.dst, is_echo(make) ? spec.identifier : spec.dst_port};
}

struct Row {
  const char* name;
  Frame (*make)(const FrameSpec&);
  FrameSpec before;
  FrameSpec after;  // addresses and ports; the rest is taken from `before`
};

const FrameSpec kLocalToBackend4{
    .src = "10.10.0.64", .dst = "10.10.0.21", .src_port = 51234, .dst_port = 8080, .identifier = 777};
const FrameSpec kLocalToBackend6{
    .src = "2001:db8:2::a:1", .dst = "2001:db8:2::21", .src_port = 51234, .dst_port = 8080, .identifier = 777};

FrameSpec client6(FrameSpec spec = {}) {
  spec.src = "2001:db8:1::10";
  spec.dst = "2001:db8:1::100";
  return spec;
}

std::vector<Row> rows() {
  const auto payload = text("seventeen bytes!!");
  return {
      {"tcp4", tcp_frame, {.payload = payload}, kLocalToBackend4},
      {"tcp4 with IP and TCP options, odd length",
       tcp_frame,
       {.payload = text("odd"), .tcp_options = {2, 4, 5, 180}, .ip_options = {1, 1, 1, 1}},
       kLocalToBackend4},
      {"tcp4 in two VLAN tags", tcp_frame, {.vlan = 7, .outer_vlan = 9}, kLocalToBackend4},
      {"tcp4 padded to 60", tcp_frame, {.pad_to = 60}, kLocalToBackend4},
      {"tcp6", tcp_frame, client6({.payload = payload}), kLocalToBackend6},
      {"tcp6 behind destination options", tcp_frame,
       client6({.payload = payload, .extensions = {{60, {1, 4, 0, 0, 0, 0}}}}), kLocalToBackend6},
      {"udp4", udp_frame, {.payload = payload}, kLocalToBackend4},
      {"udp4 without checksum keeps 0", udp_frame, {.payload = payload, .no_udp_checksum = true}, kLocalToBackend4},
      {"udp6", udp_frame, client6({.payload = payload}), kLocalToBackend6},
      {"echo request 4", echo_frame, {.payload = payload}, kLocalToBackend4},
      {"echo reply 4", echo_frame, {.payload = payload, .reply = true}, kLocalToBackend4},
      {"echo request 6", echo_frame, client6({.payload = payload}), kLocalToBackend6},
      {"echo reply 6", echo_frame, client6({.payload = payload, .reply = true}), kLocalToBackend6},
  };
}

FrameSpec expected_spec(const Row& row) {
  FrameSpec spec = row.before;
  spec.src = row.after.src;
  spec.dst = row.after.dst;
  spec.src_port = row.after.src_port;
  spec.dst_port = row.after.dst_port;
  spec.identifier = row.after.identifier;
  --spec.ttl;
  return spec;
}

TEST(Rewrite, GivesTheFrameThatASenderWithTheNewAddressesWouldHaveSent) {
  for (const Row& row : rows()) {
    SCOPED_TRACE(row.name);
    const Frame out =
        rewritten(row.make(row.before), source_of(row.make, row.after), destination_of(row.make, row.after));
    EXPECT_EQ(out, row.make(expected_spec(row))) << describe(out);
    EXPECT_TRUE(packet::l4_checksum_ok(out, parsed(out)));
  }
}

TEST(Rewrite, EveryFragmentBecomesTheFragmentOfTheRewrittenPacket) {
  for (Row row : rows()) {
    SCOPED_TRACE(row.name);
    if (row.before.pad_to != 0 || !row.before.extensions.empty()) continue;
    row.before.payload = Frame(3001, 0xa7);
    const auto before = fragments(row.make(row.before), 1280);
    const auto after = fragments(row.make(expected_spec(row)), 1280);
    ASSERT_EQ(before.size(), after.size());
    for (std::size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(rewritten(before[i], source_of(row.make, row.after), destination_of(row.make, row.after)), after[i])
          << i;
    }
  }
}

TEST(Rewrite, AComputedUdpChecksumOfZeroIsSentAsAllOnes) {
  // RFC 768. Some two bytes of payload make the sum after rewriting come out as zero.
  unsigned seen = 0;
  for (unsigned word = 0; word < 65536; ++word) {
    FrameSpec spec{.payload = {static_cast<std::uint8_t>(word >> 8), static_cast<std::uint8_t>(word)}};
    const Frame out = rewritten(udp_frame(spec), {ip("10.10.0.64"), 51234}, {ip("10.10.0.21"), 8080});
    const std::uint16_t checksum = load_be16(&out[14 + 20 + 6]);
    ASSERT_NE(checksum, 0) << word;
    seen += checksum == 0xffff;
  }
  EXPECT_EQ(seen, 1u);
}

// Random packets of every kind this function is given.
struct RandomPacket {
  Frame frame;
  bool v4;
};

IpAddress random_address(Rng& rng, bool v4) {
  if (v4) return IpAddress::from_v4(0x0a000000u | rng.below(1 << 24));
  IpAddress address = ip("2001:db8::");
  for (unsigned i = 4; i < 16; ++i) address.bytes[i] = static_cast<std::uint8_t>(rng.below(256));
  return address;
}

RandomPacket random_packet(Rng& rng) {
  const bool v4 = rng.below(2) == 0;
  FrameSpec spec{.src = random_address(rng, v4), .dst = random_address(rng, v4)};
  spec.src_port = static_cast<std::uint16_t>(1 + rng.below(65535));
  spec.dst_port = static_cast<std::uint16_t>(1 + rng.below(65535));
  spec.payload = Frame(rng.below(200));
  for (auto& byte : spec.payload) byte = static_cast<std::uint8_t>(rng.below(256));
  spec.flags = packet::kAck;
  spec.identifier = static_cast<std::uint16_t>(rng.below(65536));
  spec.reply = rng.below(2) == 0;
  spec.vlan = rng.below(3) == 0 ? 7 : 0;
  spec.ttl = static_cast<std::uint8_t>(2 + rng.below(200));
  spec.no_udp_checksum = v4 && rng.below(8) == 0;
  switch (rng.below(5)) {
    case 0:
      return {tcp_frame(spec), v4};
    case 1:
      return {udp_frame(spec), v4};
    case 2:
      return {echo_frame(spec), v4};
    case 3:
      return {ip_frame(spec, 47), v4};
    default: {
      spec.payload.resize(600);
      const auto parts = fragments(udp_frame(spec), 300);
      return {parts[rng.below(static_cast<std::uint32_t>(parts.size()))], v4};
    }
  }
}

TEST(Rewrite, ThereAndBackIsTheIdentity) {
  const std::uint64_t seed = 20240601;
  Rng rng(seed);
  for (unsigned round = 0; round < 20000; ++round) {
    const RandomPacket packet = random_packet(rng);
    const PacketInfo before = parsed(packet.frame);
    const auto port = [&rng] { return static_cast<std::uint16_t>(1 + rng.below(65535)); };
    const Endpoint src{random_address(rng, packet.v4), port()}, dst{random_address(rng, packet.v4), port()};
    const Frame there = rewritten(packet.frame, src, dst, 0);
    const PacketInfo after = parsed(there);
    EXPECT_EQ(after.tuple.src, src.address);
    EXPECT_EQ(after.tuple.dst, dst.address);
    EXPECT_TRUE(packet::l4_checksum_ok(there, after));
    const Frame back =
        rewritten(there, {before.tuple.src, before.tuple.src_port}, {before.tuple.dst, before.tuple.dst_port}, 0);
    ASSERT_EQ(back, packet.frame) << "seed " << seed << " round " << round << ": " << describe(packet.frame);
  }
}

TEST(Rewrite, DecrementingTheTtlKeepsEverythingElse) {
  for (const bool v4 : {true, false}) {
    for (unsigned ttl = 1; ttl < 256; ++ttl) {
      FrameSpec spec = v4 ? FrameSpec{} : client6();
      spec.ttl = static_cast<std::uint8_t>(ttl);
      Frame frame = tcp_frame(spec);
      decrement_ttl(frame.data(), parsed(frame));
      --spec.ttl;
      ASSERT_EQ(frame, tcp_frame(spec)) << ttl;
    }
  }
}

// ---- ICMP errors ----

// A router between us and the backend complains about what we sent there; the client must see a complaint about what it
// sent.
struct ErrorCase {
  const char* name;
  Frame (*make)(const FrameSpec&);
  FrameSpec sent;      // as the quoted packet left us
  FrameSpec original;  // as the client sent it
};

std::vector<ErrorCase> error_cases() {
  std::vector<ErrorCase> cases;
  for (const Row& row : rows()) {
    if (row.before.pad_to != 0) continue;
    FrameSpec original = row.before, sent = expected_spec(row);
    original.ttl = sent.ttl = 9;
    original.payload = sent.payload = Frame(301, 0x3c);
    cases.push_back({row.name, row.make, sent, original});
  }
  return cases;
}

TEST(RewriteIcmpError, QuotesWhatTheOtherSideKnows) {
  for (const ErrorCase& c : error_cases()) {
    const bool v4 = c.sent.src.is_v4();
    const Frame sent = c.make(c.sent), original = c.make(c.original);
    const std::size_t headers = v4 ? 20 + c.sent.ip_options.size() : 40 + c.sent.extensions.size() * 8;
    const std::size_t whole = static_cast<std::size_t>(-1);
    for (const std::size_t quote : {headers + 8, headers + 13, headers + 18, headers + 20, headers + 101, whole}) {
      SCOPED_TRACE(std::string(c.name) + ", quoted " + std::to_string(quote));
      const IcmpErrorSpec error =
          v4 ? IcmpErrorSpec{.type = packet::kIcmpUnreachable, .code = 4, .mtu = 1400, .quote = quote}
             : IcmpErrorSpec{.type = packet::kIcmpv6TooBig, .mtu = 1400, .quote = quote};
      const FrameSpec outer = v4 ? FrameSpec{.src = "10.10.0.254", .dst = "10.10.0.64"}
                                 : FrameSpec{.src = "2001:db8:2::fe", .dst = "2001:db8:2::a:1"};
      FrameSpec wanted_outer = outer;
      wanted_outer.src = c.original.dst;
      wanted_outer.dst = c.original.src;

      Frame frame = icmp_error_frame(outer, error, sent);
      const PacketInfo info = parsed(frame);
      ASSERT_TRUE(info.icmp_error);
      const auto quoted = packet::parse_quoted(frame, info);
      ASSERT_TRUE(quoted);
      rewrite_icmp_error(frame.data(), info, *quoted, wanted_outer.src, wanted_outer.dst, source_of(c.make, c.original),
                         destination_of(c.make, c.original));
      EXPECT_EQ(frame, icmp_error_frame(wanted_outer, error, original)) << describe(frame);
      EXPECT_TRUE(packet::l4_checksum_ok(frame, parsed(frame)));
    }
  }
}

TEST(RewriteIcmpError, AQuotedFirstFragmentIsTranslatedToo) {
  for (const bool v4 : {true, false}) {
    FrameSpec original = v4 ? FrameSpec{} : client6(), sent = v4 ? kLocalToBackend4 : kLocalToBackend6;
    original.payload = sent.payload = Frame(2000, 0x11);
    const Frame quoted_before = fragments(udp_frame(sent), 1280)[0],
                quoted_after = fragments(udp_frame(original), 1280)[0];
    const IcmpErrorSpec error{
        .type = v4 ? std::uint8_t{packet::kIcmpTimeExceeded} : std::uint8_t{packet::kIcmpv6TimeExceeded},
        .code = 1,
        .quote = 200};
    FrameSpec outer{.src = sent.dst, .dst = sent.src}, wanted{.src = original.dst, .dst = original.src};
    Frame frame = icmp_error_frame(outer, error, quoted_before);
    const PacketInfo info = parsed(frame);
    const auto quoted = packet::parse_quoted(frame, info);
    ASSERT_TRUE(quoted);
    rewrite_icmp_error(frame.data(), info, *quoted, wanted.src, wanted.dst, {original.src, original.src_port},
                       {original.dst, original.dst_port});
    EXPECT_EQ(frame, icmp_error_frame(wanted, error, quoted_after));
  }
}

}  // namespace
}  // namespace headgate::forward
