// What backends do and what becomes of it: states pushed on top of a snapshot.
#include <gtest/gtest.h>

#include <map>

#include "dataplane/base/rng.h"
#include "tests/sim/box.h"
#include "tests/sim/site.h"

namespace headgate::worker {
namespace {

using packet::kAck;
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

}  // namespace
}  // namespace headgate::worker
