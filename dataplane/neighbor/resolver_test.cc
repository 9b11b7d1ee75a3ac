#include "dataplane/neighbor/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "dataplane/base/rng.h"
#include "dataplane/neighbor/testing.h"

namespace headgate::neighbor {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

SiteBuilder lan() {
  SiteBuilder site;
  site.interface(1, 0, {"10.0.0.0/24"}, {"10.0.0.1"});
  return site;
}
struct Lan : Link {
  explicit Lan(std::uint64_t seed = 1) : Link(seed) {
    SiteBuilder site = lan();
    use(site);
    settle();
  }
};
struct LanWithBackend : Link {
  LanWithBackend() {
    SiteBuilder site = lan().backend("10.0.0.5");
    use(site);
    run(0);
    receive(arp({.sender = "10.0.0.5", .target = "10.0.0.1", .reply = true}));
    settle();
  }
};

TEST(Arp, WhatIsWantedIsAskedForAndTheAnswerIsTold) {
  Lan link;
  link.want(1, "10.0.0.5");
  EXPECT_THAT(link.take_frames(), ElementsAre("arp who-has 10.0.0.5 tell 10.0.0.1 us>all"));
  EXPECT_EQ(link.receive(arp({.sender = "10.0.0.5", .target = "10.0.0.1", .reply = true})), Verdict::consumed);
  EXPECT_THAT(link.take_updates(), ElementsAre("10.0.0.5 reachable peer"));
  link.want(1, "10.0.0.5");
  EXPECT_THAT(link.take_updates(), ElementsAre("10.0.0.5 reachable peer")) << "another worker wants it: no request";
  EXPECT_THAT(link.take_frames(), IsEmpty());
}

TEST(Arp, ThreeRequestsASecondApartThenFailureThenRetriesThatBackOff) {
  Lan link;
  const Nanos start = link.now;
  link.want(1, "10.0.0.5");
  link.run(start + 3 * kSecond - 1);
  EXPECT_EQ(link.take_frames().size(), 3u);
  EXPECT_THAT(link.take_updates(), IsEmpty());
  link.run(start + 3 * kSecond);
  EXPECT_THAT(link.take_updates(), ElementsAre("10.0.0.5 failed"));
  for (int i = 0; i < 60; ++i) {  // traffic keeps wanting it
    link.run(link.now + 5 * kSecond);
    link.want(1, "10.0.0.5");
  }
  std::vector<Nanos> seconds;
  for (const auto& [when, line] : link.frames) seconds.push_back((when - start) / kSecond);
  ASSERT_GE(seconds.size(), 8u);
  seconds.resize(8);
  EXPECT_THAT(seconds, ElementsAre(4, 6, 10, 18, 34, 64, 94, 124));
  link.receive(arp({.sender = "10.0.0.5", .target = "10.0.0.1", .reply = true}));
  EXPECT_EQ(link.state("10.0.0.5"), NeighborState::reachable);
}

TEST(Arp, AFailedNeighborThatNobodyWantsIsForgotten) {
  Lan link;
  link.want(1, "10.0.0.5");
  link.run(link.now + 120 * kSecond);
  EXPECT_EQ(link.state("10.0.0.5"), NeighborState::free);
  EXPECT_EQ(link.resolver.next_deadline(), kNever);
}

TEST(Arp, RequestsForOurAddressesAreAnsweredAndTheSenderIsRemembered) {
  Lan link;
  EXPECT_EQ(link.receive(arp({.sender = "10.0.0.9", .target = "10.0.0.1", .eth_dst = kBroadcastMac})),
            Verdict::consumed);
  EXPECT_THAT(link.take_frames(), ElementsAre("arp 10.0.0.1 is-at us tell 10.0.0.9 us>peer"));
  EXPECT_EQ(link.state("10.0.0.9"), NeighborState::stale);
  link.want(1, "10.0.0.9");
  EXPECT_THAT(link.take_updates(), ElementsAre("10.0.0.9 stale peer")) << "usable at once";
  EXPECT_THAT(link.take_frames(), ElementsAre("arp who-has 10.0.0.9 tell 10.0.0.1 us>peer")) << "and asked meanwhile";
}

TEST(Arp, AProbeForOurAddressIsAnsweredWithoutLearning) {
  Lan link;
  EXPECT_EQ(link.receive(arp({.sender = "0.0.0.0", .target = "10.0.0.1"})), Verdict::consumed);
  EXPECT_THAT(link.take_frames(), ElementsAre("arp 10.0.0.1 is-at us tell 0.0.0.0 us>peer"));
  EXPECT_EQ(link.resolver.size(), 0u);
}

TEST(Arp, StrangersLeaveNoTrace) {
  Lan link;
  struct Case {
    const char* name;
    Arp frame;
    Verdict verdict;
  };
  for (const Case& c : {
           Case{"a request for somebody else", {.sender = "10.0.0.9", .target = "10.0.0.8"}, Verdict::not_for_us},
           Case{"an unasked reply", {.sender = "10.0.0.9", .target = "10.0.0.1", .reply = true}, Verdict::consumed},
           Case{"a gratuitous request", {.sender = "10.0.0.9", .target = "10.0.0.9"}, Verdict::not_for_us},
           Case{"a sender that is not on-link", {.sender = "192.0.2.9", .target = "10.0.0.1"}, Verdict::consumed},
           Case{"our own frame, reflected",
                {.sender = "10.0.0.1", .target = "10.0.0.1", .mac = kOurMac},
                Verdict::consumed},
           Case{"a loopback sender", {.sender = "127.0.0.1", .target = "10.0.0.1"}, Verdict::malformed},
           Case{"a multicast sender", {.sender = "224.0.0.1", .target = "10.0.0.1"}, Verdict::malformed},
       }) {
    EXPECT_EQ(link.receive(arp(c.frame)), c.verdict) << c.name;
    EXPECT_EQ(link.resolver.size(), 0u) << c.name;
  }
  EXPECT_THAT(link.take_updates(), IsEmpty());
}

TEST(Arp, AGroupAddressIsNoSender) {
  Lan link;
  Frame frame = arp({.sender = "10.0.0.9", .target = "10.0.0.1"});
  packet::PacketInfo info;
  ASSERT_EQ(packet::parse(frame, frame.size(), info), packet::ParseError::none);
  frame[info.l3_offset + 8] |= 1;
  EXPECT_EQ(link.receive_unchecked(frame, info), Verdict::malformed);
}

TEST(Arp, AnAnnouncementMovesAKnownNeighborAndItIsAskedAtOnce) {
  LanWithBackend link;
  EXPECT_EQ(link.receive(arp({.sender = "10.0.0.5", .target = "10.0.0.5", .mac = kOtherMac, .eth_dst = kBroadcastMac})),
            Verdict::not_for_us);
  EXPECT_THAT(link.take_updates(), ElementsAre("10.0.0.5 stale other standing"));
  EXPECT_THAT(link.take_frames(), ElementsAre("arp who-has 10.0.0.5 tell 10.0.0.1 us>other"));
  link.receive(arp({.sender = "10.0.0.5", .target = "10.0.0.1", .mac = kOtherMac, .reply = true}));
  EXPECT_THAT(link.take_updates(), ElementsAre("10.0.0.5 reachable other standing"));
}

TEST(Arp, SomebodyWithOurAddressIsReportedAndAnsweredOnceInTenSeconds) {
  Lan link;
  const Frame claim = arp({.sender = "10.0.0.1", .target = "10.0.0.1", .eth_dst = kBroadcastMac});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(link.receive(claim), Verdict::duplicate_address);
  EXPECT_THAT(link.duplicates, ElementsAre("10.0.0.1 peer"));
  EXPECT_THAT(link.take_frames(), ElementsAre("arp who-has 10.0.0.1 tell 10.0.0.1 us>all"));
  EXPECT_EQ(link.resolver.counters().duplicates, 5u);
  link.run(link.now + kDefendInterval);
  link.receive(claim);
  EXPECT_EQ(link.duplicates.size(), 2u);
}

TEST(Arp, OurAddressIsAnsweredOnlyOnItsOwnInterface) {
  Link link;
  SiteBuilder site;
  site.interface(1, 0, {"10.0.0.0/24"}, {"10.0.0.1"}).interface(2, 20, {"10.2.0.0/24"}, {"10.2.0.1"});
  link.use(site);
  link.settle();
  EXPECT_EQ(link.receive(arp({.sender = "10.2.0.9", .target = "10.0.0.1"}), 1), Verdict::not_for_us);
  EXPECT_THAT(link.take_frames(), IsEmpty());
  link.want(2, "10.2.0.7");
  EXPECT_THAT(link.take_frames(), ElementsAre("arp who-has 10.2.0.7 tell 10.2.0.1 us>all vlan 20"));
}

TEST(StandingInterest, BackendsAndGatewaysAreResolvedBeforeTraffic) {
  Link link;
  SiteBuilder site =
      lan().backend("10.0.0.5").backend("172.16.0.9").backend("203.0.113.1").route("172.16.0.0/16", "10.0.0.254", 0);
  link.use(site);
  link.run(0);
  EXPECT_THAT(link.take_frames(), testing::UnorderedElementsAre("arp who-has 10.0.0.1 tell 10.0.0.1 us>all",
                                                                "arp who-has 10.0.0.254 tell 10.0.0.1 us>all",
                                                                "arp who-has 10.0.0.5 tell 10.0.0.1 us>all"));
  link.receive(arp({.sender = "10.0.0.254", .target = "10.0.0.1", .reply = true}));
  EXPECT_THAT(link.take_updates(), ElementsAre("10.0.0.254 reachable peer standing"));
  link.run(3 * kSecond);
  EXPECT_THAT(link.take_updates(), ElementsAre("10.0.0.5 failed standing"));
}

TEST(StandingInterest, KeepsNeighborsFreshByAskingThemAlone) {
  LanWithBackend link;
  link.run(link.now + kReachableTime * 3 / 2 - kSecond);
  EXPECT_THAT(link.take_frames(), testing::Contains("arp who-has 10.0.0.5 tell 10.0.0.1 us>peer"));
}

TEST(StandingInterest, AProbeThatIsNotAnsweredAsksEverybodyLastAndFails) {
  LanWithBackend link;
  link.run(link.now + kReachableTime * 3 / 2 + 3 * kSecond);
  Lines frames = link.take_frames();
  ASSERT_GE(frames.size(), 3u);
  frames.resize(3);
  EXPECT_THAT(frames,
              ElementsAre("arp who-has 10.0.0.5 tell 10.0.0.1 us>peer", "arp who-has 10.0.0.5 tell 10.0.0.1 us>peer",
                          "arp who-has 10.0.0.5 tell 10.0.0.1 us>all"));
  EXPECT_THAT(link.take_updates(), ElementsAre("10.0.0.5 failed standing"));
  link.receive(arp({.sender = "10.0.0.5", .target = "10.0.0.1", .eth_dst = kBroadcastMac}));
  EXPECT_THAT(link.take_updates(), ElementsAre("10.0.0.5 stale peer standing")) << "it came back and asked for us";
}

TEST(StandingInterest, EndsWithTheSnapshotThatNamedIt) {
  LanWithBackend link;
  SiteBuilder site = lan();
  link.use(site);
  link.run(link.now + 2000 * kSecond);
  EXPECT_THAT(link.take_frames(), IsEmpty());
  EXPECT_EQ(link.resolver.size(), 0u);
}

TEST(StandingInterest, ANewSnapshotWithTheSameBackendsAsksNothing) {
  LanWithBackend link;
  SiteBuilder site = lan().backend("10.0.0.5");
  for (int i = 0; i < 20; ++i) link.use(site);
  link.run(link.now + kSecond);
  EXPECT_THAT(link.take_frames(), IsEmpty());
  EXPECT_EQ(link.state("10.0.0.5"), NeighborState::reachable);
}

TEST(StandingInterest, TenThousandBackendsAreAskedAtAPace) {
  Link link;
  SiteBuilder site;
  site.interface(1, 0, {"10.0.0.0/16"}, {"10.0.255.254"});
  for (std::uint32_t n = 0; n < 10'000; ++n) site.backend(IpAddress::from_v4(0x0a000001 + n));
  link.use(site);
  link.run(100 * kSecond);
  EXPECT_EQ(link.resolver.size(), 10'000u);
  EXPECT_GE(link.resolver.counters().requests, 30'000u);
  std::map<Nanos, unsigned> ticks;
  for (const auto& [when, line] : link.frames) ++ticks[when / kPaceTick];
  for (const auto& [tick, count] : ticks) ASSERT_LE(count, 2 * kFramesPerTick) << tick;
  EXPECT_EQ(link.resolver.counters().failed, 10'000u);
}

TEST(StandingInterest, TrafficDoesNotWaitBehindTheFirstRoundOfRequests) {
  Link link;
  SiteBuilder site;
  site.interface(1, 0, {"10.0.0.0/16"}, {"10.0.255.254"});
  for (std::uint32_t n = 0; n < 10'000; ++n) site.backend(IpAddress::from_v4(0x0a000001 + n));
  link.use(site);
  link.run(200 * kMillisecond);
  link.take_frames();
  link.resolver.want({1}, ip("10.0.200.1"), link.now, link);
  link.run(link.now + 2 * kPaceTick);
  EXPECT_THAT(link.take_frames(), testing::Contains("arp who-has 10.0.200.1 tell 10.0.255.254 us>all"));
}

TEST(Resolver, WithoutAnAddressToAskFromItFailsAndCounts) {
  Link link;
  SiteBuilder site;
  site.interface(1, 0, {"10.0.0.0/24", "10.9.0.0/24"}, {"10.0.0.1", ""});
  link.use(site);
  link.settle();
  link.want(1, "10.9.0.5");
  EXPECT_THAT(link.take_updates(), ElementsAre("10.9.0.5 failed"));
  EXPECT_EQ(link.resolver.counters().unresolvable, 1u);
  link.want(9, "10.0.0.5");
  EXPECT_EQ(link.state("10.0.0.5", 9), NeighborState::free) << "no such interface";
}

TEST(Resolver, AScanOfTheNetworkIsBounded) {
  Link link;
  SiteBuilder site;
  site.interface(1, 0, {"2001:db8::/64"}, {"2001:db8::1"}).backend("2001:db8::b");
  link.use(site);
  link.settle();
  Rng rng(5);
  for (int i = 0; i < 200'000; ++i) {
    IpAddress victim = ip("2001:db8::");
    for (int b = 8; b < 16; ++b) victim.bytes[static_cast<std::size_t>(b)] = static_cast<std::uint8_t>(rng.below(256));
    link.resolver.want({1}, victim, link.now, link);
    if (i % 100 == 0) link.run(link.now + 10 * kMillisecond);
  }
  EXPECT_LE(link.resolver.size(), kNeighborsMax);
  EXPECT_GT(link.resolver.counters().want_refused, 0u);
  EXPECT_NE(link.state("2001:db8::b"), NeighborState::free) << "backends stay";
}

TEST(Announcements, NewAddressesAreAnnouncedThreeTimes) {
  Link link;
  SiteBuilder site = lan();
  link.use(site);
  link.run(10 * kSecond);
  std::vector<Nanos> times;
  for (const auto& [when, line] : link.frames) {
    EXPECT_EQ(line, "arp who-has 10.0.0.1 tell 10.0.0.1 us>all");
    times.push_back(when);
  }
  EXPECT_THAT(times, ElementsAre(0, kSecond, 2 * kSecond));
  link.frames.clear();
  SiteBuilder more = lan().own(0, "10.0.0.100");
  link.use(more);
  link.run(link.now + 10 * kSecond);
  EXPECT_THAT(link.take_frames(),
              testing::AllOf(testing::SizeIs(3), testing::Each("arp who-has 10.0.0.100 tell 10.0.0.100 us>all")));
  link.resolver.announce_group(snapshot::kNoGroup, link.now);
  link.run(link.now + 10 * kSecond);
  EXPECT_EQ(link.take_frames().size(), 6u);
}

TEST(Announcements, AreRepeatedWhenAskedTo) {
  Link link(1, {.announce_refresh = 60 * kSecond});
  SiteBuilder site = lan();
  link.use(site);
  link.settle();
  link.run(link.now + 600 * kSecond);
  EXPECT_EQ(link.take_frames().size(), 10u);
}

TEST(Announcements, AThousandAddressesArePacedAndResolutionGoesOn) {
  Link link;
  SiteBuilder site;
  site.interface(1, 0, {"10.0.0.0/16"}, {"10.0.0.1"});
  for (std::uint32_t n = 0; n < 1000; ++n) site.own(0, to_string(IpAddress::from_v4(0x0a000100 + n)));
  link.use(site);
  link.resolver.want({1}, ip("10.0.200.1"), 0, link);
  link.run(kPaceTick);
  EXPECT_THAT(link.take_frames(), testing::Contains("arp who-has 10.0.200.1 tell 10.0.0.1 us>all"));
  link.run(10 * kSecond);
  EXPECT_EQ(link.resolver.announcer_counters().announcements, 3003u);
}

// Any frame, whole or damaged, on any interface: nothing breaks, and the verdict is one of the four.
TEST(Resolver, RandomlyDamagedFramesDoNoHarm) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    Link link(seed);
    SiteBuilder site;
    site.interface(1, 0, {"10.0.0.0/24", "2001:db8::/64"}, {"10.0.0.1", "2001:db8::1"})
        .backend("10.0.0.5")
        .backend("2001:db8::5");
    link.use(site);
    const std::vector<Frame> good = {arp({.sender = "10.0.0.5", .target = "10.0.0.1"}),
                                     arp({.sender = "10.0.0.5", .target = "10.0.0.1", .reply = true}),
                                     solicitation("2001:db8::5", "2001:db8::1"),
                                     advertisement("2001:db8::5", "2001:db8::1", packet::kNaSolicited)};
    for (int step = 0; step < 5000; ++step) {
      Frame frame = good[rng.below(static_cast<std::uint32_t>(good.size()))];
      packet::PacketInfo info;
      ASSERT_EQ(packet::parse(frame, frame.size(), info), packet::ParseError::none);
      const std::uint32_t damage = rng.below(4);
      for (std::uint32_t i = 0; i < damage; ++i)
        frame[14 + rng.below(static_cast<std::uint32_t>(frame.size() - 14))] ^=
            static_cast<std::uint8_t>(1u << rng.below(8));
      if (packet::parse(frame, frame.size(), info) != packet::ParseError::none) continue;
      if (info.network != packet::Network::arp && info.tuple.protocol != kProtocolIcmpv6) continue;
      link.receive_unchecked(frame, info);
      link.run(link.now + rng.below(1000) * kMillisecond);
    }
    EXPECT_LT(link.resolver.size(), 300u);
  }
}

}  // namespace
}  // namespace headgate::neighbor
