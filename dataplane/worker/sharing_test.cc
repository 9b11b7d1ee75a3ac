// What workers decide together: order of backends, least connections, persistence, connection limits.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "dataplane/base/byte_order.h"
#include "tests/sim/box.h"
#include "tests/sim/site.h"

namespace headgate::worker {
namespace {

using packet::kAck;
using packet::kRst;
using packet::testing::Frame;
using packet::testing::FrameSpec;
using packet::testing::tcp_frame;
using sim::Box;
using sim::kInside;
using sim::kOutside;
using sim::Out;
using telemetry::Exit;
using telemetry::Handover;

std::uint8_t last_byte(const Out& out) {
  packet::PacketInfo info;
  EXPECT_EQ(packet::parse(out.frame, out.frame.size(), info), packet::ParseError::none);
  return out.port == kInside ? info.tuple.dst.bytes[15] : std::uint8_t{0};
}

// The backend a new connection gets: 1, 2 or 3; 0 when it is refused.
unsigned backend_of(Box& box, const FrameSpec& syn) {
  const auto out = box.exchange(kOutside, tcp_frame(syn));
  EXPECT_EQ(out.size(), 1u);
  if (out.size() != 1 || out[0].port != kInside) return 0;
  const std::uint8_t last = last_byte(out[0]);
  return last < 0x21 ? last - 20u : last - 0x20u;  // 10.10.0.21 is decimal, 2001:db8:2::21 is not
}

FrameSpec connection(std::uint32_t i) {
  return {.src_port = static_cast<std::uint16_t>(1024 + i)};
}

// ---- Order ----

TEST(RoundRobin, IsSmoothByWeightOnOneWorker) {
  Box box;
  box.apply(sim::text_of({.weights = "3,2,1"}));
  std::string order;
  for (std::uint32_t i = 0; i < 12; ++i) order += static_cast<char>('0' + backend_of(box, connection(i)));
  EXPECT_EQ(order,
            "121321"
            "121321");  // smooth: as nginx orders 3:2:1
  EXPECT_EQ(std::count(order.begin(), order.end(), '1'), 6);
  EXPECT_EQ(std::count(order.begin(), order.end(), '2'), 4);
}

TEST(RoundRobin, DeviatesByAtMostOnePerWorkerAndBackend) {
  for (const unsigned workers : {1u, 2u, 4u, 7u}) {
    for (const char* weights : {"1,1,1", "3,2,1"}) {
      Box box({.workers = workers});
      box.apply(sim::text_of({.weights = weights}));
      const double share[] = {weights[0] == '3' ? 0.5 : 1.0 / 3, 1.0 / 3, weights[0] == '3' ? 1.0 / 6 : 1.0 / 3};
      unsigned hits[4] = {};
      for (std::uint32_t i = 0; i < 600; ++i) {
        ++hits[backend_of(box, connection(i))];
        for (unsigned b = 1; b <= 3; ++b)
          EXPECT_LE(std::abs(hits[b] - share[b - 1] * (i + 1)), workers + 1.0) << workers << " " << weights;
      }
      EXPECT_EQ(hits[0], 0u);
    }
  }
}

TEST(RoundRobin, GoesOnWhereItWasWhenASnapshotChanges) {
  Box box;
  box.apply(sim::text_of({}));
  EXPECT_EQ(backend_of(box, connection(0)), 1u);
  box.apply(sim::text_of({.service = "no_ping: true"}));
  EXPECT_EQ(backend_of(box, connection(1)), 2u);
  EXPECT_EQ(backend_of(box, connection(2)), 3u);
}

TEST(LeastConnections, EvensOutAcrossWorkers) {
  Box box({.workers = 4});
  box.apply(sim::text_of({.pool = "algorithm: LEAST_CONNECTIONS"}));
  unsigned hits[4] = {};
  for (std::uint32_t i = 0; i < 600; ++i) {
    ++hits[backend_of(box, connection(i))];
    box.tick(2 * kMillisecond);  // the boards are gathered once a millisecond
  }
  for (unsigned b = 1; b <= 3; ++b) EXPECT_NEAR(hits[b], 200, 8) << b;
}

TEST(LeastConnections, FollowsWeights) {
  Box box;
  box.apply(sim::text_of({.pool = "algorithm: LEAST_CONNECTIONS", .weights = "3,2,1"}));
  unsigned hits[4] = {};
  for (std::uint32_t i = 0; i < 600; ++i) ++hits[backend_of(box, connection(i))];
  EXPECT_NEAR(hits[1], 300, 15);
  EXPECT_NEAR(hits[2], 200, 15);
  EXPECT_NEAR(hits[3], 100, 15);
}

TEST(Hashing, GivesAClientTheSameBackendOnEveryWorkerAndBox) {
  for (const char* algorithm : {"algorithm: SOURCE_HASH", "algorithm: MAGLEV"}) {
    std::map<std::uint32_t, unsigned> seen;
    for (const std::uint64_t seed : {1u, 99u}) {
      for (const unsigned workers : {1u, 3u}) {
        Box box({.workers = workers, .seed = seed});
        box.apply(sim::text_of({.pool = algorithm}));
        for (std::uint32_t i = 0; i < 40; ++i) {
          FrameSpec spec = connection(i);
          spec.src = IpAddress::from_v4(0xc6336400 + i);
          const unsigned backend = backend_of(box, spec);
          const auto [at, added] = seen.emplace(i, backend);
          EXPECT_EQ(at->second, backend) << algorithm << " client " << i;
          if (algorithm[11] == 'S') {
            spec.src_port = static_cast<std::uint16_t>(20000 + i);
            EXPECT_EQ(backend_of(box, spec), backend);
          }
        }
      }
    }
    std::set<unsigned> used;
    for (const auto& [client, backend] : seen) used.insert(backend);
    EXPECT_EQ(used.size(), 3u) << algorithm;
  }
}

// ---- Persistence ----

TEST(Persistence, PinsAThousandConnectionsOfAClientPrefixToOneBackend) {
  for (const unsigned workers : {1u, 2u, 5u}) {
    Box box({.workers = workers});
    box.apply(sim::text_of({.pool = "persistence { prefix_length_v4: 24 timeout_s: 60 }"}));
    std::map<unsigned, std::set<unsigned>> by_prefix;
    for (std::uint32_t i = 0; i < 1000; ++i) {
      for (const std::uint32_t prefix : {0xc6336400u, 0xcb007100u}) {
        FrameSpec spec = connection(i);
        spec.src = IpAddress::from_v4(prefix + 1 + i % 250);
        by_prefix[prefix].insert(backend_of(box, spec));
      }
    }
    for (const auto& [prefix, backends] : by_prefix) EXPECT_EQ(backends.size(), 1u) << workers << " workers";
    EXPECT_EQ(box.flows(), 2000u);
    EXPECT_EQ(box.exits(Exit::dropped), 0u);
    EXPECT_EQ(box.handovers(Handover::persistence) > 0, workers > 1);
  }
}

TEST(Persistence, EndsWithItsTimeoutAndSlides) {
  Box box;
  box.apply(sim::text_of({.pool = "persistence { prefix_length_v4: 32 timeout_s: 60 }"}));
  const unsigned first = backend_of(box, connection(0));
  for (std::uint32_t i = 1; i < 5; ++i) {
    box.advance(50 * kSecond);
    EXPECT_EQ(backend_of(box, connection(i)), first);
  }
  box.advance(61 * kSecond);
  EXPECT_NE(backend_of(box, connection(9)), first);  // round robin went on
}

TEST(Persistence, ADrainedBackendIsLeft) {
  Box box({.workers = 2});
  const std::string persistence = "persistence { prefix_length_v4: 32 timeout_s: 600 }";
  box.apply(sim::text_of({.pool = persistence, .weights = "1,0,0"}));
  EXPECT_EQ(backend_of(box, connection(0)), 1u);
  box.apply(sim::text_of({.pool = persistence, .weights = "0,1,0"}));
  for (std::uint32_t i = 1; i < 20; ++i) EXPECT_EQ(backend_of(box, connection(i)), 2u);
}

// ---- Connection limits ----

class Limits : public ::testing::TestWithParam<std::tuple<unsigned, unsigned, unsigned>> {
 protected:
  unsigned workers() const { return std::get<0>(GetParam()); }
  unsigned limit() const { return std::get<1>(GetParam()); }
  unsigned backends() const { return std::get<2>(GetParam()); }
};

TEST_P(Limits, AreReachedAndNeverExceeded) {
  Box box({.workers = workers()});
  box.apply(sim::text_of({.backend = "max_connections: " + std::to_string(limit()), .backends = backends()}));
  // All at once: every worker has its share of the SYNs in its queue before any of them steps.
  const unsigned connections = 60;
  for (std::uint32_t i = 0; i < connections; ++i) box.inject(kOutside, tcp_frame(connection(i)));
  std::map<std::uint8_t, std::vector<Out>> open;
  unsigned refused = 0;
  for (Out& out : box.run()) {
    if (out.port == kInside) {
      open[last_byte(out)].push_back(out);
    } else {
      ++refused;
    }
  }
  EXPECT_EQ(open.size(), backends());
  for (const auto& [backend, flows] : open) EXPECT_EQ(flows.size(), limit()) << "backend " << int{backend};
  EXPECT_EQ(refused, connections - limit() * backends());
  EXPECT_EQ(box.flows(), limit() * backends());
  for (unsigned i = 0; i < 5; ++i) EXPECT_EQ(backend_of(box, connection(1000 + i)), 0u);

  // One connection ends; exactly one more fits.
  const Out& ended = open.begin()->second.front();
  packet::PacketInfo info;
  ASSERT_EQ(packet::parse(ended.frame, ended.frame.size(), info), packet::ParseError::none);
  box.exchange(kInside, tcp_frame({.src = info.tuple.dst,
                                   .dst = info.tuple.src,
                                   .src_port = info.tuple.dst_port,
                                   .dst_port = info.tuple.src_port,
                                   .flags = kRst | kAck}));
  const std::uint32_t before = box.flows();
  for (unsigned half = 0; half < 60 && box.flows() == before; ++half) box.advance(100 * kMillisecond);  // closed: 4 s
  EXPECT_EQ(box.flows(), before - 1);
  unsigned served = 0;
  for (unsigned i = 0; i < 10; ++i) served += backend_of(box, connection(2000 + i)) != 0;
  EXPECT_EQ(served, 1u);
}

TEST_P(Limits, AllTokensComeBack) {
  Box box({.workers = workers()});
  const std::string text =
      sim::text_of({.backend = "max_connections: " + std::to_string(limit()), .backends = backends()});
  box.apply(text);
  for (unsigned round = 0; round < 5; ++round) {
    for (std::uint32_t i = 0; i < 40; ++i) box.inject(kOutside, tcp_frame(connection(round * 100 + i)));
    box.run();
    EXPECT_EQ(box.flows(), limit() * backends());
    box.advance(15 * kSecond);  // half-open flows end
    EXPECT_EQ(box.flows(), 0u);
    for (const snapshot::Backend& backend : box.snapshot().backends) EXPECT_EQ(box.limits().in_use(backend.slot), 0u);
  }
}

TEST_P(Limits, HoldWithPersistenceToo) {
  Box box({.workers = workers()});
  box.apply(sim::text_of({.pool = "persistence { prefix_length_v4: 24 timeout_s: 60 }",
                          .backend = "max_connections: " + std::to_string(limit()),
                          .backends = backends()}));
  for (std::uint32_t i = 0; i < 60; ++i) box.inject(kOutside, tcp_frame(connection(i)));
  std::map<std::uint8_t, unsigned> open;
  for (const Out& out : box.run()) {
    if (out.port == kInside) ++open[last_byte(out)];
  }
  for (const auto& [backend, count] : open) EXPECT_LE(count, limit());
  EXPECT_EQ(box.flows(), limit() * backends());  // who is turned away at the persistent one gets another
  box.advance(15 * kSecond);
  for (const snapshot::Backend& backend : box.snapshot().backends) EXPECT_EQ(box.limits().in_use(backend.slot), 0u);
}

INSTANTIATE_TEST_SUITE_P(All, Limits,
                         ::testing::Combine(::testing::Values(1u, 4u), ::testing::Values(1u, 2u, 10u),
                                            ::testing::Values(1u, 3u)),
                         [](const auto& param) {
                           return std::to_string(std::get<0>(param.param)) + "_workers_limit_" +
                                  std::to_string(std::get<1>(param.param)) + "_backends_" +
                                  std::to_string(std::get<2>(param.param));
                         });

TEST(LimitChanges, ATokenAskedForUnderOneLimitIsNotReturnedUnderNone) {
  // The asker still runs the snapshot with a limit, the home already the one without.
  Box box({.workers = 2});
  const std::string limited = sim::text_of({.backend = "max_connections: 1", .backends = 1}),
                    open = sim::text_of({.backends = 1});
  box.apply(limited);
  const Slot slot = box.snapshot().backends[0].slot;
  const unsigned home = box.limits().home_of(slot), other = 1 - home;
  std::uint32_t port = 0;
  const auto syn_owned_by = [&](unsigned worker) {
    for (;; ++port) {
      const FrameSpec spec = connection(port);
      if (box.steering().worker_of(
              box.steering().toeplitz().bucket({spec.src, spec.dst, spec.src_port, 80, kProtocolTcp})) == worker) {
        ++port;
        return tcp_frame(spec);
      }
    }
  };
  for (unsigned i = 0; i < 3; ++i) {
    box.inject(kOutside, syn_owned_by(other));
    box.step(other);  // asks
    box.publish(open);
    box.run();
    box.apply(limited);
  }
  box.advance(20 * kSecond);
  EXPECT_EQ(box.limits().in_use(slot), 0u);
  for (unsigned i = 0; i < 8; ++i) box.inject(kOutside, syn_owned_by(i % 2));
  box.run();
  EXPECT_EQ(box.flows(), 1u);
}

}  // namespace
}  // namespace headgate::worker
