// AF_XDP on a veth end: what is the dataplane's arrives here, what is the kernel's stays there, and a restart after
// kill -9 loses neither the address set nor time.
#include <gtest/gtest.h>
#include <net/if.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>

#include "drivers/port/testing.h"

namespace headgate::port {
namespace {

using namespace headgate::test;
using Clock = std::chrono::steady_clock;

constexpr const char* kKernel = "192.0.2.11";
constexpr const char* kService = "192.0.2.100";
constexpr const char* kService6 = "2001:db8:1::100";

// hgx0 is the box's end with a kernel address on it; hgx1 is the wire.
class AfXdp : public testing::Test {
 protected:
  void SetUp() override {
    shell("ip addr add 192.0.2.11/24 dev hgx0");
    shell("ip neigh add 192.0.2.10 lladdr 02:00:00:00:00:01 dev hgx0");
    mac_ = *KernelInterface("hgx0").mac();
  }

  Bytes datagram(const char* to, std::uint8_t mark) const {
    return ether(mac_, 0x0800, ipv4("192.0.2.10", to, 17, udp(1000, 2000, Bytes(40, mark))));
  }
  // Sent on the wire, does it come to the port (true) or to the kernel (false)?
  bool comes_to(Port& port, const Bytes& frame) const {
    wire_.send(frame);
    if (receive(port, equals(frame), 300)) return true;
    EXPECT_TRUE(kernel_.receive(equals(frame), 300)) << "neither got it";
    return false;
  }
  bool kernel_answers_ping() const {
    Bytes echo{8, 0, 0, 0, 1, 2, 3, 4};
    put16(echo, 2, internet_sum(echo));
    wire_.send(ether(mac_, 0x0800, ipv4("192.0.2.10", kKernel, 1, echo)));
    return wire_.receive([](const Bytes& got) { return got.size() >= 35 && got[23] == 1 && got[34] == 0; }).has_value();
  }
  static void set(Port& port, std::vector<IpAddress> addresses) {
    const auto done = port.steering()->set_addresses(addresses);
    ASSERT_TRUE(done) << done.error().message;
  }

  const VethPair pair_{"hgx0", "hgx1"};
  const RawSocket wire_{"hgx1"}, kernel_{"hgx0"};
  const Pool pool_ = make_pool(12287);  // a port takes 2,048 for good, and some lie where AF_XDP cannot have them
  MacAddress mac_;
};

TEST_F(AfXdp, DividesTheInterfaceWithTheKernel) {
  const auto port = open_port("f=af_xdp:hgx0", pool_.get());
  ASSERT_TRUE(port);
  ASSERT_NE(port->steering(), nullptr);
  EXPECT_STREQ(port->steering()->mode(), "native");
  EXPECT_FALSE(port->offloads().multi_segment);
  EXPECT_FALSE(comes_to(*port, datagram(kService, 1))) << "the set is empty at first";
  set(*port, {*parse_ip(kService), *parse_ip(kService6)});

  EXPECT_TRUE(comes_to(*port, datagram(kService, 2)));
  EXPECT_FALSE(comes_to(*port, datagram(kKernel, 3)));
  EXPECT_TRUE(kernel_answers_ping());
  EXPECT_TRUE(comes_to(*port, tagged(datagram(kService, 4), 30)));
  EXPECT_TRUE(comes_to(*port, ether(kBroadcastMac, 0x0806, arp(1, kPeerMac, "192.0.2.10", kService))));
  EXPECT_FALSE(comes_to(*port, ether(kBroadcastMac, 0x0806, arp(1, kPeerMac, "192.0.2.10", kKernel))));
  const MacAddress solicited{{0x33, 0x33, 0xff, 0x00, 0x01, 0x00}};
  EXPECT_TRUE(comes_to(
      *port, ether(solicited, 0x86dd,
                   ipv6("fe80::1", "ff02::1:ff00:100", 58, nd(135, "fe80::1", "ff02::1:ff00:100", kService6)))));
  const Bytes quoted = ipv4(kService, "198.51.100.1", 6, Bytes(8, 0));
  EXPECT_TRUE(comes_to(*port, ether(mac_, 0x0800, ipv4("192.0.2.1", kKernel, 1, icmp_error_v4(3, quoted)))));

  set(*port, {*parse_ip("192.0.2.101")});
  EXPECT_FALSE(comes_to(*port, datagram(kService, 5))) << "removed at run time";
  EXPECT_TRUE(comes_to(*port, datagram("192.0.2.101", 6))) << "added at run time";
  const auto counters = port->steering()->counters();
  ASSERT_TRUE(counters);
  EXPECT_GE((*counters)[STEER_TO_ARP], 1u);
  EXPECT_GE((*counters)[STEER_TO_NEIGHBOR], 1u);
  EXPECT_GE((*counters)[STEER_TO_ICMP_ERROR], 1u);
}

TEST_F(AfXdp, AnotherHandCanSteerARunningInterface) {
  const auto port = open_port("f=af_xdp:hgx0", pool_.get());
  ASSERT_TRUE(port);
  auto other = xdp::Steering::attach_to(if_nametoindex("hgx0"));
  ASSERT_TRUE(other) << other.error().message;
  const std::vector<IpAddress> addresses{*parse_ip(kService)};
  ASSERT_TRUE(other->set_addresses(addresses));
  EXPECT_TRUE(comes_to(*port, datagram(kService, 1)));
}

TEST_F(AfXdp, TakesTrafficOfTheServersItIsTheGatewayOf) {
  const auto port = open_port("f=af_xdp:hgx0", pool_.get());
  ASSERT_TRUE(port);
  const std::vector<IpPrefix> prefixes{*parse_prefix("192.0.2.0/24")};
  const auto on = port->steering()->set_gateway(true, prefixes);
  ASSERT_TRUE(on) << on.error().message;
  EXPECT_TRUE(comes_to(*port, datagram("198.51.100.1", 1)));
  EXPECT_FALSE(comes_to(*port, datagram(kKernel, 2)));
  EXPECT_TRUE(kernel_answers_ping());
  shell("ip addr add 192.0.2.12/24 dev hgx0");
  ASSERT_TRUE(port->steering()->refresh_kernel_addresses());
  EXPECT_FALSE(comes_to(*port, datagram("192.0.2.12", 3)));
}

TEST_F(AfXdp, GivesEverythingWhenNotSteered) {
  const auto port = open_port("f=af_xdp:hgx0,steer=all", pool_.get());
  ASSERT_TRUE(port);
  EXPECT_EQ(port->steering(), nullptr);
  EXPECT_TRUE(comes_to(*port, datagram(kKernel, 1)));
}

TEST_F(AfXdp, SendsWholeFramesHoweverTheyAreCut) {
  const auto port = open_port("f=af_xdp:hgx0", pool_.get());
  ASSERT_TRUE(port);
  Bytes frame = ether(kPeerMac, 0x88b5, Bytes(900, 0));
  for (std::size_t i = 14; i < frame.size(); ++i) frame[i] = static_cast<std::uint8_t>(i);
  const auto part = [&](long from, long to) {
    return mbuf_of(pool_.get(), Bytes(frame.begin() + from, frame.begin() + to));
  };
  send(*port, part(0, 914));
  EXPECT_TRUE(wire_.receive(equals(frame))) << "one segment";
  rte_mbuf* chained = part(0, 60);
  ASSERT_EQ(rte_pktmbuf_chain(chained, part(60, 500)), 0);
  ASSERT_EQ(rte_pktmbuf_chain(chained, part(500, 914)), 0);
  send(*port, chained);
  EXPECT_TRUE(wire_.receive(equals(frame))) << "three segments";
  rte_mbuf* original = part(0, 914);
  send(*port, rte_pktmbuf_clone(original, pool_.get()));
  EXPECT_TRUE(wire_.receive(equals(frame))) << "a clone";
  rte_pktmbuf_free(original);
  const Pool other = make_pool(255);
  send(*port, mbuf_of(other.get(), frame));
  EXPECT_TRUE(wire_.receive(equals(frame))) << "a buffer of another pool";
}

// Buffers come from anywhere in the pool once enough of them are held for a while.
TEST_F(AfXdp, SendsAndReceivesWithEveryBufferOfThePool) {
  const auto port = open_port("f=af_xdp:hgx0", pool_.get());
  ASSERT_TRUE(port);
  set(*port, {*parse_ip(kService)});
  std::vector<rte_mbuf*> held;
  while (rte_mbuf* m = rte_pktmbuf_alloc(pool_.get())) held.push_back(m);
  std::sort(held.begin(), held.end());
  constexpr std::size_t kTried = 64;
  ASSERT_GT(held.size(), kTried);
  for (std::uint8_t i = 0; i < kTried; ++i) {
    const Bytes frame = ether(kPeerMac, 0x88b5, Bytes(60, i));
    std::memcpy(rte_pktmbuf_append(held.back(), static_cast<std::uint16_t>(frame.size())), frame.data(), frame.size());
    send(*port, held.back());  // comes back, once sent, to be received into: the pool has no other
    held.pop_back();
    ASSERT_TRUE(wire_.receive(equals(frame))) << "buffer " << int{i} << " from the end";
  }
  for (int i = 0; i < 3 * 2048; ++i) ASSERT_TRUE(comes_to(*port, datagram(kService, 1))) << "frame " << i;
  rte_pktmbuf_free_bulk(held.data(), static_cast<unsigned>(held.size()));
}

TEST_F(AfXdp, WakesASleeper) {
  const auto port = open_port("f=af_xdp:hgx0", pool_.get());
  ASSERT_TRUE(port);
  set(*port, {*parse_ip(kService)});
  drain(*port);
  EXPECT_FALSE(wakes(*port, 100)) << "nothing was sent";
  std::jthread later([&] {
    ::usleep(50'000);
    wire_.send(datagram(kService, 1));
  });
  const auto start = Clock::now();
  EXPECT_TRUE(wakes(*port, 2000));
  const auto slept = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
  later.join();
  EXPECT_GE(slept, 40);
  EXPECT_LT(slept, 1000);
  EXPECT_TRUE(receive(*port, equals(datagram(kService, 1))));
}

TEST_F(AfXdp, FollowsCarrierThatTheDriverDoesNotReport) {
  const auto port = open_port("f=af_xdp:hgx0", pool_.get());
  ASSERT_TRUE(port);
  EXPECT_TRUE(port->link().up);
  shell("ip link set hgx1 down");
  EXPECT_FALSE(port->link().up);
}

TEST_F(AfXdp, ClosesWithoutTraceAndOpensAgain) {
  for (std::uint8_t round = 0; round < 3; ++round) {
    const auto port = open_port("f=af_xdp:hgx0", pool_.get());
    ASSERT_TRUE(port) << "round " << int{round};
    EXPECT_FALSE(port->steering()->took_over()) << "the program was left behind";
    set(*port, {*parse_ip(kService)});
    EXPECT_TRUE(comes_to(*port, datagram(kService, round)));
  }
  EXPECT_FALSE(xdp::Steering::attach_to(if_nametoindex("hgx0")));
}

TEST_F(AfXdp, SaysWhyItDoesNotOpen) {
  const auto error_of = [](const char* text, rte_mempool* pool) {
    rte_mempool* const pools[] = {pool};
    const auto port = Port::open(*parse_port_spec(text), pools, {});
    return port ? std::string("no error") : port.error().message;
  };
  const Pool small = make_pool(1023), large = make_pool(4095, 9000);
  EXPECT_EQ(error_of("f=af_xdp:hgx0", small.get()), "port f (af_xdp:hgx0): pool " + std::string(small->name) +
                                                        " has 1023 free mbufs; AF_XDP takes 2048 per queue");
  EXPECT_NE(error_of("f=af_xdp:hgx0", large.get()).find("AF_XDP takes at most one page"), std::string::npos);
  const auto zero_copy = error_of("f=af_xdp:hgx0,zero_copy=on", pool_.get());
  EXPECT_NE(zero_copy.find("has no AF_XDP zero copy; leave zero_copy away"), std::string::npos) << zero_copy;
  const auto mtu = error_of("f=af_xdp:hgx0,mtu=3000", pool_.get());
  EXPECT_NE(mtu.find("an MTU of 3000 needs buffers of 3278 bytes and the pool's have 2048"), std::string::npos) << mtu;
}

// A dataplane in a process of its own.
class Victim {
 public:
  Victim(const char* spec, const char* address) {
    int pipe[2];
    EXPECT_EQ(::pipe(pipe), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(pipe[1], 1);
      ::close(pipe[0]);
      ::execl("/proc/self/exe", "victim", "--hold", spec, address, nullptr);
      ::_exit(127);
    }
    ::close(pipe[1]);
    std::string text;
    char byte = 0;
    while (text.find("holding") == std::string::npos && ::read(pipe[0], &byte, 1) == 1) text += byte;
    EXPECT_NE(text.find("holding"), std::string::npos) << text;
    ::close(pipe[0]);
  }
  void kill_hard() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  ~Victim() { kill_hard(); }

 private:
  pid_t pid_ = 0;
};

TEST_F(AfXdp, LeavesALiveOwnerAlone) {
  Victim owner("v=af_xdp:hgx0", kService);
  rte_mempool* const pools[] = {pool_.get()};
  const auto port = Port::open(*parse_port_spec("f=af_xdp:hgx0"), pools, {});
  ASSERT_FALSE(port);
  EXPECT_NE(port.error().message.find("receive queue 0 of hgx0 is in use by another AF_XDP program"), std::string::npos)
      << port.error().message;
  const auto steering = xdp::Steering::attach_to(if_nametoindex("hgx0"));
  ASSERT_TRUE(steering) << "its program must still be there";
  EXPECT_EQ(steering->addresses()->size(), 1u);
}

TEST_F(AfXdp, TakesOverAtOnceAfterKillNine) {
  Victim dead("v=af_xdp:hgx0", kService);
  dead.kill_hard();
  wire_.send(datagram(kService, 1));
  EXPECT_FALSE(kernel_.receive(equals(datagram(kService, 1)), 200)) << "the kernel must stay silent after a crash";
  EXPECT_TRUE(kernel_answers_ping()) << "and still have what is its own";

  Victim again("v=af_xdp:hgx0", kService);
  // A stream all through the second crash and the restart: nothing of it may reach the kernel.
  std::jthread stream([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      wire_.send(datagram(kService, 9));
      ::usleep(500);
    }
  });
  const auto start = Clock::now();
  again.kill_hard();
  const auto port = open_port("f=af_xdp:hgx0", pool_.get());
  ASSERT_TRUE(port);
  EXPECT_TRUE(port->steering()->took_over());
  EXPECT_TRUE(receive(*port, equals(datagram(kService, 9)))) << "the address set is inherited";
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
  stream.request_stop();
  stream.join();
  std::printf("kill -9 to first frame: %ld ms\n", static_cast<long>(took));
  EXPECT_LT(took, 10'000) << "some 100 ms on an idle machine; no timed test";
  EXPECT_FALSE(kernel_.receive(equals(datagram(kService, 9)), 200)) << "there was a moment without steering";
}

TEST_F(AfXdp, AFailedRestartKeepsTheKernelSilent) {
  {
    Victim dead("v=af_xdp:hgx0", kService);
  }
  rte_mempool* const pools[] = {pool_.get()};
  // Fails after the programs were swapped.
  EXPECT_FALSE(Port::open(*parse_port_spec("f=af_xdp:hgx0,mtu=3000"), pools, {}));
  shell("ip link set hgx0 mtu 1500");
  wire_.send(datagram(kService, 1));
  EXPECT_FALSE(kernel_.receive(equals(datagram(kService, 1)), 200));
}

}  // namespace
}  // namespace headgate::port
