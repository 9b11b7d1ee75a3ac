// For tests of the engine: buffers in plain memory that count what leaks, and segments as bytes with a checksum.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/tcp/buffer.h"
#include "dataplane/tcp/segment.h"

namespace headgate::tcp::testing {

// Buffers of one size with headroom, made when first needed. A freed one is overwritten, so that whoever still reads it
// reads nonsense.
class MemoryPool : public BufferPool {
 public:
  explicit MemoryPool(std::uint32_t capacity = 1u << 20, std::uint16_t room = 2048);
  ~MemoryPool() override;
  Buffer* allocate() override;
  void free(Buffer* buffer) override;
  // A buffer with these bytes, refs == 1; null when empty. Requires: bytes.size() <= room.
  Buffer* with(std::span<const std::uint8_t> bytes);

  std::uint32_t in_use() const { return in_use_; }
  void set_capacity(std::uint32_t capacity) { capacity_ = capacity; }

 private:
  struct Block;
  std::uint32_t capacity_, in_use_ = 0;
  std::uint16_t room_;
  std::vector<std::unique_ptr<Block>> all_;
  std::vector<Block*> free_;
};

// Header and payload as they are on a wire, checksum over the pseudo header filled in. Appends to `bytes`.
void serialize(const OutSegment& segment, std::vector<std::uint8_t>& bytes);
// The same from parts, for peers that a test plays itself.
std::vector<std::uint8_t> serialize(const Tuple& tuple, const Header& header, std::span<const std::uint8_t> payload);
bool checksum_ok(const Tuple& tuple, std::span<const std::uint8_t> bytes);

}  // namespace headgate::tcp::testing
