// Changing a packet's addresses and ports in place, with incremental checksums (RFC 1624). Pure functions on bytes.
#pragma once

#include <cstdint>

#include "dataplane/base/mac.h"
#include "dataplane/base/tuple.h"
#include "dataplane/packet/packet_info.h"

namespace headgate::forward {

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;
};

// Writes `src` and `dst` into the IP and L4 headers of `frame` (parsed as `info`; same family), fixes IPv4 header and
// L4 checksums, decrements TTL by `hops` (0 or 1). For fragments after the first only the IP header changes. For ICMP
// queries the identifier becomes src.port (request) or dst.port (reply).
void rewrite(std::uint8_t* frame, const packet::PacketInfo& info, const Endpoint& src, const Endpoint& dst,
             unsigned hops);

// Decrements TTL or hop limit alone.
void decrement_ttl(std::uint8_t* frame, const packet::PacketInfo& info);

// Translates an ICMP error: outer source and destination become `outer_src`, `outer_dst`; the quoted packet's source
// and destination endpoints become `quoted_src` and `quoted_dst` (whatever of them was quoted); inner IP, inner L4 and
// outer ICMP checksums are right again (RFC 5508 section 4). One family throughout.
void rewrite_icmp_error(std::uint8_t* frame, const packet::PacketInfo& info, const packet::QuotedPacket& quoted,
                        const IpAddress& outer_src, const IpAddress& outer_dst, const Endpoint& quoted_src,
                        const Endpoint& quoted_dst);

}  // namespace headgate::forward
