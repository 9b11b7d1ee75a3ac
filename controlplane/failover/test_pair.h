// For tests only: two directors, the dataplanes they tell, and the link between them, in virtual time.
//
// The dataplanes are models of what the contract promises, as far as planned switches need it: yield gives the group
// up, take promotes a backup whose peer has given it up.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "controlplane/failover/director.h"

namespace headgate::failover {

using namespace std::chrono_literals;

struct TestBox {
  TestBox(const std::string& side, std::uint64_t seed) : director(seed) {
    Rules rules;
    rules.side = side;
    rules.peer_side = side == "A" ? "B" : "A";
    rules.pair = true;
    GroupRules group;
    group.id = 1;
    group.name = "main";
    group.priority = side == "A" ? 200 : 100;
    group.degraded_priority = side == "A" ? 99 : 50;
    group.peer_priority = side == "A" ? 100 : 200;
    group.tracks = {{Track::Kind::interface, "front", HealthClass::fault},
                    {Track::Kind::pool, "web", HealthClass::degraded}};
    group.networks = {"front", "servers"};
    rules.groups = {group};
    rules.links = {"front"};
    director.set_rules(rules);
    view.configured = true;
    role = side == "A" ? dataplane::v1::ROLE_ACTIVE : dataplane::v1::ROLE_BACKUP;
  }

  dataplane::v1::FailoverState state() const {
    dataplane::v1::FailoverState all;
    all.set_control_lease(true);
    all.set_epoch(epoch);
    auto& group = *all.add_group();
    group.set_id(1);
    group.set_name("main");
    group.set_role(role);
    group.set_priority(priority);
    group.set_down_interval_us(360'000);
    group.set_interval_us(100'000);
    group.set_withheld(withheld);
    return all;
  }

  Director director;
  PeerView view;
  dataplane::v1::GroupRole role;
  dataplane::v1::GroupInput input;
  std::uint32_t priority = 200;  // as its dataplane says
  std::uint64_t epoch = 1, withheld = 0;
  bool answers = true;  // its dataplane
  bool promotes = true;
  bool deaf = false;  // it hears nothing of its peer; the link counts as up
  Word said;
  std::vector<Note> notes;
};

class TestPair : public testing::Test {
 protected:
  // One step of a millisecond for both: decide, dataplane, link.
  void step() {
    now += 1ms;
    for (TestBox* box : {&a, &b}) {
      if (box->answers) {
        box->director.set_state(box->state(), now);
      } else {
        box->director.set_state(std::nullopt, now);
      }
      Decision decision = box->director.decide(box->view, now);
      box->said = decision.word;
      box->notes.insert(box->notes.end(), decision.notes.begin(), decision.notes.end());
      if (!box->answers) continue;
      box->input = decision.input.group(0);
      box->director.delivered(decision.version);
    }
    elect(a, b);
    elect(b, a);
    hear(a, b);
    hear(b, a);
  }
  void run(std::chrono::milliseconds time) {
    for (const Time end = now + time; now < end;) step();
  }

  static void elect(TestBox& box, TestBox& peer) {
    if (box.role == dataplane::v1::ROLE_ACTIVE && box.input.yield()) box.role = dataplane::v1::ROLE_BACKUP;
    const bool free = peer.role != dataplane::v1::ROLE_ACTIVE;
    if (box.role == dataplane::v1::ROLE_BACKUP && box.input.take() && free && box.promotes) {
      box.role = dataplane::v1::ROLE_ACTIVE;
      ++box.epoch;
    }
  }
  void hear(TestBox& box, const TestBox& peer) {
    box.view.link_up = link;
    if (!link || box.deaf) return;
    box.view.heard = now;
    box.view.agreed = true;
    box.view.word = peer.said;
  }
  // The rest of the election: a group that nobody has for 400 ms is taken by a box that can.
  void elect_alone() {
    const bool nobody = a.role != dataplane::v1::ROLE_ACTIVE && b.role != dataplane::v1::ROLE_ACTIVE;
    nobody_for = nobody ? nobody_for + 1 : 0;
    if (nobody_for < 400) return;
    for (TestBox* box : {&a, &b}) {
      if (!box->promotes || !box->answers || box->input.yield()) continue;
      box->role = dataplane::v1::ROLE_ACTIVE;
      ++box->epoch;
      return;
    }
  }
  static std::uint64_t taking_in(const PeerView& view) {
    const GroupWord* word = view.word.find("main");
    return word == nullptr ? 0 : word->taking;
  }
  // A yield begins only when the peer's word, as this box had heard it, was ready for this box's switch.
  static void check_yield(const TestBox& box, bool before, std::uint64_t taking) {
    if (before || !box.input.yield()) return;
    EXPECT_NE(taking, 0u);
    EXPECT_EQ(taking, box.said.groups[0].take);
  }
  int nobody_for = 0;

  Time now{1h};
  bool link = true;
  TestBox a{"A", 1000}, b{"B", 2000};
};

}  // namespace headgate::failover
