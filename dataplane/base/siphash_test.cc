#include "dataplane/base/siphash.h"

#include <gtest/gtest.h>

#include <string>

namespace headgate {
namespace {

constexpr SipKey kKey{0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull};  // bytes 0 to 15, as the paper has it

// Appendix A of the paper for 64 bits; the vectors of the reference implementation for 128.
TEST(SipHash, AgreesWithThePublishedVectors) {
  const SipHash hash(kKey);
  std::string message;
  for (char c = 0; c < 15; ++c) message.push_back(c);
  EXPECT_EQ(hash.narrow(message), 0xa129ca6149be45e5ull);
  EXPECT_EQ(hash.narrow(""), 0x726fdb47dd0e0e31ull);
  EXPECT_EQ(hash.wide(""), (SipHash::Wide{0xe6a825ba047f81a3ull, 0x930255c71472f66dull}));
  EXPECT_EQ(hash.wide(message.substr(0, 1)), (SipHash::Wide{0x44af996bd8c187daull, 0x45fc229b11597634ull}));
}

TEST(SipHash, OfWordsIsThatOfTheirBytes) {
  EXPECT_EQ(siphash(kKey, {}), 0x726fdb47dd0e0e31ull);
  const std::uint64_t words[] = {0x0706050403020100ull};
  EXPECT_EQ(siphash(kKey, words), 0x93f5f5799a932462ull);
  EXPECT_EQ(SipHash(kKey).narrow(std::string("\0\1\2\3\4\5\6\7", 8)), 0x93f5f5799a932462ull);
}

}  // namespace
}  // namespace headgate
