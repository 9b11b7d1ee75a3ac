// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
//
// Decides, frame by frame, what belongs to the dataplane (an AF_XDP socket) and what to the kernel. One pass over the
// headers, one enum with every exit. A frame for the dataplane on a queue without a socket is dropped, never passed:
// when the dataplane has died the kernel must not speak for addresses that the other box is taking over.
//
// The function is called xsk_def_prog and carries xsk_prog_version because libxdp adopts an attached program of that
// name instead of loading its own (README: "how a restart takes over").
// bpf_helpers.h uses types it does not declare: linux/bpf.h first.
// clang-format off
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
// clang-format on

#include "drivers/xdp/steer_maps.h"

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(key_size, sizeof(int));
  __uint(value_size, sizeof(int));
  __uint(max_entries, STEER_QUEUES_MAX);
} xsks_map SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct steer_address);
  __type(value, __u8);
  __uint(max_entries, STEER_ADDRESSES_MAX);
} address_set SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, struct steer_address);
  __type(value, __u8);
  __uint(max_entries, STEER_KERNEL_MAX);
} kernel_addresses SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, __u32);
  __type(value, __u8);
  __uint(max_entries, 256);
} vrids SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, __u32);
  __type(value, struct steer_gateway);
  __uint(max_entries, 16);
} gateway SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct steer_prefix);
  __type(value, __u8);
  __uint(max_entries, STEER_PREFIXES_MAX);
} gateway_prefixes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __type(key, __u32);
  __type(value, __u64);
  __uint(max_entries, STEER_VERDICTS);
} verdict_counters SEC(".maps");

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_ARP = 0x0806, ETHERTYPE_IPV6 = 0x86dd };
enum { ETHERTYPE_VLAN = 0x8100, ETHERTYPE_QINQ = 0x88a8, ETHERTYPE_QINQ_OLD = 0x9100 };
enum { PROTO_HOPOPTS = 0, PROTO_ICMP = 1, PROTO_ROUTING = 43, PROTO_FRAGMENT = 44, PROTO_ICMPV6 = 58 };
enum { PROTO_DSTOPTS = 60, PROTO_VRRP = 112 };
enum { ND_SOLICIT = 135, ND_ADVERT = 136 };

// True when `n` bytes at `p` lie inside the frame.
#define HAS(p, n) ((void*)(p) + (n) <= end)
#define BE16(p) ((__u16)(((__u8*)(p))[0] << 8 | ((__u8*)(p))[1]))

static __always_inline struct steer_address mapped(const __u8* v4) {
  struct steer_address a = {};
  a.bytes[10] = a.bytes[11] = 0xff;
  __builtin_memcpy(a.bytes + 12, v4, 4);
  return a;
}

static __always_inline struct steer_address plain(const __u8* v6) {
  struct steer_address a;
  __builtin_memcpy(a.bytes, v6, 16);
  return a;
}

static __always_inline int in_set(const struct steer_address* a) {
  return bpf_map_lookup_elem(&address_set, a) != 0;
}

static __always_inline int vrid_configured(__u8 vrid) {
  __u32 key = vrid;
  const __u8* on = bpf_map_lookup_elem(&vrids, &key);
  return on && *on;
}

// The port's own MAC, or the virtual router MAC of a configured VRID (RFC 9568 7.3: 00-00-5E-00-01 or -02, then VRID).
static __always_inline int mac_is_ours(const __u8* mac, const struct steer_gateway* gw) {
  if (mac[0] == gw->mac[0] && mac[1] == gw->mac[1] && mac[2] == gw->mac[2] && mac[3] == gw->mac[3] &&
      mac[4] == gw->mac[4] && mac[5] == gw->mac[5])
    return 1;
  return mac[0] == 0 && mac[1] == 0 && mac[2] == 0x5e && mac[3] == 0 && (mac[4] == 1 || mac[4] == 2) &&
         vrid_configured(mac[5]);
}

// Traffic of hosts whose gateway we are, on its way out: known by source, because its destinations are the whole world.
static __always_inline enum steer_verdict judge_gateway(struct xdp_md* ctx, const __u8* dst_mac,
                                                        const struct steer_address* src,
                                                        const struct steer_address* dst) {
  __u32 ifindex = ctx->ingress_ifindex;
  const struct steer_gateway* gw = bpf_map_lookup_elem(&gateway, &ifindex);
  if (!gw || !mac_is_ours(dst_mac, gw)) return STEER_PASS;
  struct steer_prefix key = {.length = 128, .address = *src};
  if (!bpf_map_lookup_elem(&gateway_prefixes, &key)) return STEER_PASS;
  return bpf_map_lookup_elem(&kernel_addresses, dst) ? STEER_PASS : STEER_TO_GATEWAY;
}

static __always_inline enum steer_verdict judge_arp(__u8* p, void* end) {
  if (!HAS(p, 28)) return STEER_PASS_MALFORMED;
  if (BE16(p + 2) != ETHERTYPE_IPV4 || p[4] != 6 || p[5] != 4) return STEER_PASS;
  struct steer_address target = mapped(p + 24);
  return in_set(&target) ? STEER_TO_ARP : STEER_PASS;
}

static __always_inline int is_icmp_error(__u8 type) {
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static __always_inline enum steer_verdict judge_ipv4(struct xdp_md* ctx, const __u8* dst_mac, __u8* p, void* end) {
  if (!HAS(p, 20) || (p[0] >> 4) != 4) return STEER_PASS_MALFORMED;
  struct steer_address dst = mapped(p + 16);
  if (in_set(&dst)) return STEER_TO_ADDRESS;
  __u32 header = (p[0] & 15) * 4;
  if (header < 20) return STEER_PASS_MALFORMED;
  __u8 protocol = p[9];
  int first_fragment = (BE16(p + 6) & 0x1fff) == 0;
  struct steer_address src = mapped(p + 12);
  int to_many = (p[16] & 0xf0) == 0xe0 || (p[16] & p[17] & p[18] & p[19]) == 0xff;
  __u8* l4 = p + header;
  if (first_fragment && protocol == PROTO_VRRP && HAS(l4, 2) && vrid_configured(l4[1])) return STEER_TO_VRRP;
  if (first_fragment && protocol == PROTO_ICMP && HAS(l4, 8 + 20) && is_icmp_error(l4[0])) {
    struct steer_address quoted = mapped(l4 + 8 + 12);
    if (in_set(&quoted)) return STEER_TO_ICMP_ERROR;
  }
  return to_many ? STEER_PASS : judge_gateway(ctx, dst_mac, &src, &dst);
}

static __always_inline enum steer_verdict judge_icmpv6(__u8* p, void* end) {
  if (!HAS(p, 8)) return STEER_PASS;
  if ((p[0] == ND_SOLICIT || p[0] == ND_ADVERT) && HAS(p, 8 + 16)) {
    struct steer_address target = plain(p + 8);
    return in_set(&target) ? STEER_TO_NEIGHBOR : STEER_PASS;
  }
  if (p[0] >= 1 && p[0] <= 4 && HAS(p, 8 + 40)) {
    struct steer_address quoted = plain(p + 8 + 8);
    return in_set(&quoted) ? STEER_TO_ICMP_ERROR : STEER_PASS;
  }
  return STEER_PASS;
}

static __always_inline enum steer_verdict judge_ipv6(struct xdp_md* ctx, const __u8* dst_mac, __u8* p, void* end) {
  if (!HAS(p, 40) || (p[0] >> 4) != 6) return STEER_PASS_MALFORMED;
  struct steer_address dst = plain(p + 24);
  if (in_set(&dst)) return STEER_TO_ADDRESS;
  struct steer_address src = plain(p + 8);
  int to_many = p[24] == 0xff;
  __u8 next = p[6];
  p += 40;
#pragma unroll
  for (int i = 0; i < STEER_EXTENSIONS_MAX; ++i) {
    if (next != PROTO_HOPOPTS && next != PROTO_ROUTING && next != PROTO_DSTOPTS && next != PROTO_FRAGMENT) break;
    if (!HAS(p, 8)) return STEER_PASS_MALFORMED;
    // A later fragment has no upper header; 59 (no next header) ends the walk.
    __u8 following = next == PROTO_FRAGMENT && (BE16(p + 2) & 0xfff8) ? 59 : p[0];
    p += next == PROTO_FRAGMENT ? 8 : (p[1] + 1) * 8;
    next = following;
  }
  if (next == PROTO_VRRP && HAS(p, 2) && vrid_configured(p[1])) return STEER_TO_VRRP;
  if (next == PROTO_ICMPV6) {
    enum steer_verdict verdict = judge_icmpv6(p, end);
    if (verdict != STEER_PASS) return verdict;
  }
  return to_many ? STEER_PASS : judge_gateway(ctx, dst_mac, &src, &dst);
}

static __always_inline enum steer_verdict judge(struct xdp_md* ctx) {
  __u8* p = (void*)(long)ctx->data;
  void* end = (void*)(long)ctx->data_end;
  if (!HAS(p, 14)) return STEER_PASS_MALFORMED;
  const __u8* dst_mac = p;
  __u16 type = BE16(p + 12);
  p += 14;
#pragma unroll
  for (int tag = 0; tag < 2; ++tag) {
    if (type != ETHERTYPE_VLAN && type != ETHERTYPE_QINQ && type != ETHERTYPE_QINQ_OLD) break;
    if (!HAS(p, 4)) return STEER_PASS_MALFORMED;
    type = BE16(p + 2);
    p += 4;
  }
  if (type == ETHERTYPE_ARP) return judge_arp(p, end);
  if (type == ETHERTYPE_IPV4) return judge_ipv4(ctx, dst_mac, p, end);
  if (type == ETHERTYPE_IPV6) return judge_ipv6(ctx, dst_mac, p, end);
  return STEER_PASS;
}

SEC("xdp")
int xsk_def_prog(struct xdp_md* ctx) {
  __u32 verdict = judge(ctx);
  __u64* counter = bpf_map_lookup_elem(&verdict_counters, &verdict);
  if (counter) ++*counter;
  if (verdict <= STEER_PASS_MALFORMED) return XDP_PASS;
  return bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_DROP);
}

__uint(xsk_prog_version, 1) SEC("xdp_metadata");
char _license[] SEC("license") = "Dual BSD/GPL";
