// Twenty crafted adverts, from the packet to the role. A backup of priority 100 whose peer has 150: does it honour the
// advert (and wait anew), drop it, and what does it tell about it? keepalived 2.2.7 and FRR 8.4.4 were shown the same
// ones.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/vrrp/group_testing.h"

namespace headgate::vrrp {
namespace {

using testing::Bytes;
using testing::ip;
using testing::Packet;

struct Craft {
  const char* what;
  bool honoured;
  Oddity told;
  std::function<void(Bytes& message)> how = [](Bytes&) {};
  ChecksumForm form = ChecksumForm::pseudo_header;
  std::uint8_t hop_limit = 255;
  bool right_checksum = true;
  std::size_t cut = 0;
};

Packet craft(const Craft& row) {
  Bytes message{0x31, 51, 150, 1, 0x00, 10, 0, 0, 192, 0, 2, 100};
  row.how(message);
  const IpAddress source = ip("192.0.2.12");
  const auto length = static_cast<std::uint32_t>(message.size());
  const std::uint16_t start =
      row.form == ChecksumForm::plain ? 0 : packet::pseudo_header_sum(source, kGroupV4, kProtocol, length);
  const std::uint16_t checksum = packet::invert(packet::sum(message, start));
  std::memcpy(&message[6], &checksum, 2);
  if (!row.right_checksum) message[6] ^= 0x55;
  message.resize(message.size() - row.cut);
  Packet packet;
  packet.message_length = message.size();
  packet.frame = std::move(message);
  packet.carrier = {source, kGroupV4, row.hop_limit};
  return packet;
}

std::function<void(Bytes&)> set(std::size_t at, std::uint8_t value) {
  return [=](Bytes& message) { message[at] = value; };
}

const std::vector<Craft> kCrafted{
    {"good, pseudo header", true, Oddity::none},
    {"RFC 9568 checksum", true, Oddity::none, [](Bytes&) {}, ChecksumForm::plain},
    {"reserved bits set", true, Oddity::none, set(4, 0xf0)},
    {"priority 255", true, Oddity::owner_priority, set(2, 255)},
    {"equal priority", true, Oddity::none, set(2, 100)},
    {"lower priority, policy stay", true, Oddity::none, set(2, 50)},
    {"interval 300 cs", true, Oddity::interval_differs, [](Bytes& m) { store_be16(&m[4], 300); }},
    {"another address", true, Oddity::addresses_differ, set(11, 101)},
    {"one address more", true, Oddity::addresses_differ,
     [](Bytes& m) {
       m[3] = 2;
       m.insert(m.end(), {192, 0, 2, 101});
     }},
    {"trailing bytes", true, Oddity::trailing_bytes, [](Bytes& m) { m.insert(m.end(), 28, 1); }},
    {"wrong checksum", false, Oddity::bad_checksum, [](Bytes&) {}, ChecksumForm::pseudo_header, 255, false},
    {"TTL 254", false, Oddity::bad_hop_limit, [](Bytes&) {}, ChecksumForm::pseudo_header, 254},
    {"TTL 1", false, Oddity::bad_hop_limit, [](Bytes&) {}, ChecksumForm::pseudo_header, 1},
    {"version 2", false, Oddity::bad_version, set(0, 0x21)},
    {"version 4", false, Oddity::bad_version, set(0, 0x41)},
    {"type 2", false, Oddity::bad_type, set(0, 0x32)},
    {"no address", false, Oddity::bad_count,
     [](Bytes& m) {
       m[3] = 0;
       m.resize(8);
     }},
    {"truncated", false, Oddity::truncated, [](Bytes&) {}, ChecksumForm::pseudo_header, 255, true, 3},
    {"more addresses announced than sent", false, Oddity::truncated, set(3, 9)},
    {"interval 0", false, Oddity::bad_interval, set(5, 0)},
};

TEST(Crafted, TwentyAdvertsAsTheTableSays) {
  ASSERT_EQ(kCrafted.size(), 20u);
  for (const Craft& row : kCrafted) {
    SCOPED_TRACE(row.what);
    testing::Bench box({.routers = 1});
    box.become_backup();
    box.run(200 * kMillisecond);
    const Nanos due = box.group().status().due;
    const Packet packet = craft(row);
    Advert advert;
    Oddity oddity = decode(packet.carrier, packet.message(), 3, advert);
    if (oddity != Oddity::none) {
      box.group().odd(0, oddity);
    } else {
      oddity = box.group().received(0, advert, packet.carrier.source, box.now());
    }
    EXPECT_STREQ(name(oddity), name(row.told));
    EXPECT_EQ(counts_for_nothing(oddity), !row.honoured);
    if (oddity != Oddity::none) {
      EXPECT_EQ(box.group().router(0).oddities[static_cast<std::size_t>(oddity)], 1u);
    }
    EXPECT_EQ(box.group().status().due > due, row.honoured);
    EXPECT_EQ(box.role(), Role::backup);
    EXPECT_TRUE(box.group().actions().empty());
  }
}

}  // namespace
}  // namespace headgate::vrrp
