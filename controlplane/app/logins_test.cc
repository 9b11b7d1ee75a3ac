#include "controlplane/app/logins.h"

#include <gtest/gtest.h>

namespace headgate::app {
namespace {

using namespace std::chrono_literals;

TEST(Logins, AConnectionIsSaidOnceWithWhereItComesFrom) {
  Logins logins;
  const auto now = Logins::Clock::now();
  EXPECT_EQ(logins.note("anna", "fd:4096", now), "anna on the socket");
  EXPECT_EQ(logins.note("anna", "fd:4096", now), "");
  EXPECT_EQ(logins.note("anna", "fd:4097", now), "anna on the socket");
  EXPECT_EQ(logins.note("cert:bert", "ipv4:192.0.2.10:40000", now), "cert:bert from 192.0.2.10");
  EXPECT_EQ(logins.note("cert:bert", "ipv6:%5B2001:db8::1%5D:40000", now), "cert:bert from [2001:db8::1]");
}

TEST(Logins, AScriptIsCountedAndSilencesNobodyElse) {
  Logins logins;
  auto now = Logins::Clock::now();
  unsigned lines = 0;
  for (int i = 0; i < 100; ++i) lines += !logins.note("root", "fd:" + std::to_string(5000 + i), now).empty();
  EXPECT_EQ(lines, Logins::kBurst);
  EXPECT_EQ(logins.note("anna", "fd:6000", now), "anna on the socket");
  now += Logins::kRefill;
  EXPECT_EQ(logins.note("root", "fd:6001", now), "root on the socket, and 90 times since the last line");
  EXPECT_EQ(logins.note("root", "fd:6002", now), "");
  now += Logins::kRefill * 1000;
  lines = 0;
  for (int i = 0; i < 100; ++i) lines += !logins.note("root", "fd:" + std::to_string(7000 + i), now).empty();
  EXPECT_EQ(lines, Logins::kBurst);
}

}  // namespace
}  // namespace headgate::app
