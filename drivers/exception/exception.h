// The way to the kernel for frames that are not the dataplane's, and back. A port that the kernel shares (af_xdp) needs
// none; one that DPDK owns whole gets a kernel interface of its own here: SSH, BGP and NTP live on it. The same kind of
// device is the probe interface.
//
// The kernel believes this interface to be the NIC: it has the NIC's hardware address and MTU. Whatever the dataplane
// does not claim goes in by tx_burst; whatever the kernel sends comes out by rx_burst and leaves by the NIC unchanged.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "drivers/port/port.h"

namespace headgate::exception {

struct ExceptionSpec {
  std::string interface;  // name of the kernel interface to make, 1 to 15 characters
  MacAddress mac{};       // of the port it stands for; zero: the driver chooses
  std::uint16_t mtu = 1500;
};

// vhost-net when the kernel has it (frames are moved by a kernel thread), net_tap otherwise (a system call per frame;
// right for control traffic, not for load). The interface is up on return and disappears with the Port. One queue:
// exception traffic is moved by one worker.
Result<std::unique_ptr<port::Port>> open(const ExceptionSpec& spec, std::span<rte_mempool* const> pools);

// For a port whose spec asks for one (exception=IFNAME): same address and MTU as the port.
// Requires: !port.spec().exception.empty()
Result<std::unique_ptr<port::Port>> open_for(const port::Port& port, std::span<rte_mempool* const> pools);

}  // namespace headgate::exception
