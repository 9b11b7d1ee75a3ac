#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/base/byte_order.h"
#include "dataplane/neighbor/testing.h"
#include "dataplane/packet/checksum.h"

namespace headgate::neighbor {
namespace {

using packet::kNaOverride;
using packet::kNaSolicited;
using testing::ElementsAre;
using testing::IsEmpty;

SiteBuilder lan() {
  SiteBuilder site;
  site.interface(1, 0, {"2001:db8::/64"}, {"2001:db8::1"});
  return site;
}
struct Lan : Link {
  Lan() {
    SiteBuilder site = lan();
    use(site);
    settle();
  }
  // A known neighbor of standing interest, reachable at kPeerMac.
  void know_peer() {
    SiteBuilder site = lan().backend("2001:db8::5");
    use(site);
    run(now);
    receive(advertisement("2001:db8::5", "2001:db8::1", kNaSolicited));
    EXPECT_EQ(state("2001:db8::5"), NeighborState::reachable);
    settle();
  }
};

// Puts a right checksum on an edited message whose offsets are known.
void seal(Frame& frame, const packet::PacketInfo& info) {
  std::uint8_t* icmp = frame.data() + info.l4_offset;
  icmp[2] = icmp[3] = 0;
  const std::uint16_t pseudo =
      packet::pseudo_header_sum(info.tuple.src, info.tuple.dst, kProtocolIcmpv6, info.l4_length);
  const std::uint16_t checksum = packet::invert(packet::sum({icmp, info.l4_length}, pseudo));
  std::memcpy(icmp + 2, &checksum, 2);
}
void seal(Frame& frame) {
  packet::PacketInfo info;
  ASSERT_EQ(packet::parse(frame, frame.size(), info), packet::ParseError::none);
  seal(frame, info);
}
constexpr std::size_t kIcmp = 14 + 40;

TEST(NeighborDiscovery, SolicitsTheGroupAndLearnsFromTheAnswer) {
  Lan link;
  link.want(1, "2001:db8::5");
  EXPECT_THAT(link.take_frames(), ElementsAre("ns 2001:db8::5 2001:db8::1 ff02::1:ff00:5 us>33:33:ff:00:00:05"));
  EXPECT_EQ(link.receive(advertisement("2001:db8::5", "2001:db8::1", kNaSolicited | kNaOverride)), Verdict::consumed);
  EXPECT_THAT(link.take_updates(), ElementsAre("2001:db8::5 reachable peer"));
}

TEST(NeighborDiscovery, AnswersForOurAddressesAndRemembersWhoAsked) {
  Lan link;
  EXPECT_EQ(link.receive(solicitation("2001:db8::9", "2001:db8::1")), Verdict::consumed);
  EXPECT_THAT(link.take_frames(), ElementsAre("na 2001:db8::1 2001:db8::1 2001:db8::9 S O us>peer"));
  EXPECT_EQ(link.state("2001:db8::9"), NeighborState::stale);
  EXPECT_EQ(link.receive(solicitation("fe80::9", "2001:db8::1")), Verdict::consumed);
  EXPECT_EQ(link.state("fe80::9"), NeighborState::stale);
  EXPECT_EQ(link.receive(solicitation("2001:db8:bad::9", "2001:db8::1")), Verdict::consumed);
  EXPECT_EQ(link.state("2001:db8:bad::9"), NeighborState::free) << "not on-link";
  EXPECT_EQ(link.receive(solicitation("2001:db8::9", "2001:db8::77")), Verdict::not_for_us);
}

TEST(NeighborDiscovery, DuplicateAddressDetectionIsAnsweredToAllNodes) {
  Lan link;
  Frame frame = solicitation("::", "2001:db8::1");
  frame.resize(kIcmp + 24);  // no source option
  store_be16(frame.data() + 14 + 4, 24);
  seal(frame);
  EXPECT_EQ(link.receive(frame), Verdict::consumed);
  EXPECT_THAT(link.take_frames(), ElementsAre("na 2001:db8::1 2001:db8::1 ff02::1 O us>33:33:00:00:00:01"));
  EXPECT_EQ(link.resolver.size(), 0u);
}

TEST(NeighborDiscovery, ASolicitationWithoutSourceOptionIsAnsweredWhereItCameFrom) {
  Lan link;
  Frame frame = solicitation("2001:db8::9", "2001:db8::1");
  frame.resize(kIcmp + 24);
  store_be16(frame.data() + 14 + 4, 24);
  seal(frame);
  EXPECT_EQ(link.receive(frame), Verdict::consumed);
  EXPECT_THAT(link.take_frames(), ElementsAre("na 2001:db8::1 2001:db8::1 2001:db8::9 S O us>peer"));
  EXPECT_EQ(link.resolver.size(), 0u);
}

// RFC 4861 7.2.5 and appendix C, for a neighbor that is reachable at kPeerMac.
TEST(NeighborDiscovery, AdvertisementsFollowTheOverrideRules) {
  struct Case {
    const char* name;
    int flags;
    MacAddress mac;
    Lines updates;
  };
  for (const Case& c : {
           Case{"unsolicited, same address", 0, kPeerMac, {}},
           Case{"unsolicited with override, same address", kNaOverride, kPeerMac, {}},
           Case{"solicited, same address", kNaSolicited, kPeerMac, {"2001:db8::5 reachable peer standing"}},
           Case{"no override, other address: doubt, not belief", 0, kOtherMac, {"2001:db8::5 stale peer standing"}},
           Case{"solicited, no override, other address", kNaSolicited, kOtherMac, {"2001:db8::5 stale peer standing"}},
           Case{"override, other address", kNaOverride, kOtherMac, {"2001:db8::5 stale other standing"}},
           Case{"solicited with override",
                kNaSolicited | kNaOverride,
                kOtherMac,
                {"2001:db8::5 reachable other standing"}},
       }) {
    SCOPED_TRACE(c.name);
    Lan link;
    link.know_peer();
    const bool solicited = (c.flags & kNaSolicited) != 0;
    EXPECT_EQ(link.receive(advertisement("2001:db8::5", solicited ? "2001:db8::1" : "ff02::1", c.flags, c.mac)),
              solicited ? Verdict::consumed : Verdict::not_for_us);
    EXPECT_EQ(link.take_updates(), c.updates);
  }
}

TEST(NeighborDiscovery, DoubtAsksTheOneThatIsKnown) {
  Lan link;
  link.know_peer();
  link.receive(advertisement("2001:db8::5", "ff02::1", 0, kOtherMac));
  EXPECT_THAT(link.take_frames(), ElementsAre("ns 2001:db8::5 2001:db8::1 2001:db8::5 us>peer"));
}

TEST(NeighborDiscovery, StrangersAdvertisementsLeaveNoTrace) {
  Lan link;
  EXPECT_EQ(link.receive(advertisement("2001:db8::9", "ff02::1", kNaOverride)), Verdict::not_for_us);
  EXPECT_EQ(link.receive(advertisement("2001:db8::9", "2001:db8::1", kNaOverride | kNaSolicited)), Verdict::consumed);
  EXPECT_EQ(link.resolver.size(), 0u);
}

TEST(NeighborDiscovery, SomebodyWithOurAddressIsReported) {
  Lan link;
  EXPECT_EQ(link.receive(advertisement("2001:db8::1", "ff02::1", kNaOverride)), Verdict::duplicate_address);
  EXPECT_THAT(link.duplicates, ElementsAre("2001:db8::1 peer"));
  EXPECT_THAT(link.take_frames(), ElementsAre("na 2001:db8::1 2001:db8::1 ff02::1 O us>33:33:00:00:00:01"))
      << "defended";
  EXPECT_EQ(link.receive(solicitation("2001:db8::1", "2001:db8::5")), Verdict::duplicate_address);
  EXPECT_EQ(link.receive(advertisement("2001:db8::1", "ff02::1", kNaOverride, kOurMac)), Verdict::consumed)
      << "our own";
}

TEST(NeighborDiscovery, MalformedMessagesAreRefused) {
  Lan link;
  struct Case {
    const char* name;
    std::size_t at;
    std::uint8_t value;
  };
  for (const Case& c : {
           Case{"hop limit 254: it came through a router", 14 + 7, 254},
           Case{"code", kIcmp + 1, 1},
           Case{"group target", kIcmp + 8, 0xff},
           Case{"option of length 0", kIcmp + 25, 0},
           Case{"option that overruns", kIcmp + 25, 2},
           Case{"group link-layer address", kIcmp + 26, 3},
       }) {
    Frame frame = solicitation("2001:db8::9", "2001:db8::1");
    packet::PacketInfo info;  // parse() refuses some of them itself: the resolver must not depend on it
    ASSERT_EQ(packet::parse(frame, frame.size(), info), packet::ParseError::none);
    frame[c.at] = c.value;
    info.ttl = frame[14 + 7];
    info.icmp_code = frame[kIcmp + 1];
    seal(frame, info);
    EXPECT_EQ(link.receive_unchecked(frame, info), Verdict::malformed) << c.name;
  }
  Frame frame = solicitation("2001:db8::9", "2001:db8::1");
  frame[kIcmp + 2] ^= 1;
  EXPECT_EQ(link.receive(frame), Verdict::malformed) << "checksum";
  EXPECT_EQ(link.receive(advertisement("2001:db8::9", "ff02::1", kNaSolicited)), Verdict::malformed)
      << "solicited by a group";
  EXPECT_EQ(link.resolver.size(), 0u);
  EXPECT_THAT(link.take_frames(), IsEmpty());
}

TEST(NeighborDiscovery, ALinkLocalGatewayIsAskedFromAnyAddressOfOurs) {
  Link link;
  SiteBuilder site = lan().route("::/0", "fe80::1", 0);
  link.use(site);
  link.run(0);
  EXPECT_THAT(link.take_frames(), testing::Contains("ns fe80::1 2001:db8::1 ff02::1:ff00:1 us>33:33:ff:00:00:01"));
}

TEST(Announcements, OfIpv6AddressesAreUnsolicitedAdvertisementsAndGroupReports) {
  Link link;
  SiteBuilder site = lan();
  link.use(site);
  link.run(0);
  EXPECT_THAT(link.take_frames(), ElementsAre("na 2001:db8::1 2001:db8::1 ff02::1 O us>33:33:00:00:00:01",
                                              "mld report from :: groups 1 us>33:33:00:00:00:16"));
  link.run(150 * kSecond);
  unsigned announcements = 0, reports = 0;
  for (const std::string& line : link.take_frames()) ++(line.starts_with("na") ? announcements : reports);
  EXPECT_EQ(announcements, 2u);
  EXPECT_EQ(reports, 2u);
}

TEST(Announcements, GroupReportsCarryManyGroupsAndAreSentWhenQueried) {
  Link link;
  SiteBuilder site = lan();
  for (int i = 0; i < 99; ++i) site.own(0, "2001:db8::1:" + std::to_string(i));
  link.use(site);
  link.settle();
  Frame query = solicitation("fe80::99", "2001:db8::1");  // the same shape, edited into an MLDv2 query
  query.resize(kIcmp + 28);
  store_be16(query.data() + 14 + 4, 28);
  query[14 + 7] = 1;
  std::fill(query.begin() + kIcmp, query.end(), std::uint8_t{0});
  query[kIcmp] = 130;
  store_be16(query.data() + kIcmp + 4, 1000);
  seal(query);
  EXPECT_EQ(link.receive(query), Verdict::not_for_us);
  link.run(link.now + 1001 * kMillisecond);
  EXPECT_EQ(link.take_frames().size(), 5u) << "100 groups, 24 a frame";
  for (int i = 0; i < 100; ++i) {
    link.receive(query);
    link.run(link.now + 10 * kMillisecond);
  }
  EXPECT_LE(link.take_frames().size(), 10u) << "queries can not make us talk more";
}

}  // namespace
}  // namespace headgate::neighbor
