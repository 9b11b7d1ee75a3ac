#include "controlplane/config/address.h"

#include <gtest/gtest.h>

namespace headgate::config {
namespace {

TEST(Address, RefusesZonesMappedAddressesAndNonsense) {
  EXPECT_TRUE(parse_address("192.0.2.1"));
  EXPECT_TRUE(parse_address("2001:db8::1"));
  for (const char* text : {"", "192.0.2", "192.0.2.256", "fe80::1%eth0", "::ffff:192.0.2.1", "192.0.2.1 ", "web"}) {
    EXPECT_FALSE(parse_address(text)) << text;
  }
}

TEST(Prefix, NeedsALengthOfItsFamily) {
  EXPECT_TRUE(parse_prefix("0.0.0.0/0"));
  EXPECT_TRUE(parse_prefix("::/128"));
  for (const char* text : {"10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/8x", "/8", "10.0.0.0/-1"}) {
    EXPECT_FALSE(parse_prefix(text)) << text;
  }
}

TEST(Prefix, CountsItsAddresses) {
  const Prefix v4 = *parse_prefix("10.10.0.64/28");
  EXPECT_EQ(v4.size(), 16u);
  EXPECT_EQ(v4.at(0)->to_string(), "10.10.0.64");
  EXPECT_EQ(v4.at(15)->to_string(), "10.10.0.79");
  EXPECT_FALSE(v4.at(16));
  const Prefix v6 = *parse_prefix("fd00:6867::/96");
  EXPECT_EQ(v6.at(0x12345)->to_string(), "fd00:6867::1:2345");
}

TEST(Prefix, ContainsAndOverlapsWithinOneFamily) {
  const Prefix prefix = *parse_prefix("198.18.0.0/15");
  EXPECT_TRUE(prefix.contains(*parse_address("198.19.255.255")));
  EXPECT_FALSE(prefix.contains(*parse_address("198.20.0.0")));
  EXPECT_FALSE(prefix.contains(*parse_address("2001:db8::1")));
  EXPECT_TRUE(prefix.overlaps(*parse_prefix("198.0.0.0/8")));
  EXPECT_FALSE(prefix.overlaps(*parse_prefix("198.20.0.0/16")));
}

TEST(Prefix, KnowsTheAddressesNoHostHas) {
  const Prefix v4 = *parse_prefix("192.0.2.0/24");
  EXPECT_TRUE(is_reserved_in(*parse_address("192.0.2.0"), v4));
  EXPECT_TRUE(is_reserved_in(*parse_address("192.0.2.255"), v4));
  EXPECT_FALSE(is_reserved_in(*parse_address("192.0.2.1"), v4));
  EXPECT_FALSE(is_reserved_in(*parse_address("192.0.2.0"), *parse_prefix("192.0.2.0/31")));
  EXPECT_TRUE(is_reserved_in(*parse_address("2001:db8::"), *parse_prefix("2001:db8::/64")));
  EXPECT_FALSE(is_reserved_in(*parse_address("2001:db8::ffff:ffff:ffff:ffff"), *parse_prefix("2001:db8::/64")));
}

}  // namespace
}  // namespace headgate::config
