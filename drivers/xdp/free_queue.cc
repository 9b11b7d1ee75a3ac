// Asks the kernel whether an AF_XDP queue is taken by trying to take it. The question must not be its own obstacle: a
// bound socket, once closed, holds its queue until a kernel work queue has run, and net_af_xdp does not survive a bind
// that fails (README, traps). So we bind for zero copy only: where the driver has none, the kernel looks whether the
// queue is free, refuses, and leaves nothing behind. Where it has, the bind succeeds and we wait out the release.
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "drivers/xdp/steering.h"

namespace headgate::xdp {
namespace {

constexpr std::size_t kAreaBytes = 4 * 4096;
constexpr auto kReleaseTime = std::chrono::milliseconds(100);
constexpr auto kRetryEvery = std::chrono::milliseconds(2);

// 0, or the errno of the step that failed.
int try_bind(unsigned ifindex, unsigned queue) {
  UniqueFd socket_fd(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!socket_fd.valid()) return errno;
  void* area = ::mmap(nullptr, kAreaBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) return errno;
  const auto attempt = [&] {
    xdp_umem_reg area_registration{};
    area_registration.addr = reinterpret_cast<std::uintptr_t>(area);
    area_registration.len = kAreaBytes;
    area_registration.chunk_size = 2048;
    const int entries = 8;
    const auto set = [&](int option, const void* value, socklen_t size) {
      return ::setsockopt(socket_fd.get(), SOL_XDP, option, value, size) == 0;
    };
    if (!set(XDP_UMEM_REG, &area_registration, sizeof area_registration) ||
        !set(XDP_UMEM_FILL_RING, &entries, sizeof entries) ||
        !set(XDP_UMEM_COMPLETION_RING, &entries, sizeof entries) || !set(XDP_RX_RING, &entries, sizeof entries)) {
      return errno;
    }
    sockaddr_xdp address{};
    address.sxdp_family = AF_XDP;
    address.sxdp_flags = XDP_ZEROCOPY;
    address.sxdp_ifindex = ifindex;
    address.sxdp_queue_id = queue;
    return ::bind(socket_fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
  };
  const int error = attempt();
  socket_fd.reset();
  ::munmap(area, kAreaBytes);
  return error;
}

}  // namespace

Result<void> wait_for_free_queue(const std::string& interface, unsigned queue, int wait_ms) {
  const unsigned ifindex = if_nametoindex(interface.c_str());
  if (ifindex == 0) return fail(ErrorCode::not_found, "there is no network interface \"" + interface + "\"");
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
  int error = try_bind(ifindex, queue);
  while (error == EBUSY && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::sleep_for(kRetryEvery);
    error = try_bind(ifindex, queue);
  }
  const std::string where = "receive queue " + std::to_string(queue) + " of " + interface;
  switch (error) {
    case EOPNOTSUPP:  // free, and no zero copy
      return {};
    case 0:
      std::this_thread::sleep_for(kReleaseTime);
      return {};
    case EBUSY:
      return fail(ErrorCode::unavailable, where +
                                              " is in use by another AF_XDP program; stop that program (`ss -l --xdp`"
                                              " or `bpftool net` may name it) or choose another interface");
    case EPERM:
    case EACCES:
      return fail(ErrorCode::permission_denied, "AF_XDP on " + interface + " takes root or CAP_NET_RAW and CAP_BPF");
    case EAFNOSUPPORT:
      return fail(ErrorCode::unavailable,
                  "this kernel has no AF_XDP (CONFIG_XDP_SOCKETS); use af_packet:" + interface + " instead");
    case EINVAL:
      return fail(ErrorCode::invalid_argument, where + " does not exist; see `ethtool -l " + interface + "`");
    default:
      return fail(ErrorCode::internal, "AF_XDP cannot use " + where + ": " + std::strerror(error));
  }
}

}  // namespace headgate::xdp
