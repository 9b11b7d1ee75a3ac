#include "controlplane/failover/director.h"

#include <random>

#include "controlplane/failover/test_pair.h"
#include "tests/seed.h"

namespace headgate::failover {
namespace {

namespace dp = dataplane::v1;

using DirectorTest = TestPair;

TEST_F(DirectorTest, APlannedSwitchMakesThePeerReadyBeforeItYields) {
  run(5ms);
  ASSERT_TRUE(a.director.can_switch("main", a.view));
  a.director.begin_switch("main", now);
  bool taken_first = false, yielded = false;
  for (int i = 0; i < 50 && b.role != dp::ROLE_ACTIVE; ++i) {
    step();
    if (a.input.yield()) {
      yielded = true;
      EXPECT_TRUE(taken_first) << "it yielded before the peer was ready";
    }
    taken_first |= b.input.take();
  }
  run(5ms);
  EXPECT_TRUE(yielded);
  EXPECT_EQ(b.role, dp::ROLE_ACTIVE);
  EXPECT_EQ(a.role, dp::ROLE_BACKUP);
  const Outcome outcome = a.director.outcome("main");
  EXPECT_TRUE(outcome.finished && outcome.good) << outcome.text;
  EXPECT_TRUE(outcome.text.starts_with("group main switched to the other box in ")) << outcome.text;
  EXPECT_FALSE(a.input.yield()) << "it may take it again when the other one is gone";
  EXPECT_FALSE(b.input.take());
  EXPECT_EQ(a.said.groups[0].take, 0u);
  EXPECT_EQ(b.director.epoch(), 2u);
  EXPECT_EQ(a.director.epoch(), 2u) << "told over the link";
}

// An idle box speaks to its dataplane every 250 ms; what its peer believes of an active one lapses in 30 ms at 10 ms
// adverts, so the first vouching after a promotion must not wait for the pace of before.
TEST_F(DirectorTest, ABoxThatBecomesActiveHearsItsDataplaneAtTheNewPaceAtOnce) {
  Rules rules = b.director.rules();
  rules.groups[0].interval_ms = 20;
  b.director.set_rules(rules);
  const Decision first = (b.director.set_state(b.state(), now), b.director.decide(b.view, now));
  EXPECT_TRUE(first.to_dataplane) << "news";
  EXPECT_EQ(b.director.next_deadline(), now + kSignEvery);
  now += 5ms;
  b.role = dp::ROLE_ACTIVE;
  b.director.set_state(b.state(), now);
  EXPECT_FALSE(b.director.decide(b.view, now).to_dataplane);
  EXPECT_EQ(b.director.next_deadline(), now + 15ms);
  now += 15ms;
  EXPECT_TRUE(b.director.decide(b.view, now).to_dataplane);
  EXPECT_EQ(b.director.next_deadline(), now + 20ms);
}

TEST_F(DirectorTest, AClaimOfThePeerReachesTheDataplaneOnceForEachTimeThatItsOwnVouches) {
  unsigned claims = 0;
  for (int i = 0; i < 1000; ++i) {
    step();
    EXPECT_EQ(a.input.peer_lease_us(), 0u) << "the peer of the active box claims nothing";
    if (b.input.peer_lease_us() == 0) continue;
    ++claims;
    EXPECT_EQ(b.input.peer_lease_us(), 200'000u) << "nothing was accepted yet: two intervals";
  }
  EXPECT_GE(claims, 19u) << "twice an interval";
  EXPECT_LE(claims, 21u);
  a.answers = false;  // its control plane lives and goes on speaking
  run(10ms);
  for (int i = 0; i < 1000; ++i) {
    step();
    EXPECT_EQ(b.input.peer_lease_us(), 0u) << "nobody vouches";
  }
  EXPECT_EQ(b.input.peer(), dp::PEER_UNKNOWN);
}

TEST_F(DirectorTest, OfTwoThatServeTheLowerPriorityGivesWay) {
  run(5ms);
  b.priority = 100;
  b.role = dp::ROLE_ACTIVE;
  run(kBothFor - 20ms);
  EXPECT_EQ(b.role, dp::ROLE_ACTIVE) << "the election may tell by itself";
  run(120ms);
  EXPECT_EQ(b.role, dp::ROLE_BACKUP);
  EXPECT_EQ(a.role, dp::ROLE_ACTIVE);
  run(2s);
  EXPECT_FALSE(b.input.yield());
}

TEST_F(DirectorTest, WhatAPeerSaidBeforeItWentSilentIsNoClaim) {
  run(5ms);
  b.deaf = true;
  b.priority = 100;
  b.role = dp::ROLE_ACTIVE;
  a.role = dp::ROLE_BACKUP;
  run(3 * kBothFor);
  EXPECT_EQ(b.role, dp::ROLE_ACTIVE);
}

TEST_F(DirectorTest, OfTwoActiveBoxesWithEqualPrioritiesBoxBGivesWay) {
  b.role = dp::ROLE_ACTIVE;
  b.priority = a.priority;
  run(kBothFor + 120ms);
  EXPECT_EQ(a.role, dp::ROLE_ACTIVE);
  EXPECT_EQ(b.role, dp::ROLE_BACKUP);
}

TEST_F(DirectorTest, TheBoxThatHasNotGotItAsksForIt) {
  run(5ms);
  ASSERT_TRUE(b.director.can_switch("main", b.view));
  b.director.begin_switch("main", now);
  EXPECT_EQ(b.director.under_way("main"), "asked box A to give it up");
  run(50ms);
  EXPECT_EQ(b.role, dp::ROLE_ACTIVE);
  EXPECT_TRUE(b.director.outcome("main").good) << b.director.outcome("main").text;
  EXPECT_EQ(b.said.groups[0].ask, 0u);
  run(5s);
  EXPECT_EQ(b.role, dp::ROLE_ACTIVE) << "one wish is one switch";
  EXPECT_EQ(a.notes.size(), 1u);
}

TEST_F(DirectorTest, APeerThatDoesNotAnswerCostsNothing) {
  run(5ms);
  a.director.begin_switch("main", now);
  b.deaf = true;  // it goes on to send, and hears no offer
  run(kOfferFor + 5ms);
  const Outcome outcome = a.director.outcome("main");
  EXPECT_TRUE(outcome.finished && !outcome.good);
  EXPECT_EQ(outcome.text, "group main not switched: box B did not get ready in time; nothing has changed");
  EXPECT_EQ(a.role, dp::ROLE_ACTIVE);
  EXPECT_FALSE(a.input.yield());
  EXPECT_EQ(a.said.groups[0].take, 0u);
}

TEST_F(DirectorTest, APeerWhoseDataplaneDoesNotAnswerIsNotReady) {
  run(5ms);
  a.director.begin_switch("main", now);
  b.answers = false;
  run(kOfferFor - 10ms);
  EXPECT_EQ(b.said.groups[0].taking, 0u);
  EXPECT_FALSE(a.input.yield());
  EXPECT_EQ(a.role, dp::ROLE_ACTIVE);
}

TEST_F(DirectorTest, ALinkThatGoesSilentDuringAnOfferUndoesIt) {
  run(5ms);
  a.director.begin_switch("main", now);
  link = false;
  run(5ms);
  EXPECT_EQ(a.director.outcome("main").text, "group main not switched: the HA link went silent; nothing has changed");
  EXPECT_EQ(a.role, dp::ROLE_ACTIVE);
}

TEST_F(DirectorTest, AnOfferIsBelievedForAWhileOnly) {
  run(5ms);
  a.director.begin_switch("main", now);
  step();
  step();
  ASSERT_TRUE(b.input.take());
  b.deaf = true;  // the offer stands in what it heard last
  run(kTakeFor + 5ms);
  EXPECT_FALSE(b.input.take());
  EXPECT_EQ(b.said.groups[0].taking, 0u);
}

TEST_F(DirectorTest, AYieldThatNobodyTakesIsUndoneAndSaid) {
  run(5ms);
  b.promotes = false;
  a.director.begin_switch("main", now);
  run(kOfferFor + kYieldFor + 10ms);
  EXPECT_EQ(a.director.outcome("main").text,
            "group main given up here, but the other box does not say that it is active");
  EXPECT_FALSE(a.input.yield()) << "so that the election may bring it back";
}

TEST_F(DirectorTest, ASwitchIsRefusedWithItsCause) {
  const auto why = [&](TestBox& box) {
    const auto can = box.director.can_switch("main", box.view);
    return can ? std::string() : can.error().message;
  };
  EXPECT_EQ(a.director.can_switch("x", a.view).error().message, "there is no group x");
  run(5ms);
  EXPECT_EQ(why(a), "");
  ASSERT_TRUE(a.director.pause("main", true));
  run(5ms);
  EXPECT_TRUE(a.input.paused());
  EXPECT_TRUE(b.input.paused()) << "on one box is on both";
  EXPECT_EQ(why(a), "group main is paused: failover resume main first");
  EXPECT_EQ(why(b), why(a)) << "the peer says that it is paused";
  ASSERT_TRUE(a.director.pause("main", false));
  b.role = dp::ROLE_FAULT;
  run(5ms);
  EXPECT_EQ(why(a), "group main is fault on box B: it could not take it");
  EXPECT_EQ(why(b), "group main is at fault on this box: there is nothing to switch");
  b.role = dp::ROLE_BACKUP;
  b.director.set_observed({.links = {{"front", Reach::no}}, .pools = {}, .gateways = {}});
  run(5ms);
  EXPECT_EQ(why(a), "box B is at fault for group main");
  link = false;
  run(5ms);
  EXPECT_EQ(why(a), "the peer does not answer on the HA link: nobody could take group main");
}

TEST_F(DirectorTest, WithoutAnHaLinkItYieldsToWhoeverThereIs) {
  Rules rules = a.director.rules();
  rules.pair = false;
  a.director.set_rules(rules);
  a.view = {};
  link = false;
  run(2ms);
  ASSERT_TRUE(a.director.can_switch("main", a.view));
  a.director.begin_switch("main", now);
  run(5ms);
  EXPECT_EQ(a.role, dp::ROLE_BACKUP);
  EXPECT_TRUE(a.director.outcome("main").good);
  EXPECT_EQ(a.director.can_switch("main", a.view).error().message,
            "group main is backup here, and the peer is no Headgate that could be asked to yield");
}

TEST_F(DirectorTest, InputsSayWhatIsKnown) {
  a.director.set_epoch(40);
  a.director.set_observed(
      {.links = {}, .pools = {{"web", {0, 1}}}, .gateways = {}, .witnesses = {{"192.0.2.9", Reach::unknown}}});
  run(5ms);
  EXPECT_EQ(a.input.health(), dp::CLASS_DEGRADED);
  EXPECT_EQ(a.input.witness(), dp::WITNESS_SILENT);
  EXPECT_EQ(a.input.peer(), dp::PEER_BACKUP);
  EXPECT_EQ(b.input.peer(), dp::PEER_ACTIVE);
  EXPECT_EQ(b.director.epoch(), 40u);
  a.view.hold_back = true;
  step();
  EXPECT_TRUE(a.input.not_eligible());
  a.view.dead = true;
  step();
  EXPECT_EQ(a.input.peer(), dp::PEER_DEAD);
  a.view.dead = a.view.hold_back = false;
  link = false;
  run(2ms);
  EXPECT_EQ(a.input.peer(), dp::PEER_UNKNOWN);
}

TEST_F(DirectorTest, WithheldAdvertsDegradeForAWhileAndOldOnesDoNot) {
  a.withheld = 17;  // from before this process
  run(5ms);
  EXPECT_EQ(a.input.health(), dp::CLASS_OK);
  a.withheld = 18;
  run(5ms);
  EXPECT_EQ(a.input.health(), dp::CLASS_DEGRADED);
  EXPECT_LE(a.director.next_deadline(), now + kStallFor);
  run(kStallFor);
  EXPECT_EQ(a.input.health(), dp::CLASS_OK);
}

TEST_F(DirectorTest, AfterARestartNoClassIsBetterThanTheOneInForceUntilAllWasSeen) {
  struct Case {
    const char* name;
    dp::HealthClass in_force;
    Reach link, witness;  // as seen since
    dp::HealthClass expected;
  };
  for (const Case& c :
       {Case{"nothing was seen", dp::CLASS_FAULT, Reach::unknown, Reach::unknown, dp::CLASS_FAULT},
        Case{"no witness was asked", dp::CLASS_FAULT, Reach::yes, Reach::unknown, dp::CLASS_FAULT},
        Case{"the link was not seen", dp::CLASS_DEGRADED, Reach::unknown, Reach::yes, dp::CLASS_DEGRADED},
        Case{"worse is said at once", dp::CLASS_DEGRADED, Reach::no, Reach::unknown, dp::CLASS_FAULT},
        Case{"all was seen", dp::CLASS_FAULT, Reach::yes, Reach::yes, dp::CLASS_OK},
        Case{"it was ok", dp::CLASS_OK, Reach::unknown, Reach::unknown, dp::CLASS_OK}}) {
    SCOPED_TRACE(c.name);
    TestBox box("A", 3000);
    const Observed observed{
        .links = {{"front", c.link}}, .pools = {}, .gateways = {}, .witnesses = {{"192.0.2.9", c.witness}}};
    box.director.set_observed(observed);
    static_cast<void>(box.director.decide(box.view, now));
    dp::FailoverState state = box.state();
    state.mutable_group(0)->set_health(c.in_force);
    box.director.set_state(state, now);
    EXPECT_EQ(box.director.decide(box.view, now).input.group(0).health(), c.expected);
    if (c.expected == dp::CLASS_OK || c.link == Reach::no) continue;
    EXPECT_LE(box.director.next_deadline(), now + kHoldFor);
    EXPECT_EQ(box.director.decide(box.view, now + kHoldFor).input.group(0).health(), dp::CLASS_OK) << "bounded in time";
    box.director.set_state(state, now + kHoldFor);
    EXPECT_EQ(box.director.decide(box.view, now + kHoldFor).input.group(0).health(), dp::CLASS_OK)
        << "what it says later is our own word";
  }
}

class CutOffTest : public TestPair {
 protected:
  CutOffTest() {
    for (TestBox* box : {&a, &b}) {
      Rules rules = box->director.rules();
      rules.witnesses = {"192.0.2.9"};
      rules.witness_interval = 100ms;
      box->director.set_rules(rules);
      witness(*box, Reach::yes);
    }
    run(5ms);
  }
  static void witness(TestBox& box, Reach reach) {
    box.director.set_observed(
        {.links = {{"front", Reach::yes}}, .pools = {}, .gateways = {}, .witnesses = {{"192.0.2.9", reach}}});
  }
};

TEST_F(CutOffTest, ABoxThatNoWitnessAnswersIsAtFaultWhileOneAnswersThePeer) {
  witness(a, Reach::no);
  run(240ms);
  EXPECT_EQ(a.input.health(), dp::CLASS_OK) << "the peer may be about to notice the same";
  EXPECT_LE(a.director.next_deadline(), now + 20ms);
  run(20ms);
  EXPECT_EQ(a.input.health(), dp::CLASS_FAULT);
  EXPECT_EQ(b.input.health(), dp::CLASS_OK);
  EXPECT_EQ(a.notes.back().text,
            "group main is at class fault here: no witness answers this box, and one answers the peer");
  EXPECT_EQ(a.director.problems(a.view).front(), a.notes.back().text);
  EXPECT_EQ(a.director.judge(a.director.rules().groups[0]).lines.back(),
            "witnesses: SILENT here, the peer reaches one -> fault");
  b.role = dp::ROLE_ACTIVE;
  a.role = dp::ROLE_FAULT;
  run(1s);
  EXPECT_EQ(a.input.health(), dp::CLASS_FAULT) << "as long as it is so";
  witness(a, Reach::yes);
  run(5ms);
  EXPECT_EQ(a.input.health(), dp::CLASS_OK);
}

TEST_F(CutOffTest, AWitnessThatDiesMakesNobodyAFault) {
  witness(a, Reach::no);
  run(150ms);
  witness(b, Reach::no);
  for (int i = 0; i < 3000; ++i) {
    step();
    ASSERT_EQ(a.input.health(), dp::CLASS_OK);
    ASSERT_EQ(b.input.health(), dp::CLASS_OK);
  }
}

TEST_F(CutOffTest, ABoxGoesOnWhenNobodyElseCouldServe) {
  const auto each_time = [&](const char* what, dp::HealthClass expected) {
    run(1s);
    EXPECT_EQ(a.input.health(), expected) << what;
  };
  witness(a, Reach::no);
  link = false;
  each_time("the peer is silent: a lone box serves", dp::CLASS_OK);
  link = true;
  b.role = dp::ROLE_FAULT;
  each_time("the peer is at fault", dp::CLASS_OK);
  b.role = dp::ROLE_BACKUP;
  b.director.set_observed(
      {.links = {{"front", Reach::no}}, .pools = {}, .gateways = {}, .witnesses = {{"192.0.2.9", Reach::yes}}});
  each_time("the peer is about to be at fault", dp::CLASS_OK);
  witness(b, Reach::yes);
  b.answers = false;
  each_time("the peer's dataplane does not answer", dp::CLASS_OK);
  b.answers = true;
  a.view.dead = true;
  each_time("the peer's dataplane is dead", dp::CLASS_OK);
  a.view.dead = false;
  each_time("the peer is well", dp::CLASS_FAULT);
  link = false;
  each_time("and then silent", dp::CLASS_OK);
}

TEST_F(CutOffTest, ARestartDoesNotLiftIt) {
  witness(a, Reach::no);
  run(300ms);
  ASSERT_EQ(a.input.health(), dp::CLASS_FAULT);
  TestBox again("A", 3000);
  again.director.set_rules(a.director.rules());
  dp::FailoverState state = again.state();
  state.mutable_group(0)->set_health(dp::CLASS_FAULT);
  Reach reach = Reach::unknown;
  for (int i = 0; i < 2000; ++i) {
    now += 1ms;
    if (i == 400) reach = Reach::no;    // three pings in vain
    if (i == 900) again.view = a.view;  // the HA link is there again
    witness(again, reach);
    again.director.set_state(state, now);
    ASSERT_EQ(again.director.decide(again.view, now).input.group(0).health(), dp::CLASS_FAULT) << i;
  }
}

TEST_F(DirectorTest, AChangeOfClassIsToldWithItsCause) {
  run(5ms);
  a.director.set_observed({.links = {{"front", Reach::no}}, .pools = {}, .gateways = {}});
  run(5ms);
  a.director.set_observed({.links = {{"front", Reach::yes}}, .pools = {}, .gateways = {}});
  run(5ms);
  ASSERT_EQ(a.notes.size(), 2u);
  EXPECT_EQ(a.notes[0].text, "group main is at class fault here: the link of interface front is down");
  EXPECT_TRUE(a.notes[0].worse);
  EXPECT_EQ(a.notes[1].text, "group main is at class ok here again");
}

TEST_F(DirectorTest, TheVersionRisesWithTheInputAndWithAnotherDataplane) {
  run(5ms);
  const std::uint64_t before = a.director.decide(a.view, now).version;
  EXPECT_EQ(a.director.decide(a.view, now + 1ms).version, before);
  a.director.set_observed({.links = {}, .pools = {}, .gateways = {}, .witnesses = {{"192.0.2.9", Reach::yes}}});
  EXPECT_EQ(a.director.decide(a.view, now).version, before + 1);
  a.director.set_state(std::nullopt, now);
  EXPECT_GT(a.director.decide(a.view, now).version, before + 1);
}

TEST_F(DirectorTest, ProblemsAreSaidInWords) {
  run(5ms);
  EXPECT_TRUE(a.director.problems(a.view).empty());
  a.director.set_observed({.links = {{"front", Reach::no}}, .pools = {}, .gateways = {}});
  b.role = dp::ROLE_ACTIVE;
  run(5ms);
  EXPECT_EQ(a.director.problems(a.view),
            (std::vector<std::string>{"group main is at class fault here: the link of interface front is down",
                                      "group main: both boxes say that they are active"}));
  a.director.set_observed({});
  link = false;
  run(5ms);
  EXPECT_EQ(a.director.problems(a.view),
            (std::vector<std::string>{"no peer: the HA link is silent",
                                      "group main: lone box: no peer is known that would take over"}));
}

TEST_F(DirectorTest, ANetworkThatIsSilentWhileThePeerIsActiveIsAProblem) {
  run(5ms);
  dp::FailoverState state = b.state();
  auto& group = *state.mutable_group(0);
  group.set_since_ms_ago(60'000);
  for (const char* name : {"front", "front", "servers"}) {
    auto& router = *group.add_router();
    router.set_interface(name);
    router.set_link(true);
    router.set_heard(true);
    router.set_last_heard_ms_ago(100);
  }
  const auto problems = [&] {
    b.director.set_state(state, now);
    return b.director.problems(b.view);
  };
  EXPECT_TRUE(problems().empty());
  group.mutable_router(1)->set_last_heard_ms_ago(50'000);
  EXPECT_TRUE(problems().empty()) << "one of two families is heard";
  group.mutable_router(2)->set_last_heard_ms_ago(50'000);
  EXPECT_EQ(problems(),
            std::vector<std::string>{"group main: the peer is active, and no advert of it arrives on servers: "
                                     "that network is cut between the boxes"});
  group.mutable_router(0)->set_heard(false);
  EXPECT_EQ(problems().size(), 1u);
  group.set_since_ms_ago(1000);
  EXPECT_TRUE(problems().empty()) << "it has just become a backup";
}

TEST_F(DirectorTest, PausesSurviveAnotherConfigurationAndGoWithTheGroup) {
  ASSERT_TRUE(a.director.pause("main", true));
  a.director.set_rules(a.director.rules());
  EXPECT_EQ(a.director.paused(), std::set<std::string>{"main"});
  EXPECT_FALSE(a.director.pause("x", true));
  a.director.set_rules({});
  EXPECT_TRUE(a.director.paused().empty());
}

// Random cuts, deafness, dataplanes away, and wishes on both boxes. Whatever happens: nobody yields before the other
// one was ready for that very switch, and after a while of quiet no switch is left over and one box has the group.
TEST_F(DirectorTest, NoScheduleLeavesASwitchHalfDone) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("HEADGATE_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto chance = [&](unsigned one_in) { return random() % one_in == 0; };
  unsigned switches = 0;
  for (int round = 0; round < 12 && !HasFailure(); ++round) {
    for (int i = 0; i < 5000; ++i) {
      for (TestBox* box : {&a, &b}) {
        if (chance(700)) box->deaf = !box->deaf;
        if (chance(900)) box->answers = !box->answers;
        if (chance(900)) box->promotes = !box->promotes;
        if (chance(300) && box->director.can_switch("main", box->view)) box->director.begin_switch("main", now);
      }
      if (chance(1500)) link = !link;
      const bool yielded[] = {a.input.yield(), b.input.yield()};
      const std::uint64_t taking[] = {taking_in(a.view), taking_in(b.view)};
      step();
      check_yield(a, yielded[0], taking[0]);
      check_yield(b, yielded[1], taking[1]);
      elect_alone();
    }
    link = true;
    for (TestBox* box : {&a, &b}) {
      box->deaf = false;
      box->answers = box->promotes = true;
    }
    for (int i = 0; i < 6'000; ++i) {
      step();
      elect_alone();
    }
    for (TestBox* box : {&a, &b}) {
      const GroupWord& word = box->said.groups[0];
      EXPECT_EQ(word.take + word.taking + word.ask, 0u);
      EXPECT_FALSE(box->input.yield() || box->input.take());
      for (const Note& note : box->notes) switches += note.worse ? 0 : 1;
      box->notes.clear();
    }
    EXPECT_EQ((a.role == dp::ROLE_ACTIVE) + (b.role == dp::ROLE_ACTIVE), 1);
  }
  EXPECT_GT(switches, 5u) << "some must have succeeded, or this proves nothing";
}

}  // namespace
}  // namespace headgate::failover
