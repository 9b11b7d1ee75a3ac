#include "drivers/port/offload.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include <algorithm>
#include <cstring>

namespace headgate::port {
namespace {

constexpr std::uint64_t kOuterFlags =
    RTE_MBUF_F_TX_OUTER_IP_CKSUM | RTE_MBUF_F_TX_OUTER_UDP_CKSUM | RTE_MBUF_F_TX_TUNNEL_MASK;
constexpr std::uint64_t kChecksumFlags = RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK | kOuterFlags;

std::uint16_t fold(std::uint32_t sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>((sum & 0xffff) + (sum >> 16));
}

// Sum over `length` bytes from `offset`, in wire order. Not rte_raw_cksum_mbuf: that of 22.11 cuts a segment's sum to
// 16 bits before folding it when the segment starts at an odd offset, and is wrong then (offload_test shows it).
bool sum_payload(const rte_mbuf* m, std::uint32_t offset, std::uint32_t length, std::uint16_t* sum) {
  while (m != nullptr && offset >= m->data_len) {
    offset -= m->data_len;
    m = m->next;
  }
  std::uint32_t total = 0, done = 0;
  for (; m != nullptr && done < length; m = m->next, offset = 0) {
    const std::uint32_t here = std::min<std::uint32_t>(m->data_len - offset, length - done);
    std::uint16_t part = rte_raw_cksum(rte_pktmbuf_mtod_offset(m, const void*, offset), here);
    if ((done & 1) != 0) part = __builtin_bswap16(part);
    total = fold(total + part);
    done += here;
  }
  *sum = static_cast<std::uint16_t>(total);
  return done == length;
}

void fill_ipv4_header(std::uint8_t* ip, std::uint32_t length) {
  std::memset(ip + 10, 0, 2);
  const auto sum = static_cast<std::uint16_t>(~rte_raw_cksum(ip, length));
  std::memcpy(ip + 10, &sum, 2);
}

struct Layer4 {
  std::uint32_t length;  // header and payload, by the IP header
  std::uint16_t pseudo;  // sum over addresses, protocol and length (RFC 9293 3.1, RFC 768, RFC 8200 8.1), wire order
};

bool describe_ipv4(const std::uint8_t* ip, std::uint32_t header, std::uint8_t protocol, Layer4& out) {
  const std::uint32_t total = static_cast<std::uint32_t>(ip[2] << 8 | ip[3]);
  if (total < header) return false;
  out.length = total - header;
  const std::uint16_t tail[2] = {rte_cpu_to_be_16(protocol), rte_cpu_to_be_16(static_cast<std::uint16_t>(out.length))};
  out.pseudo = fold(static_cast<std::uint32_t>(rte_raw_cksum(ip + 12, 8)) + rte_raw_cksum(tail, sizeof tail));
  return true;
}

// `header` counts extension headers too, so the protocol comes from the flags, not from the fixed header.
bool describe_ipv6(const std::uint8_t* ip, std::uint32_t header, std::uint8_t protocol, Layer4& out) {
  const std::uint32_t total = 40u + static_cast<std::uint32_t>(ip[4] << 8 | ip[5]);
  if (total < header) return false;
  out.length = total - header;
  const std::uint16_t tail[2] = {rte_cpu_to_be_16(protocol), rte_cpu_to_be_16(static_cast<std::uint16_t>(out.length))};
  out.pseudo = fold(static_cast<std::uint32_t>(rte_raw_cksum(ip + 8, 32)) + rte_raw_cksum(tail, sizeof tail));
  return true;
}

TxVerdict fill_layer4(rte_mbuf* m, std::uint32_t l3, std::uint32_t l3_length) {
  const std::uint64_t kind = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;
  if (kind == RTE_MBUF_F_TX_SCTP_CKSUM) return TxVerdict::malformed;  // nobody here sends SCTP
  const bool tcp = kind == RTE_MBUF_F_TX_TCP_CKSUM;
  const std::uint32_t l4 = l3 + l3_length, header = tcp ? 20 : 8, field = l4 + (tcp ? 16u : 6u);
  if (m->data_len < l4 + header) return TxVerdict::malformed;
  const auto* ip = rte_pktmbuf_mtod_offset(m, const std::uint8_t*, l3);
  const std::uint8_t protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP;
  Layer4 layer{};
  const bool fits = (m->ol_flags & RTE_MBUF_F_TX_IPV6) != 0 ? describe_ipv6(ip, l3_length, protocol, layer)
                                                            : describe_ipv4(ip, l3_length, protocol, layer);
  if (!fits || layer.length < header) return TxVerdict::malformed;
  auto* checksum = rte_pktmbuf_mtod_offset(m, std::uint8_t*, field);
  std::memset(checksum, 0, 2);
  std::uint16_t sum = 0;
  if (!sum_payload(m, l4, layer.length, &sum)) return TxVerdict::malformed;
  auto value = static_cast<std::uint16_t>(~fold(static_cast<std::uint32_t>(sum) + layer.pseudo));
  if (!tcp && value == 0) value = 0xffff;  // RFC 768: 0 would mean "none"
  std::memcpy(checksum, &value, 2);
  return TxVerdict::ready;
}

}  // namespace

const char* to_string(TxVerdict verdict) {
  switch (verdict) {
    case TxVerdict::ready:
      return "ready";
    case TxVerdict::malformed:
      return "malformed";
    case TxVerdict::tso_unsupported:
      return "tso_unsupported";
    case TxVerdict::too_long:
      return "too_long";
    case TxVerdict::no_memory:
      return "no_memory";
  }
  return "?";
}

std::uint64_t flags_needing_software(const TxOffloads& offloads) {
  // The two bits of L4_MASK are a number (TCP 1, SCTP 2, UDP 3), so either both kinds are the NIC's or all is ours.
  std::uint64_t flags = kOuterFlags;
  if (!offloads.ipv4_checksum) flags |= RTE_MBUF_F_TX_IP_CKSUM;
  if (!offloads.tcp_checksum || !offloads.udp_checksum) flags |= RTE_MBUF_F_TX_L4_MASK;
  if (!offloads.tso) flags |= RTE_MBUF_F_TX_TCP_SEG;
  return flags;
}

TxVerdict fill_checksums(rte_mbuf* m) {
  std::uint32_t l3 = m->l2_len;
  if ((m->ol_flags & kOuterFlags) != 0) {
    if (m->data_len < m->outer_l2_len + m->outer_l3_len) return TxVerdict::malformed;
    if ((m->ol_flags & RTE_MBUF_F_TX_OUTER_UDP_CKSUM) != 0) return TxVerdict::malformed;  // no tunnel of ours has one
    if ((m->ol_flags & RTE_MBUF_F_TX_OUTER_IP_CKSUM) != 0)
      fill_ipv4_header(rte_pktmbuf_mtod_offset(m, std::uint8_t*, m->outer_l2_len), m->outer_l3_len);
    l3 += m->outer_l2_len + m->outer_l3_len;
  }
  const std::uint32_t l3_length = m->l3_len;
  const std::uint32_t l3_least = (m->ol_flags & RTE_MBUF_F_TX_IPV6) != 0 ? 40 : 20;
  if ((m->ol_flags & (RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK)) != 0 &&
      (l3_length < l3_least || m->data_len < l3 + l3_length)) {
    return TxVerdict::malformed;
  }
  if ((m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0)
    fill_ipv4_header(rte_pktmbuf_mtod_offset(m, std::uint8_t*, l3), l3_length);
  if ((m->ol_flags & RTE_MBUF_F_TX_L4_MASK) != 0) {
    if (const TxVerdict verdict = fill_layer4(m, l3, l3_length); verdict != TxVerdict::ready) return verdict;
  }
  m->ol_flags &= ~kChecksumFlags;
  return TxVerdict::ready;
}

TxVerdict make_linear(rte_mbuf*& m, rte_mempool* pool) {
  const bool own_buffer = RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1;
  if (own_buffer && (m->nb_segs == 1 || rte_pktmbuf_linearize(m) == 0)) return TxVerdict::ready;
  rte_mbuf* copy = rte_pktmbuf_alloc(pool);
  if (copy == nullptr) return TxVerdict::no_memory;
  if (rte_pktmbuf_tailroom(copy) < m->pkt_len) {
    rte_pktmbuf_free(copy);
    return TxVerdict::too_long;
  }
  copy->ol_flags = m->ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
  copy->tx_offload = m->tx_offload;
  char* to = rte_pktmbuf_append(copy, static_cast<std::uint16_t>(m->pkt_len));
  for (const rte_mbuf* segment = m; segment != nullptr; segment = segment->next) {
    std::memcpy(to, rte_pktmbuf_mtod(segment, const char*), segment->data_len);
    to += segment->data_len;
  }
  rte_pktmbuf_free(m);
  m = copy;
  return TxVerdict::ready;
}

}  // namespace headgate::port
