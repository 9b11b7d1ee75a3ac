// How large the receive buffers of a port must be: a frame of its MTU in one buffer, whatever the kind, so that nothing
// depends on a driver's way with chains.
#pragma once

#include <rte_ether.h>
#include <rte_mempool.h>

#include <cstdint>

#include "dataplane/base/result.h"
#include "drivers/port/spec.h"

namespace headgate::port {

inline constexpr std::uint32_t kXdpHeadroom = 256;  // XDP_PACKET_HEADROOM, taken from each buffer beside DPDK's own 128
inline constexpr std::uint32_t kEthernetOverhead = RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN;  // two tags beside the MTU

// net_tap sends nothing longer than the MTU of its ethdev, and its max_rx_pktlen of 1522 keeps rte_eth_dev_set_mtu from
// raising that, whatever the kernel's interface has.
inline constexpr std::uint16_t kTapMtuMax = RTE_ETHER_MTU;

// What the port's MTU will be: the spec's, else the kernel interface's, else 1500.
std::uint16_t mtu_of(const PortSpec& spec);

// af_packet: bytes of one slot of the kernel's ring. A frame with the kernel's 66 bytes before it must fit; slots of
// four fill a block of whole pages, since net_af_packet takes slot i to lie at i * slot.
constexpr unsigned af_packet_slot(unsigned mtu) {
  return mtu <= 1900 ? 2048 : mtu <= 3900 ? 4096 : 9216;
}

// Data room of a buffer for that MTU, DPDK's headroom included: what rte_pktmbuf_pool_create wants, beside a private
// area of that size. Never below RTE_MBUF_DEFAULT_BUF_SIZE. An error when the kind cannot have such buffers, with the
// largest MTU that it can have. Requires: EAL is running.
Result<std::uint16_t> buffer_room_for(const PortSpec& spec, std::uint16_t private_size = 0);

// Takes those objects out of a pool for good that net_af_xdp does not tell the kernel of. It registers as much memory
// as the objects fill without gaps, but a mempool leaves one wherever an object would cross a page. The kernel forgets
// a buffer from beyond that is to be received into, and stops sending at one. Requires: none of those is in use; one
// memory chunk.
void set_aside_beyond_umem(rte_mempool* pool);

}  // namespace headgate::port
