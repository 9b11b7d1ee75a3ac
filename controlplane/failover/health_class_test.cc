#include "controlplane/failover/health_class.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "controlplane/config/durable_file.h"
#include "controlplane/config/validate.h"
#include "controlplane/failover/epoch_file.h"
#include "controlplane/failover/rules.h"

namespace headgate::failover {
namespace {

const std::vector<Track> kTracks = {{Track::Kind::interface, "front", HealthClass::fault},
                                    {Track::Kind::pool, "web", HealthClass::degraded},
                                    {Track::Kind::gateway, "192.0.2.1", HealthClass::fault}};

Observed all_good() {
  return {.links = {{"front", Reach::yes}}, .pools = {{"web", {2, 2}}}, .gateways = {{"192.0.2.1", Reach::yes}}};
}

TEST(HealthClass, WhatIsNotKnownIsHeldAgainstNobody) {
  EXPECT_EQ(judge(kTracks, {}, false).health, HealthClass::ok);
  Observed observed = all_good();
  observed.gateways["192.0.2.1"] = Reach::unknown;
  EXPECT_EQ(judge(kTracks, observed, false).health, HealthClass::ok);
  EXPECT_EQ(judge({}, {}, false).cause, "");
}

TEST(HealthClass, TheWorstCountsAndIsExplained) {
  Observed observed = all_good();
  observed.pools["web"] = {1, 2};
  const Judged degraded = judge(kTracks, observed, false);
  EXPECT_EQ(degraded.health, HealthClass::degraded);
  EXPECT_EQ(degraded.cause, "pool web has 1 healthy, fewer than 2");
  observed.links["front"] = Reach::no;
  observed.gateways["192.0.2.1"] = Reach::no;
  const Judged fault = judge(kTracks, observed, true);
  EXPECT_EQ(fault.health, HealthClass::fault);
  EXPECT_EQ(fault.cause, "the link of interface front is down; gateway 192.0.2.1 answers no ping");
  EXPECT_EQ(fault.lines, (std::vector<std::string>{
                             "interface front: link DOWN -> fault", "pool web: 1 healthy, at least 2 -> degraded",
                             "gateway 192.0.2.1: SILENT -> fault", "workers: one STANDS STILL -> degraded"}));
}

TEST(HealthClass, AWorkerThatStandsStillDegradesAndIsNoFault) {
  EXPECT_EQ(judge({}, {}, true).health, HealthClass::degraded);
}

TEST(Rules, AreThoseOfThisSide) {
  const std::string text =
      "interface { name: \"f\" port: \"f\" prefix: \"192.0.2.0/24\" address: \"192.0.2.11\" floating { address: "
      "\"192.0.2.1\" } }\n"
      "group { name: \"main\" router { interface: \"f\" vrid: 1 } preemption: AFTER track { interface: \"f\" } track { "
      "gateway: \"192.0.2.9\" effect: DEGRADED } }\n"
      "failover { side: B witness: \"192.0.2.9\" ha_link { address: \"10.20.0.2\" peer_address: \"10.20.0.1\" } }\n";
  const config::Document document = config::load_text("x", text);
  ASSERT_TRUE(document.ok());
  compile::IdTable ids;
  ids.assign(compile::Kind::group, "other");
  ids.assign(compile::Kind::group, "main");
  const Rules rules = rules_of(document.config, ids);
  EXPECT_EQ(rules.side + rules.peer_side, "BA");
  EXPECT_TRUE(rules.pair);
  ASSERT_EQ(rules.groups.size(), 1u);
  const GroupRules& group = rules.groups[0];
  EXPECT_EQ(group.id, 2u);
  EXPECT_EQ(group.priority, 150u);
  EXPECT_EQ(group.degraded_priority, 75u);
  EXPECT_EQ(group.peer_priority, 200u);
  EXPECT_EQ(group.preempt_delay_s, 60u);
  EXPECT_EQ(group.tracks, (std::vector<Track>{{Track::Kind::interface, "f", HealthClass::fault},
                                              {Track::Kind::gateway, "192.0.2.9", HealthClass::degraded}}));
  EXPECT_EQ(rules.links, std::set<std::string>{"f"});
  EXPECT_EQ(rules.gateways, std::set<std::string>{"192.0.2.9"});
  EXPECT_TRUE(rules_of(config::v1::Config(), ids).groups.empty());
}

TEST(Rules, ANetworkOfTheGroupsOwnCountsUnlessATrackSaysHow) {
  const config::Document document = config::load_text(
      "x",
      "group { name: \"main\" router { interface: \"f\" } router { interface: \"s\" } track { interface: \"s\" "
      "effect: DEGRADED } track { interface: \"x\" } }\nfailover { side: A }\n");
  const Rules rules = rules_of(document.config, {});
  ASSERT_EQ(rules.groups.size(), 1u);
  EXPECT_EQ(rules.groups[0].tracks, (std::vector<Track>{{Track::Kind::interface, "s", HealthClass::degraded},
                                                        {Track::Kind::interface, "x", HealthClass::fault},
                                                        {Track::Kind::interface, "f", HealthClass::fault}}));
  EXPECT_EQ(rules.links, (std::set<std::string>{"f", "s", "x"}));
}

TEST(Rules, AWitnessIsAskedAsOftenAsTheFastestGroupAdvertises) {
  const auto interval = [](const std::string& groups) {
    const config::Document document = config::load_text("x", "failover { side: A witness: \"192.0.2.9\" }\n" + groups);
    return rules_of(document.config, {}).witness_interval.count();
  };
  EXPECT_EQ(interval("group { name: \"one\" }"), 100);
  EXPECT_EQ(interval("group { name: \"one\" interval_ms: 10 }"), 100) << "no more than ten a second";
  EXPECT_EQ(interval("group { name: \"one\" interval_ms: 2000 } group { name: \"two\" interval_ms: 300 }"), 300);
  EXPECT_EQ(interval("group { name: \"one\" interval_ms: 2000 }"), 1000);
  EXPECT_EQ(interval("group { name: \"one\" track { gateway: \"192.0.2.9\" } }"), 1000) << "it is a fault by itself";
}

TEST(EpochFile, ComesBackAndADamagedOneIsAnError) {
  const std::string path = testing::TempDir() + "epoch." + std::to_string(getpid());
  EXPECT_EQ(load_epoch(path).value(), 0u);
  ASSERT_TRUE(save_epoch(path, 18446744073709551615u));
  EXPECT_EQ(load_epoch(path).value(), 18446744073709551615u);
  for (const char* text : {"", "7", "x\n", "-1\n", "7 8\n", "18446744073709551616\n"}) {
    ASSERT_TRUE(config::write_file_durably(path, text));
    EXPECT_FALSE(load_epoch(path)) << text;
  }
  unlink(path.c_str());
}

}  // namespace
}  // namespace headgate::failover
