#include "controlplane/failover/what_if.h"

#include "controlplane/failover/test_pair.h"

namespace headgate::failover {
namespace {

namespace dp = dataplane::v1;

class WhatIf : public TestPair {
 protected:
  WhatIf() {
    a.director.set_observed({.links = {{"front", Reach::yes}}, .pools = {{"web", {2, 2}}}, .gateways = {}});
    run(5ms);
  }
  std::string ask(const Failure& failure) { return ask(a, failure); }
  static std::string ask(TestBox& box, const Failure& failure) {
    const auto lines = what_if(failure, box.director, box.view);
    if (!lines) return lines.error().message;
    std::string all;
    for (const std::string& line : *lines) all += line + "\n";
    return all;
  }
  void preempt_after(unsigned seconds) {
    Rules rules = a.director.rules();
    rules.groups[0].preemption = config::v1::Group::AFTER;
    rules.groups[0].preempt_delay_s = seconds;
    a.director.set_rules(rules);
  }
};

TEST_F(WhatIf, AFaultMovesTheGroupToABoxThatCanTakeIt) {
  const Failure front{Failure::What::interface, "front"};
  EXPECT_EQ(ask(front),
            "group main: this box becomes fault (the link of interface front is down); the group moves to box B at "
            "once: this box yields\n");
  b.role = dp::ROLE_FAULT;
  run(5ms);
  EXPECT_NE(ask(front).find("nobody serves the group: box B is at fault"), std::string::npos);
  link = false;
  run(5ms);
  EXPECT_NE(ask(front).find("nobody serves the group: box B is not known to be there"), std::string::npos);
}

TEST_F(WhatIf, ADegradedBoxKeepsTheGroupUnlessPreemptionMovesIt) {
  const Failure backend{Failure::What::backend, "web/web1", {{"web", true}}};
  EXPECT_EQ(ask(backend),
            "group main: this box becomes degraded (pool web has 1 healthy, fewer than 2); the group stays here, "
            "preemption is stay (priority 99 instead of 200, the other box has 100)\n");
  EXPECT_EQ(ask({Failure::What::backend, "web/web1", {{"web", false}}}), "group main: no effect, this box stays ok\n")
      << "it is down already";
  preempt_after(7);
  EXPECT_NE(ask({Failure::What::pool, "web"}).find("the group moves to box B after 7 s"), std::string::npos);
}

TEST_F(WhatIf, NothingIsTried) {
  static_cast<void>(ask({Failure::What::interface, "front"}));
  run(5ms);
  EXPECT_EQ(a.input.health(), dp::CLASS_OK);
  EXPECT_EQ(a.role, dp::ROLE_ACTIVE);
}

TEST_F(WhatIf, ABoxThatDiesIsFollowedByTheOther) {
  EXPECT_EQ(ask({Failure::What::box, "A"}),
            "group main: moves to box B within 260 to 360 ms, sooner with a death notice\n");
  EXPECT_EQ(ask({Failure::What::box, "B"}),
            "group main: stays here; no traffic moves, but nobody is left to take over\n");
  EXPECT_EQ(ask(b, {Failure::What::box, "A"}),
            "group main: moves to this box within 260 to 360 ms, sooner with a death notice\n");
  b.director.set_observed({.links = {}, .pools = {}, .gateways = {}, .witnesses = {{"192.0.2.9", Reach::no}}});
  EXPECT_NE(ask(b, {Failure::What::box, "A"}).find("not before a witness answers"), std::string::npos);
  EXPECT_EQ(ask({Failure::What::box, "C"}), "there are box a and box b");
}

TEST_F(WhatIf, WhatNobodyTracksMovesNothing) {
  EXPECT_EQ(ask({Failure::What::gateway, "192.0.2.9"}), "no group tracks it: no role changes because of it\n");
  EXPECT_EQ(ask({Failure::What::interface, "servers"}),
            "group main: no effect, this box stays ok\n"
            "group main: adverts go on over its other networks; its addresses on servers are served by nobody until it "
            "moves\n");
}

TEST_F(WhatIf, AWitnessThatOnlyThePeerReachesIsAFault) {
  const Observed observed{
      .links = {}, .pools = {}, .gateways = {}, .witnesses = {{"192.0.2.8", Reach::no}, {"192.0.2.9", Reach::yes}}};
  a.director.set_observed(observed);
  run(5ms);
  const Failure last{Failure::What::gateway, "192.0.2.9"};
  EXPECT_EQ(ask(last),
            "group main: no effect, this box stays ok\n"
            "no witness answers this box then: while the peer is silent, too, it takes no group over\n");
  b.director.set_observed(observed);
  run(5ms);
  EXPECT_EQ(
      ask(last),
      "group main: this box becomes fault (no witness answers this box, and one answers the peer); the group moves "
      "to box B at once: this box yields\n"
      "no witness answers this box then: while the peer is silent, too, it takes no group over\n");
  EXPECT_EQ(ask({Failure::What::gateway, "192.0.2.8"}), "group main: no effect, this box stays ok\n");
}

TEST_F(WhatIf, TheOnlyNetworkOfAGroupIsAFaultWithoutATrack) {
  Rules rules = a.director.rules();
  rules.groups[0].networks = {"servers"};
  a.director.set_rules(rules);
  EXPECT_EQ(ask({Failure::What::interface, "servers"}),
            "group main: this box becomes fault (it has no other network than servers); the group moves to box B at "
            "once: this box yields\n");
}

}  // namespace
}  // namespace headgate::failover
