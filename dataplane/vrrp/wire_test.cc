#include "dataplane/vrrp/wire.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <set>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/rng.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/vrrp/testing.h"

namespace headgate::vrrp {
namespace {

using testing::Bytes;
using testing::ip;
using testing::ips;
using testing::Packet;
using testing::take_apart;

struct Ours {
  std::uint8_t version = 3;
  const char *source = "192.0.2.1", *destination = "224.0.0.18";
  std::uint8_t priority = 150;
  Nanos interval = 100 * kMillisecond;
  ChecksumForm form = ChecksumForm::pseudo_header;
  std::vector<IpAddress> addresses = ips({"192.0.2.100"});
  std::uint16_t vlan = 0;
};

Packet written(const Ours& ours) {
  FrameSpec spec{.version = ours.version, .vrid = 51, .priority = ours.priority, .interval = ours.interval};
  spec.form = ours.form;
  spec.vlan = ours.vlan;
  spec.source = ip(ours.source);
  spec.destination = ip(ours.destination);
  spec.source_mac = virtual_mac(51, !spec.source.is_v4());
  spec.destination_mac = {{2, 0, 0, 0, 0, 9}};
  spec.addresses = ours.addresses;
  Bytes frame(kFrameMax);
  frame.resize(write_frame(spec, frame));
  return take_apart(frame);
}

// Changes bytes of the message and makes its checksum right again.
void change(Packet& packet, const std::function<void(std::uint8_t*)>& how,
            ChecksumForm form = ChecksumForm::pseudo_header) {
  std::uint8_t* message = &packet.frame[packet.message_at];
  how(message);
  std::memset(message + 6, 0, 2);
  const std::uint16_t start =
      form == ChecksumForm::plain
          ? 0
          : packet::pseudo_header_sum(packet.carrier.source, packet.carrier.destination, kProtocol,
                                      static_cast<std::uint32_t>(packet.message_length));
  const std::uint16_t checksum = packet::invert(packet::sum(packet.message(), start));
  std::memcpy(message + 6, &checksum, 2);
}

Oddity judge(const Packet& packet, std::uint8_t version = 3) {
  Advert advert;
  return decode(packet.carrier, packet.message(), version, advert);
}

const Ours kV6{.source = "fe80::1", .destination = "ff02::12", .addresses = ips({"fe80::100", "2001:db8::100"})};

TEST(Decode, DropsByReason) {
  struct Row {
    Oddity oddity;
    const char* what;
    Ours ours;
    std::function<void(Packet&)> how;
  };
  const auto set = [](std::size_t at, std::uint8_t value) {
    return [=](Packet& packet) { change(packet, [=](std::uint8_t* m) { m[at] = value; }); };
  };
  const std::vector<Row> rows{
      {Oddity::none, "a good one", {}, [](Packet&) {}},
      {Oddity::none, "reserved bits are ignored", {}, set(4, 0xf0)},
      {Oddity::truncated, "no byte", {}, [](Packet& p) { p.message_length = 0; }},
      {Oddity::truncated, "7 bytes", {}, [](Packet& p) { p.message_length = 7; }},
      {Oddity::truncated, "half an address", {}, [](Packet& p) { p.message_length -= 2; }},
      {Oddity::truncated, "a count larger than the body", {}, set(3, 2)},
      {Oddity::fragmented, "a fragment", {}, [](Packet& p) { p.carrier.fragment = true; }},
      {Oddity::bad_hop_limit, "TTL 254", {}, [](Packet& p) { p.carrier.hop_limit = 254; }},
      {Oddity::bad_version, "version 2", {}, set(0, 0x21)},
      {Oddity::bad_version, "version 4", {}, set(0, 0x41)},
      {Oddity::bad_type, "type 2", {}, set(0, 0x32)},
      {Oddity::bad_checksum, "a changed byte", {}, [](Packet& p) { ++p.frame[p.message_at + 2]; }},
      {Oddity::bad_checksum, "of other addresses", {}, [](Packet& p) { p.carrier.source = ip("192.0.2.77"); }},
      {Oddity::bad_count,
       "no address",
       {},
       [](Packet& p) {
         p.message_length = kHeader;
         change(p, [](std::uint8_t* m) { m[3] = 0; });
       }},
      {Oddity::bad_interval, "interval 0", {.interval = 2550 * kMillisecond}, set(5, 0)},
      {Oddity::bad_source, "multicast source", {.source = "224.0.0.1"}, [](Packet&) {}},
      {Oddity::bad_source, "no source", {.source = "0.0.0.0"}, [](Packet&) {}},
      {Oddity::bad_source,
       "IPv6, source of a wide scope",
       {.source = "2001:db8::1", .destination = "ff02::12", .addresses = kV6.addresses},
       [](Packet&) {}},
      {Oddity::none, "IPv6", kV6, [](Packet&) {}},
      {Oddity::first_not_link_local,
       "IPv6",
       {.source = "fe80::1", .destination = "ff02::12", .addresses = ips({"2001:db8::100", "fe80::100"})},
       [](Packet&) {}},
      {Oddity::bad_checksum, "IPv6 without pseudo header", kV6,
       [](Packet& p) { change(p, [](std::uint8_t*) {}, ChecksumForm::plain); }},
  };
  for (const Row& row : rows) {
    Packet packet = written(row.ours);
    row.how(packet);
    EXPECT_STREQ(name(judge(packet)), name(row.oddity)) << row.what;
  }
}

TEST(Decode, Version2HasItsOwnRules) {
  const Ours ours{.version = 2, .interval = 3 * kSecond};
  Packet packet = written(ours);
  EXPECT_EQ(packet.message_length, kHeader + 4 + 8);
  Advert advert;
  ASSERT_EQ(decode(packet.carrier, packet.message(), 2, advert), Oddity::none);
  EXPECT_EQ(advert.interval, 3 * kSecond);
  EXPECT_EQ(advert.addresses.size(), 4u);
  // With a pseudo header it is wrong, unlike in version 3.
  change(packet, [](std::uint8_t*) {});
  EXPECT_EQ(judge(packet, 2), Oddity::bad_checksum);
  // Its authentication data belongs to the message.
  packet = written(ours);
  packet.message_length -= 1;
  EXPECT_EQ(judge(packet, 2), Oddity::truncated);
  packet = written(ours);
  change(packet, [](std::uint8_t* m) { m[5] = 0; }, ChecksumForm::plain);
  EXPECT_EQ(judge(packet, 2), Oddity::bad_interval);
  change(packet, [](std::uint8_t* m) { m[4] = 1; }, ChecksumForm::plain);
  EXPECT_EQ(judge(packet, 2), Oddity::bad_authentication);
  // There is no version 2 over IPv6.
  Packet v6 = written(kV6);
  change(v6, [](std::uint8_t* m) { m[0] = 0x21; });
  EXPECT_EQ(judge(v6, 2), Oddity::bad_version);
}

TEST(Decode, AllThreeChecksumsOfVersion3AreReadAndNamed) {
  for (const char* destination : {"224.0.0.18", "192.0.2.2"}) {
    for (const auto form : {ChecksumForm::plain, ChecksumForm::pseudo_header, ChecksumForm::pseudo_header_of_group}) {
      const Packet packet = written({.destination = destination, .form = form});
      Advert advert;
      ASSERT_EQ(decode(packet.carrier, packet.message(), 3, advert), Oddity::none);
      // Towards the group both pseudo headers are the same.
      const bool same = form == ChecksumForm::pseudo_header_of_group && packet.carrier.destination == kGroupV4;
      EXPECT_EQ(advert.form, same ? ChecksumForm::pseudo_header : form);
    }
  }
}

TEST(Decode, BytesBehindTheMessageAreToleratedWhetherTheChecksumCoversThemOrNot) {
  for (const bool covered : {false, true}) {
    Packet packet = written({});
    packet.frame.insert(packet.frame.end(), 28, 0x5a);
    packet.message_length += covered ? 28 : 0;
    change(packet, [](std::uint8_t*) {});
    packet.message_length += covered ? 0 : 28;
    Advert advert;
    ASSERT_EQ(decode(packet.carrier, packet.message(), 3, advert), Oddity::none) << covered;
    EXPECT_TRUE(advert.trailing);
    EXPECT_EQ(advert.addresses.size(), 4u);
  }
}

TEST(Decode, PaddingOfTheFrameIsNotPartOfIt) {
  Packet padded = written({});
  padded.frame.resize(60, 0xee);
  const Packet packet = take_apart(padded.frame);
  Advert advert;
  EXPECT_EQ(decode(packet.carrier, packet.message(), 3, advert), Oddity::none);
  EXPECT_FALSE(advert.trailing);
}

TEST(Decode, APeerBehindARouterIsRefusedForItsHopLimitAndForItsIpv6Address) {
  Packet packet = written({.source = "2001:db8::1", .destination = "2001:db8::2", .addresses = kV6.addresses});
  packet.carrier.hop_limit = 61;
  EXPECT_EQ(judge(packet), Oddity::bad_hop_limit);
  packet.carrier.hop_limit = 255;
  EXPECT_EQ(judge(packet), Oddity::bad_source);
}

TEST(Write, FramesOfBothFamiliesTaggedOrNot) {
  for (const Ours& base : {Ours{}, kV6}) {
    for (const std::uint16_t vlan : {std::uint16_t{0}, std::uint16_t{7}}) {
      Ours ours = base;
      ours.vlan = vlan;
      const Packet packet = written(ours);
      EXPECT_EQ(packet.ip_at, vlan == 0 ? 14u : 18u);
      EXPECT_EQ(packet.protocol, kProtocol);
      EXPECT_EQ(packet.carrier.hop_limit, kHopLimit);
      const Bytes group = packet.carrier.source.is_v4() ? Bytes{0x01, 0x00, 0x5e, 0x00, 0x00, 0x12}
                                                        : Bytes{0x33, 0x33, 0x00, 0x00, 0x00, 0x12};
      EXPECT_TRUE(std::equal(group.begin(), group.end(), packet.frame.begin()));
      EXPECT_EQ(packet.frame.size(), packet.message_at + packet.message_length);
      if (packet.carrier.source.is_v4()) {
        EXPECT_EQ(packet::sum(std::span(packet.frame).subspan(packet.ip_at, 20)), 0xffff);
      }
      if (vlan != 0) {
        EXPECT_EQ(load_be16(&packet.frame[14]), vlan);
      }
      EXPECT_EQ(judge(packet), Oddity::none);
    }
  }
}

TEST(Write, IntervalsAreRoundedToTheUnitAndStayInTheirField) {
  struct Row {
    std::uint8_t version;
    Nanos given, written;
  };
  for (const Row& row :
       {Row{3, 0, kCentisecond}, Row{3, 14'999'999, kCentisecond}, Row{3, 15 * kMillisecond, 2 * kCentisecond},
        Row{3, 50 * kSecond, kIntervalMax}, Row{2, kMillisecond, kSecond}, Row{2, 2500 * kMillisecond, 3 * kSecond},
        Row{2, 400 * kSecond, 255 * kSecond}}) {
    const Packet packet = written({.version = row.version, .interval = row.given});
    Advert advert;
    ASSERT_EQ(decode(packet.carrier, packet.message(), row.version, advert), Oddity::none);
    EXPECT_EQ(advert.interval, row.written);
  }
}

TEST(Write, AUnicastPeerGetsItsOwnMac) {
  const Packet packet = written({.destination = "192.0.2.2"});
  EXPECT_EQ(Bytes(packet.frame.begin(), packet.frame.begin() + 6), (Bytes{2, 0, 0, 0, 0, 9}));
}

TEST(Write, NothingWhenTheAddressesDoNotFit) {
  const Ours most{.source = "fe80::1",
                  .destination = "ff02::12",
                  .addresses = std::vector(kAddressesMax, ip("fe80::100")),
                  .vlan = 7};
  EXPECT_EQ(judge(written(most)), Oddity::none);
  std::vector<IpAddress> addresses(kAddressesMax + 1, ip("192.0.2.100"));
  FrameSpec spec{.vrid = 1,
                 .priority = 1,
                 .interval = kSecond,
                 .source = ip("192.0.2.1"),
                 .destination = kGroupV4,
                 .addresses = addresses};
  Bytes out(kFrameMax);
  EXPECT_EQ(write_frame(spec, out), 0u);
  addresses.resize(1);
  spec.addresses = addresses;
  EXPECT_EQ(write_frame(spec, out), 14u + 20 + 8 + 4);
  EXPECT_EQ(write_frame(spec, std::span(out).first(14 + 20 + 8 + 3)), 0u);
}

// Whatever we write, we read again; and one changed bit anywhere in the message never gives another advert.
TEST(Write, WhatIsWrittenIsReadAgainAndNoSingleBitCanChange) {
  Rng rng(1);
  for (int i = 0; i < 300; ++i) {
    const bool v6 = rng.chance(0.5);
    Ours ours = v6 ? kV6 : Ours{};
    ours.version = !v6 && rng.chance(0.3) ? 2 : 3;
    ours.priority = static_cast<std::uint8_t>(rng.below(256));
    ours.interval = ours.version == 2 ? (1 + rng.below(255)) * kSecond : (1 + rng.below(4095)) * kCentisecond;
    ours.form = static_cast<ChecksumForm>(rng.below(3));
    Packet packet = written(ours);
    Advert advert;
    ASSERT_EQ(decode(packet.carrier, packet.message(), ours.version, advert), Oddity::none);
    EXPECT_EQ(advert.priority, ours.priority);
    EXPECT_EQ(advert.interval, ours.interval);
    EXPECT_TRUE(same_addresses(advert.addresses, ours.addresses));
    const std::size_t bit = rng.below(static_cast<std::uint32_t>(packet.message_length * 8));
    packet.frame[packet.message_at + bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
    EXPECT_NE(judge(packet, ours.version), Oddity::none) << bit;
  }
}

TEST(SameAddresses, InAnyOrderAndAsOften) {
  const auto a = ips({"192.0.2.1", "192.0.2.2", "192.0.2.2"});
  EXPECT_TRUE(same_addresses(testing::wire(ips({"192.0.2.2", "192.0.2.1", "192.0.2.2"})), a));
  EXPECT_FALSE(same_addresses(testing::wire(ips({"192.0.2.2", "192.0.2.1", "192.0.2.1"})), a));
  EXPECT_FALSE(same_addresses(testing::wire(ips({"192.0.2.1", "192.0.2.2"})), a));
  EXPECT_FALSE(same_addresses(testing::wire(ips({"192.0.2.1", "192.0.2.2", "192.0.2.3"})), a));
  EXPECT_TRUE(same_addresses(testing::wire(kV6.addresses), kV6.addresses));
  EXPECT_FALSE(same_addresses(testing::wire(a), kV6.addresses));
  EXPECT_TRUE(same_addresses({}, {}));
  EXPECT_FALSE(same_addresses(testing::wire(a), {}));
}

TEST(VirtualMac, IsThatOfRfc9568) {
  EXPECT_EQ(to_string(virtual_mac(51, false)), "00:00:5e:00:01:33");
  EXPECT_EQ(to_string(virtual_mac(51, true)), "00:00:5e:00:02:33");
}

TEST(Names, EveryOddityHasItsOwnNameAndSentence) {
  std::set<std::string> names, sentences;
  for (unsigned i = 0; i < static_cast<unsigned>(Oddity::count); ++i) {
    names.insert(name(static_cast<Oddity>(i)));
    sentences.insert(meaning(static_cast<Oddity>(i)));
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(Oddity::count));
  EXPECT_EQ(sentences.size(), names.size());
  EXPECT_STREQ(name(Oddity::version2_interval), "version2_interval");
  EXPECT_STREQ(name(Oddity::first_not_link_local), "first_not_link_local");
  EXPECT_STREQ(name(Oddity::interval_differs), "interval_differs");
}

}  // namespace
}  // namespace headgate::vrrp
