#include "dataplane/http/cookie.h"

#include <gtest/gtest.h>

#include <string>

#include "dataplane/base/rng.h"
#include "dataplane/http/testing.h"

namespace headgate::http {
namespace {

SipKey key_of(std::uint64_t first) {
  return {first, first + 1};
}

std::string_view text(const std::array<char, CookieSigner::kText>& cookie) {
  return {cookie.data(), cookie.size()};
}

TEST(CookieReader, ReadsWhatClientsSend) {
  struct Row {
    const char *value, *names, *values;
  };
  for (const Row& row : {Row{"a=b", "a,", "b,"}, Row{"a=b; c=d", "a,c,", "b,d,"}, Row{"a=\"b c\";d=", "a,d,", "b c,,"},
                         Row{" ; ;a = b ;; ", "a,", "b,"}, Row{"flag; x==y", "flag,x,", ",=y,"}, Row{"=v", ",", "v,"},
                         Row{"a=\"", "a,", "\","}, Row{"", "", ""}, Row{";;;", "", ""}}) {
    CookieReader reader(row.value);
    std::string names, values;
    for (CookiePair pair; reader.next(pair);) {
      names.append(pair.name).append(",");
      values.append(pair.value).append(",");
    }
    EXPECT_EQ(names, row.names) << row.value;
    EXPECT_EQ(values, row.values) << row.value;
  }
}

TEST(CookieSigner, BelievesItsOwnAndNothingElse) {
  const CookieSigner signer(std::vector{key_of(1)});
  const CookieSigner::Content content{.backend_id = 7, .given_s = 1'700'000'000};
  const auto cookie = signer.make(3, content);
  EXPECT_EQ(signer.open(3, text(cookie)), content);
  EXPECT_EQ(signer.open(4, text(cookie)), std::nullopt);
  EXPECT_EQ(CookieSigner(std::vector{key_of(2)}).open(3, text(cookie)), std::nullopt);
  EXPECT_EQ(signer.open(3, ""), std::nullopt);
  EXPECT_EQ(signer.open(3, text(cookie).substr(1)), std::nullopt);
  EXPECT_EQ(signer.open(3, std::string(text(cookie)) + "A"), std::nullopt);
  // Any other character anywhere: 24 bytes are 32 characters exactly, so each of their bits counts.
  Rng rng(testing::seed());
  for (std::size_t at = 0; at < CookieSigner::kText; ++at) {
    for (int i = 0; i < 20; ++i) {
      std::string other(text(cookie));
      const char c = static_cast<char>(rng.below(256));
      if (c == other[at]) continue;
      other[at] = c;
      EXPECT_EQ(signer.open(3, other), std::nullopt) << other;
    }
  }
}

TEST(CookieSigner, KeysCanChangeWithoutClientsLosingTheirBackends) {
  const CookieSigner old(std::vector{key_of(1)}), both(std::vector{key_of(2), key_of(1)});
  const auto cookie = old.make(3, {7, 8});
  EXPECT_EQ(both.open(3, text(cookie)), (CookieSigner::Content{7, 8}));
  EXPECT_EQ(old.open(3, text(both.make(3, {7, 8}))), std::nullopt);
}

TEST(CookieSigner, ShowsNothingOfTheBackend) {
  const CookieSigner signer(std::vector{key_of(1)});
  const auto a = signer.make(3, {7, 100}), b = signer.make(3, {8, 100}), c = signer.make(3, {7, 101});
  // Of 32 characters, one in 64 is equal by chance.
  const auto equal = [](const auto& x, const auto& y) {
    int count = 0;
    for (std::size_t i = 0; i < x.size(); ++i) count += x[i] == y[i] ? 1 : 0;
    return count;
  };
  EXPECT_LT(equal(a, b), 8);
  EXPECT_LT(equal(a, c), 8);
  for (const char ch : a) EXPECT_TRUE(std::isalnum(static_cast<unsigned char>(ch)) != 0 || ch == '-' || ch == '_');
}

TEST(SetCookie, IsWrittenWithItsAttributes) {
  std::array<char, 200> out;
  std::size_t length = write_set_cookie({.name = "HG"}, "v", out);
  EXPECT_EQ(std::string_view(out.data(), length), "Set-Cookie: HG=v; Path=/; HttpOnly; SameSite=Lax\r\n");
  length = write_set_cookie({.name = "HG", .max_age_s = 60, .secure = true}, "v", out);
  EXPECT_EQ(std::string_view(out.data(), length),
            "Set-Cookie: HG=v; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60\r\n");
  EXPECT_EQ(write_set_cookie({.name = "HG"}, "v", std::span(out).first(20)), 0u);
}

}  // namespace
}  // namespace headgate::http
