// Memory that payload lies in, and the one page that is all the engine knows of it. A Buffer is a reference-counted
// header beside its bytes: plain memory in tests, an rte_mbuf's private area in a worker (the mbuf is found by pointer
// arithmetic, its refcnt counts what the driver still holds). The engine never writes into a buffer that it did not
// allocate for packing, so several connections and the driver may hold one.
//
// Single threaded: a buffer's references are held by one worker.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

namespace headgate::tcp {

class BufferPool;

struct Buffer {
  BufferPool* pool = nullptr;
  std::uint8_t* data = nullptr;  // payload begins here
  std::uint32_t refs = 0;
  std::uint32_t truesize = 0;  // what it keeps occupied, whatever its length: 2 KiB and headers for a 1-byte segment
  std::uint16_t length = 0;    // bytes valid from data
  std::uint16_t headroom = 0;  // writable bytes before data, for headers in place
  std::uint16_t tailroom = 0;  // writable bytes after data + length
  bool packing = false;        // allocated by the engine; it may append while it is the only holder

  std::span<const std::uint8_t> bytes() const { return {data, length}; }
};
static_assert(sizeof(Buffer) <= 32 + 8);

// Where buffers come from and return to. The virtual calls are one per buffer, not per packet in the loop's sense: a
// driver's buffer is freed by whoever drops the last reference.
class BufferPool {
 public:
  virtual ~BufferPool() = default;
  // A buffer with refs == 1, length 0, room behind; null when the pool is empty, which every caller survives.
  virtual Buffer* allocate() = 0;
  // Requires: refs == 0.
  virtual void free(Buffer* buffer) = 0;
};

inline void add_reference(Buffer* buffer) {
  ++buffer->refs;
}
inline void drop_reference(Buffer* buffer) {
  if (--buffer->refs == 0) buffer->pool->free(buffer);
}

// A part of a buffer, borrowed: whoever keeps it takes a reference.
struct Slice {
  Buffer* buffer = nullptr;
  std::uint16_t offset = 0, length = 0;

  std::span<const std::uint8_t> bytes() const { return {buffer->data + offset, length}; }
};

}  // namespace headgate::tcp
