// One way to send and receive, whatever is behind it: a NIC bound to vfio, a kernel interface by AF_XDP or AF_PACKET,
// shared memory, a TAP, a capture file. The kinds differ only in `open`; afterwards a Port is an ethdev number with the
// facts about it that its users need.
//
// Thread rule: open, close and the setters on one control thread. rx_burst(q) and prepare_tx(.., q) and tx_burst(q)
// each from the one worker that owns queue q. link(), stats() and the const accessors from any thread.
#pragma once

#include <rte_ethdev.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/base/mac.h"
#include "dataplane/base/result.h"
#include "dataplane/base/toeplitz.h"
#include "drivers/port/kernel_interface.h"
#include "drivers/port/offload.h"
#include "drivers/port/rss.h"
#include "drivers/port/spec.h"
#include "drivers/xdp/steering.h"

namespace headgate::port {

struct PortOptions {
  unsigned workers = 1;  // queues wanted when the spec does not say
  RssKey rss_key = kDefaultRssKey;
  BucketMap buckets{};  // all buckets at worker 0
  // Virtual router MACs and the multicast groups of ND, VRRP and IGMP reach us without a filter per address.
  bool promiscuous = true;
};

struct LinkState {
  bool up = false;
  std::uint32_t speed_mbps = 0;  // 0: unknown, or a device that has no speed
};

struct PortStats {
  std::uint64_t rx_frames = 0, rx_bytes = 0, tx_frames = 0, tx_bytes = 0;
  std::uint64_t rx_missed = 0;  // no room in the receive ring: we were too slow
  std::uint64_t rx_errors = 0, tx_errors = 0;
  std::uint64_t rx_no_buffer = 0;  // the pool was empty
};

class Port {
 public:
  // `pools`: queue q receives into pools[q % pools.size()]. They must outlive the Port. For af_xdp a pool is one memory
  // chunk, has objects of at most 4096 bytes, 2048 free mbufs per queue, and stays pinned; none of them is in use, and
  // some are set aside (buffers.h).
  // Requires: EAL is running; pools is not empty.
  static Result<std::unique_ptr<Port>> open(const PortSpec& spec, std::span<rte_mempool* const> pools,
                                            const PortOptions& options);
  // Stops, closes and unplugs the device; takes our XDP program off. A crash skips all this, and open() copes.
  ~Port();
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  std::uint16_t rx_burst(std::uint16_t queue, rte_mbuf** frames, std::uint16_t count) {
    return rte_eth_rx_burst(id_, queue, frames, count);
  }
  // Returns how many the driver took (and will free); the rest stay the caller's.
  std::uint16_t tx_burst(std::uint16_t queue, rte_mbuf** frames, std::uint16_t count) {
    return rte_eth_tx_burst(id_, queue, frames, count);
  }
  // Makes a frame fit to be sent here (see offload.h for what senders owe). May replace `m`. Anything but `ready`: do
  // not send it; it is still the caller's to free.
  TxVerdict prepare_tx(rte_mbuf*& m, std::uint16_t queue) {
    if ((m->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK) == 0 && !(linear_ && must_be_made_linear(m))) [[likely]] {
      return TxVerdict::ready;
    }
    return prepare_tx_slowly(m, queue);
  }

  // A descriptor that poll(2) reports readable when frames wait on the queue, or nothing: then only napping helps.
  // Call arm_rx before sleeping on it and look at the queue once more after arming; call disarm_rx after waking.
  std::optional<int> rx_fd(std::uint16_t queue) const {
    return rx_fds_[queue] < 0 ? std::nullopt : std::optional(rx_fds_[queue]);
  }
  void arm_rx(std::uint16_t queue);
  void disarm_rx(std::uint16_t queue);

  LinkState link() const;  // never blocks
  // Grows by one at each link interrupt; stays 0 for devices without one. Cheaper to watch than link().
  std::uint32_t link_changes() const { return link_changes_.load(std::memory_order_relaxed); }
  PortStats stats() const;

  const RssState& rss_state() const { return rss_; }
  // The queue the NIC will choose for a frame with this Toeplitz hash; nothing when it does not hash as we do.
  std::optional<std::uint16_t> queue_of_hash(std::uint32_t hash) const {
    if (!rss_.programmed) return std::nullopt;
    return static_cast<std::uint16_t>(buckets_.worker[hash & (kBuckets - 1)] % queues_);
  }

  // A further unicast address to receive. Only matters without promiscuous mode, which is switched on when the device
  // has no room for the address.
  Result<void> add_mac(const MacAddress& mac);

  std::uint16_t id() const { return id_; }
  const PortSpec& spec() const { return spec_; }
  const std::string& name() const { return spec_.name; }
  const std::string& driver() const { return driver_; }
  const MacAddress& mac() const { return mac_; }
  std::uint16_t mtu() const { return mtu_; }
  std::uint16_t queues() const { return queues_; }
  std::uint16_t queues_max() const { return queues_max_; }  // of the device
  const TxOffloads& offloads() const { return offloads_; }
  bool scattered_rx() const { return scattered_rx_; }             // a frame may come in several segments
  bool zero_copy() const { return zero_copy_; }                   // af_xdp: the NIC writes into our mbufs itself
  std::span<rte_mempool* const> pools() const { return pools_; }  // where received frames lie
  // The steering of an af_xdp port; null for other kinds and with steer=all.
  xdp::Steering* steering() { return steering_ ? &*steering_ : nullptr; }
  // The kernel's interface behind af_xdp, af_packet, tap and virtio_user; null otherwise.
  const KernelInterface* kernel_interface() const { return kernel_ ? &*kernel_ : nullptr; }

 private:
  Port(PortSpec spec, const PortOptions& options) : spec_(std::move(spec)), buckets_(options.buckets) {}

  static bool must_be_made_linear(const rte_mbuf* m) { return m->nb_segs != 1 || !RTE_MBUF_DIRECT(m); }
  TxVerdict prepare_tx_slowly(rte_mbuf*& m, std::uint16_t queue);

  // The steps of open, in their order.
  Result<void> check_before(std::span<rte_mempool* const> pools, const PortOptions& options);
  Result<void> install_steering();
  Result<void> plug();
  Result<void> configure(std::span<rte_mempool* const> pools, const PortOptions& options);
  Result<void> set_up_queues(std::span<rte_mempool* const> pools);
  Result<void> set_up_rx_queue(std::uint16_t queue, rte_mempool* pool);
  Result<void> start(const PortOptions& options);
  Result<void> after_start();

  Result<std::uint64_t> rx_offloads(std::span<rte_mempool* const> pools, std::uint16_t mtu);
  std::string device_arguments() const;
  void find_interrupt_descriptors();

  // What the hot path reads comes first.
  std::uint16_t id_ = RTE_MAX_ETHPORTS;
  bool linear_ = false;
  std::uint64_t software_flags_ = 0;
  TxOffloads offloads_;

  PortSpec spec_;
  BucketMap buckets_;
  std::string driver_, vdev_name_;
  MacAddress mac_;
  std::uint16_t mtu_ = 0, queues_ = 1, queues_max_ = 1;
  bool plugged_ = false, started_ = false, scattered_rx_ = false, zero_copy_ = false, rx_interrupts_ = false,
       rss_requested_ = false, lsc_ = false;
  rte_eth_dev_info info_{};
  RssState rss_;
  std::vector<rte_mempool*> pools_;
  std::array<int, kQueuesMax> rx_fds_{};
  std::array<std::uint64_t, kQueuesMax> rx_inodes_{};  // af_xdp: of rx_fds_
  std::optional<xdp::Steering> steering_;
  std::optional<KernelInterface> kernel_;
  std::atomic<std::uint32_t> link_changes_{0};
};

}  // namespace headgate::port
