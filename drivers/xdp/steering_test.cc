// The program frame by frame, in the kernel's own test run: no interface, no traffic, every verdict.
#include "drivers/xdp/steering.h"

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <unistd.h>

#include "drivers/xdp/test_frames.h"

namespace headgate::xdp {
namespace {

using namespace headgate::test;

constexpr const char* kService = "192.0.2.100";
constexpr const char* kService6 = "2001:db8:1::100";
constexpr MacAddress kLoopbackMac{};  // a test run says that frames came in by loopback

class SteeringProgram : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::geteuid(), 0u) << "this test loads a BPF program: run it as root";
    auto loaded = Steering::load_only();
    ASSERT_TRUE(loaded) << loaded.error().message;
    steering_.emplace(std::move(*loaded));
    const std::vector<IpAddress> set{*parse_ip(kService), *parse_ip(kService6)};
    ASSERT_TRUE(steering_->set_addresses(set));
    const std::vector<std::uint8_t> vrids{7};
    ASSERT_TRUE(steering_->set_vrids(vrids));
  }

  // Runs the program over a frame; checks that what it did agrees with what it counted.
  steer_verdict verdict(const Bytes& frame) {
    const SteeringCounters before = *steering_->counters();
    bpf_test_run_opts run{};
    run.sz = sizeof run;
    run.data_in = frame.data();
    run.data_size_in = static_cast<std::uint32_t>(frame.size());
    EXPECT_EQ(bpf_prog_test_run_opts(steering_->program_fd(), &run), 0) << strerror(errno);
    const SteeringCounters after = *steering_->counters();
    for (unsigned i = 0; i < STEER_VERDICTS; ++i) {
      if (after[i] == before[i]) continue;
      // No socket in xsks_map: what is ours must be dropped, not passed.
      EXPECT_EQ(run.retval, i <= STEER_PASS_MALFORMED ? XDP_PASS : XDP_DROP);
      return static_cast<steer_verdict>(i);
    }
    ADD_FAILURE() << "the program counted nothing";
    return STEER_VERDICTS;
  }

  std::optional<Steering> steering_;
};

struct Row {
  const char* name;
  Bytes frame;
  steer_verdict want;
};

TEST_F(SteeringProgram, JudgesEveryKindOfFrame) {
  const Bytes to_service = ipv4("192.0.2.10", kService, 17, udp(1, 2, {1, 2, 3}));
  const Bytes to_other = ipv4("192.0.2.10", "192.0.2.11", 17, udp(1, 2, {1, 2, 3}));
  const Bytes quote_ours = ipv4(kService, "198.51.100.1", 6, Bytes(8, 0));
  const Bytes quote_other = ipv4("192.0.2.11", "198.51.100.1", 6, Bytes(8, 0));
  const Bytes quote6_ours = ipv6(kService6, "2001:db8:9::1", 6, Bytes(8, 0));
  const Bytes error6 = Bytes{1, 0, 0, 0, 0, 0, 0, 0} + quote6_ours;
  const Bytes vrrp_ours{0x31, 7, 100, 1, 0, 100, 0, 0}, vrrp_other{0x31, 8, 100, 1, 0, 100, 0, 0};
  const Bytes hop_by_hop{17, 0, 1, 4, 0, 0, 0, 0}, later_fragment{17, 0, 0x00, 0x08, 0, 0, 0, 1};
  const auto v4 = [](const Bytes& packet) { return ether(kLoopbackMac, 0x0800, packet); };
  const auto v6 = [](const Bytes& packet) { return ether(kLoopbackMac, 0x86dd, packet); };
  const char* all_nodes = "ff02::1";
  const char* solicited = "ff02::1:ff00:100";
  const Row rows[] = {
      {"udp to a set address", v4(to_service), STEER_TO_ADDRESS},
      {"udp to another address", v4(to_other), STEER_PASS},
      {"one tag", tagged(v4(to_service), 10), STEER_TO_ADDRESS},
      {"two tags", tagged(tagged(v4(to_service), 10), 20, 0x88a8), STEER_TO_ADDRESS},
      {"three tags go to the kernel", tagged(tagged(tagged(v4(to_service), 1), 2), 3), STEER_PASS},
      {"two tags to another address", tagged(tagged(v4(to_other), 10), 20), STEER_PASS},
      {"first fragment", v4(ipv4("192.0.2.10", kService, 17, Bytes(16, 0), 0x2000)), STEER_TO_ADDRESS},
      {"later fragment", v4(ipv4("192.0.2.10", kService, 17, Bytes(16, 0), 0x0002)), STEER_TO_ADDRESS},
      {"header options", v4(ipv4("192.0.2.10", kService, 17, udp(1, 2, {}), 0, Bytes(8, 1))), STEER_TO_ADDRESS},
      {"arp request for a set address", ether(kBroadcastMac, 0x0806, arp(1, kPeerMac, "192.0.2.10", kService)),
       STEER_TO_ARP},
      {"arp reply to a set address", ether(kLoopbackMac, 0x0806, arp(2, kPeerMac, "192.0.2.10", kService)),
       STEER_TO_ARP},
      {"arp request for the kernel", ether(kBroadcastMac, 0x0806, arp(1, kPeerMac, "192.0.2.10", "192.0.2.11")),
       STEER_PASS},
      {"tagged arp", tagged(ether(kBroadcastMac, 0x0806, arp(1, kPeerMac, "192.0.2.10", kService)), 5), STEER_TO_ARP},
      {"arp cut short", ether(kBroadcastMac, 0x0806, Bytes(20, 0)), STEER_PASS_MALFORMED},
      {"vrrp of a configured id", v4(ipv4("192.0.2.12", "224.0.0.18", 112, vrrp_ours)), STEER_TO_VRRP},
      {"vrrp of another id", v4(ipv4("192.0.2.12", "224.0.0.18", 112, vrrp_other)), STEER_PASS},
      {"vrrp over ipv6", v6(ipv6("fe80::1", "ff02::12", 112, vrrp_ours)), STEER_TO_VRRP},
      {"icmp error quoting a set address", v4(ipv4("192.0.2.1", "192.0.2.11", 1, icmp_error_v4(3, quote_ours))),
       STEER_TO_ICMP_ERROR},
      {"icmp error quoting the kernel", v4(ipv4("192.0.2.1", "192.0.2.11", 1, icmp_error_v4(3, quote_other))),
       STEER_PASS},
      {"icmp echo is no error", v4(ipv4("192.0.2.1", "192.0.2.11", 1, icmp_error_v4(8, quote_ours))), STEER_PASS},
      {"icmpv6 error quoting a set address", v6(ipv6("2001:db8:1::1", "2001:db8:1::11", 58, error6)),
       STEER_TO_ICMP_ERROR},
      {"ipv6 to a set address", v6(ipv6("2001:db8:1::10", kService6, 17, udp(1, 2, {}))), STEER_TO_ADDRESS},
      {"ipv6 to another", v6(ipv6("2001:db8:1::10", "2001:db8:1::11", 17, udp(1, 2, {}))), STEER_PASS},
      {"extension headers to a set address", v6(ipv6("2001:db8:1::10", kService6, 0, hop_by_hop + udp(1, 2, {}))),
       STEER_TO_ADDRESS},
      {"later ipv6 fragment to a set address", v6(ipv6("2001:db8:1::10", kService6, 44, later_fragment + Bytes(8, 0))),
       STEER_TO_ADDRESS},
      {"vrrp behind an extension header",
       v6(ipv6("fe80::1", "ff02::12", 0, Bytes{112, 0, 1, 4, 0, 0, 0, 0} + vrrp_ours)), STEER_TO_VRRP},
      {"solicitation to solicited-node", v6(ipv6("fe80::1", solicited, 58, nd(135, "fe80::1", solicited, kService6))),
       STEER_TO_NEIGHBOR},
      {"advertisement to all-nodes", v6(ipv6("fe80::1", all_nodes, 58, nd(136, "fe80::1", all_nodes, kService6))),
       STEER_TO_NEIGHBOR},
      {"solicitation for the kernel",
       v6(ipv6("fe80::1", solicited, 58, nd(135, "fe80::1", solicited, "2001:db8:1::11"))), STEER_PASS},
      {"tagged solicitation", tagged(v6(ipv6("fe80::1", solicited, 58, nd(135, "fe80::1", solicited, kService6))), 9),
       STEER_TO_NEIGHBOR},
      {"advertisement sent to a set address",
       v6(ipv6("fe80::1", kService6, 58, nd(136, "fe80::1", kService6, "2001:db8:1::10"))), STEER_TO_ADDRESS},
      {"ipv4 cut short", v4(Bytes(12, 0x45)), STEER_PASS_MALFORMED},
      {"wrong version", v4(Bytes(40, 0x65)), STEER_PASS_MALFORMED},
      {"spanning tree", ether({{0x01, 0x80, 0xc2, 0, 0, 0}}, 0x0027, Bytes(40, 0)), STEER_PASS},
  };
  for (const Row& row : rows) EXPECT_EQ(verdict(row.frame), row.want) << row.name;
}

TEST_F(SteeringProgram, FollowsTheAddressSetAtRunTime) {
  const auto to = [](const char* address) {
    return ether(kLoopbackMac, 0x0800, ipv4("192.0.2.10", address, 17, udp(1, 2, {})));
  };
  const std::vector<IpAddress> changed{*parse_ip(kService), *parse_ip("192.0.2.101")};
  ASSERT_TRUE(steering_->set_addresses(changed));
  EXPECT_EQ(verdict(to("192.0.2.101")), STEER_TO_ADDRESS);
  EXPECT_EQ(verdict(to(kService)), STEER_TO_ADDRESS);
  EXPECT_EQ(steering_->addresses()->size(), 2u);
  ASSERT_TRUE(steering_->set_addresses({}));
  EXPECT_EQ(verdict(to(kService)), STEER_PASS);
}

TEST_F(SteeringProgram, TakesTheTrafficOfHostsItIsTheGatewayOf) {
  const auto from = [](const char* src, const char* dst, MacAddress mac = kLoopbackMac) {
    return ether(mac, 0x0800, ipv4(src, dst, 17, udp(1, 2, {})));
  };
  const MacAddress virtual_mac{{0, 0, 0x5e, 0, 1, 7}}, other_virtual{{0, 0, 0x5e, 0, 1, 8}};
  EXPECT_EQ(verdict(from("10.10.0.21", "198.51.100.1")), STEER_PASS) << "off until asked for";
  const std::vector<IpPrefix> prefixes{*parse_prefix("10.10.0.0/24"), *parse_prefix("2001:db8:2::/64")};
  auto on = steering_->set_gateway(true, prefixes);
  ASSERT_TRUE(on) << on.error().message;
  EXPECT_EQ(verdict(from("10.10.0.21", "198.51.100.1")), STEER_TO_GATEWAY);
  EXPECT_EQ(verdict(from("10.10.0.21", "198.51.100.1", virtual_mac)), STEER_TO_GATEWAY);
  EXPECT_EQ(verdict(from("10.10.0.21", "198.51.100.1", other_virtual)), STEER_PASS);
  EXPECT_EQ(verdict(from("10.10.0.21", "198.51.100.1", kPeerMac)), STEER_PASS) << "for another station";
  EXPECT_EQ(verdict(from("10.10.1.21", "198.51.100.1")), STEER_PASS) << "source outside the prefixes";
  EXPECT_EQ(verdict(from("10.10.0.21", "127.0.0.1")), STEER_PASS) << "for the kernel itself";
  EXPECT_EQ(verdict(from("10.10.0.21", "224.0.0.1")), STEER_PASS) << "multicast";
  EXPECT_EQ(verdict(from("10.10.0.21", "255.255.255.255")), STEER_PASS) << "broadcast";
  EXPECT_EQ(verdict(tagged(from("10.10.0.21", "198.51.100.1"), 30)), STEER_TO_GATEWAY);
  const Bytes six = ipv6("2001:db8:2::21", "2001:db8:9::1", 17, udp(1, 2, {}));
  EXPECT_EQ(verdict(ether(kLoopbackMac, 0x86dd, six)), STEER_TO_GATEWAY);
  ASSERT_TRUE(steering_->set_gateway(false, {}));
  EXPECT_EQ(verdict(from("10.10.0.21", "198.51.100.1")), STEER_PASS);
}

TEST(Steering, SaysWhichInterfaceIsMissing) {
  const auto missing = Steering::install("hgnosuch0");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  EXPECT_EQ(missing.error().message, "there is no network interface \"hgnosuch0\"");
}

}  // namespace
}  // namespace headgate::xdp
