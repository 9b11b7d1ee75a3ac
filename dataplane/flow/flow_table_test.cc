#include "dataplane/flow/flow_table.h"

#include <gtest/gtest.h>

#include <map>

#include "dataplane/base/rng.h"

namespace headgate::flow {
namespace {

constexpr std::uint32_t kStart = 1'000'000;

Flow* add(FlowTable& table, std::uint32_t client, std::uint16_t port, State state, std::uint32_t now_ms) {
  Flow* flow = table.allocate();
  if (flow == nullptr) return nullptr;
  flow->client = IpAddress::from_v4(client);
  flow->service = IpAddress::from_v4(0xc0000264);
  flow->local = IpAddress::from_v4(0x0a0a0040);
  flow->backend = IpAddress::from_v4(0x0a0a0015);
  flow->client_port = port;
  flow->service_port = flow->backend_port = 80;
  flow->local_port = static_cast<std::uint16_t>(client * 31 + port);
  flow->protocol = kProtocolTcp;
  flow->state = state;
  flow->reverse_indexed = true;
  if (!table.index(*flow, now_ms)) {
    table.discard(*flow);
    return nullptr;
  }
  return flow;
}

TEST(FlowTable, FindsAFlowFromBothSides) {
  FlowTable table(100, 1);
  Flow* flow = add(table, 1, 2, State::tcp_syn, kStart);
  ASSERT_NE(flow, nullptr);
  EXPECT_EQ(table.find(flow->forward_tuple()).flow, flow);
  EXPECT_EQ(table.find(flow->forward_tuple()).direction, Direction::forward);
  EXPECT_EQ(table.find(flow->reverse_tuple()).flow, flow);
  EXPECT_EQ(table.find(flow->reverse_tuple()).direction, Direction::reverse);
  EXPECT_EQ(table.find(flow->forward_tuple().reversed()).flow, nullptr);
}

TEST(FlowTable, RefusesASecondFlowWithEitherTuple) {
  FlowTable table(100, 1);
  ASSERT_NE(add(table, 1, 2, State::tcp_syn, kStart), nullptr);
  EXPECT_EQ(add(table, 1, 2, State::tcp_syn, kStart), nullptr);
  EXPECT_EQ(table.size(), 1u);
}

TEST(FlowTable, AgreesWithAModelUnderRandomUse) {
  const std::uint64_t seed = 20261121;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  FlowTable table(2000, 5);
  std::map<std::pair<std::uint32_t, std::uint16_t>, Flow*> model;
  for (int step = 0; step < 200'000; ++step) {
    const std::uint32_t client = rng.below(3000);
    const auto port = static_cast<std::uint16_t>(rng.below(2));
    const auto key = std::make_pair(client, port);
    if (rng.below(100) < 60) {
      Flow* flow = add(table, client, port, State::tcp_established, kStart);
      if (flow != nullptr) {
        ASSERT_FALSE(model.contains(key));
        model[key] = flow;
      }
    } else if (auto it = model.find(key); it != model.end()) {
      ASSERT_EQ(table.find(it->second->forward_tuple()).flow, it->second);
      ASSERT_EQ(table.find(it->second->reverse_tuple()).flow, it->second);
      table.erase(*it->second);
      model.erase(it);
    }
    ASSERT_EQ(table.size(), model.size());
  }
  for (const auto& [key, flow] : model) ASSERT_EQ(table.find(flow->forward_tuple()).flow, flow);
}

TEST(FlowTable, HoldsAsManyFlowsAsItSays) {
  FlowTable table(100'000, 9);
  std::uint32_t held = 0;
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    Flow* flow = table.allocate();
    ASSERT_NE(flow, nullptr);
    flow->client = IpAddress::from_v4(i);
    flow->local_port = static_cast<std::uint16_t>(i);
    flow->local = IpAddress::from_v4(0x0a000000 + (i >> 16));
    flow->protocol = kProtocolTcp;
    flow->state = State::tcp_established;
    flow->reverse_indexed = true;
    held += table.index(*flow, kStart);
  }
  EXPECT_EQ(held, 100'000u);
  EXPECT_EQ(table.allocate(), nullptr);
}

TEST(FlowTable, StaysWithin192BytesAFlow) {
  const FlowTable table(1'000'000, 1);
  EXPECT_LE(table.bytes(), 192u * 1'000'000);
}

TEST(FlowTable, ExpiresByStateAndNeverEarly) {
  FlowTable table(100, 1);
  snapshot::Timeouts timeouts;
  table.set_timeouts(timeouts);
  std::uint32_t now = kStart;
  add(table, 1, 1, State::tcp_syn, now);
  Flow* established = add(table, 2, 1, State::tcp_established, now);
  std::map<State, std::uint32_t> expired_at;
  for (; now < kStart + 8'000'000; now += 50) {
    if (now == kStart + 5'000'000) established->last_seen_ms = now;
    table.expire(now, 64, [&](Flow& flow) {
      EXPECT_TRUE(table.is_expired(flow, now));
      expired_at[flow.state] = now - kStart;
      table.erase(flow);
    });
  }
  EXPECT_NEAR(expired_at[State::tcp_syn], 10'000, 400);
  EXPECT_EQ(expired_at.count(State::tcp_established), 0u);
  for (; now < kStart + 13'000'000; now += 50) {
    table.expire(now, 64, [&](Flow& flow) {
      expired_at[flow.state] = now - kStart;
      table.erase(flow);
    });
  }
  EXPECT_NEAR(expired_at[State::tcp_established], 12'440'000, 400);
  EXPECT_EQ(table.size(), 0u);
}

TEST(FlowTable, ExpiresAcrossTheWrapOfTheMillisecondClock) {
  FlowTable table(100, 1);
  std::uint32_t now = 0xffffffffu - 3000;
  table.expire(now, 64, [](Flow&) {});
  add(table, 1, 1, State::tcp_syn, now);
  std::uint32_t waited = 0;
  while (table.size() != 0 && waited < 40'000'000) {
    now += 100;
    waited += 100;
    table.expire(now, 64, [&](Flow& flow) { table.erase(flow); });
  }
  EXPECT_GE(waited, 10'000u);
  EXPECT_LE(waited, 10'400u);
}

TEST(FlowTable, LongTimersRestBeforeTheWrapAndEndOnTimeAfterIt) {
  // Established for 2 h 04 min from an hour before the wrap: the deadline's number is smaller than the clock's.
  FlowTable table(200, 1);
  std::uint32_t now = 0u - 3'600'000;
  table.expire(now, 64, [](Flow&) {});
  for (std::uint16_t i = 0; i < 100; ++i) add(table, 1, i, State::tcp_established, now);
  unsigned wakeups = 0;
  std::uint64_t waited = 0;
  while (table.size() != 0 && waited < 20'000'000) {
    const std::uint32_t wait = std::max(table.ms_until_expiry(now), 1u);
    now += wait;
    waited += wait;
    ++wakeups;
    table.expire(now, 200, [&](Flow& flow) { table.erase(flow); });
  }
  EXPECT_LE(wakeups, 20u);  // once a turn of the wheel
  EXPECT_NEAR(static_cast<double>(waited), 7'440'000, 400);
}

TEST(FlowTable, AShorterTimeoutTakesEffectAtOnce) {
  FlowTable table(100, 1);
  std::uint32_t now = kStart;
  table.expire(now, 64, [](Flow&) {});
  Flow* flow = add(table, 1, 1, State::tcp_established, now);
  now += 1000;
  table.set_state(*flow, State::tcp_closed, now);
  bool gone = false;
  for (; now < kStart + 6000; now += 100) {
    table.expire(now, 64, [&](Flow& f) {
      gone = true;
      table.erase(f);
    });
  }
  EXPECT_TRUE(gone);
}

TEST(FlowTable, SaysWhenItWantsToBeLookedAt) {
  FlowTable table(100, 1);
  table.expire(kStart, 64, [](Flow&) {});
  EXPECT_GT(table.ms_until_expiry(kStart), 60'000u);
  add(table, 1, 1, State::tcp_syn, kStart);
  const std::uint32_t wait = table.ms_until_expiry(kStart);
  EXPECT_GE(wait, 10'000u);
  EXPECT_LE(wait, 10'400u);
  bool gone = false;
  table.expire(kStart + wait, 64, [&](Flow& f) {
    gone = true;
    table.erase(f);
  });
  EXPECT_TRUE(gone);
}

TEST(FlowTable, ShedsWhatClosedFirstBeforeAnythingElse) {
  FlowTable table(8, 1);
  Flow* half_open = add(table, 1, 1, State::tcp_syn, kStart);
  Flow* second = add(table, 1, 2, State::tcp_established, kStart);
  Flow* first = add(table, 1, 3, State::tcp_established, kStart + 1);
  table.set_state(*first, State::tcp_closed, kStart + 2);
  table.set_state(*second, State::tcp_closed, kStart + 3);
  for (Flow* expected : {first, second, half_open}) {
    ASSERT_EQ(table.shed_candidate(), expected);
    table.erase(*expected);
  }
  EXPECT_EQ(table.shed_candidate(), nullptr);
}

TEST(FlowTable, ShedsTheOldestHalfOpenThenIdleUdpAndNeverEstablished) {
  FlowTable table(100, 1);
  Flow* established = add(table, 1, 1, State::tcp_established, kStart);
  Flow* udp_busy = add(table, 2, 1, State::udp, kStart);
  Flow* udp_idle = add(table, 3, 1, State::udp, kStart + 1);
  Flow* syn_old = add(table, 4, 1, State::tcp_syn, kStart);
  Flow* syn_new = add(table, 5, 1, State::tcp_syn, kStart + 5);
  udp_busy->last_seen_ms = kStart + 100;
  for (Flow* expected : {syn_old, syn_new, udp_idle, udp_busy}) {
    Flow* candidate = table.shed_candidate();
    ASSERT_EQ(candidate, expected);
    table.erase(*candidate);
  }
  EXPECT_EQ(table.shed_candidate(), nullptr);
  EXPECT_EQ(table.size(), 1u);
  EXPECT_EQ(table.find(established->forward_tuple()).flow, established);
}

TEST(FlowTable, ShedsOneWayTcpAfterIdleUdpAndTheLongestIdleFirst) {
  FlowTable table(100, 1);
  const auto one_way = [&](std::uint16_t port, std::uint32_t seen_ms) {
    Flow* flow = table.allocate();
    flow->client = IpAddress::from_v4(9);
    flow->client_port = port;
    flow->protocol = kProtocolTcp;
    flow->state = State::tcp_syn;
    EXPECT_TRUE(table.index(*flow, kStart));
    table.set_state(*flow, State::tcp_established, seen_ms);
    return flow;
  };
  Flow* two_way = add(table, 1, 1, State::tcp_established, kStart);
  Flow* closing = add(table, 1, 2, State::tcp_transitory, kStart);
  Flow* busy = one_way(1, kStart + 100);
  Flow* idle = one_way(2, kStart + 1);
  Flow* finished = one_way(3, kStart + 2);
  table.set_state(*finished, State::tcp_transitory, kStart + 2);
  Flow* udp = add(table, 2, 1, State::udp, kStart + 50);
  Flow* half_open = add(table, 2, 2, State::tcp_syn, kStart + 50);
  for (Flow* expected : {half_open, udp, idle, finished, busy}) {
    ASSERT_EQ(table.shed_candidate(), expected);
    table.erase(*expected);
  }
  EXPECT_EQ(table.shed_candidate(), nullptr);
  EXPECT_EQ(table.find(two_way->forward_tuple()).flow, two_way);
  EXPECT_EQ(table.find(closing->forward_tuple()).flow, closing);
}

}  // namespace
}  // namespace headgate::flow
