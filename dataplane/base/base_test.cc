#include <gtest/gtest.h>

#include <set>

#include "dataplane/base/flat_map.h"
#include "dataplane/base/ip.h"
#include "dataplane/base/keyed_hash.h"
#include "dataplane/base/rng.h"
#include "dataplane/base/spsc_ring.h"
#include "dataplane/base/toeplitz.h"
#include "dataplane/base/token_bucket.h"

namespace headgate {
namespace {

IpAddress ip(std::string_view text) {
  return parse_ip(text).value();
}

// Microsoft, "Verifying the RSS hash calculation": the published vectors, the key of the default's first 40 bytes.
TEST(Toeplitz, AgreesWithThePublishedVectors) {
  const Toeplitz toeplitz(kDefaultRssKey);
  EXPECT_EQ(toeplitz.hash(ip("66.9.149.187"), ip("161.142.100.80"), 2794, 1766, true), 0x51ccc178u);
  EXPECT_EQ(toeplitz.hash(ip("66.9.149.187"), ip("161.142.100.80"), 2794, 1766, false), 0x323e8fc2u);
  EXPECT_EQ(toeplitz.hash(ip("3ffe:2501:200:1fff::7"), ip("3ffe:2501:200:3::1"), 2794, 1766, true), 0x40207d3du);
  EXPECT_EQ(toeplitz.hash(ip("3ffe:2501:200:1fff::7"), ip("3ffe:2501:200:3::1"), 2794, 1766, false), 0x2cc18cd5u);
}

TEST(Toeplitz, EveryBucketCanBeReachedByChoosingTheLocalPort) {
  const Toeplitz toeplitz(kDefaultRssKey);
  for (const bool v4 : {true, false}) {
    const PortClasses classes(toeplitz, v4);
    ASSERT_TRUE(classes.complete());
    for (unsigned c = 0; c < kBuckets; ++c) {
      std::set<std::uint16_t> ports;
      for (unsigned i = 0; i < PortClasses::kPortsPerClass; ++i) {
        const std::uint16_t port = classes.port(c, i);
        EXPECT_EQ(classes.class_of(port), c);
        ports.insert(port);
      }
      EXPECT_EQ(ports.size(), PortClasses::kPortsPerClass);
    }
  }
}

TEST(Toeplitz, AChosenPortGivesTheReplyTheBucketOfTheRequest) {
  const Toeplitz toeplitz(kDefaultRssKey);
  const PortClasses classes(toeplitz, true);
  Rng rng(7);
  for (int i = 0; i < 1000; ++i) {
    const Tuple request{IpAddress::from_v4(static_cast<std::uint32_t>(rng.next())), ip("192.0.2.100"),
                        static_cast<std::uint16_t>(rng.next()), 80, kProtocolTcp};
    Tuple reply{ip("10.10.0.21"), ip("10.10.0.64"), 80, 0, kProtocolTcp};
    const unsigned wanted = toeplitz.bucket(request) ^ toeplitz.bucket(reply);
    reply.dst_port = classes.port(wanted, rng.below(PortClasses::kPortsPerClass));
    EXPECT_EQ(toeplitz.bucket(reply), toeplitz.bucket(request));
  }
}

TEST(Ip, ParsesAndPrintsBothFamilies) {
  EXPECT_EQ(to_string(ip("192.0.2.1")), "192.0.2.1");
  EXPECT_EQ(to_string(ip("2001:DB8:0::1")), "2001:db8::1");
  EXPECT_FALSE(parse_ip("::ffff:1.2.3.4"));
  EXPECT_FALSE(parse_ip("1.2.3"));
  EXPECT_FALSE(parse_ip("1.2.3.4 "));
  EXPECT_FALSE(parse_prefix("10.0.0.0/33"));
  EXPECT_FALSE(parse_prefix("10.0.0.0/"));
  EXPECT_FALSE(parse_prefix("10.0.0.0/8x"));
  EXPECT_EQ(parse_prefix("10.0.0.0/8")->length, 8);
  EXPECT_TRUE(parse_prefix("10.0.0.0/8")->contains(ip("10.255.1.2")));
  EXPECT_FALSE(parse_prefix("10.0.0.0/8")->contains(ip("11.0.0.1")));
  EXPECT_FALSE(parse_prefix("0.0.0.0/0")->contains(ip("2001:db8::1")));
  EXPECT_FALSE(parse_prefix("::/0")->contains(ip("10.0.0.1")));
  EXPECT_TRUE(parse_prefix("2001:db8:1::/64")->contains(ip("2001:db8:1::100")));
}

TEST(Ip, NamesTheSpecialAddresses) {
  EXPECT_TRUE(ip("0.0.0.0").is_unspecified());
  EXPECT_TRUE(ip("::").is_unspecified());
  EXPECT_TRUE(ip("127.1.2.3").is_loopback());
  EXPECT_TRUE(ip("::1").is_loopback());
  EXPECT_TRUE(ip("224.0.0.18").is_multicast());
  EXPECT_TRUE(ip("ff02::1").is_multicast());
  EXPECT_TRUE(ip("fe80::1").is_link_local());
  EXPECT_TRUE(ip("255.255.255.255").is_broadcast());
  EXPECT_FALSE(ip("192.0.2.1").is_multicast());
}

TEST(SpscRing, IsBoundedAndKeepsOrder) {
  SpscRing<int> ring(4);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(ring.push(i));
  EXPECT_FALSE(ring.push(4));
  int item = -1;
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(ring.pop(item));
    EXPECT_EQ(item, i);
  }
  EXPECT_FALSE(ring.pop(item));
  EXPECT_TRUE(ring.empty());
}

TEST(TokenBucket, LimitsTheRateAndAllowsABurst) {
  TokenBucket bucket(10, 3);
  Nanos now = kSecond;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take(now));
  EXPECT_FALSE(bucket.take(now));
  now += kSecond / 10;
  EXPECT_TRUE(bucket.take(now));
  EXPECT_FALSE(bucket.take(now));
}

TEST(FlatMap, FindsWhatWasPutInAndNothingElse) {
  struct Mix {
    std::uint64_t key;
    std::size_t operator()(int k) const { return static_cast<std::size_t>(k) * 7 + key; }
  };
  std::vector<std::pair<int, int>> entries;
  for (int i = 0; i < 1000; ++i) entries.emplace_back(i * 3, i);
  const FlatMap<int, int, Mix> map(entries, Mix{3});
  for (int i = 0; i < 3000; ++i) {
    const int* value = map.find(i);
    ASSERT_EQ(value != nullptr, i % 3 == 0);
    if (value != nullptr) {
      EXPECT_EQ(*value, i / 3);
    }
  }
}

}  // namespace
}  // namespace headgate
