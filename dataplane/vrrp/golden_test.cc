// Adverts of keepalived 2.2.7, FRR 8.4.4 and a script: what is read of each, and that we write the same bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/vrrp/testing.h"

namespace headgate::vrrp {
namespace {

using testing::Bytes;
using testing::Packet;

enum class Mac { physical, virtual_router };
struct Golden {
  const char* file;
  std::uint8_t version;
  ChecksumForm form;
  Mac mac;
  std::vector<std::pair<unsigned, Nanos>> adverts;  // priority, interval
  std::size_t addresses = 1;
};
constexpr auto kPlain = ChecksumForm::plain, kPseudo = ChecksumForm::pseudo_header,
               kOfGroup = ChecksumForm::pseudo_header_of_group;
constexpr Nanos kTenth = 100 * kMillisecond, kHundredth = 10 * kMillisecond, kLongest = 40'950 * kMillisecond;

const std::vector<Golden> kGolden{
    {"ka227-v2-ip4", 2, kPlain, Mac::physical, {{150, kSecond}, {0, kSecond}, {100, kSecond}, {0, kSecond}}},
    {"ka227-v2-ip4-vmac", 2, kPlain, Mac::virtual_router, {{150, kSecond}, {0, kSecond}, {100, kSecond}, {0, kSecond}}},
    {"ka227-v2-ip4-2vip", 2, kPlain, Mac::physical, {{150, kSecond}, {0, kSecond}, {100, kSecond}, {0, kSecond}}, 2},
    {"ka227-v3-ip4-100cs", 3, kPseudo, Mac::physical, {{150, kSecond}, {0, kSecond}, {100, kSecond}, {0, kSecond}}},
    {"ka227-v3-ip4-1cs",
     3,
     kPseudo,
     Mac::physical,
     {{100, kHundredth}, {150, kHundredth}, {0, kHundredth}, {0, kHundredth}}},
    {"ka227-v3-ip4-4095cs", 3, kPseudo, Mac::physical, {{255, kLongest}, {0, kLongest}}},
    {"ka227-v3-ip4-owner255", 3, kPseudo, Mac::physical, {{255, kSecond}, {0, kSecond}, {100, kSecond}, {0, kSecond}}},
    {"ka227-v3-ip4-2vip", 3, kPseudo, Mac::physical, {{150, kSecond}, {0, kSecond}, {100, kSecond}, {0, kSecond}}, 2},
    {"ka227-v3-ip4-vmac-10cs",
     3,
     kPseudo,
     Mac::virtual_router,
     {{150, kTenth}, {0, kTenth}, {100, kTenth}, {0, kTenth}}},
    {"ka227-v3-ip4-unicast", 3, kPseudo, Mac::physical, {{150, kTenth}, {0, kTenth}, {100, kTenth}, {0, kTenth}}},
    {"ka227-v3-ip4-unicast-oldcksum",
     3,
     kOfGroup,
     Mac::physical,
     {{150, kTenth}, {0, kTenth}, {100, kTenth}, {0, kTenth}}},
    {"ka227-v3-ip6-100cs", 3, kPseudo, Mac::physical, {{150, kSecond}, {0, kSecond}, {100, kSecond}, {0, kSecond}}, 2},
    {"ka227-v3-ip6-vmac-10cs",
     3,
     kPseudo,
     Mac::virtual_router,
     {{150, kTenth}, {0, kTenth}, {100, kTenth}, {0, kTenth}},
     2},
    {"frr844-v2-ip4", 2, kPlain, Mac::virtual_router, {{150, kSecond}, {0, kSecond}, {100, kSecond}, {0, kSecond}}},
    {"frr844-v3-ip4-10cs", 3, kPseudo, Mac::virtual_router, {{150, kTenth}, {0, kTenth}, {100, kTenth}, {0, kTenth}}},
    {"frr844-v3-ip4-1cs",
     3,
     kPseudo,
     Mac::virtual_router,
     {{150, kHundredth}, {0, kHundredth}, {100, kHundredth}, {0, kHundredth}}},
    {"frr844-v3-ip6-10cs", 3, kPseudo, Mac::virtual_router, {{150, kTenth}, {0, kTenth}, {100, kTenth}}, 2},
    {"synthetic-v3-ip4-rfc9568-plaincksum",
     3,
     kPlain,
     Mac::virtual_router,
     {{150, kTenth}, {0, kTenth}, {255, kTenth}, {150, kTenth}, {150, kHundredth}, {150, kLongest}},
     0},  // 1 or 2 addresses
};

std::vector<Packet> adverts_of(const std::string& file, std::uint8_t protocol = kProtocol) {
  std::vector<Packet> found;
  for (Packet& packet : testing::read_pcap(HEADGATE_GOLDEN_VRRP "/" + file + ".pcap")) {
    if (packet.protocol == protocol) found.push_back(std::move(packet));
  }
  return found;
}

std::vector<IpAddress> listed(const Advert& advert, bool v6) {
  std::vector<IpAddress> result;
  const std::size_t size = v6 ? 16 : 4;
  for (std::size_t at = 0; at < advert.addresses.size(); at += size) {
    result.push_back(v6 ? IpAddress::load_v6(&advert.addresses[at]) : IpAddress::load_v4(&advert.addresses[at]));
  }
  return result;
}

Bytes rewritten(const Packet& packet, const Advert& advert) {
  FrameSpec spec{.version = advert.version, .vrid = advert.vrid, .priority = advert.priority};
  spec.interval = advert.interval;
  spec.form = advert.form;
  std::copy_n(packet.frame.begin() + 6, 6, spec.source_mac.bytes.begin());
  std::copy_n(packet.frame.begin(), 6, spec.destination_mac.bytes.begin());
  spec.source = packet.carrier.source;
  spec.destination = packet.carrier.destination;
  const auto addresses = listed(advert, !spec.source.is_v4());
  spec.addresses = addresses;
  Bytes frame(kFrameMax);
  frame.resize(write_frame(spec, frame));
  return frame;
}

// Identification, "don't fragment" and with them the header checksum are each sender's own; so is the flow label.
Bytes without_identity(Bytes frame) {
  std::uint8_t* header = &frame[14];
  if (header[0] >> 4 == 4) {
    header[4] = header[5] = header[6] = header[10] = header[11] = 0;
  } else {
    header[1] &= 0xf0;
    header[2] = header[3] = 0;
  }
  return frame;
}

TEST(Golden, EveryAdvertIsReadAndWrittenAgainByteByByte) {
  for (const Golden& golden : kGolden) {
    SCOPED_TRACE(golden.file);
    const auto packets = adverts_of(golden.file);
    ASSERT_EQ(packets.size(), golden.adverts.size());
    for (std::size_t i = 0; i < packets.size(); ++i) {
      const Packet& packet = packets[i];
      const bool v6 = !packet.carrier.source.is_v4();
      Advert advert;
      ASSERT_EQ(decode(packet.carrier, packet.message(), golden.version, advert), Oddity::none) << i;
      EXPECT_EQ(advert.version, golden.version);
      EXPECT_EQ(advert.vrid, 51);
      EXPECT_EQ(advert.priority, golden.adverts[i].first);
      EXPECT_EQ(advert.interval, golden.adverts[i].second);
      EXPECT_EQ(advert.form, golden.form);
      EXPECT_FALSE(advert.trailing);
      if (golden.addresses != 0) {
        EXPECT_EQ(advert.addresses.size(), golden.addresses * (v6 ? 16 : 4));
      }
      const auto expected =
          v6 ? testing::ips({"fe80::100", "2001:db8::100"}) : testing::ips({"192.0.2.100", "192.0.2.101"});
      EXPECT_THAT(listed(advert, v6), ::testing::IsSubsetOf(expected));
      const MacAddress mac = virtual_mac(51, v6);
      EXPECT_EQ(std::equal(mac.bytes.begin(), mac.bytes.end(), packet.frame.begin() + 6),
                golden.mac == Mac::virtual_router);
      EXPECT_EQ(without_identity(rewritten(packet, advert)), without_identity(packet.frame));
      EXPECT_NE(decode(packet.carrier, packet.message(), golden.version == 2 ? 3 : 2, advert), Oddity::none);
    }
  }
}

TEST(Golden, HopLimit64OfKeepalivedsUnicastIsRefusedAndAllElseOfItIsRight) {
  const auto packets = adverts_of("ka227-v3-ip6-unicast-hl64");
  ASSERT_EQ(packets.size(), 4u);
  for (const Packet& packet : packets) {
    Advert advert;
    EXPECT_EQ(decode(packet.carrier, packet.message(), 3, advert), Oddity::bad_hop_limit);
    EXPECT_EQ(advert.vrid, 51);  // so that it can be counted where it belongs
    Carrier near = packet.carrier;
    near.hop_limit = 255;
    EXPECT_EQ(decode(near, packet.message(), 3, advert), Oddity::none);
    Bytes ours = rewritten(packet, advert);
    EXPECT_EQ(ours[14 + 7], 255);
    ours[14 + 7] = 64;
    EXPECT_EQ(without_identity(ours), without_identity(packet.frame));
  }
}

TEST(Golden, PasswordsAreReadAsSuchAndRefused) {
  const auto packets = adverts_of("ka227-v2-ip4-authpass");
  ASSERT_EQ(packets.size(), 4u);
  Advert advert;
  for (const Packet& packet : packets) {
    EXPECT_EQ(decode(packet.carrier, packet.message(), 2, advert), Oddity::bad_authentication);
  }
}

TEST(Golden, InsideOfAnAuthenticationHeaderToo) {
  constexpr std::uint8_t kAuthenticationHeader = 51;
  constexpr std::size_t kLength = 24;
  EXPECT_TRUE(adverts_of("ka227-v2-ip4-authah").empty());
  const auto packets = adverts_of("ka227-v2-ip4-authah", kAuthenticationHeader);
  ASSERT_EQ(packets.size(), 6u);
  Advert advert;
  for (const Packet& packet : packets) {
    EXPECT_EQ(decode(packet.carrier, packet.message().subspan(kLength), 2, advert), Oddity::bad_authentication);
  }
}

}  // namespace
}  // namespace headgate::vrrp
