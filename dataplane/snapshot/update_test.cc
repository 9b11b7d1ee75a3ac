// StateUpdates: what they refuse, what they share, and that they give exactly what a whole build gives.
#include "dataplane/snapshot/update.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/base/rng.h"
#include "dataplane/snapshot/testing.h"

namespace headgate::snapshot {
namespace {

using ::testing::HasSubstr;

constexpr unsigned kPools = 8, kEach = 5;

struct State {
  bool up = true, drain = false;
  unsigned weight = 1;
};
using States = std::vector<State>;  // of backend id - 1

// Two pools of each algorithm; every second one has limits; pools 0 and 1 serve addresses that answer ping.
std::string text_of(const States& states, std::string_view extra = {}) {
  const char* const algorithms[] = {"ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_HASH", "MAGLEV"};
  std::string text =
      R"(epoch: 3 digest: "d" interface { id: 1 name: "i" port: "p0" prefix: "10.0.0.0/16" prefix: "192.0.2.0/24" }
         local_address { id: 1 address: "10.0.9.1" } probe { port: "p1" prefix_v4: "198.18.0.0/15" } )";
  for (unsigned p = 0; p < kPools; ++p) {
    text += "pool { id: " + std::to_string(p + 1) + " name: \"pool" + std::to_string(p) +
            "\" algorithm: " + algorithms[p % 4];
    for (unsigned b = 0; b < kEach; ++b) {
      const State& state = states[p * kEach + b];
      text += " backend { id: " + std::to_string(p * kEach + b + 1) + " name: \"b" + std::to_string(b) +
              "\" address: \"10.0.1." + std::to_string(p * kEach + b + 1) +
              "\" weight: " + std::to_string(state.weight) + (state.up ? "" : " health: DOWN") +
              (state.drain ? " drain: true" : "") + (p % 2 == 0 ? " max_connections: 10" : "") + " }";
    }
    text += " } service { id: " + std::to_string(p + 1) + " name: \"s" + std::to_string(p) + "\" address: \"192.0.2." +
            std::to_string(100 + p / 2) + "\" port: " + std::to_string(80 + p) +
            " protocol: TCP mode: " + (p % 2 == 0 ? "FULL_NAT" : "NAT") + " pool_id: " + std::to_string(p + 1) +
            (p > 3 ? " no_ping: true" : "") + " } ";
  }
  return text + std::string(extra);
}

std::string line_of(std::uint32_t id, const State& state) {
  return "backend { backend_id: " + std::to_string(id) + (state.up ? "" : " health: DOWN") +
         " weight: " + std::to_string(state.weight) + (state.drain ? " drain: true" : "") + " } ";
}

// Everything that depends on states, and the identity of what does not.
void expect_equal(const Snapshot& a, const Snapshot& b) {
  EXPECT_EQ(a.digest, b.digest);
  EXPECT_EQ(a.epoch, b.epoch);
  ASSERT_EQ(a.backends.size(), b.backends.size());
  for (std::size_t i = 0; i < a.backends.size(); ++i) {
    const Backend &x = a.backends[i], &y = b.backends[i];
    EXPECT_EQ(std::tie(x.id, x.slot, x.pool, x.port, x.weight, x.address, x.up, x.drain, x.max_connections),
              std::tie(y.id, y.slot, y.pool, y.port, y.weight, y.address, y.up, y.drain, y.max_connections));
    EXPECT_EQ(a.name_of(x), b.name_of(y));
  }
  ASSERT_EQ(a.pools.size(), b.pools.size());
  for (std::size_t i = 0; i < a.pools.size(); ++i) {
    SCOPED_TRACE("pool " + std::to_string(i));
    const Pool &x = a.pools[i], &y = b.pools[i];
    EXPECT_EQ(std::tie(x.id, x.slot, x.algorithm, x.on_removal, x.equal_weights, x.any_limit),
              std::tie(y.id, y.slot, y.algorithm, y.on_removal, y.equal_weights, y.any_limit));
    EXPECT_TRUE(std::ranges::equal(x.usable, y.usable));
    EXPECT_TRUE(std::ranges::equal(x.cumulative_weight, y.cumulative_weight));
    EXPECT_TRUE(std::ranges::equal(x.all_cumulative_weight, y.all_cumulative_weight));
    ASSERT_EQ(x.maglev == nullptr, y.maglev == nullptr);
    EXPECT_TRUE(x.maglev == nullptr || *x.maglev == *y.maglev);
  }
  for (std::size_t i = 0; i < a.services.size(); ++i) {
    const Service &x = a.services[i], &y = b.services[i];
    EXPECT_EQ(x.slot, y.slot);
    EXPECT_EQ(a.find_service(x.address, x.port, x.protocol) - a.services.data(),
              b.find_service(y.address, y.port, y.protocol) - b.services.data());
    EXPECT_EQ(a.own_addresses.find(x.address)->answers_ping, b.own_addresses.find(y.address)->answers_ping);
  }
}

TEST(Update, RandomSequencesGiveWhatWholeBuildsGive) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    States states(kPools * kEach);
    testing::Source updated, whole;
    updated.accept(text_of(states));
    whole.accept(text_of(states));
    for (unsigned step = 0; step < 21; ++step) {
      std::string text;
      for (std::uint32_t i = 0; i < states.size(); ++i) {
        if (!rng.chance(step % 5 == 4 ? 0.9 : 0.1)) continue;
        states[i] = {.up = rng.chance(0.4), .drain = rng.chance(0.2), .weight = rng.below(4) * rng.below(300)};
        text += line_of(i + 1, states[i]);
      }
      // Now and then a whole snapshot in between: either may follow the other.
      const auto a = step % 7 == 6 ? updated.accept(text_of(states)) : updated.update(text);
      expect_equal(*a, *whole.accept(text_of(states)));
      if (HasFailure()) return;
    }
  }
}

TEST(Update, SharesWhatDidNotChange) {
  testing::Source source;
  const auto before = source.accept(text_of(States(kPools * kEach)));
  const auto after = source.update(line_of(1, {.up = false}) + line_of(16, {.up = false}));
  EXPECT_EQ(after->generation, before->generation + 1);
  EXPECT_EQ(after->layout, before->layout);
  EXPECT_EQ(after->names, before->names);
  EXPECT_EQ(after->services_by_endpoint.find({after->services[0].address, 80, kProtocolTcp}),
            before->services_by_endpoint.find({after->services[0].address, 80, kProtocolTcp}));
  EXPECT_EQ(after->own_addresses.find(after->services[0].address),
            before->own_addresses.find(after->services[0].address));
  EXPECT_NE(after->pools[0].usable.data(), before->pools[0].usable.data());
  EXPECT_EQ(after->pools[1].usable.data(), before->pools[1].usable.data());
  EXPECT_EQ(after->pools[3].maglev, before->pools[3].maglev) << "a table skips what is down";
  const auto heavier = source.update(line_of(16, {.weight = 7}));
  EXPECT_NE(heavier->pools[3].maglev, before->pools[3].maglev);
  EXPECT_EQ(heavier->pools[7].maglev, before->pools[7].maglev);
  EXPECT_NE(source.accept(text_of(States(kPools * kEach)))->layout, before->layout);
  EXPECT_TRUE(before->backends[0].up) << "what is published is never written";
}

TEST(Update, AnAddressAnswersPingWhileAServiceOfItCanServe) {
  testing::Source source;
  source.accept(text_of(States(kPools * kEach)));
  std::string all_of[2];  // 192.0.2.100 has the services of pools 0 and 1
  for (std::uint32_t i = 0; i < 2 * kEach; ++i) all_of[i / kEach] += line_of(i + 1, {.up = false});
  const auto answers = [&] {
    return source.last()->own_addresses.find(source.last()->services[0].address)->answers_ping;
  };
  EXPECT_TRUE(answers());
  source.update(all_of[0]);
  EXPECT_TRUE(answers());
  source.update(all_of[1]);
  EXPECT_FALSE(answers());
  source.update(line_of(7, {}));
  EXPECT_TRUE(answers());
}

struct Refusal {
  const char* name;
  const char* text;
  bool resync;
  const char *path, *part;
};

class UpdateRefuses : public ::testing::TestWithParam<Refusal> {};

TEST_P(UpdateRefuses, AndChangesNothing) {
  testing::Source source;
  source.accept(text_of(States(kPools * kEach)));
  const auto refused = source.try_update(GetParam().text);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().resync, GetParam().resync);
  EXPECT_EQ(refused.error().errors[0].path, GetParam().path);
  EXPECT_THAT(refused.error().errors[0].message, HasSubstr(GetParam().part));
  EXPECT_TRUE(source.last()->backends[0].up);
}

const Refusal kRefusals[] = {
    {"WrongBase", "base_generation: 7 backend { backend_id: 1 weight: 1001 }", true, "base_generation",
     "Generation 1 runs, not 7"},
    {"UnknownBackend", "backend { backend_id: 1 health: DOWN } backend { backend_id: 999 }", true,
     "backend[1].backend_id", "No backend with id 999"},
    {"NoBackend", "backend { health: DOWN }", true, "backend[0].backend_id", "id 0"},
    {"Weight", "backend { backend_id: 1 weight: 1001 health: DOWN }", false, "backend[0].weight", "0 to 1000"},
    {"IdTwice", "backend { backend_id: 1 weight: 1 health: DOWN } backend { backend_id: 1 }", false,
     "backend[1].backend_id", "twice"},
    {"Generation", "base_generation: 1 generation: 1 backend { backend_id: 1 }", false, "generation",
     "not above the base's"},
};
INSTANTIATE_TEST_SUITE_P(Table, UpdateRefuses, ::testing::ValuesIn(kRefusals),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Update, NeedsSomethingThatRuns) {
  testing::Source source;
  const auto refused = source.try_update("base_generation: 0 generation: 1");
  ASSERT_FALSE(refused.has_value());
  EXPECT_TRUE(refused.error().resync);
}

TEST(Update, ABackendThatLeftIsUnknownAlthoughItsSlotRests) {
  testing::Source source;
  source.accept(
      text_of(States(kPools * kEach), "pool { id: 50 algorithm: MAGLEV backend { id: 500 address: \"10.0.2.1\" } }"));
  source.update("backend { backend_id: 500 health: DOWN }");
  source.accept(text_of(States(kPools * kEach)));
  EXPECT_TRUE(source.try_update("backend { backend_id: 500 }").error().resync);
}

}  // namespace
}  // namespace headgate::snapshot
