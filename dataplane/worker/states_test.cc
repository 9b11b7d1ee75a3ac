// What backends do and what becomes of it: states pushed on top of a snapshot.
#include <gtest/gtest.h>

#include <map>

#include "dataplane/base/rng.h"
#include "tests/sim/box.h"
#include "tests/sim/site.h"

namespace headgate::worker {
namespace {

using packet::kAck;
using packet::kRst;
using packet::kSyn;
using packet::testing::FrameSpec;
using packet::testing::tcp_frame;
using sim::Box;
using sim::kOutside;
using sim::Out;

// Without ARP and ND: a whole snapshot looks at its neighbors anew, an update need not.
std::vector<Out> forwarded(std::vector<Out> out) {
  std::erase_if(out, [](const Out& one) {
    packet::PacketInfo info;
    return packet::parse(one.frame, one.frame.size(), info) != packet::ParseError::none ||
           info.tuple.protocol != kProtocolTcp;
  });
  return out;
}

struct State {
  bool up = true, drain = false;
  std::uint32_t weight = 1;
};

// The site's text with these states in place of its own.
std::string with_states(std::string text, const std::map<std::uint32_t, State>& states) {
  for (const auto& [id, state] : states) {
    const std::size_t at = text.find("weight: 1", text.find("backend { id: " + std::to_string(id)));
    text.replace(at, 9,
                 "weight: " + std::to_string(state.weight) + (state.up ? "" : " health: DOWN") +
                     (state.drain ? " drain: true" : ""));
  }
  return text;
}

TEST(States, AnUpdateAndAWholeSnapshotForwardAlike) {
  for (const char* pool : {"", "algorithm: MAGLEV", "algorithm: SOURCE_HASH", "algorithm: LEAST_CONNECTIONS",
                           "persistence { prefix_length_v4: 32 timeout_s: 60 }"}) {
    SCOPED_TRACE(pool);
    Rng rng(11);
    const std::string site = sim::text_of({.pool = pool});
    Box updated({.workers = 2}), whole({.workers = 2});
    for (Box* box : {&updated, &whole}) box->apply(site);
    std::map<std::uint32_t, State> states;
    for (unsigned step = 0; step < 20; ++step) {
      std::string changes;
      std::map<std::uint32_t, State> changed;
      for (unsigned i = 0; i < 4; ++i) {
        const std::uint32_t id = (200 + 2 * rng.below(5)) * 100 + 1 + rng.below(3);  // of an IPv4 pool
        changed[id] = states[id] = {.up = rng.chance(0.5), .drain = rng.chance(0.2), .weight = rng.below(4)};
      }
      for (const auto& [id, state] : changed) {
        changes += "backend { backend_id: " + std::to_string(id) + (state.up ? "" : " health: DOWN") +
                   " weight: " + std::to_string(state.weight) + (state.drain ? " drain: true" : "") + " } ";
      }
      updated.update(changes);
      whole.publish(with_states(site, states));
      for (unsigned i = 0; i < 30; ++i) {
        const std::string client = "192.0.2." + std::to_string(9 + rng.below(2));
        const std::string service = "192.0.2." + std::to_string(100 + rng.below(5));
        const FrameSpec spec{.src = client.c_str(),
                             .dst = service.c_str(),
                             .src_port = static_cast<std::uint16_t>(1024 + rng.below(200)),
                             .flags = rng.chance(0.7) ? std::uint8_t{kSyn} : std::uint8_t{kAck}};
        ASSERT_EQ(forwarded(updated.exchange(kOutside, tcp_frame(spec))),
                  forwarded(whole.exchange(kOutside, tcp_frame(spec))))
            << "step " << step << ": " << client << " port " << spec.src_port << " to " << service;
      }
    }
    EXPECT_EQ(updated.flows(), whole.flows());
    EXPECT_GT(updated.flows(), 100u);
  }
}

struct Conduct {
  std::uint64_t connects = 0, failures = 0, resets = 0;
  friend bool operator==(const Conduct&, const Conduct&) = default;
  friend void PrintTo(const Conduct& c, std::ostream* out) {
    *out << c.connects << " connects, " << c.failures << " failures, " << c.resets << " resets";
  }
};

// Of all backends and workers together.
Conduct conduct(Box& box) {
  Conduct sum;
  for (unsigned i = 0; i < box.workers(); ++i) {
    for (const snapshot::Backend& backend : box.snapshot().backends) {
      const auto& one = box.worker(i).counters().conduct[backend.slot];
      sum.connects += one.connects.read();
      sum.failures += one.connect_failures.read();
      sum.resets += one.resets.read();
    }
  }
  return sum;
}

// One connection, or the attempt at it: client's segments into `port`, the backend's answers to what it saw.
class Attempt {
 public:
  Attempt(Box& box, const char* service, std::uint16_t port = kOutside, const char* client = "192.0.2.10")
      : box_(box), port_(port), spec_{.src = client, .dst = service} {}
  void client(std::uint8_t flags, std::uint32_t sequence = 1000) {
    spec_.flags = flags;
    spec_.sequence = sequence;
    spec_.acknowledgment = 9001;
    for (const Out& out : box_.exchange(port_, tcp_frame(spec_))) {
      packet::PacketInfo info;
      if (out.port != sim::kInside || packet::parse(out.frame, out.frame.size(), info) != packet::ParseError::none)
        continue;
      if (info.tuple.protocol == kProtocolTcp) saw_ = info.tuple;
    }
  }
  void last_hop() { spec_.ttl = 1; }
  void backend(std::uint8_t flags, std::uint32_t sequence = 9000) {
    box_.exchange(sim::kInside, tcp_frame({.src = saw_.dst,
                                           .dst = saw_.src,
                                           .src_port = saw_.dst_port,
                                           .dst_port = saw_.src_port,
                                           .flags = flags,
                                           .sequence = sequence,
                                           .acknowledgment = 1001}));
  }
  void open() {
    client(kSyn);
    backend(kSyn | kAck);
    client(kAck, 1001);
  }

 private:
  Box& box_;
  std::uint16_t port_;
  FrameSpec spec_;
  Tuple saw_;
};

class ConductIn : public testing::TestWithParam<const char*> {
 protected:
  ConductIn() : box({.workers = 2}) { box.apply(sim::text_of({})); }
  Box box;
  Attempt attempt{box, GetParam()};
};

TEST_P(ConductIn, AnAnsweredSynIsAConnect) {
  attempt.open();
  EXPECT_EQ(conduct(box), (Conduct{1, 0, 0}));
  attempt.backend(kSyn | kAck);  // again
  attempt.client(kAck, 1001);
  attempt.backend(kAck | packet::kFin, 9001);
  attempt.client(kAck | packet::kFin, 1001);
  attempt.backend(kAck, 9002);
  box.advance(20 * kSecond);
  EXPECT_EQ(conduct(box), (Conduct{1, 0, 0}));
}

TEST_P(ConductIn, ARstThatAnswersASynIsAFailure) {
  attempt.client(kSyn);
  attempt.backend(kRst | kAck, 0);
  box.advance(20 * kSecond);
  EXPECT_EQ(conduct(box), (Conduct{0, 1, 0}));
}

TEST_P(ConductIn, ASynTriedAgainIsOneFailureHoweverOften) {
  attempt.client(kSyn);
  box.advance(100 * kMillisecond);
  attempt.client(kSyn);  // no client is so fast: a duplicate of the network
  EXPECT_EQ(conduct(box), Conduct{});
  for (unsigned i = 0; i < 3; ++i) {
    box.advance(kSecond);
    attempt.client(kSyn);
    EXPECT_EQ(conduct(box), (Conduct{0, 1, 0}));
  }
  box.advance(20 * kSecond);
  EXPECT_EQ(box.flows(), 0u);
  EXPECT_EQ(conduct(box), (Conduct{0, 1, 0}));
}

TEST_P(ConductIn, SilenceUntilTheFlowExpiresIsAFailure) {
  attempt.client(kSyn);
  box.advance(20 * kSecond);
  EXPECT_EQ(box.flows(), 0u);
  EXPECT_EQ(conduct(box), (Conduct{0, 1, 0}));
}

TEST_P(ConductIn, ASynThatNeverLeftIsNoFailure) {
  attempt.last_hop();
  attempt.client(kSyn);
  box.advance(kSecond);
  attempt.client(kSyn);
  box.advance(20 * kSecond);
  EXPECT_EQ(box.flows(), 0u);
  EXPECT_EQ(conduct(box), Conduct{});
}

TEST_P(ConductIn, AClientThatGivesUpAfterTheAnswerIsNoFailure) {
  attempt.client(kSyn);
  attempt.backend(kSyn | kAck);
  box.advance(20 * kSecond);
  EXPECT_EQ(conduct(box), (Conduct{1, 0, 0}));
  attempt.client(kSyn);
  attempt.client(kRst, 1001);
  box.advance(20 * kSecond);
  EXPECT_EQ(conduct(box), (Conduct{1, 0, 0})) << "the client ended it";
}

TEST_P(ConductIn, OnlyABelievedRstOfTheBackendOnAConnectionInUseIsAReset) {
  attempt.open();
  attempt.backend(kRst, 9001 + (1u << 30));
  EXPECT_EQ(conduct(box), (Conduct{1, 0, 0})) << "far from what is expected: a guess";
  attempt.backend(kRst, 9001);
  attempt.backend(kRst, 9001);
  EXPECT_EQ(conduct(box), (Conduct{1, 0, 1}));
}

TEST_P(ConductIn, ARstAfterAFinOrFromTheClientIsNoReset) {
  attempt.open();
  attempt.client(kAck | packet::kFin, 1001);
  attempt.backend(kRst, 9001);
  EXPECT_EQ(conduct(box), (Conduct{1, 0, 0}));
  attempt.open();
  attempt.client(kRst, 1001);
  EXPECT_EQ(conduct(box), (Conduct{2, 0, 0}));
}

INSTANTIATE_TEST_SUITE_P(ModesWithReplies, ConductIn, testing::Values("192.0.2.100", "192.0.2.101"));

TEST(Conduct, IsNotSeenWhereAnswersPassUsBy) {
  for (const char* service : {"192.0.2.102", "192.0.2.103", "192.0.2.104"}) {
    Box box;
    box.apply(sim::text_of({}));
    Attempt attempt(box, service);
    attempt.client(kSyn);
    box.advance(kSecond);
    attempt.client(kSyn);
    box.advance(20 * kSecond);
    EXPECT_EQ(conduct(box), Conduct{}) << service;
  }
}

TEST(Conduct, OfProbesIsTheirSendersBusiness) {
  Box box;
  box.apply(sim::text_of({}));
  const std::uint32_t id = box.snapshot().backends[0].id.value;
  const std::string probed = to_string(IpAddress::from_v4(0xc6120000 + id));  // 198.18.0.0/15
  Attempt answered(box, probed.c_str(), sim::kProbe, "198.18.0.1");
  answered.open();
  answered.backend(kRst, 9001);
  Attempt refused(box, probed.c_str(), sim::kProbe, "198.18.0.2");
  refused.client(kSyn);
  refused.backend(kRst | kAck, 0);
  Attempt silent(box, probed.c_str(), sim::kProbe, "198.18.0.3");
  silent.client(kSyn);
  EXPECT_EQ(box.flows(), 3u);
  box.advance(20 * kSecond);
  EXPECT_EQ(conduct(box), Conduct{});
}

}  // namespace
}  // namespace headgate::worker
