// The XDP program that divides an interface between the dataplane and the kernel, and the sets it divides by.
//
// The truth is in the maps, not here: every setter reads what the program holds and changes the difference, adds before
// removes, one entry at a time (each atomic). So a Steering found on a running interface (`attach_to`) and one that put
// the program there (`install`) behave alike, and a restarted dataplane inherits the sets of the one that was killed.
//
// Thread rule: one control thread; never a worker. The program itself runs beside all of it without locks.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dataplane/base/ip.h"
#include "dataplane/base/result.h"
#include "drivers/xdp/steer_maps.h"
#include "drivers/xdp/unique_fd.h"

namespace headgate::xdp {

// Indexed by steer_verdict; frames since the program was loaded.
using SteeringCounters = std::array<std::uint64_t, STEER_VERDICTS>;

class Steering {
 public:
  // Loads the program, copies the sets of a predecessor of ours still attached to `interface` (left by a crash), and
  // swaps the programs in one step: no frame meets an interface without steering, and none for a set address meets the
  // kernel. Requires: no live process uses the interface (see queue_is_free). Fails when a foreign XDP program is
  // attached.
  static Result<Steering> install(const std::string& interface);

  // The steering already attached to an interface, for instance by another process of this box.
  static Result<Steering> attach_to(unsigned ifindex);

  // Loads the program without attaching it to anything, for tests with BPF_PROG_TEST_RUN.
  static Result<Steering> load_only();

  // What goes to the dataplane by destination, ARP target, ND target or quoted source. At most STEER_ADDRESSES_MAX.
  Result<void> set_addresses(std::span<const IpAddress> addresses);
  // VRRP (protocol 112) of these virtual router ids goes to the dataplane, and their virtual MACs count as ours.
  Result<void> set_vrids(std::span<const std::uint8_t> vrids);
  // Gateway mode: frames to our MAC from these prefixes that are not for the kernel itself go to the dataplane.
  Result<void> set_gateway(bool enabled, std::span<const IpPrefix> prefixes);
  // The kernel's own unicast and broadcast addresses, of every interface of this network namespace, as they are now.
  // Call when they change: until then gateway mode takes frames for a new kernel address away from it.
  Result<void> refresh_kernel_addresses();

  Result<std::vector<IpAddress>> addresses() const;  // in no order
  Result<SteeringCounters> counters() const;

  // True when `install` found and replaced a program of ours.
  bool took_over() const { return took_over_; }
  // "native" or "generic": whether the driver runs the program itself or the kernel does after building an skb.
  const char* mode() const { return native_ ? "native" : "generic"; }
  int program_fd() const { return program_.get(); }

  // Takes the program off the interface: everything goes to the kernel again. Not done by the destructor: a dataplane
  // that dies must leave it in place.
  void detach();
  // Puts the program back after net_af_xdp has removed it, which it does whenever it closes.
  void reattach();

 private:
  Steering() = default;
  static Result<Steering> from_program(UniqueFd program, unsigned ifindex);
  Result<void> copy_sets_from(const Steering& predecessor);
  Result<void> copy_map(int from, int to, std::size_t key_size, std::size_t value_size) const;

  unsigned ifindex_ = 0;
  bool took_over_ = false;
  bool native_ = true;
  UniqueFd program_;
  UniqueFd address_set_, kernel_addresses_, vrids_, gateway_, gateway_prefixes_, verdict_counters_;
};

// Whether an AF_XDP socket can be bound to this queue now. Waits up to `wait_ms` for the sockets of a process that has
// just been killed: the kernel releases them from a work queue, some milliseconds after the process is gone.
Result<void> wait_for_free_queue(const std::string& interface, unsigned queue, int wait_ms);

}  // namespace headgate::xdp
