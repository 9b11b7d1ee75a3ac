#include "dataplane/proxy/mbuf_pool.h"

#include <rte_mbuf.h>

#include <new>

#include "dataplane/base/check.h"

namespace headgate::proxy {

namespace {

struct Private {
  tcp::Buffer buffer;
  bool allocated = false;  // by allocate(), not received
};
static_assert(sizeof(Private) <= kPrivateSize && kPrivateSize % RTE_MBUF_PRIV_ALIGN == 0);

}  // namespace

MbufPool::MbufPool(rte_mempool* own, std::uint32_t most) : own_(own), most_(most) {
  HEADGATE_CHECK(own != nullptr && rte_pktmbuf_priv_size(own) >= kPrivateSize);
}

rte_mbuf* MbufPool::mbuf_of(tcp::Buffer* buffer) {
  return reinterpret_cast<rte_mbuf*>(reinterpret_cast<char*>(buffer) - sizeof(rte_mbuf));
}

tcp::Buffer* MbufPool::adopt(rte_mbuf* mbuf, std::uint32_t offset, std::uint32_t length) {
  if (!RTE_MBUF_DIRECT(mbuf) || rte_mbuf_refcnt_read(mbuf) != 1 || mbuf->priv_size < kPrivateSize) return nullptr;
  auto* data = rte_pktmbuf_mtod_offset(mbuf, std::uint8_t*, offset);
  const auto headroom = static_cast<std::uint32_t>(mbuf->data_off + offset);
  auto* priv = new (rte_mbuf_to_priv(mbuf))
      Private{.buffer = {.pool = this,
                         .data = data,
                         .refs = 1,
                         .truesize = static_cast<std::uint32_t>(sizeof(rte_mbuf)) + mbuf->priv_size + mbuf->buf_len,
                         .length = static_cast<std::uint16_t>(length),
                         .headroom = static_cast<std::uint16_t>(headroom),
                         .tailroom = static_cast<std::uint16_t>(mbuf->buf_len - headroom - length)}};
  return &priv->buffer;
}

tcp::Buffer* MbufPool::allocate() {
  if (allocated_ >= most_) return nullptr;
  rte_mbuf* mbuf = rte_pktmbuf_alloc(own_);
  if (mbuf == nullptr) return nullptr;
  tcp::Buffer* buffer = adopt(mbuf, 0, 0);
  static_cast<Private*>(rte_mbuf_to_priv(mbuf))->allocated = true;
  ++allocated_;
  return buffer;
}

void MbufPool::free(tcp::Buffer* buffer) {
  rte_mbuf* mbuf = mbuf_of(buffer);
  if (static_cast<const Private*>(rte_mbuf_to_priv(mbuf))->allocated) --allocated_;
  rte_pktmbuf_free_seg(mbuf);
}

}  // namespace headgate::proxy
