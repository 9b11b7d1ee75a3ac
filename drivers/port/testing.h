// For tests of drivers: EAL once per process, in a network namespace of the process's own (gone when it exits, so
// nothing is left behind even by a crash), veth pairs, raw sockets to play the neighbor, and patience with a bound.
#pragma once

#include <rte_mempool.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/port/port.h"
#include "drivers/xdp/test_frames.h"
#include "drivers/xdp/unique_fd.h"

namespace headgate::test {

// Runs `ip ...` and the like; a failure is a test failure.
void shell(const std::string& command);

// HOST_IF <-> PEER_IF, both up, offloads off, removed at the end.
class VethPair {
 public:
  VethPair(std::string host, std::string peer);
  ~VethPair();
  const std::string host, peer;
};

// The neighbor: raw frames on an interface.
class RawSocket {
 public:
  explicit RawSocket(const std::string& interface);
  void send(const Bytes& frame) const;
  // The first frame that `wanted` accepts within the time, or nothing.
  std::optional<Bytes> receive(const std::function<bool(const Bytes&)>& wanted, int timeout_ms = 1000) const;

 private:
  xdp::UniqueFd fd_;
};

// Frees itself. Objects fit a page, as AF_XDP wants.
struct FreePool {
  void operator()(rte_mempool* pool) const { rte_mempool_free(pool); }
};
using Pool = std::unique_ptr<rte_mempool, FreePool>;
Pool make_pool(unsigned mbufs = 8191, std::uint16_t room = RTE_MBUF_DEFAULT_BUF_SIZE);

Bytes bytes_of(const rte_mbuf* m);
rte_mbuf* mbuf_of(rte_mempool* pool, const Bytes& frame);

std::unique_ptr<port::Port> open_port(std::string_view spec, rte_mempool* pool);  // null and a failure on error
// Polls queue 0 until a frame that `wanted` accepts has come or the time is over; frees everything.
std::optional<Bytes> receive(port::Port& port, const std::function<bool(const Bytes&)>& wanted, int timeout_ms = 1000);
void send(port::Port& port, rte_mbuf* m);
// poll(2) on queue 0's descriptor: true when it became readable in time.
bool wakes(port::Port& port, int timeout_ms);
void drain(port::Port& port);

inline std::function<bool(const Bytes&)> equals(Bytes frame) {
  return [frame = std::move(frame)](const Bytes& other) { return frame == other; };
}

}  // namespace headgate::test
