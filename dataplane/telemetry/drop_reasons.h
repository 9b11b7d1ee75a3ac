// The one list of reasons for which a packet ends here. Every entry: name, a sentence for operators.
// Order is part of the telemetry API's stability only by name, never by number.
#pragma once

#include <cstdint>

namespace headgate::telemetry {

// clang-format off
#define HEADGATE_DROP_REASONS(X) \
  X(truncated,             "shorter than one of its headers claims") \
  X(bad_ethernet,          "Ethernet header is malformed: group source address or too many VLAN tags") \
  X(bad_arp,               "ARP packet is malformed") \
  X(bad_ip_version,        "IP version does not fit the Ethernet type") \
  X(bad_ip_header_length,  "IP header length or total length is wrong") \
  X(bad_ip_checksum,       "IPv4 header checksum is wrong") \
  X(bad_ip_source,         "IP source address can not be a sender: multicast, broadcast, loopback or unspecified") \
  X(bad_ip_destination,    "IP destination address can not be a receiver") \
  X(bad_ip_options,        "IPv4 options are malformed or ask for source routing") \
  X(bad_extension_header,  "IPv6 extension headers are malformed, too many or of routing type 0") \
  X(bad_fragment,          "fragment is malformed or would overwrite an L4 header") \
  X(bad_tcp_header,        "TCP header is malformed or has an impossible set of flags") \
  X(bad_udp_header,        "UDP header is malformed") \
  X(bad_icmp_header,       "ICMP message is malformed") \
  X(bad_l4_checksum,       "TCP, UDP or ICMP checksum is wrong") \
  X(other_mac,             "sent to another host's MAC address: a flooding switch, or a mirror") \
  X(unknown_vlan,          "no interface is configured for this VLAN on this port") \
  X(unknown_ethertype,     "neither IP nor ARP, and the port has no way to the kernel") \
  X(spoofed_source,        "source address is one of our own") \
  X(not_ours,              "destination is none of our addresses, and the port has no way to the kernel") \
  X(no_service,            "no service listens on this address, protocol and port") \
  X(no_backend,            "the service has no backend that can serve") \
  X(backend_limit,         "every backend that can serve is at its connection limit") \
  X(no_flow,               "neither part of a known flow nor able to start one (TCP without SYN, stray reply)") \
  X(flow_conflict,         "another flow already uses the same addresses towards the backend") \
  X(flow_table_full,       "the flow table is full and nothing cheap could be shed") \
  X(local_ports_exhausted, "no local port is free towards this backend") \
  X(no_local_address,      "the service needs a local address and has none of this family") \
  X(no_route,              "no route to the next hop") \
  X(neighbor_failed,       "the next hop does not answer ARP or neighbor discovery") \
  X(neighbor_queue_full,   "too many packets wait for this next hop's hardware address") \
  X(ttl_expired,           "TTL or hop limit ran out here") \
  X(too_big,               "larger than the next link's MTU and must not be fragmented; the sender was told") \
  X(egress_denied,         "the servers' own traffic is not allowed out: egress is drop") \
  X(fragment_unmatched,    "first fragment did not arrive in time") \
  X(fragment_limit,        "too many fragments wait for their first one") \
  X(icmp_unmatched,        "ICMP error about a flow that is not known here") \
  X(icmp_unsupported,      "ICMP message that is neither echo nor an error about a flow") \
  X(ping_unserved,         "ping to an address none of whose services can serve") \
  X(rate_limited,          "our own answer (RST, ICMP error) was held back by its rate limit") \
  X(handover_full,         "the ring to the worker that owns the packet is full") \
  X(tx_full,               "the port did not take the packet for sending") \
  X(no_buffer,             "the packet buffer pool is empty") \
  X(port_gone,             "the port to send on does not exist any more") \
  X(flow_reset,            "the flow's backend was removed and the pool's policy is reset") \
  X(duplicate_address,     "somebody else announces one of our addresses") \
  X(group_inactive,        "for an address whose group is not active on this box") \
  X(proxy_fragment,        "fragment of a TCP segment for a connection that ends here; they are not put together") \
  X(lease_ended,           "the group's active lease ended before the packet could be sent")
// clang-format on

enum class DropReason : std::uint8_t {
#define X(name, text) name,
  HEADGATE_DROP_REASONS(X)
#undef X
      count
};
inline constexpr unsigned kDropReasons = static_cast<unsigned>(DropReason::count);

const char* to_string(DropReason reason);  // "bad_ip_checksum"
const char* describe(DropReason reason);   // the sentence

}  // namespace headgate::telemetry
