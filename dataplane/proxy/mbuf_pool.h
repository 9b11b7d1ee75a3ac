// The engine's buffers over rte_mbufs: a tcp::Buffer lies in an mbuf's private area, so the payload of a received frame
// is what the engine queues and what another frame sends on, without a copy. The engine's holders together have one
// reference of the mbuf; drivers have theirs besides (refcnt). The mbuf's own data_off and lengths say what the driver
// sends; the engine never reads them.
//
// Single threaded, as the engine is. Pools of all ports and the worker's own need kPrivateSize of private area.
#pragma once

#include <cstdint>

#include "dataplane/tcp/buffer.h"

struct rte_mbuf;
struct rte_mempool;

namespace headgate::proxy {

// The private area of each mbuf: a cache line, so that data stays aligned as it was without it.
inline constexpr std::uint16_t kPrivateSize = 64;

class MbufPool final : public tcp::BufferPool {
 public:
  // `own`: where allocate() takes from, `most` at once: others live from that pool, too. Borrowed. Requires: its
  // private area has kPrivateSize bytes.
  MbufPool(rte_mempool* own, std::uint32_t most);

  tcp::Buffer* allocate() override;
  void free(tcp::Buffer* buffer) override;

  // A received mbuf becomes a buffer of `length` bytes from `offset` of its data on, refs == 1, which owns the mbuf.
  // Null, and the mbuf stays the caller's, when it is shared or comes from a pool without private area. Requires: one
  // segment; the bytes are inside.
  tcp::Buffer* adopt(rte_mbuf* mbuf, std::uint32_t offset, std::uint32_t length);

  static rte_mbuf* mbuf_of(tcp::Buffer* buffer);
  rte_mempool* own() const { return own_; }

 private:
  rte_mempool* own_;
  std::uint32_t most_, allocated_ = 0;
};

}  // namespace headgate::proxy
