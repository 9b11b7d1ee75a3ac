#include "controlplane/supervisor/death_notice.h"

#include <gtest/gtest.h>

#include <span>

namespace headgate::supervisor {
namespace {

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string out;
  for (const std::uint8_t byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte);
    out += digits;
  }
  return out;
}

NoticeOrder some_order() {
  NoticeOrder order;
  EXPECT_EQ(parse_notice_order("10.20.0.1 10.20.0.2 9444 0123456789abcdef "
                               "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f 5 41",
                               order),
            "");
  return order;
}

// The vector that failover/notice_test.cc has, too, computed with Python's hmac.
TEST(DeathNotice, HasTheLayoutThatTheReaderKnows) {
  EXPECT_EQ(hex(make_notice(some_order(), 42)),
            "4847444e010000000123456789abcdef0000000000000005000000000000002a"
            "0fd660e1dcf489e6b45339f7d7f1e82aa12285378bb47ebcdecf7d7f72ee6554");
}

TEST(DeathNotice, OrdersAreReadWordForWord) {
  const NoticeOrder order = some_order();
  EXPECT_EQ(order.from, "10.20.0.1");
  EXPECT_EQ(order.to, "10.20.0.2");
  EXPECT_EQ(order.port, 9444);
  EXPECT_EQ(order.id, 0x0123456789abcdefu);
  EXPECT_EQ(order.key[31], 0x1f);
  EXPECT_EQ(order.epoch, 5u);
  EXPECT_EQ(order.counter, 41u);
}

TEST(DeathNotice, WithoutAnOrderNothingIsSent) {
  DeathNotice notice;
  EXPECT_FALSE(notice.send(Time{}));
  EXPECT_EQ(notice.next_due(), Time::max());
}

TEST(DeathNotice, CopiesAreDueWithinMilliseconds) {
  DeathNotice notice;
  NoticeOrder order = some_order();
  order.from = order.to = "127.0.0.1";
  ASSERT_EQ(notice.arm(order), "");
  const Time start{1'000'000'000};
  EXPECT_TRUE(notice.send(start));
  EXPECT_EQ(notice.next_due(), start + DeathNotice::kCopies[1]);
  notice.send_due(start + DeathNotice::kCopies[1]);
  EXPECT_EQ(notice.next_due(), start + DeathNotice::kCopies[2]);
  notice.send_due(start + std::chrono::seconds(1));
  EXPECT_EQ(notice.next_due(), Time::max());
}

}  // namespace
}  // namespace headgate::supervisor
