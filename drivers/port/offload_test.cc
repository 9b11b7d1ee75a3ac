// Software checksums against a recomputation that shares no code with them, over every way of cutting a frame into
// segments.
#include "drivers/port/offload.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include "dataplane/base/rng.h"
#include "drivers/port/testing.h"

namespace headgate::port {
namespace {

using namespace headgate::test;

// `frame` with its headers in the first segment and the rest in pieces of at most `piece` bytes.
rte_mbuf* chain(rte_mempool* pool, const Bytes& frame, std::size_t first, std::size_t piece) {
  rte_mbuf* head =
      mbuf_of(pool, Bytes(frame.begin(), frame.begin() + static_cast<long>(std::min(first, frame.size()))));
  for (std::size_t at = first; at < frame.size(); at += piece) {
    const std::size_t end = std::min(at + piece, frame.size());
    rte_mbuf* next =
        mbuf_of(pool, Bytes(frame.begin() + static_cast<long>(at), frame.begin() + static_cast<long>(end)));
    EXPECT_EQ(rte_pktmbuf_chain(head, next), 0);
  }
  return head;
}

struct Case {
  const char* name;
  bool v6;
  bool tcp;
};

Bytes build(const Case& c, const Bytes& payload, std::size_t& l4_offset) {
  Bytes l4 = c.tcp ? be16(1000) + be16(80) + Bytes(8, 7) + Bytes{0x50, 0x10} + be16(4096) + be16(0xbeef) + be16(0)
                   : be16(1000) + be16(53) + be16(8 + static_cast<unsigned>(payload.size())) + be16(0xbeef);
  l4 = l4 + payload;
  const unsigned protocol = c.tcp ? 6 : 17;
  l4_offset = c.v6 ? 54 : 34;
  return c.v6 ? ether(kPeerMac, 0x86dd, ipv6("2001:db8::1", "2001:db8::2", protocol, l4))
              : ether(kPeerMac, 0x0800, ipv4("192.0.2.1", "192.0.2.2", protocol, l4));
}

// RFC 1071 over the pseudo header and all of layer 4, checksum included: 0 (as internet_sum inverts) when correct.
std::uint16_t verify(const Case& c, const Bytes& frame, std::size_t l4_offset, std::size_t l4_length) {
  const Bytes l4(frame.begin() + static_cast<long>(l4_offset),
                 frame.begin() + static_cast<long>(l4_offset + l4_length));
  const std::size_t addresses = c.v6 ? 32 : 8;
  const Bytes both(frame.begin() + static_cast<long>(l4_offset - addresses),
                   frame.begin() + static_cast<long>(l4_offset));
  return internet_sum(both + be16(c.tcp ? 6 : 17) + be16(static_cast<unsigned>(l4_length)) + l4);
}

TEST(Checksums, AgreeWithAFullRecomputationForEveryCut) {
  const Pool pool = make_pool();
  const std::uint64_t seed = 20240917;
  Rng rng(seed);
  const Case cases[] = {{"tcp4", false, true}, {"udp4", false, false}, {"tcp6", true, true}, {"udp6", true, false}};
  for (int round = 0; round < 400; ++round) {
    const Case& c = cases[round % 4];
    Bytes payload(rng.below(1400));
    for (auto& byte : payload) byte = static_cast<std::uint8_t>(rng.below(256));
    std::size_t l4 = 0;
    Bytes frame = build(c, payload, l4);
    const std::size_t l4_length = frame.size() - l4;
    if (!c.v6) put16(frame, 24, 0x1234);                 // a wrong header checksum, to be replaced
    if (round % 3 == 0) frame = frame + Bytes(6, 0xaa);  // Ethernet padding must not count
    rte_mbuf* m = chain(pool.get(), frame, l4 + (c.tcp ? 20 : 8) + rng.below(5), 1 + rng.below(700));
    m->l2_len = 14;
    m->l3_len = c.v6 ? 40 : 20;
    m->l4_len = c.tcp ? 20 : 8;
    m->ol_flags = (c.v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM) |
                  (c.tcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM);
    ASSERT_EQ(fill_checksums(m), TxVerdict::ready);
    const Bytes out = bytes_of(m);
    EXPECT_EQ(verify(c, out, l4, l4_length), 0) << c.name << " round " << round << " seed " << seed;
    if (!c.v6) {
      EXPECT_EQ(internet_sum(Bytes(out.begin() + 14, out.begin() + 34)), 0) << round;
    }
    EXPECT_EQ(m->ol_flags & (RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK), 0u);
    rte_pktmbuf_free(m);
  }
}

TEST(Checksums, WriteFfffForAUdpSumOfZero) {
  const Pool pool = make_pool(255);
  const Case c{"udp4", false, false};
  // With the two payload bytes set to the checksum of the rest, the sum becomes zero.
  std::size_t l4 = 0;
  rte_mbuf* m = mbuf_of(pool.get(), build(c, be16(0), l4));
  m->l2_len = 14;
  m->l3_len = 20;
  m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM;
  ASSERT_EQ(fill_checksums(m), TxVerdict::ready);
  const Bytes plain = bytes_of(m);
  const auto sum = static_cast<unsigned>(plain[l4 + 6] << 8 | plain[l4 + 7]);
  rte_pktmbuf_free(m);
  m = mbuf_of(pool.get(), build(c, be16(sum), l4));
  m->l2_len = 14;
  m->l3_len = 20;
  m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM;
  ASSERT_EQ(fill_checksums(m), TxVerdict::ready);
  const Bytes out = bytes_of(m);
  EXPECT_EQ(out[l4 + 6], 0xff);
  EXPECT_EQ(out[l4 + 7], 0xff);
  rte_pktmbuf_free(m);
}

TEST(Checksums, RefuseLengthsThatDoNotFit) {
  const Pool pool = make_pool(255);
  const Case c{"tcp4", false, true};
  std::size_t l4 = 0;
  const Bytes frame = build(c, Bytes(10, 1), l4);
  const auto verdict = [&](auto change) {
    rte_mbuf* m = mbuf_of(pool.get(), frame);
    m->l2_len = 14;
    m->l3_len = 20;
    m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
    change(m);
    const TxVerdict out = fill_checksums(m);
    rte_pktmbuf_free(m);
    return out;
  };
  EXPECT_EQ(verdict([](rte_mbuf*) {}), TxVerdict::ready);
  EXPECT_EQ(verdict([](rte_mbuf* m) { m->l3_len = 0; }), TxVerdict::malformed);
  EXPECT_EQ(verdict([](rte_mbuf* m) { m->l2_len = 120; }), TxVerdict::malformed);
  EXPECT_EQ(verdict([](rte_mbuf* m) { *rte_pktmbuf_mtod_offset(m, std::uint8_t*, 16) = 0xff; }), TxVerdict::malformed);
  EXPECT_EQ(verdict([](rte_mbuf* m) { *rte_pktmbuf_mtod_offset(m, std::uint8_t*, 17) = 21; }), TxVerdict::malformed);
}

TEST(MakeLinear, KeepsTheBytesOfChainsAndClones) {
  const Pool pool = make_pool(255);
  Bytes frame(900);
  for (std::size_t i = 0; i < frame.size(); ++i) frame[i] = static_cast<std::uint8_t>(i * 7);
  rte_mbuf* m = chain(pool.get(), frame, 60, 100);
  ASSERT_EQ(make_linear(m, pool.get()), TxVerdict::ready);
  EXPECT_EQ(m->nb_segs, 1);
  EXPECT_EQ(bytes_of(m), frame);
  rte_mbuf* clone = rte_pktmbuf_clone(m, pool.get());
  ASSERT_EQ(make_linear(clone, pool.get()), TxVerdict::ready);
  EXPECT_TRUE(RTE_MBUF_DIRECT(clone));
  EXPECT_EQ(bytes_of(clone), frame);
  rte_pktmbuf_free(clone);
  rte_pktmbuf_free(m);
  EXPECT_EQ(rte_mempool_in_use_count(pool.get()), 0u);
  rte_mbuf* large = chain(pool.get(), Bytes(4000, 1), 60, 1000);
  EXPECT_EQ(make_linear(large, pool.get()), TxVerdict::too_long);
  rte_pktmbuf_free(large);
  EXPECT_EQ(rte_mempool_in_use_count(pool.get()), 0u);
}

}  // namespace
}  // namespace headgate::port
