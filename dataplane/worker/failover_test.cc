// A worker and the leases of groups: what it forwards, answers and says while a group is here, and its silence while it
// is not. Adverts in and out.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "dataplane/packet/build.h"
#include "dataplane/vrrp/wire.h"
#include "tests/sim/box.h"
#include "tests/sim/site.h"

namespace headgate::worker {
namespace {

using packet::kSyn;
using packet::testing::tcp_frame;
using sim::Box;
using sim::Frame;
using sim::kInside;
using sim::kOutside;
using sim::Out;
using telemetry::DropReason;

constexpr std::uint8_t kVrid = 51;

// The site with service 100 and its local address .65 in a group; .64 is the box's own, .66 the other box's share.
std::string grouped_site() {
  std::string text = sim::text_of({.service = "group_id: 7", .all_services = false});
  const auto replace = [&text](const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
  };
  replace("local_address { id: 2 address: \"10.10.0.65\" interface_id: 2",
          "local_address { id: 9 address: \"10.10.0.66\" interface_id: 2 group_id: 7 allocate_elsewhere: true }\n"
          "local_address { id: 4 address: \"2001:db8:2::a:1\" interface_id: 2 group_id: 7 }\n"
          "local_address { id: 2 address: \"10.10.0.65\" interface_id: 2 group_id: 7");
  return text +
         "failover { group { id: 7 name: \"site\" priority: 200 interval_ms: 100"
         " router { interface_id: 1 vrid: 51 source: \"192.0.2.11\" address: \"192.0.2.100\" }"
         " router { interface_id: 1 vrid: 51 ipv6: true address: \"2001:db8:1::100\" }"
         " router { interface_id: 2 vrid: 52 source: \"10.10.0.12\" address: \"10.10.0.65\" } } }";
}

class Failover : public ::testing::TestWithParam<unsigned> {
 protected:
  Failover() : box_({.workers = GetParam()}) { box_.apply(grouped_site()); }

  void lease(Nanos span) { box_.failover().leases.set(slot(), span == 0 ? 0 : box_.now() + span); }
  snapshot::GroupSlot slot() const { return box_.snapshot().groups.at(0).slot; }

  static Frame syn(std::uint16_t port = 40000) {
    return tcp_frame({.src = "192.0.2.10", .dst = "192.0.2.100", .src_port = port, .flags = kSyn});
  }
  static Frame to(Frame frame, const MacAddress& mac) {
    std::memcpy(frame.data(), mac.bytes.data(), mac.bytes.size());
    return frame;
  }
  std::vector<Out> tcp(std::vector<Out> out) {
    std::erase_if(out, [](const Out& one) {
      packet::PacketInfo info;
      return packet::parse(one.frame, one.frame.size(), info) != packet::ParseError::none ||
             info.tuple.protocol != kProtocolTcp;
    });
    return out;
  }
  Frame advert(std::uint8_t vrid = kVrid) {
    Frame frame(vrrp::kFrameMax);
    const IpAddress listed[] = {*parse_ip("192.0.2.100")};
    frame.resize(vrrp::write_frame({.vrid = vrid,
                                    .priority = 100,
                                    .interval = 100 * kMillisecond,
                                    .source_mac = vrrp::virtual_mac(vrid, false),
                                    .destination_mac = {},
                                    .source = *parse_ip("192.0.2.12"),
                                    .destination = vrrp::kGroupV4,
                                    .addresses = listed},
                                   frame));
    return frame;
  }

  Box box_;
};

TEST_P(Failover, WithoutALeaseNothingIsForwardedOrAnswered) {
  EXPECT_TRUE(box_.exchange(kOutside, syn()).empty());
  EXPECT_EQ(box_.drops(DropReason::group_inactive), 1u);
  EXPECT_TRUE(box_.exchange(kOutside, to(syn(40001), vrrp::virtual_mac(kVrid, false))).empty());
  EXPECT_EQ(box_.drops(DropReason::group_inactive), 2u);
  lease(100 * kMillisecond);
  EXPECT_EQ(tcp(box_.exchange(kOutside, syn(40002))).size(), 1u);
}

TEST_P(Failover, AFlowIsSilentFromTheMomentItsLeaseEnds) {
  lease(kSecond);
  const auto first = tcp(box_.exchange(kOutside, syn()));
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].port, kInside);
  box_.tick(kSecond);
  EXPECT_TRUE(tcp(box_.exchange(kOutside, syn())).empty()) << "at the very nanosecond";
  EXPECT_EQ(box_.drops(DropReason::group_inactive), 1u);
  lease(kSecond);
  EXPECT_EQ(tcp(box_.exchange(kOutside, syn())).size(), 1u) << "the flow is still there";
  EXPECT_EQ(box_.flows(), 1u);
}

TEST_P(Failover, FramesToTheVirtualMacAreOursWhileActive) {
  lease(kSecond);
  EXPECT_EQ(tcp(box_.exchange(kOutside, to(syn(), vrrp::virtual_mac(kVrid, false)))).size(), 1u);
  EXPECT_TRUE(box_.exchange(kOutside, to(syn(40001), vrrp::virtual_mac(kVrid + 1, false))).empty());
  EXPECT_EQ(box_.drops(DropReason::other_mac), 1u) << "somebody else's virtual router";
}

TEST_P(Failover, FlowsOpenFromThisBoxesShare) {
  lease(kSecond);
  for (std::uint16_t port = 1; port <= 20; ++port) {
    const auto out = tcp(box_.exchange(kOutside, syn(static_cast<std::uint16_t>(40000 + port))));
    ASSERT_EQ(out.size(), 1u);
    packet::PacketInfo info;
    ASSERT_EQ(packet::parse(out[0].frame, out[0].frame.size(), info), packet::ParseError::none);
    EXPECT_EQ(to_string(info.tuple.src), "10.10.0.65");
  }
}

Frame arp_request(const char* target) {
  Frame frame(64);
  frame.resize(packet::write_arp(frame.data(), 0, kBroadcastMac, MacAddress{{0x02, 9, 9, 9, 9, 9}},
                                 *parse_ip("192.0.2.77"), MacAddress{}, *parse_ip(target), false));
  return frame;
}

struct Said {
  bool reply = false;
  MacAddress ethernet_source, sender_mac;
  IpAddress sender, target;
};
std::vector<Said> arp_of(const std::vector<Out>& out) {
  std::vector<Said> said;
  for (const Out& one : out) {
    if (one.port != kOutside || one.frame.size() < 42 || one.frame[12] != 8 || one.frame[13] != 6) continue;
    Said& arp = said.emplace_back();
    arp.reply = one.frame[21] == 2;
    std::memcpy(arp.ethernet_source.bytes.data(), one.frame.data() + 6, 6);
    std::memcpy(arp.sender_mac.bytes.data(), one.frame.data() + 22, 6);
    arp.sender = IpAddress::load_v4(one.frame.data() + 28);
    arp.target = IpAddress::load_v4(one.frame.data() + 38);
  }
  return said;
}

TEST_P(Failover, ArpIsAnsweredWithTheVirtualMacAndOnlyWhileActive) {
  const auto ask = [this](const char* target) {
    box_.take_said();
    box_.exchange(kOutside, arp_request(target));
    std::vector<Said> said = arp_of(box_.take_said());
    std::erase_if(said, [](const Said& arp) { return !arp.reply; });
    return said;
  };
  EXPECT_TRUE(ask("192.0.2.100").empty());
  ASSERT_EQ(ask("192.0.2.11").size(), 1u) << "the box's own address is answered always";
  lease(kSecond);
  const auto replies = ask("192.0.2.100");
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].ethernet_source, vrrp::virtual_mac(kVrid, false));
  EXPECT_EQ(replies[0].sender_mac, vrrp::virtual_mac(kVrid, false));
  EXPECT_EQ(ask("192.0.2.11")[0].sender_mac, Box::mac(kOutside));
}

TEST_P(Failover, ANewLeaseIsAnnouncedInABurst) {
  lease(2 * kSecond);
  box_.take_said();
  std::vector<Nanos> at;
  const Nanos start = box_.now();
  for (; box_.now() < start + 1500 * kMillisecond; box_.tick(kMillisecond)) {
    box_.run();
    for (const Said& arp : arp_of(box_.take_said())) {
      if (arp.sender != arp.target || arp.sender != *parse_ip("192.0.2.100")) continue;
      EXPECT_EQ(arp.sender_mac, vrrp::virtual_mac(kVrid, false));
      at.push_back(box_.now() - start);
    }
  }
  ASSERT_EQ(at.size(), 5u);
  const Nanos expected[] = {0, 10, 50, 200, 1000};
  for (std::size_t i = 0; i < at.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(at[i]) / kMillisecond, static_cast<double>(expected[i]), 20) << i;
  }
}

TEST_P(Failover, AdvertsReachTheElectionWhicheverWorkerHeardThem) {
  for (unsigned queue = 0; queue < box_.workers(); ++queue) {
    EXPECT_TRUE(box_.exchange(kOutside, advert(), static_cast<int>(queue)).empty());
    AdvertIn in;
    ASSERT_TRUE(box_.failover().in.pop(in)) << "worker " << queue;
    EXPECT_EQ(in.router.group_id, 7u);
    EXPECT_EQ(in.router.router, 0);
    EXPECT_EQ(to_string(in.carrier.source), "192.0.2.12");
    EXPECT_EQ(in.carrier.hop_limit, 255);
    vrrp::Advert heard;
    EXPECT_EQ(vrrp::decode(in.carrier, {in.message.data(), in.length}, 3, heard), vrrp::Oddity::none);
    EXPECT_EQ(heard.priority, 100);
  }
  AdvertIn in;
  EXPECT_TRUE(box_.exchange(kOutside, advert(kVrid + 9)).empty());
  ASSERT_TRUE(box_.failover().in.pop(in)) << "no router of ours: to be counted by one beside it";
  EXPECT_EQ(in.message[1], kVrid + 9);
  EXPECT_EQ(in.router.router, 0);
  EXPECT_TRUE(box_.exchange(sim::kProbe, advert()).empty());
  EXPECT_FALSE(box_.failover().in.pop(in)) << "no router at all on that interface";
}

// Whole or not at all: a part says that it is one, so that the election counts it, and none of them waits for others.
TEST_P(Failover, AnAdvertInFragmentsIsCountedAndNeverPutTogether) {
  const auto parts = packet::testing::fragments(advert(), 28);
  ASSERT_GE(parts.size(), 2u);
  for (const Frame& part : parts) {
    EXPECT_TRUE(box_.exchange(kOutside, part).empty());
    AdvertIn in;
    ASSERT_TRUE(box_.failover().in.pop(in));
    EXPECT_EQ(in.router.group_id, 7u);
    EXPECT_TRUE(in.carrier.fragment);
    vrrp::Advert heard;
    EXPECT_EQ(vrrp::decode(in.carrier, {in.message.data(), in.length}, 3, heard), vrrp::Oddity::fragmented);
  }
  EXPECT_EQ(box_.drops(DropReason::fragment_limit), 0u);
  EXPECT_TRUE(box_.exchange(sim::kProbe, parts[0]).empty());
  AdvertIn in;
  EXPECT_FALSE(box_.failover().in.pop(in)) << "no router at all on that interface";
}

TEST_P(Failover, AnAdvertOfOursLeavesFirstAndNotAfterItsTime) {
  AdvertOut out;
  out.router = {7, 0};
  out.port = kOutside;
  out.valid_until = box_.now() + kMillisecond;
  const Frame frame = advert();
  out.length = static_cast<std::uint16_t>(frame.size());
  std::ranges::copy(frame, out.frame.begin());
  ASSERT_TRUE(box_.failover().out.push(out));
  auto sent = box_.run();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].frame, frame);
  box_.tick(2 * kMillisecond);
  ASSERT_TRUE(box_.failover().out.push(out));
  EXPECT_TRUE(box_.run().empty()) << "it would speak of another time";
}

// Unicast: the frame's hardware address is the peer's, once it is known. A peer that is away must not cost us the
// lease, which the driver's acceptance renews.
TEST_P(Failover, AnAdvertToAPeerThatDoesNotAnswerGoesWhereTheQuestionForItGoes) {
  struct Row {
    const char* peer;
    MacAddress asked;
  };
  for (const Row& row :
       {Row{"192.0.2.99", kBroadcastMac}, Row{"2001:db8:1::99", MacAddress{{0x33, 0x33, 0xff, 0, 0, 0x99}}}}) {
    SCOPED_TRACE(row.peer);
    AdvertOut out;
    out.router = {7, 0};
    out.port = kOutside;
    out.interface = InterfaceId{1};
    out.peer = *parse_ip(row.peer);
    const Frame frame = advert();
    out.length = static_cast<std::uint16_t>(frame.size());
    std::ranges::copy(frame, out.frame.begin());
    const auto sent_to = [&]() -> std::optional<MacAddress> {
      out.valid_until = box_.now() + kMillisecond;
      EXPECT_TRUE(box_.failover().out.push(out));
      for (const Out& one : box_.run()) {
        if (one.port != kOutside || one.frame.size() != frame.size()) continue;
        MacAddress to;
        std::memcpy(to.bytes.data(), one.frame.data(), to.bytes.size());
        return to;
      }
      return std::nullopt;
    };
    EXPECT_EQ(sent_to(), row.asked) << "never heard of";
    box_.advance(10 * kSecond);
    EXPECT_EQ(sent_to(), row.asked) << "it did not answer";
    const MacAddress mac = box_.lan().add(row.peer, kOutside).mac;
    for (int second = 0; second < 60 && sent_to() != mac; ++second) box_.advance(kSecond);
    EXPECT_EQ(sent_to(), mac) << "it answers";
    box_.lan().set_silent(*parse_ip(row.peer), true);
    bool always = true;
    for (int second = 0; second < 200; ++second, box_.advance(kSecond)) always &= sent_to().has_value();
    EXPECT_TRUE(always) << "it went away";
    EXPECT_EQ(sent_to(), row.asked) << "a box that comes in its place may have other hardware";
  }
}

TEST_P(Failover, ProbesGoOutFromTheBoxesOwnAddressWithoutALease) {
  const auto out = tcp(box_.exchange(
      sim::kProbe, tcp_frame({.src = "198.18.0.1", .dst = "198.18.78.33", .dst_port = 80, .flags = kSyn})));
  ASSERT_EQ(out.size(), 1u);
  packet::PacketInfo info;
  ASSERT_EQ(packet::parse(out[0].frame, out[0].frame.size(), info), packet::ParseError::none);
  EXPECT_EQ(to_string(info.tuple.src), "10.10.0.64");
}

INSTANTIATE_TEST_SUITE_P(Workers, Failover, ::testing::Values(1u, 3u));

}  // namespace
}  // namespace headgate::worker
