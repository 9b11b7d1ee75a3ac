#include "dataplane/neighbor/deadline_heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "dataplane/base/rng.h"

namespace headgate::neighbor {
namespace {

TEST(DeadlineHeap, AgreesWithASortedMapOnRandomWork) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    DeadlineHeap heap(64);
    std::map<std::uint32_t, Nanos> model;
    for (int step = 0; step < 5000; ++step) {
      const std::uint32_t item = rng.below(64);
      if (rng.below(3) == 0) {
        heap.remove(item);
        model.erase(item);
      } else {
        const Nanos deadline = rng.below(1000);
        heap.set(item, deadline);
        model[item] = deadline;
      }
      Nanos earliest = kNever;
      for (const auto& [_, deadline] : model) earliest = std::min(earliest, deadline);
      ASSERT_EQ(heap.next(), earliest);
      ASSERT_EQ(heap.empty(), model.empty());
      if (!model.empty()) {
        ASSERT_EQ(model.at(heap.top()), earliest);
      }
    }
  }
}

}  // namespace
}  // namespace headgate::neighbor
