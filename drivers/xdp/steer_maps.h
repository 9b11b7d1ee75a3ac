// What steer.bpf.c and steering.cc agree on. C, because the program is.
#ifndef HEADGATE_DRIVERS_XDP_STEER_MAPS_H
#define HEADGATE_DRIVERS_XDP_STEER_MAPS_H

#include <linux/types.h>

enum {
  STEER_QUEUES_MAX = 64,        // receive queues of one interface
  STEER_ADDRESSES_MAX = 65536,  // service, floating, local and probe addresses
  STEER_PREFIXES_MAX = 4096,    // prefixes whose hosts use us as their gateway
  STEER_KERNEL_MAX = 1024,      // addresses the kernel of this box holds
  STEER_EXTENSIONS_MAX = 6,     // IPv6 extension headers walked before giving up
};

// Indices of verdict_counters. PASS_* go to the kernel, TO_* to the dataplane (dropped when the queue has no socket).
enum steer_verdict {
  STEER_PASS,
  STEER_PASS_MALFORMED,
  STEER_TO_ADDRESS,
  STEER_TO_ARP,
  STEER_TO_NEIGHBOR,
  STEER_TO_VRRP,
  STEER_TO_ICMP_ERROR,
  STEER_TO_GATEWAY,
  STEER_VERDICTS,
};

// Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d, in network order.
struct steer_address {
  __u8 bytes[16];
};

struct steer_prefix {
  __u32 length;  // 0..128; an IPv4 prefix counts 96 more
  struct steer_address address;
};

// Value of `gateway`, keyed by ifindex. Absent means off.
struct steer_gateway {
  __u8 mac[6];  // the port's own; virtual MACs of configured VRIDs count as ours too
  __u8 pad[2];
};

#endif
