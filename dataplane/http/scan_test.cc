#include "dataplane/http/scan.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "dataplane/base/rng.h"
#include "dataplane/http/chars.h"
#include "dataplane/http/testing.h"

namespace headgate::http {
namespace {

std::vector<const Scanner*> scanners() {
  std::vector<const Scanner*> all{&kScalarScanner, &kSse42Scanner};
  if (has_avx2()) all.push_back(&kAvx2Scanner);
  return all;
}

struct Scan {
  Scanner::Find Scanner::* find;
  CharClass which;
};
constexpr Scan kScans[] = {{&Scanner::token, kToken}, {&Scanner::value, kValue}, {&Scanner::target, kTarget}};

TEST(CharClasses, AreThoseOfTheGrammar) {
  const std::string_view marks = "!#$%&'*+-.^_`|~";
  for (unsigned i = 0; i < 256; ++i) {
    const char c = static_cast<char>(i);
    const bool alnum = (i >= '0' && i <= '9') || (i >= 'a' && i <= 'z') || (i >= 'A' && i <= 'Z');
    EXPECT_EQ(is(c, kToken), alnum || (i != 0 && marks.find(c) != std::string_view::npos)) << i;
    EXPECT_EQ(is(c, kValue), i == 9 || (i >= 0x20 && i != 0x7f)) << i;
    EXPECT_EQ(is(c, kTarget), i > 0x20 && i < 0x7f && c != '#') << i;
  }
}

TEST(Scan, StopsAtEveryByteOfAnotherClassAtEveryPlace) {
  for (const Scanner* scanner : scanners()) {
    for (const Scan& scan : kScans) {
      for (std::size_t length = 0; length < 100; ++length) {
        std::string text(length, 'a');
        ASSERT_EQ((scanner->*scan.find)(text), length) << scanner->name;
        for (std::size_t at = 0; at < length; at += length < 40 ? 1 : 7) {
          text[at] = '\r';
          ASSERT_EQ((scanner->*scan.find)(text), at) << scanner->name << ' ' << length;
          text[at] = 'a';
        }
      }
      for (unsigned i = 0; i < 256; ++i) {
        const std::string text(40, static_cast<char>(i));
        ASSERT_EQ((scanner->*scan.find)(text), is(static_cast<char>(i), scan.which) ? 40u : 0u)
            << scanner->name << ' ' << i;
      }
    }
  }
}

// Exactly as long as the text, so that AddressSanitizer sees a read beyond it.
TEST(Scan, AllBuildsAreEqualOnRandomInput) {
  Rng rng(testing::seed());
  for (unsigned round = 0; round < testing::rounds(20'000); ++round) {
    const std::size_t length = rng.below(130);
    const auto bytes = std::make_unique<char[]>(length);
    const bool wild = rng.chance(0.3);
    for (std::size_t i = 0; i < length; ++i) {
      bytes[i] = static_cast<char>(wild || rng.chance(0.02) ? rng.below(256) : 'a' + rng.below(26));
    }
    const std::string_view text(bytes.get(), length);
    for (const Scan& scan : kScans) {
      const std::size_t expected = (kScalarScanner.*scan.find)(text);
      for (const Scanner* scanner : scanners()) ASSERT_EQ((scanner->*scan.find)(text), expected) << scanner->name;
    }
  }
}

TEST(Scan, TheBestOneRunsHere) {
  EXPECT_EQ(best_scanner().token("abc:"), 3u);
}

}  // namespace
}  // namespace headgate::http
