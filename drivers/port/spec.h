// What a person writes to name a port: NAME=KIND[:DEVICE][,key=value...], for instance
//   front=af_xdp:eth0,queues=2     front=pci:0000:01:00.0,exception=front0     probe=tap:hgprobe0
//   x=pcap:in.pcap,out=o.pcap
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"

namespace headgate::port {

enum class PortKind : std::uint8_t {
  pci,          // a NIC or virtio device bound to vfio-pci; DEVICE is its PCI address. DPDK owns it whole
  af_xdp,       // a kernel interface shared with the kernel through our XDP program
  af_packet,    // a kernel interface, every frame copied to us and to the kernel
  memif,        // shared memory with another process; DEVICE is the socket
  tap,          // a kernel interface that we make; DEVICE is its name
  virtio_user,  // DEVICE is /dev/vhost-net (makes a kernel interface) or a vhost-user socket
  pcap,         // DEVICE is a capture to read once, out= a capture to write
  null,         // swallows frames and gives none
  ring,         // what is sent is received; for tests
};
const char* to_string(PortKind kind);

enum class ZeroCopy : std::uint8_t { automatic, on, off };

struct PortSpec {
  std::string name;
  PortKind kind = PortKind::null;
  std::string device;
  std::uint16_t queues = 0;                // 0: one per worker, as far as the device has them
  std::uint16_t mtu = 0;                   // 0: what the device has, or 1500
  std::uint16_t rx_desc = 0, tx_desc = 0;  // 0: the driver's advice
  std::string exception;   // kernel interface for everything that is not ours; empty: none. For ports DPDK owns whole
  bool steer_all = false;  // af_xdp: no steering program of ours, every frame comes to us
  ZeroCopy zero_copy = ZeroCopy::automatic;  // af_xdp
  bool memif_server = false;
  std::string pcap_out;
  std::string mac;  // tap, virtio_user: hardware address of the device; empty: chosen by the driver
};

// On bad input one sentence: what is wrong and what is allowed.
Result<PortSpec> parse_port_spec(std::string_view text);

inline constexpr std::uint16_t kMtuMin = 576;  // RFC 791: every host accepts that much
inline constexpr std::uint16_t kMtuMax = 9000;
inline constexpr std::uint16_t kQueuesMax = 64;
inline constexpr std::uint16_t kDescriptorsMax = 8192;

}  // namespace headgate::port
