// Every kind of port that needs no steering, over the real drivers.
#include "drivers/port/port.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>

#include "drivers/port/buffers.h"
#include "drivers/port/eal.h"
#include "drivers/port/testing.h"

namespace headgate::port {
namespace {

using namespace headgate::test;

Bytes some_frame(std::uint8_t mark, std::size_t payload = 100) {
  return ether(kBroadcastMac, 0x88b5,
               Bytes(payload, mark));  // an EtherType for experiments: the kernel does not answer
}

std::string error_of(std::string_view text, rte_mempool* pool) {
  rte_mempool* const pools[] = {pool};
  const auto port = Port::open(*parse_port_spec(text), pools, {});
  return port ? "no error" : port.error().message;
}

TEST(NullPort, SwallowsFramesAndGivesNone) {
  const Pool pool = make_pool(1023);
  const auto port = open_port("n=null", pool.get());
  ASSERT_TRUE(port);
  EXPECT_EQ(port->driver(), "net_null");
  send(*port, mbuf_of(pool.get(), some_frame(1)));
  rte_mbuf* frames[4];
  EXPECT_EQ(port->rx_burst(0, frames, 4), 0);
  EXPECT_FALSE(port->rx_fd(0).has_value());
  EXPECT_EQ(port->stats().tx_frames, 1u);
  EXPECT_EQ(rte_mempool_in_use_count(pool.get()), 0u);
}

// net_null keeps a key and a table like a NIC, so it can stand for one here.
TEST(NullPort, ShowsHowRssIsProgrammedAndReadBack) {
  const Pool pool = make_pool(1023);
  rte_mempool* const pools[] = {pool.get()};
  const auto port =
      Port::open(*parse_port_spec("n=null,queues=4"), pools, {.workers = 4, .buckets = BucketMap::equal_shares(4)});
  ASSERT_TRUE(port) << port.error().message;
  EXPECT_EQ((*port)->queues(), 4);
  const RssState& rss = (*port)->rss_state();
  ASSERT_TRUE(rss.programmed) << rss.reason;
  for (const std::uint32_t hash : {0u, 1u, 127u, 128u, 0xdeadbeefu})
    EXPECT_EQ((*port)->queue_of_hash(hash), (hash & 127) % 4);
}

TEST(RingPort, ReceivesWhatItSends) {
  const Pool pool = make_pool(1023);
  const auto port = open_port("r=ring", pool.get());
  ASSERT_TRUE(port);
  const Bytes frame = some_frame(2);
  send(*port, mbuf_of(pool.get(), frame));
  EXPECT_TRUE(receive(*port, equals(frame)));
  EXPECT_EQ(rte_mempool_in_use_count(pool.get()), 0u);
}

TEST(PcapPort, WritesACaptureThatItCanRead) {
  const Pool pool = make_pool(1023);
  const std::string file = "/tmp/headgate_port_test_" + std::to_string(::getpid()) + ".pcap";
  const Bytes frame = some_frame(3);
  {
    const auto out = open_port("o=pcap:,out=" + file, pool.get());
    ASSERT_TRUE(out);
    send(*out, mbuf_of(pool.get(), frame));
  }
  {
    const auto in = open_port("i=pcap:" + file, pool.get());
    ASSERT_TRUE(in);
    EXPECT_TRUE(receive(*in, equals(frame)));
  }
  ::unlink(file.c_str());
  EXPECT_EQ(rte_mempool_in_use_count(pool.get()), 0u);
}

TEST(TapPort, MovesFramesBothWaysAndWakesASleeper) {
  const Pool pool = make_pool(4095);
  const auto port = open_port("t=tap:hgtap0,mac=02:00:00:00:00:77,mtu=1400", pool.get());
  ASSERT_TRUE(port);
  const KernelInterface kernel("hgtap0");
  EXPECT_EQ(to_string(*kernel.mac()), "02:00:00:00:00:77");
  EXPECT_EQ(kernel.mtu(), 1400);
  EXPECT_TRUE(kernel.running());
  EXPECT_TRUE(port->link().up);
  const RawSocket peer("hgtap0");
  drain(*port);
  EXPECT_FALSE(wakes(*port, 100)) << "nothing was sent";
  const Bytes in = some_frame(4), out = some_frame(5);
  peer.send(in);
  EXPECT_TRUE(wakes(*port, 1000));
  EXPECT_TRUE(receive(*port, equals(in)));
  send(*port, mbuf_of(pool.get(), out));
  EXPECT_TRUE(peer.receive(equals(out)));
}

TEST(TapPort, GoesAwayWhenClosed) {
  const Pool pool = make_pool(4095);
  open_port("t=tap:hgtap1", pool.get()).reset();
  EXPECT_FALSE(KernelInterface("hgtap1").exists());
}

TEST(AfPacketPort, MovesFramesBothWaysAndWakesASleeper) {
  const VethPair pair("hgp0", "hgp1");
  const Pool pool = make_pool(4095);
  const auto port = open_port("f=af_packet:hgp0", pool.get());
  ASSERT_TRUE(port);
  const RawSocket peer(pair.peer), kernel(pair.host);
  drain(*port);
  EXPECT_FALSE(wakes(*port, 50)) << "nothing was sent";
  const Bytes in = some_frame(6), out = some_frame(7), own = some_frame(8), vlan = tagged(some_frame(9), 42);
  peer.send(in);
  EXPECT_TRUE(wakes(*port, 1000));
  EXPECT_TRUE(receive(*port, equals(in)));
  peer.send(vlan);
  EXPECT_TRUE(receive(*port, equals(vlan))) << "the tag must still be in the frame";
  rte_mbuf* m = mbuf_of(pool.get(), Bytes(out.begin(), out.begin() + 30));
  ASSERT_EQ(rte_pktmbuf_chain(m, mbuf_of(pool.get(), Bytes(out.begin() + 30, out.end()))), 0);
  send(*port, m);
  EXPECT_TRUE(peer.receive(equals(out)));
  kernel.send(own);
  EXPECT_TRUE(peer.receive(equals(own)));
  EXPECT_FALSE(receive(*port, equals(own), 100)) << "what the kernel sends must not come in as received";
}

TEST(AfPacketPort, SeesTheLinkGoDown) {
  const VethPair pair("hgp0", "hgp1");
  const Pool pool = make_pool(4095);
  const auto port = open_port("f=af_packet:hgp0", pool.get());
  ASSERT_TRUE(port);
  EXPECT_TRUE(port->link().up);
  shell("ip link set hgp1 down");
  EXPECT_FALSE(port->link().up);
  shell("ip link set hgp1 up");
  EXPECT_TRUE(port->link().up);
}

TEST(AfPacketPort, AnInterfaceThatWasDownDoesNotKeepWorkersAwake) {
  const VethPair pair("hgp0", "hgp1");
  shell("ip link set hgp0 down");
  const Pool pool = make_pool(4095);
  const auto port = open_port("f=af_packet:hgp0", pool.get());
  ASSERT_TRUE(port);
  const auto error_pending = [&] {
    pollfd waiting{port->rx_fd(0).value_or(-1), POLLIN, 0};
    ::poll(&waiting, 1, 0);
    return (waiting.revents & POLLERR) != 0;
  };
  EXPECT_FALSE(error_pending()) << "down before the port was opened";
  shell("ip link set hgp0 down");
  EXPECT_FALSE(port->link().up);
  EXPECT_FALSE(error_pending()) << "went down while the port was open";
}

TEST(AfPacketPort, TakesJumboFramesWhenTheBuffersDo) {
  const VethPair pair("hgp0", "hgp1");
  shell("ip link set hgp1 mtu 9000");
  const Pool small = make_pool(1023), large = make_pool(1023, 16384 + RTE_PKTMBUF_HEADROOM);
  EXPECT_EQ(
      error_of("f=af_packet:hgp0,mtu=9000", small.get()),
      "port f (af_packet:hgp0): an MTU of 9000 needs buffers of 9022 bytes, the pool's have 2048, and net_af_packet "
      "cannot spread a frame over several; lower the MTU");
  const auto port = open_port("f=af_packet:hgp0,mtu=9000", large.get());
  ASSERT_TRUE(port);
  EXPECT_EQ(port->mtu(), 9000);
  const RawSocket peer(pair.peer);
  const Bytes frame = some_frame(10, 8900);
  peer.send(frame);
  EXPECT_TRUE(receive(*port, equals(frame)));
  send(*port, mbuf_of(large.get(), frame));
  EXPECT_TRUE(peer.receive(equals(frame)));
}

// A pool as main makes it for the port.
Pool pool_for(std::string_view spec) {
  const auto room = buffer_room_for(*parse_port_spec(spec));
  EXPECT_TRUE(room) << room.error().message;
  return make_pool(2047, *room);
}

TEST(Buffers, HoldAFrameOfTheMtuOrSayWhichMtuTheyCouldHold) {
  EXPECT_EQ(buffer_room_for(*parse_port_spec("n=null")), RTE_MBUF_DEFAULT_BUF_SIZE);
  EXPECT_GE(*buffer_room_for(*parse_port_spec("n=null,mtu=9000")), 9000 + 22 + RTE_PKTMBUF_HEADROOM);
  const auto most = buffer_room_for(*parse_port_spec("x=af_xdp:none,mtu=3434"));
  ASSERT_TRUE(most) << most.error().message;
  const auto error = buffer_room_for(*parse_port_spec("x=af_xdp:none,mtu=9000"));
  ASSERT_FALSE(error);
  EXPECT_EQ(
      error.error().message,
      "port x (af_xdp:none): an MTU of 9000 does not fit, since AF_XDP wants a frame in one page; at most 3434 is "
      "possible, or use af_packet");
}

TEST(Buffers, AnAfPacketPortTakesJumboFrames) {
  const VethPair pair("hgp0", "hgp1");
  shell("ip link set hgp1 mtu 9000");
  const Pool pool = pool_for("f=af_packet:hgp0,mtu=9000");
  const auto port = open_port("f=af_packet:hgp0,mtu=9000", pool.get());
  ASSERT_TRUE(port);
  const RawSocket peer(pair.peer);
  const Bytes frame = some_frame(12, 9000);
  peer.send(frame);
  EXPECT_TRUE(receive(*port, equals(frame)));
  send(*port, mbuf_of(pool.get(), frame));
  EXPECT_TRUE(peer.receive(equals(frame)));
}

TEST(Buffers, AnAfPacketPortWithoutAnMtuTakesTheInterfaces) {
  const VethPair pair("hgp0", "hgp1");
  shell("ip link set hgp0 mtu 9000; ip link set hgp1 mtu 9000");
  const Pool pool = pool_for("f=af_packet:hgp0");
  const auto port = open_port("f=af_packet:hgp0", pool.get());
  ASSERT_TRUE(port);
  EXPECT_EQ(port->mtu(), 9000);
}

TEST(Buffers, ATapPortRefusesAnMtuThatItsDriverWouldNotSend) {
  const Pool pool = make_pool(4095);
  EXPECT_EQ(error_of("t=tap:hgtap9,mtu=9000", pool.get()),
            "port t (tap:hgtap9): net_tap sends no frame above an MTU of 1500; lower mtu=");
  const auto port = open_port("t=tap:hgtap9,mtu=1500", pool.get());
  ASSERT_TRUE(port);
  const RawSocket peer("hgtap9");
  const Bytes out = some_frame(14, 1500);
  send(*port, mbuf_of(pool.get(), out));
  EXPECT_TRUE(peer.receive(equals(out)));
}

TEST(Buffers, AMemifPortTakesJumboFrames) {
  const std::string socket = "/tmp/headgate_memif9_" + std::to_string(::getpid()) + ".sock";
  const Pool pool = pool_for("ms9=memif:" + socket + ",role=server,mtu=9000");
  auto server = open_port("ms9=memif:" + socket + ",role=server,mtu=9000", pool.get());
  auto client = open_port("mc9=memif:" + socket + ",mtu=9000", pool.get());
  ASSERT_TRUE(server && client);
  for (int i = 0; i < 300 && !(server->link().up && client->link().up); ++i) ::usleep(10'000);
  ASSERT_TRUE(server->link().up && client->link().up);
  const Bytes frame = some_frame(15, 9000);
  drain(*client);
  send(*client, mbuf_of(pool.get(), frame));
  EXPECT_TRUE(receive(*server, equals(frame)));
  client.reset();
  for (int i = 0; i < 300 && server->link().up; ++i) ::usleep(10'000);
  ::usleep(50'000);
}

TEST(MemifPort, ConnectsTwoEnds) {
  const Pool pool = make_pool(8191);
  const std::string socket = "/tmp/headgate_memif_" + std::to_string(::getpid()) + ".sock";
  auto server = open_port("ms=memif:" + socket + ",role=server", pool.get());
  auto client = open_port("mc=memif:" + socket, pool.get());
  ASSERT_TRUE(server && client);
  for (int i = 0; i < 300 && !(server->link().up && client->link().up); ++i) ::usleep(10'000);
  ASSERT_TRUE(server->link().up && client->link().up);
  const Bytes frame = some_frame(11);
  drain(
      *client);  // a client hands out the buffers it receives into when it first polls; until then a server cannot send
  send(*client, mbuf_of(pool.get(), frame));
  EXPECT_TRUE(receive(*server, equals(frame)));
  send(*server, mbuf_of(pool.get(), frame));
  EXPECT_TRUE(receive(*client, equals(frame)));
  EXPECT_FALSE(server->rx_fd(0).has_value());
  // One after the other: see the README about both at once.
  client.reset();
  for (int i = 0; i < 300 && server->link().up; ++i) ::usleep(10'000);
  EXPECT_FALSE(server->link().up);
  ::usleep(50'000);
}

TEST(PrepareTx, FillsChecksumsForAPortWithoutThem) {
  const Pool pool = make_pool(1023);
  const auto port = open_port("r2=ring", pool.get());
  ASSERT_TRUE(port);
  Bytes frame = ether(kPeerMac, 0x0800, ipv4("192.0.2.1", "192.0.2.2", 17, udp(1, 2, {1, 2, 3})));
  put16(frame, 24, 0);
  rte_mbuf* m = mbuf_of(pool.get(), frame);
  m->l2_len = 14;
  m->l3_len = 20;
  m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_CKSUM;
  send(*port, m);
  EXPECT_TRUE(receive(*port, [](const Bytes& got) {
    return internet_sum(Bytes(got.begin() + 14, got.begin() + 34)) == 0 && (got[40] | got[41]) != 0;
  }));
  m = mbuf_of(pool.get(), frame);
  m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_SEG;
  EXPECT_EQ(port->prepare_tx(m, 0), TxVerdict::tso_unsupported);
  rte_pktmbuf_free(m);
}

TEST(OpenErrors, AreOneSentenceWithWhatToDo) {
  const Pool pool = make_pool(255);
  EXPECT_EQ(
      error_of("f=af_xdp:hgnone0", pool.get()),
      "port f (af_xdp:hgnone0): there is no network interface \"hgnone0\" in this network namespace; `ip link` lists "
      "them");
  EXPECT_EQ(error_of("f=pci:0fff:01:00.0", pool.get()),
            "port f (pci:0fff:01:00.0): there is no PCI device 0fff:01:00.0; `lspci -D` lists them");
  EXPECT_EQ(
      error_of("f=tap:lo", pool.get()),
      "port f (tap:lo): the kernel already has an interface lo; choose another name or remove it with `ip link del`");
  const auto first = open_port("same=null", pool.get());
  EXPECT_EQ(error_of("same=null", pool.get()),
            "port same (null): another port has this name already; names are unique");
  EXPECT_EQ(init_eal({.hugepages = false}).error().message.substr(0, 61),
            "DPDK cannot start (it was started before in this process); it");
}

TEST(Eal, SaysHowManyHugepagesAreMissing) {
  const auto started = init_eal({.memory_mb = 1u << 20});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::exhausted);
  EXPECT_NE(started.error().message.find("sysctl vm.nr_hugepages=524288"), std::string::npos)
      << started.error().message;
}

}  // namespace
}  // namespace headgate::port
