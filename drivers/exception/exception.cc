#include "drivers/exception/exception.h"

#include <unistd.h>

#include <algorithm>

#include "dataplane/base/check.h"
#include "drivers/port/buffers.h"

namespace headgate::exception {
namespace {

constexpr const char* kVhostNet = "/dev/vhost-net";

port::PortSpec spec_of(const ExceptionSpec& wanted) {
  port::PortSpec spec;
  spec.name = wanted.interface;
  spec.queues = 1;
  spec.mtu = wanted.mtu;
  if (!wanted.mac.is_zero()) spec.mac = to_string(wanted.mac);
  const bool vhost = ::access(kVhostNet, R_OK | W_OK) == 0;
  spec.kind = vhost ? port::PortKind::virtio_user : port::PortKind::tap;
  spec.device = vhost ? kVhostNet : wanted.interface;
  // What the kernel itself says may be shorter than what the port could carry.
  if (!vhost) spec.mtu = std::min(spec.mtu, port::kTapMtuMax);
  return spec;
}

}  // namespace

Result<std::unique_ptr<port::Port>> open(const ExceptionSpec& wanted, std::span<rte_mempool* const> pools) {
  const port::PortSpec spec = spec_of(wanted);
  auto device = port::Port::open(spec, pools, {});
  if (!device) return device;
  const port::KernelInterface kernel(wanted.interface);
  // vhost-net gives `mac` to our end only; the kernel's end gets its own. Addresses change while the interface is down.
  if (!wanted.mac.is_zero() && kernel.mac() != wanted.mac) {
    if (auto down = kernel.set_up(false); !down) return tl::unexpected(down.error());
    if (auto set = kernel.set_mac(wanted.mac); !set) return tl::unexpected(set.error());
  }
  if (kernel.mtu() != spec.mtu) {
    if (auto set = kernel.set_mtu(spec.mtu); !set) return tl::unexpected(set.error());
  }
  if (auto up = kernel.set_up(true); !up) return tl::unexpected(up.error());
  return device;
}

Result<std::unique_ptr<port::Port>> open_for(const port::Port& owner, std::span<rte_mempool* const> pools) {
  HEADGATE_CHECK(!owner.spec().exception.empty());
  return open({.interface = owner.spec().exception, .mac = owner.mac(), .mtu = owner.mtu()}, pools);
}

}  // namespace headgate::exception
