#include "dataplane/telemetry/counter.h"

#include <gtest/gtest.h>

#include <vector>

namespace headgate::telemetry {
namespace {

std::vector<std::uint64_t> values(const Histogram& histogram) {
  std::vector<std::uint64_t> out;
  histogram.each([&](std::uint64_t value) { out.push_back(value); });
  return out;
}

TEST(Histogram, AClassHoldsWhatIsAtMostItsBound) {
  Histogram histogram;
  for (const Nanos time : {Nanos{0}, 100 * kMicrosecond, 101 * kMicrosecond, 300 * kSecond, 301 * kSecond})
    histogram.add(time);
  const auto seen = values(histogram);
  ASSERT_EQ(seen.size(), kTimeBoundsUs.size() + 2);
  EXPECT_EQ(seen[0], 2u);
  EXPECT_EQ(seen[1], 1u);
  EXPECT_EQ(seen[kTimeBoundsUs.size() - 1], 1u);
  EXPECT_EQ(seen[kTimeBoundsUs.size()], 1u);
  EXPECT_EQ(seen.back(), 601'000'201u) << "the sum, in microseconds";
}

TEST(Histogram, BoundsRise) {
  for (std::size_t i = 1; i < kTimeBoundsUs.size(); ++i) EXPECT_GT(kTimeBoundsUs[i], kTimeBoundsUs[i - 1]);
}

TEST(SparseCounters, AnItemIsThereOnceItsWriterUsedIt) {
  SparseCounters<Counter> counters(3);
  EXPECT_EQ(counters.find(1), nullptr);
  counters[1].add(5);
  ASSERT_NE(counters.find(1), nullptr);
  EXPECT_EQ(counters.find(1)->read(), 5u);
  EXPECT_EQ(&counters[1], counters.find(1));
  EXPECT_EQ(counters.find(2), nullptr);
}

}  // namespace
}  // namespace headgate::telemetry
