#include "dataplane/http/reason.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace headgate::http {
namespace {

TEST(Reasons, EveryOneHasItsOwnNameAndSentenceAndAStatusThatFits) {
  const std::set<unsigned> statuses{400, 413, 414, 417, 421, 431, 501, 502, 505};
  std::set<std::string> names, sentences;
  for (unsigned i = 0; i < kReasons; ++i) {
    const auto reason = static_cast<Reason>(i);
    names.insert(to_string(reason));
    sentences.insert(describe(reason));
    EXPECT_EQ(statuses.count(request_status(reason)), reason == Reason::none ? 0u : 1u) << to_string(reason);
  }
  EXPECT_EQ(names.size(), kReasons);
  EXPECT_EQ(sentences.size(), kReasons);
  EXPECT_STREQ(to_string(Reason::count), "unknown");
}

}  // namespace
}  // namespace headgate::http
