#include "drivers/port/testing.h"

#include <gtest/gtest.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "drivers/port/eal.h"

namespace headgate::test {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kFrameMax = 16384;

}  // namespace

void shell(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string output;
  std::array<char, 512> line{};
  while (std::fgets(line.data(), line.size(), pipe) != nullptr) output += line.data();
  EXPECT_EQ(::pclose(pipe), 0) << command << "\n" << output;
}

VethPair::VethPair(std::string host_name, std::string peer_name)
    : host(std::move(host_name)), peer(std::move(peer_name)) {
  shell("ip link add " + host + " type veth peer name " + peer);
  for (const std::string& end : {host, peer}) {
    shell("ethtool -K " + end + " tx off rx off tso off gso off gro off >/dev/null; ip link set " + end + " up");
  }
}
VethPair::~VethPair() {
  shell("ip link del " + host);
}

RawSocket::RawSocket(const std::string& interface) : fd_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = __builtin_bswap16(0x0003);  // ETH_P_ALL
  address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
  EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
}
void RawSocket::send(const Bytes& frame) const {
  EXPECT_EQ(::send(fd_.get(), frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()))
      << std::strerror(errno);
}
std::optional<Bytes> RawSocket::receive(const std::function<bool(const Bytes&)>& wanted, int timeout_ms) const {
  const auto end = Clock::now() + std::chrono::milliseconds(timeout_ms);
  while (Clock::now() < end) {
    pollfd waiting{fd_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, 10) <= 0) continue;
    Bytes frame(kFrameMax);
    const ssize_t length = ::recv(fd_.get(), frame.data(), frame.size(), MSG_DONTWAIT);
    if (length < 0) continue;
    frame.resize(static_cast<std::size_t>(length));
    if (wanted(frame)) return frame;
  }
  return std::nullopt;
}

Pool make_pool(unsigned mbufs, std::uint16_t room) {
  static int number = 0;
  Pool pool(rte_pktmbuf_pool_create(("test" + std::to_string(number++)).c_str(), mbufs, 0, 0, room, SOCKET_ID_ANY));
  EXPECT_NE(pool, nullptr);
  return pool;
}

Bytes bytes_of(const rte_mbuf* m) {
  Bytes bytes;
  for (; m != nullptr; m = m->next) {
    const auto* data = rte_pktmbuf_mtod(m, const std::uint8_t*);
    bytes.insert(bytes.end(), data, data + m->data_len);
  }
  return bytes;
}

rte_mbuf* mbuf_of(rte_mempool* pool, const Bytes& frame) {
  rte_mbuf* m = rte_pktmbuf_alloc(pool);
  EXPECT_NE(m, nullptr);
  std::memcpy(rte_pktmbuf_append(m, static_cast<std::uint16_t>(frame.size())), frame.data(), frame.size());
  return m;
}

std::unique_ptr<port::Port> open_port(std::string_view text, rte_mempool* pool) {
  const auto spec = port::parse_port_spec(text);
  EXPECT_TRUE(spec) << spec.error().message;
  if (!spec) return nullptr;
  rte_mempool* const pools[] = {pool};
  auto opened = port::Port::open(*spec, pools, {});
  EXPECT_TRUE(opened) << opened.error().message;
  return opened ? std::move(*opened) : nullptr;
}

std::optional<Bytes> receive(port::Port& port, const std::function<bool(const Bytes&)>& wanted, int timeout_ms) {
  const auto end = Clock::now() + std::chrono::milliseconds(timeout_ms);
  std::optional<Bytes> found;
  while (!found && Clock::now() < end) {
    rte_mbuf* frames[32];
    const std::uint16_t count = port.rx_burst(0, frames, 32);
    for (std::uint16_t i = 0; i < count; ++i) {
      const Bytes frame = bytes_of(frames[i]);
      if (!found && wanted(frame)) found = frame;
      rte_pktmbuf_free(frames[i]);
    }
    if (count == 0) ::usleep(200);
  }
  return found;
}

void send(port::Port& port, rte_mbuf* m) {
  ASSERT_EQ(port.prepare_tx(m, 0), port::TxVerdict::ready);
  ASSERT_EQ(port.tx_burst(0, &m, 1), 1);
}

bool wakes(port::Port& port, int timeout_ms) {
  const auto fd = port.rx_fd(0);
  EXPECT_TRUE(fd.has_value());
  if (!fd) return false;
  pollfd waiting{*fd, POLLIN, 0};
  const auto end = Clock::now() + std::chrono::milliseconds(timeout_ms);
  // net_tap learns of frames by SIGIO, which interrupts poll.
  int ready = 0;
  while ((ready = ::poll(&waiting, 1, 50)) <= 0 && Clock::now() < end) {
  }
  return ready == 1 && (waiting.revents & POLLIN) != 0;
}

void drain(port::Port& port) {
  receive(port, [](const Bytes&) { return false; }, 100);
}

}  // namespace headgate::test

namespace {

// `PROGRAM --hold SPEC ADDRESS`: opens a port, announces it and waits to be killed. The tests' own victim.
int hold(const char* spec, const char* address) {
  const headgate::test::Pool pool = headgate::test::make_pool();
  const auto port = headgate::test::open_port(spec, pool.get());
  if (!port) return 1;
  const std::vector<headgate::IpAddress> set{*headgate::parse_ip(address)};
  if (port->steering() != nullptr && !port->steering()->set_addresses(set)) return 1;
  std::puts("holding");
  std::fflush(stdout);
  while (true) ::pause();
}

}  // namespace

// libxdp 1.3 loses its 80 bytes per socket when a port is closed.
extern "C" const char* __lsan_default_suppressions() {  // NOLINT(bugprone-reserved-identifier): the sanitizer's name
  return "leak:xsk_umem__create\n";
}

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const bool victim = argc == 4 && std::string_view(argv[1]) == "--hold";
  if (::geteuid() != 0) {
    std::fprintf(stderr, "these tests open network devices: run them as root\n");
    return 1;
  }
  // Before EAL makes threads: they inherit the namespace.
  if (!victim && ::unshare(CLONE_NEWNET) != 0) {
    std::perror("cannot make a network namespace");
    return 1;
  }
  // No IPv6 of the kernel's own on what the tests make: its announcements would wake who should sleep.
  if (!victim) headgate::test::shell("ip link set lo up; echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
  const auto started = headgate::port::init_eal({.program = argv[0],
                                                 .lcores = "0",
                                                 .memory_mb = 128,
                                                 .hugepages = std::getenv("HEADGATE_TEST_HUGEPAGES") != nullptr});
  if (!started) {
    std::fprintf(stderr, "%s\n", started.error().message.c_str());
    return 1;
  }
  const int result = victim ? hold(argv[2], argv[3]) : RUN_ALL_TESTS();
  // No rte_eal_cleanup: it unmaps memory that EAL's interrupt thread still reads (README, traps).
  return result;
}
