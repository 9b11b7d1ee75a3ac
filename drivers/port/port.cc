#include "drivers/port/port.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_net.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dataplane/base/check.h"
#include "drivers/port/buffers.h"
#include "drivers/port/descriptors.h"
#include "drivers/port/pci_check.h"

namespace headgate::port {
namespace {

constexpr int kQueueWaitMs = 1000;        // for the sockets of a killed predecessor
constexpr unsigned kXdpFillMbufs = 2048;  // net_af_xdp puts that many into each queue's fill ring at once
constexpr std::uint16_t kDefaultDescriptors = 1024;

std::string dpdk_text(int error) {
  return rte_strerror(error < 0 ? -error : error);
}

std::uint32_t room_in(rte_mempool* pool) {
  return std::uint32_t{rte_pktmbuf_data_room_size(pool)} - RTE_PKTMBUF_HEADROOM;
}

bool is_kernel_backed(PortKind kind) {
  return kind == PortKind::af_xdp || kind == PortKind::af_packet || kind == PortKind::tap;
}

Result<void> check_xdp_pool(rte_mempool* pool, unsigned queues) {
  const std::string name = "pool " + std::string(pool->name);
  const std::uint32_t object = rte_mempool_calc_obj_size(pool->elt_size, pool->flags, nullptr);
  if (pool->nb_mem_chunks != 1) {
    return fail(ErrorCode::invalid_argument, name +
                                                 " is not one piece of memory, which AF_XDP needs; start DPDK with "
                                                 "--iova-mode=va, or without hugepages");
  }
  if (object > static_cast<std::uint32_t>(::getpagesize())) {
    return fail(ErrorCode::invalid_argument, name + " has objects of " + std::to_string(object) +
                                                 " bytes; AF_XDP takes at most one page (see buffer_room_for)");
  }
  if (rte_mempool_avail_count(pool) < kXdpFillMbufs * queues) {
    return fail(ErrorCode::exhausted, name + " has " + std::to_string(rte_mempool_avail_count(pool)) +
                                          " free mbufs; AF_XDP takes " + std::to_string(kXdpFillMbufs) + " per queue");
  }
  set_aside_beyond_umem(pool);
  return {};
}

int count_link_change(std::uint16_t, rte_eth_event_type, void* counter, void*) {
  static_cast<std::atomic<std::uint32_t>*>(counter)->fetch_add(1, std::memory_order_relaxed);
  return 0;
}

// Else an af_packet port receives what the kernel sends out by the same interface. PACKET_IGNORE_OUTGOING would be the
// word for it, but net_af_packet joins a fanout group and there the kernel looks at the group's flag only; a filter
// still runs per socket.
void ignore_outgoing(int socket_fd) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_PKTTYPE)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, 0x40000),
  };
  const sock_fprog program{.len = std::size(code), .filter = code};
  ::setsockopt(socket_fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

TxOffloads offloads_of(const rte_eth_dev_info& info) {
  const auto has = [&](std::uint64_t flag) { return (info.tx_offload_capa & flag) != 0; };
  // net_af_xdp advertises no MULTI_SEGS and means it: it would copy pkt_len bytes from the first segment.
  return {.ipv4_checksum = has(RTE_ETH_TX_OFFLOAD_IPV4_CKSUM),
          .tcp_checksum = has(RTE_ETH_TX_OFFLOAD_TCP_CKSUM),
          .udp_checksum = has(RTE_ETH_TX_OFFLOAD_UDP_CKSUM),
          .tso = has(RTE_ETH_TX_OFFLOAD_TCP_TSO),
          .multi_segment = has(RTE_ETH_TX_OFFLOAD_MULTI_SEGS)};
}

}  // namespace

Result<std::unique_ptr<Port>> Port::open(const PortSpec& spec, std::span<rte_mempool* const> pools,
                                         const PortOptions& options) {
  HEADGATE_CHECK(!pools.empty());
  std::unique_ptr<Port> port(new Port(spec, options));
  port->rx_fds_.fill(-1);
  const auto run = [&]() -> Result<void> {
    if (auto step = port->check_before(pools, options); !step) return step;
    if (auto step = port->install_steering(); !step) return step;
    if (auto step = port->plug(); !step) return step;
    if (auto step = port->configure(pools, options); !step) return step;
    if (auto step = port->set_up_queues(pools); !step) return step;
    if (auto step = port->start(options); !step) return step;
    return port->after_start();
  };
  if (auto done = run(); !done) {
    return fail(done.error().code, "port " + spec.name + " (" + to_string(spec.kind) +
                                       (spec.device.empty() ? "" : ":" + spec.device) + "): " + done.error().message);
  }
  return port;
}

Result<void> Port::check_before(std::span<rte_mempool* const> pools, const PortOptions& options) {
  pools_.assign(pools.begin(), pools.end());
  queues_ = static_cast<std::uint16_t>(
      std::clamp<unsigned>(spec_.queues != 0 ? spec_.queues : options.workers, 1, kQueuesMax));
  vdev_name_ = "net_" + std::string(to_string(spec_.kind)) + "_" + spec_.name;
  if (spec_.kind == PortKind::pci) return check_pci_device(spec_.device);
  if (is_kernel_backed(spec_.kind)) kernel_.emplace(spec_.device);
  if (spec_.kind == PortKind::tap) {
    if (kernel_->exists()) {
      return fail(ErrorCode::already_exists, "the kernel already has an interface " + spec_.device +
                                                 "; choose another name or remove it with `ip link del`");
    }
    if (spec_.mtu > kTapMtuMax) {
      return fail(ErrorCode::invalid_argument,
                  "net_tap sends no frame above an MTU of " + std::to_string(kTapMtuMax) + "; lower mtu=");
    }
    return {};
  }
  if (spec_.kind != PortKind::af_xdp && spec_.kind != PortKind::af_packet) return {};

  if (!kernel_->exists()) {
    return fail(ErrorCode::not_found, "there is no network interface \"" + spec_.device +
                                          "\" in this network namespace; `ip link` lists them");
  }
  // A packet socket bound to an interface that is down has an error pending from its start.
  if (spec_.kind == PortKind::af_packet) return kernel_->set_up(true);
  const unsigned kernel_queues = kernel_->rx_queues();
  if (spec_.queues == 0 || queues_ > kernel_queues) {
    queues_ = static_cast<std::uint16_t>(std::min<unsigned>(kernel_queues, kQueuesMax));
  }
  if (queues_ < kernel_queues) {
    return fail(ErrorCode::invalid_argument,
                "the interface spreads frames over " + std::to_string(kernel_queues) + " receive queues and queues=" +
                    std::to_string(queues_) + " would lose the rest; use queues=" + std::to_string(kernel_queues) +
                    " or `ethtool -L " + spec_.device + " combined " + std::to_string(queues_) + "`");
  }
  for (rte_mempool* pool : pools) {
    const unsigned sharers = (queues_ + static_cast<unsigned>(pools.size()) - 1) / static_cast<unsigned>(pools.size());
    if (auto checked = check_xdp_pool(pool, sharers); !checked) return checked;
  }
  // Before anything is changed: a live owner of the queue must not lose its program to us.
  for (std::uint16_t queue = 0; queue < queues_; ++queue) {
    if (auto free = xdp::wait_for_free_queue(spec_.device, queue, kQueueWaitMs); !free) return free;
  }
  return {};
}

Result<void> Port::install_steering() {
  if (spec_.kind != PortKind::af_xdp) return {};
  if (spec_.mtu != 0 && kernel_->mtu() != spec_.mtu) {
    // Drivers refuse to change the MTU beyond their XDP limit once a program is there: before it.
    if (auto set = kernel_->set_mtu(spec_.mtu); !set) return set;
  }
  if (auto up = kernel_->set_up(true); !up) return up;
  if (spec_.steer_all) return {};
  auto steering = xdp::Steering::install(spec_.device);
  if (!steering) return tl::unexpected(steering.error());
  steering_.emplace(std::move(*steering));
  return {};
}

std::string Port::device_arguments() const {
  const std::string& device = spec_.device;
  switch (spec_.kind) {
    case PortKind::af_xdp:
      return "iface=" + device + ",start_queue=0,queue_count=" + std::to_string(queues_) +
             (spec_.zero_copy == ZeroCopy::off ? ",force_copy=1" : "");
    case PortKind::af_packet: {
      const unsigned slot = af_packet_slot(mtu_of(spec_));
      return "iface=" + device + ",qpairs=" + std::to_string(queues_) +
             ",qdisc_bypass=1,framesz=" + std::to_string(slot) + ",blocksz=" + std::to_string(slot * 4) +
             ",framecnt=1024";
    }
    case PortKind::memif:
      return "role=" + std::string(spec_.memif_server ? "server" : "client") + ",socket=" + device +
             ",socket-abstract=no";
    case PortKind::tap:
      return "iface=" + device + (spec_.mac.empty() ? "" : ",mac=" + spec_.mac);
    case PortKind::virtio_user:
      return "path=" + device + ",queues=" + std::to_string(queues_) + ",queue_size=1024" +
             (device == "/dev/vhost-net" ? ",iface=" + spec_.name : "") +
             (spec_.mac.empty() ? "" : ",mac=" + spec_.mac);
    case PortKind::pcap: {
      std::string arguments = device.empty() ? "" : "rx_pcap=" + device;
      if (!spec_.pcap_out.empty()) arguments += (arguments.empty() ? "" : ",") + ("tx_pcap=" + spec_.pcap_out);
      return arguments;
    }
    case PortKind::null:
      return "no-rx=1";
    case PortKind::pci:
    case PortKind::ring:
      break;
  }
  return "";
}

Result<void> Port::plug() {
  const DescriptorSet before = open_descriptors();
  const bool pci = spec_.kind == PortKind::pci;
  const std::string& name = pci ? spec_.device : vdev_name_;
  // Not left to the driver's EEXIST: an --in-memory or --no-shconf EAL loses it and hands us the other port's device.
  if (rte_eth_dev_get_port_by_name(name.c_str(), &id_) == 0) {
    id_ = RTE_MAX_ETHPORTS;
    return fail(ErrorCode::already_exists,
                pci ? "another port has this device already" : "another port has this name already; names are unique");
  }
  const int error = rte_eal_hotplug_add(pci ? "pci" : "vdev", name.c_str(), device_arguments().c_str());
  if (error != 0) {
    return fail(ErrorCode::unavailable,
                std::string("DPDK could not open it (") + dpdk_text(error) + ")" +
                    (pci ? "; is it one of the supported NICs, and was it allowed at start?" : ""));
  }
  plugged_ = true;
  if (rte_eth_dev_get_port_by_name(name.c_str(), &id_) != 0)
    return fail(ErrorCode::unavailable, "the device is not an Ethernet device");
  if (const int failed = rte_eth_dev_info_get(id_, &info_); failed != 0)
    return fail(ErrorCode::internal, "the driver does not describe the device (" + dpdk_text(failed) + ")");
  driver_ = info_.driver_name;
  queues_max_ = std::min(info_.max_rx_queues, info_.max_tx_queues);
  queues_ = std::min(queues_, std::max<std::uint16_t>(queues_max_, 1));
  rte_ether_addr address{};
  if (rte_eth_macaddr_get(id_, &address) == 0) std::memcpy(mac_.bytes.data(), address.addr_bytes, mac_.bytes.size());
  if (spec_.kind == PortKind::virtio_user && spec_.device == "/dev/vhost-net") kernel_.emplace(spec_.name);

  if (spec_.kind == PortKind::af_packet) {
    const std::vector<int> sockets = new_descriptors(before, DescriptorKind::packet_socket);
    for (std::size_t queue = 0; queue < std::min<std::size_t>(sockets.size(), queues_); ++queue) {
      rx_fds_[queue] = sockets[queue];
      ignore_outgoing(sockets[queue]);
    }
  }
  return {};
}

Result<std::uint64_t> Port::rx_offloads(std::span<rte_mempool* const> pools, std::uint16_t mtu) {
  std::uint32_t room = UINT32_MAX;
  for (rte_mempool* pool : pools) room = std::min(room, room_in(pool));
  const std::uint32_t needed = mtu + kEthernetOverhead;
  if (spec_.kind == PortKind::af_xdp) {
    if (needed > room - kXdpHeadroom) {
      return fail(ErrorCode::invalid_argument,
                  "an MTU of " + std::to_string(mtu) + " needs buffers of " + std::to_string(needed + kXdpHeadroom) +
                      " bytes and the pool's have " + std::to_string(room) + "; lower the MTU");
    }
    return 0;
  }
  std::uint64_t offloads = 0;
  if (needed > room) {
    if ((info_.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER) != 0) {
      offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
      scattered_rx_ = true;
    } else if (spec_.kind == PortKind::pci || spec_.kind == PortKind::af_packet) {
      return fail(ErrorCode::invalid_argument, "an MTU of " + std::to_string(mtu) + " needs buffers of " +
                                                   std::to_string(needed) + " bytes, the pool's have " +
                                                   std::to_string(room) + ", and " + driver_ +
                                                   " cannot spread a frame over several; lower the MTU");
    }
  }
  // No receive checksum offload, on no kind: the dataplane verifies every frame in software. On virtio the request
  // would even do harm: it negotiates VIRTIO_NET_F_GUEST_CSUM, after which the host may leave the checksums of local
  // senders unfinished (RTE_MBUF_F_RX_L4_CKSUM_NONE), and such frames would be dropped here or forwarded broken.
  return offloads;
}

Result<void> Port::configure(std::span<rte_mempool* const> pools, const PortOptions& options) {
  mtu_ = mtu_of(spec_);
  if (info_.max_mtu != 0 && mtu_ > info_.max_mtu) {
    return fail(ErrorCode::invalid_argument, "the device takes an MTU of at most " + std::to_string(info_.max_mtu) +
                                                 ", not " + std::to_string(mtu_));
  }
  auto rx = rx_offloads(pools, mtu_);
  if (!rx) return tl::unexpected(rx.error());
  const std::uint64_t wanted_tx = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
                                  RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO |
                                  RTE_ETH_TX_OFFLOAD_MULTI_SEGS;  // never MBUF_FAST_FREE: frames are shared and cloned
  rte_eth_conf configuration{};
  // The kernel's interfaces have their MTU set there; net_af_packet and net_memif would refuse any above 1500 here.
  if (!kernel_ && spec_.kind != PortKind::memif) configuration.rxmode.mtu = mtu_;
  configuration.rxmode.offloads = *rx;
  configuration.txmode.offloads = info_.tx_offload_capa & wanted_tx;
  lsc_ = (*info_.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
  configuration.intr_conf.lsc = lsc_ ? 1 : 0;
  rx_interrupts_ = spec_.kind == PortKind::pci || spec_.kind == PortKind::virtio_user;
  configuration.intr_conf.rxq = rx_interrupts_ ? 1 : 0;
  rss_requested_ = request_rss(info_, options.rss_key, configuration);
  if (!rss_requested_) rss_.reason = std::string(driver_) + " does not hash over ports with a key of ours";

  int error = rte_eth_dev_configure(id_, queues_, queues_, &configuration);
  if (error != 0 && rx_interrupts_) {  // no vectors to spare: naps instead of interrupts
    rx_interrupts_ = false;
    configuration.intr_conf.rxq = 0;
    error = rte_eth_dev_configure(id_, queues_, queues_, &configuration);
  }
  if (error != 0 && rss_requested_) {
    rss_requested_ = false;
    rss_.reason = "the device refused our hash settings (" + dpdk_text(error) + ")";
    configuration.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
    configuration.rx_adv_conf = {};
    error = rte_eth_dev_configure(id_, queues_, queues_, &configuration);
  }
  if (error != 0) {
    return fail(ErrorCode::unavailable, "the device refused " + std::to_string(queues_) + " queues and an MTU of " +
                                            std::to_string(mtu_) + " (" + dpdk_text(error) + ")");
  }
  offloads_ = offloads_of(info_);
  linear_ = spec_.kind == PortKind::af_xdp;
  if (linear_) offloads_.multi_segment = false;
  software_flags_ = flags_needing_software(offloads_);
  return {};
}

Result<void> Port::set_up_rx_queue(std::uint16_t queue, rte_mempool* pool) {
  std::uint16_t descriptors = spec_.rx_desc, unused = kDefaultDescriptors;
  if (descriptors == 0)
    descriptors = info_.default_rxportconf.ring_size != 0 ? info_.default_rxportconf.ring_size : kDefaultDescriptors;
  if (const int error = rte_eth_dev_adjust_nb_rx_tx_desc(id_, &descriptors, &unused); error != 0 && error != -ENOTSUP)
    return fail(ErrorCode::internal, "the driver refused to size its rings (" + dpdk_text(error) + ")");
  const DescriptorSet before = open_descriptors();
  // No second try for af_xdp: after a failure net_af_xdp goes on with a fill ring that is ahead of the kernel's.
  if (const int error =
          rte_eth_rx_queue_setup(id_, queue, descriptors, static_cast<unsigned>(SOCKET_ID_ANY), nullptr, pool);
      error != 0) {
    return fail(ErrorCode::unavailable, "receive queue " + std::to_string(queue) + " cannot be set up with " +
                                            std::to_string(descriptors) + " descriptors (" + dpdk_text(error) + ")");
  }
  if (spec_.kind == PortKind::af_xdp) {
    const std::vector<int> sockets = new_descriptors(before, DescriptorKind::xdp_socket);
    if (!sockets.empty()) rx_fds_[queue] = sockets.back();
    rx_inodes_[queue] = inode_of(rx_fds_[queue]);
  } else if (spec_.kind == PortKind::tap) {
    const std::vector<int> files = new_descriptors(before, DescriptorKind::tun_file);
    if (!files.empty()) rx_fds_[queue] = files.back();
  }
  return {};
}

Result<void> Port::set_up_queues(std::span<rte_mempool* const> pools) {
  for (std::uint16_t queue = 0; queue < queues_; ++queue) {
    if (auto done = set_up_rx_queue(queue, pools[queue % pools.size()]); !done) return done;
  }
  std::uint16_t unused = kDefaultDescriptors, descriptors = spec_.tx_desc;
  if (descriptors == 0)
    descriptors = info_.default_txportconf.ring_size != 0 ? info_.default_txportconf.ring_size : kDefaultDescriptors;
  rte_eth_dev_adjust_nb_rx_tx_desc(id_, &unused, &descriptors);
  for (std::uint16_t queue = 0; queue < queues_; ++queue) {
    if (const int error =
            rte_eth_tx_queue_setup(id_, queue, descriptors, static_cast<unsigned>(SOCKET_ID_ANY), nullptr);
        error != 0) {
      return fail(ErrorCode::unavailable, "send queue " + std::to_string(queue) + " cannot be set up with " +
                                              std::to_string(descriptors) + " descriptors (" + dpdk_text(error) + ")");
    }
  }
  return {};
}

Result<void> Port::start(const PortOptions& options) {
  if (lsc_) rte_eth_dev_callback_register(id_, RTE_ETH_EVENT_INTR_LSC, &count_link_change, &link_changes_);
  if (const int error = rte_eth_dev_start(id_); error != 0)
    return fail(ErrorCode::unavailable, "the device does not start (" + dpdk_text(error) + ")");
  started_ = true;
  if (spec_.mtu != 0 && kernel_ && kernel_->mtu() != spec_.mtu) {
    if (auto set = kernel_->set_mtu(spec_.mtu); !set) return set;
  }
  if (kernel_) {
    if (auto up = kernel_->set_up(true); !up) return up;
  }
  // A TAP is promiscuous by nature, and net_tap's way of saying so is a redirection of other traffic.
  if (options.promiscuous && spec_.kind != PortKind::tap) {
    rte_eth_promiscuous_enable(id_);
    rte_eth_allmulticast_enable(id_);
  }
  if (rss_requested_) rss_ = program_rss(id_, info_, options.rss_key, buckets_, queues_);
  return {};
}

Result<void> Port::after_start() {
  find_interrupt_descriptors();
  if (spec_.kind == PortKind::af_xdp && rx_fds_[0] >= 0) {
    xdp_options modes{};
    socklen_t size = sizeof modes;
    zero_copy_ =
        ::getsockopt(rx_fds_[0], SOL_XDP, XDP_OPTIONS, &modes, &size) == 0 && (modes.flags & XDP_OPTIONS_ZEROCOPY) != 0;
    if (spec_.zero_copy == ZeroCopy::on && !zero_copy_)
      return fail(ErrorCode::unavailable,
                  "the kernel driver of " + spec_.device + " has no AF_XDP zero copy; leave zero_copy away");
  }
  return {};
}

void Port::find_interrupt_descriptors() {
  for (std::uint16_t queue = 0; rx_interrupts_ && queue < queues_; ++queue) {
    if (rx_fds_[queue] < 0) rx_fds_[queue] = rte_eth_dev_rx_intr_ctl_q_get_fd(id_, queue);
  }
}

void Port::arm_rx(std::uint16_t queue) {
  if (rx_interrupts_ && rx_fds_[queue] >= 0) rte_eth_dev_rx_intr_enable(id_, queue);
}

void Port::disarm_rx(std::uint16_t queue) {
  if (!rx_interrupts_ || rx_fds_[queue] < 0) return;
  rte_eth_dev_rx_intr_disable(id_, queue);
  eventfd_t ignored = 0;
  eventfd_read(rx_fds_[queue], &ignored);
}

TxVerdict Port::prepare_tx_slowly(rte_mbuf*& m, std::uint16_t queue) {
  if ((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0 && !offloads_.tso) return TxVerdict::tso_unsupported;
  if ((m->ol_flags & software_flags_) != 0) {
    if (const TxVerdict verdict = fill_checksums(m); verdict != TxVerdict::ready) return verdict;
  }
  if (linear_ && must_be_made_linear(m)) {
    if (const TxVerdict verdict = make_linear(m, pools_[queue % pools_.size()]); verdict != TxVerdict::ready)
      return verdict;
  }
  if ((m->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK) == 0) return TxVerdict::ready;
  // What the NIC finishes it wants begun: the pseudo header's sum in the field, and whatever this driver adds to that.
  if (rte_net_intel_cksum_prepare(m) != 0) return TxVerdict::malformed;
  return rte_eth_tx_prepare(id_, queue, &m, 1) == 1 ? TxVerdict::ready : TxVerdict::malformed;
}

LinkState Port::link() const {
  // An interface that goes down leaves ENETDOWN on its packet sockets, which poll(2) reports until somebody takes it:
  // workers would not sleep.
  for (std::uint16_t queue = 0; spec_.kind == PortKind::af_packet && queue < queues_; ++queue) {
    int error = 0;
    socklen_t size = sizeof error;
    if (rx_fds_[queue] >= 0) ::getsockopt(rx_fds_[queue], SOL_SOCKET, SO_ERROR, &error, &size);
  }
  // net_af_xdp and net_af_packet report a link that is always up; the kernel knows.
  if (spec_.kind == PortKind::af_xdp || spec_.kind == PortKind::af_packet) return {.up = kernel_->running()};
  rte_eth_link link{};
  if (rte_eth_link_get_nowait(id_, &link) != 0) return {};
  const bool known = link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN;
  return {.up = link.link_status == RTE_ETH_LINK_UP, .speed_mbps = known ? link.link_speed : 0};
}

PortStats Port::stats() const {
  rte_eth_stats stats{};
  if (rte_eth_stats_get(id_, &stats) != 0) return {};
  return {.rx_frames = stats.ipackets,
          .rx_bytes = stats.ibytes,
          .tx_frames = stats.opackets,
          .tx_bytes = stats.obytes,
          .rx_missed = stats.imissed,
          .rx_errors = stats.ierrors,
          .tx_errors = stats.oerrors,
          .rx_no_buffer = stats.rx_nombuf};
}

Result<void> Port::add_mac(const MacAddress& mac) {
  rte_ether_addr address{};
  std::memcpy(address.addr_bytes, mac.bytes.data(), mac.bytes.size());
  if (rte_eth_promiscuous_get(id_) == 1 || spec_.kind == PortKind::tap) return {};
  if (rte_eth_dev_mac_addr_add(id_, &address, 0) == 0) return {};
  if (const int error = rte_eth_promiscuous_enable(id_); error != 0) {
    return fail(ErrorCode::unavailable, "port " + spec_.name + " can neither add the address " + to_string(mac) +
                                            " nor become promiscuous (" + dpdk_text(error) + ")");
  }
  return {};
}

Port::~Port() {
  if (started_) {
    if (lsc_) rte_eth_dev_callback_unregister(id_, RTE_ETH_EVENT_INTR_LSC, &count_link_change, &link_changes_);
    if (rte_eth_promiscuous_get(id_) == 1) rte_eth_promiscuous_disable(id_);
    rte_eth_dev_stop(id_);
  }
  if (plugged_) {
    if (id_ != RTE_MAX_ETHPORTS) rte_eth_dev_close(id_);
    const bool pci = spec_.kind == PortKind::pci;
    rte_eal_hotplug_remove(pci ? "pci" : "vdev", pci ? spec_.device.c_str() : vdev_name_.c_str());
  }
  // libxdp 1.3 counts a reference too many and leaves the socket open, which would keep the queue taken.
  for (std::size_t queue = 0; spec_.kind == PortKind::af_xdp && queue < queues_; ++queue) {
    if (rx_fds_[queue] >= 0 && inode_of(rx_fds_[queue]) == rx_inodes_[queue]) ::close(rx_fds_[queue]);
  }
  if (!steering_) return;
  // A restart that fails leaves things as the crash before it did: the kernel silent for the dataplane's addresses.
  if (!started_ && steering_->took_over()) {
    steering_->reattach();
  } else {
    steering_->detach();
  }
}

}  // namespace headgate::port
