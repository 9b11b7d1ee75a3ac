#include "controlplane/failover/news.h"

#include <gtest/gtest.h>

namespace headgate::failover {
namespace {

using namespace std::chrono_literals;
namespace dp = dataplane::v1;

dp::FailoverState state_with(std::initializer_list<std::pair<std::uint64_t, std::uint64_t>> changes) {
  dp::FailoverState state;
  auto& group = *state.add_group();
  group.set_name("main");
  for (const auto& [number, ms_ago] : changes) {
    auto& change = *group.add_change();
    change.set_number(number);
    change.set_ms_ago(ms_ago);
    change.set_from(dp::ROLE_BACKUP);
    change.set_to(dp::ROLE_ACTIVE);
    change.set_cause("no advert from the peer for 303 ms");
    change.set_epoch(7);
  }
  return state;
}

TEST(News, EachChangeIsToldOnceWithItsCause) {
  const Time start{1h};
  News news(start);
  const auto first = news.take(state_with({{1, 5000}, {2, 10}}), start + 1s);
  ASSERT_EQ(first.size(), 1u) << "the older one was told by the process before";
  EXPECT_EQ(first[0].text, "group main: backup -> active, no advert from the peer for 303 ms; epoch 7");
  EXPECT_TRUE(news.take(state_with({{1, 6000}, {2, 1010}}), start + 2s).empty());
  EXPECT_EQ(news.take(state_with({{2, 9000}, {3, 4000}, {4, 1}}), start + 10s).size(), 2u);
}

TEST(News, ADataplaneThatBeginsAnewIsHeardAgain) {
  const Time start{1h};
  News news(start);
  static_cast<void>(news.take(state_with({{30, 1}}), start + 1s));
  EXPECT_EQ(news.take(state_with({{1, 1}}), start + 2s).size(), 1u);
}

TEST(News, OddAdvertsAreAProblemForAMinute) {
  const Time start{1h};
  News news(start);
  dp::FailoverState state = state_with({});
  auto& router = *state.mutable_group(0)->add_router();
  router.set_interface("front");
  const auto odd = [&](int i, const char* reason, std::uint64_t count) {
    while (router.oddity_size() <= i) router.add_oddity();
    auto& oddity = *router.mutable_oddity(i);
    oddity.set_reason(reason);
    oddity.set_adverts(count);
    oddity.set_meaning("A stranger uses this VRID; look for it.");
  };
  odd(0, "own_source", 5);
  static_cast<void>(news.take(state, start + 1s));
  EXPECT_TRUE(news.problems(start + 1s).empty()) << "from before this process";
  odd(0, "own_source", 6);
  odd(1, "unknown_vrid", 100);
  static_cast<void>(news.take(state, start + 2s));
  EXPECT_EQ(news.problems(start + 3s),
            std::vector<std::string>{
                "group main on front (IPv4): own_source (6 adverts): A stranger uses this VRID; look for it."});
  static_cast<void>(news.take(state, start + 30s));
  EXPECT_EQ(news.problems(start + 61s).size(), 1u);
  EXPECT_TRUE(news.problems(start + 63s).empty());
}

}  // namespace
}  // namespace headgate::failover
