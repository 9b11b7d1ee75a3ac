#include "controlplane/console/failover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace headgate::console {
namespace {

namespace mg = management::v1;
using ::testing::HasSubstr;

mg::FailoverReply reply() {
  mg::FailoverReply r;
  r.set_side("A");
  r.set_pair(true);
  r.set_epoch(7);
  r.set_dataplane(true);
  r.set_control_lease(true);
  auto& peer = *r.mutable_peer();
  peer.set_configured(true);
  peer.set_link_up(true);
  peer.set_agreed(true);
  peer.set_heard(true);
  peer.set_heard_ms_ago(52);
  peer.set_epoch(7);
  peer.set_revision(12);
  peer.set_version("0.1.0");
  auto& group = *r.add_group();
  group.set_name("main");
  group.set_preemption("stay");
  group.set_peer(pb::PEER_BACKUP);
  group.set_peer_known(true);
  group.set_peer_priority(100);
  group.add_arithmetic("priority 200 of box A, box B has 100");
  group.add_arithmetic("interface front: link up");
  group.add_arithmetic("= ok: advertises 200");
  auto& state = *group.mutable_state();
  state.set_role(pb::ROLE_ACTIVE);
  state.set_since_ms_ago(93'000);
  state.set_cause("no advert from the peer for 303 ms");
  state.set_interval_us(100'000);
  state.set_lease_us(172'400);
  state.set_down_interval_us(360'937);
  auto& router = *state.add_router();
  router.set_interface("front");
  router.set_vrid(51);
  router.set_version(3);
  router.set_link(true);
  router.set_sent(930);
  router.set_peer("192.0.2.12");
  router.set_peer_priority(100);
  auto& odd = *router.add_oddity();
  odd.set_reason("bad_checksum");
  odd.set_adverts(4);
  odd.set_dropped(true);
  odd.set_meaning(
      "The checksum fits no rule in use; look at what the peer sends and at the checksum that is configured.");
  auto& change = *state.add_change();
  change.set_ms_ago(93'000);
  change.set_from(pb::ROLE_BACKUP);
  change.set_to(pb::ROLE_ACTIVE);
  change.set_epoch(7);
  change.set_cause("no advert from the peer for 303 ms");
  return r;
}

std::size_t widest(const std::string& text) {
  std::istringstream lines(text);
  std::size_t width = 0;
  for (std::string line; std::getline(lines, line);) width = std::max(width, line.size());
  return width;
}

TEST(Failover, ShowsRolesWithTheArithmetic) {
  EXPECT_EQ(failover_text(reply(), 80),
            "box A, epoch 7, peer heard 52ms ago, configurations agree\n"
            "\n"
            "group main: ACTIVE here for 1m33s, backup on box B\n"
            "  cause       no advert from the peer for 303 ms\n"
            "  health      priority 200 of box A, box B has 100\n"
            "              interface front: link up\n"
            "              = ok: advertises 200\n"
            "  box B       ok, advertises 100\n"
            "  preemption  stay: it stays where it is\n"
            "  lease       172ms left; adverts every 100ms, the peer waits 361ms\n"
            "  so far      0 transitions, 0 promotions, 0 lease gaps, 0 adverts withheld, 0\n"
            "              frames stopped by the lease\n"
            "  ROUTER  FAMILY  VRID  V  LINK  SENT  ACCEPTED  HEARD  PEER\n"
            "  front   IPv4      51  3  up     930         0  never  192.0.2.12 (100)\n");
}

TEST(Failover, FitsEightyColumns) {
  mg::FailoverReply r = reply();
  auto& group = *r.mutable_group(0);
  group.set_name(std::string(63, 'g'));
  group.set_under_way("offered to box B, which gets ready");
  group.add_arithmetic("pool " + std::string(40, 'p') + ": 1 healthy, at least 2 -> degraded");
  group.mutable_state()->set_role(pb::ROLE_BACKUP);
  group.mutable_state()->set_peer_margin_us(345'000);
  r.mutable_peer()->set_problem(
      "the peer runs revision 11 and this box 12; commit on one of them, or look at the difference");
  r.mutable_peer()->add_detail(std::string(30, 'x') + " " + std::string(60, 'y'));
  for (const std::string& text :
       {failover_text(r, 80), failover_counters_text(r, 80), failover_peer_text(r, 80), failover_history_text(r, 80)})
    EXPECT_LE(widest(text), 80u) << text;
}

TEST(Failover, CountersSayWhatTheyMean) {
  EXPECT_EQ(failover_counters_text(reply(), 80),
            "group main on front, IPv4, VRID 51: 930 sent, 0 taken by the driver, 0 received\n"
            "  bad_checksum: 4 dropped\n"
            "    The checksum fits no rule in use; look at what the peer sends and at the\n"
            "    checksum that is configured.\n");
}

TEST(Failover, HistoryHasTheOldestFirstAndEachCause) {
  mg::FailoverReply r = reply();
  auto& change = *r.mutable_group(0)->mutable_state()->add_change();
  change.set_ms_ago(400'000);
  change.set_to(pb::ROLE_BACKUP);
  change.set_cause("a peer is active");
  EXPECT_EQ(failover_history_text(r, 80),
            "6m40s ago   group main: starting -> backup, epoch 0: a peer is active\n"
            "1m33s ago   group main: backup -> ACTIVE, epoch 7: no advert from the peer for\n"
            "            303 ms\n");
}

TEST(Failover, WhatIsWrongStandsOut) {
  mg::FailoverReply r = reply();
  r.mutable_peer()->set_link_up(false);
  r.mutable_peer()->set_problem("the certificate is not the paired one");
  r.mutable_group(0)->set_paused(true);
  r.set_witness(pb::WITNESS_SILENT);
  r.set_control_lease(false);
  const std::string text = failover_text(r, 80);
  EXPECT_THAT(text, HasSubstr("peer SILENT for 52ms"));
  EXPECT_THAT(text, HasSubstr("PROBLEM  the certificate is not the paired one"));
  EXPECT_THAT(text, HasSubstr("all witnesses are SILENT"));
  EXPECT_THAT(text, HasSubstr("on box B, PAUSED"));
  EXPECT_THAT(text, HasSubstr("PROBLEM  the dataplane hears nothing of the control plane"));
  EXPECT_THAT(failover_peer_text(r, 80), HasSubstr("revision  12\n"));
  EXPECT_EQ(failover_text({}, 80), "no group is configured: nothing fails over\n");
}

}  // namespace
}  // namespace headgate::console
