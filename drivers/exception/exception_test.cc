#include "drivers/exception/exception.h"

#include <gtest/gtest.h>

#include "drivers/port/testing.h"

namespace headgate::exception {
namespace {

using namespace headgate::test;

constexpr MacAddress kPortMac{{0x02, 0, 0, 0, 0, 0x42}};

TEST(Exception, IsAKernelInterfaceLikeThePort) {
  const Pool pool = make_pool(4095);
  rte_mempool* const pools[] = {pool.get()};
  auto opened = open({.interface = "hgexc0", .mac = kPortMac, .mtu = 1400}, pools);
  ASSERT_TRUE(opened) << opened.error().message;
  const port::KernelInterface kernel("hgexc0");
  EXPECT_EQ(kernel.mac(), kPortMac);
  EXPECT_EQ(kernel.mtu(), 1400);
  EXPECT_TRUE(kernel.running());
  opened->reset();
  EXPECT_FALSE(kernel.exists());
}

TEST(Exception, LetsTheKernelAnswer) {
  const Pool pool = make_pool(4095);
  rte_mempool* const pools[] = {pool.get()};
  const auto opened = open({.interface = "hgexc0", .mac = kPortMac}, pools);
  ASSERT_TRUE(opened) << opened.error().message;
  port::Port& device = **opened;
  shell("ip addr add 192.0.2.11/24 dev hgexc0; ip neigh add 192.0.2.10 lladdr 02:00:00:00:00:01 dev hgexc0");
  Bytes echo{8, 0, 0, 0, 1, 2, 3, 4};
  put16(echo, 2, internet_sum(echo));
  send(device, mbuf_of(pool.get(), ether(kPortMac, 0x0800, ipv4("192.0.2.10", "192.0.2.11", 1, echo))));
  const auto reply = receive(device, [](const Bytes& got) { return got.size() >= 42 && got[23] == 1 && got[34] == 0; });
  ASSERT_TRUE(reply);
  EXPECT_EQ(Bytes(reply->begin() + 6, reply->begin() + 12), mac_bytes(kPortMac)) << "from the port's own address";
}

// The kernel leaves checksums to the "NIC" when the TAP claims to be able; then they would leave the box wrong.
TEST(Exception, GetsWholeChecksumsFromTheKernel) {
  const Pool pool = make_pool(4095);
  rte_mempool* const pools[] = {pool.get()};
  const auto opened = open({.interface = "hgexc0", .mac = kPortMac}, pools);
  ASSERT_TRUE(opened) << opened.error().message;
  shell("ip addr add 192.0.2.11/24 dev hgexc0; ip neigh add 192.0.2.10 lladdr 02:00:00:00:00:01 dev hgexc0");
  shell("bash -c 'echo hello > /dev/udp/192.0.2.10/9'");
  const auto frame = receive(
      **opened, [](const Bytes& got) { return got.size() >= 42 && got[12] == 8 && got[13] == 0 && got[23] == 17; });
  ASSERT_TRUE(frame);
  const std::size_t length = static_cast<std::size_t>((*frame)[38] << 8 | (*frame)[39]);
  const Bytes addresses(frame->begin() + 26, frame->begin() + 34);
  const Bytes datagram(frame->begin() + 34, frame->begin() + 34 + static_cast<long>(length));
  EXPECT_EQ(internet_sum(addresses + be16(17) + be16(static_cast<unsigned>(length)) + datagram), 0);
}

TEST(Exception, RefusesANameThatIsTaken) {
  const Pool pool = make_pool(1023);
  rte_mempool* const pools[] = {pool.get()};
  const auto opened = open({.interface = "lo"}, pools);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("the kernel already has an interface lo"), std::string::npos);
}

}  // namespace
}  // namespace headgate::exception
