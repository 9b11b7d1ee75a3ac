#include "drivers/port/buffers.h"

#include <rte_eal.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "drivers/port/kernel_interface.h"

namespace headgate::port {
namespace {

// AF_XDP takes a pool's objects as its frames, and the kernel no frame larger than a page. Found by trying, since
// mempool pads objects to spread them over memory channels.
std::uint32_t xdp_room_max(std::uint16_t private_size) {
  const auto page = static_cast<std::uint32_t>(::getpagesize());
  const auto beside = static_cast<std::uint32_t>(sizeof(rte_mbuf)) + private_size;
  std::uint32_t room = page;
  while (rte_mempool_calc_obj_size(beside + room, 0, nullptr) > page) {
    room -= RTE_CACHE_LINE_SIZE;
  }
  return room;
}

}  // namespace

std::uint16_t mtu_of(const PortSpec& spec) {
  if (spec.mtu != 0) return spec.mtu;
  if (spec.kind != PortKind::af_xdp && spec.kind != PortKind::af_packet) return RTE_ETHER_MTU;
  return KernelInterface(spec.device).mtu().value_or(RTE_ETHER_MTU);
}

Result<std::uint16_t> buffer_room_for(const PortSpec& spec, std::uint16_t private_size) {
  const std::uint32_t mtu = mtu_of(spec);
  const bool xdp = spec.kind == PortKind::af_xdp;
  const std::uint32_t around = RTE_PKTMBUF_HEADROOM + kEthernetOverhead + (xdp ? kXdpHeadroom : 0);
  std::uint32_t room = std::max<std::uint32_t>(RTE_MBUF_DEFAULT_BUF_SIZE, mtu + around);
  // net_af_packet wants buffers of whole slots, whatever the MTU.
  if (spec.kind == PortKind::af_packet)
    room = std::max<std::uint32_t>(room, af_packet_slot(mtu) + RTE_PKTMBUF_HEADROOM);
  room = (room + RTE_CACHE_LINE_SIZE - 1) / RTE_CACHE_LINE_SIZE * RTE_CACHE_LINE_SIZE;
  const std::uint32_t most = xdp ? xdp_room_max(private_size) : UINT16_MAX;
  if (room > most) {
    return fail(ErrorCode::invalid_argument,
                "port " + spec.name + " (" + to_string(spec.kind) + ":" + spec.device + "): an MTU of " +
                    std::to_string(mtu) + " does not fit" + (xdp ? ", since AF_XDP wants a frame in one page" : "") +
                    "; at most " + std::to_string(most - around) + " is possible" + (xdp ? ", or use af_packet" : ""));
  }
  // Without hugepages each object has a page to itself. One that nearly fills it leaves hardly a gap, and so hardly a
  // buffer to set aside.
  if (xdp && rte_eal_has_hugepages() == 0) room = most;
  return static_cast<std::uint16_t>(room);
}

void set_aside_beyond_umem(rte_mempool* pool) {
  const std::uint32_t object = rte_mempool_calc_obj_size(pool->elt_size, pool->flags, nullptr);
  const auto* end =
      static_cast<const std::byte*>(STAILQ_FIRST(&pool->mem_list)->addr) + std::size_t{pool->populated_size} * object;
  std::vector<void*> objects;
  for (void* one = nullptr; rte_mempool_ops_dequeue_bulk(pool, &one, 1) == 0;) objects.push_back(one);
  std::erase_if(objects,
                [&](void* entry) { return static_cast<const std::byte*>(entry) - pool->header_size + object > end; });
  rte_mempool_ops_enqueue_bulk(pool, objects.data(), static_cast<unsigned>(objects.size()));
}

}  // namespace headgate::port
