#include "dataplane/tcp/testing.h"

#include <cstring>

#include "dataplane/base/check.h"
#include "dataplane/packet/checksum.h"

namespace headgate::tcp::testing {
namespace {

constexpr std::uint16_t kHeadroom = 128;
constexpr std::uint32_t kOverhead = 256;  // what an mbuf and its pool cost beside the data
constexpr std::uint8_t kPoison = 0xdb;

void finish_checksum(const Tuple& tuple, std::span<std::uint8_t> bytes) {
  const std::uint16_t pseudo =
      packet::pseudo_header_sum(tuple.src, tuple.dst, kProtocolTcp, static_cast<std::uint32_t>(bytes.size()));
  const std::uint16_t checksum = packet::invert(packet::sum(bytes, pseudo));
  std::memcpy(&bytes[16], &checksum, 2);
}

}  // namespace

struct MemoryPool::Block {
  Buffer buffer;  // first: free() finds the block by it
  std::unique_ptr<std::uint8_t[]> memory;
};

MemoryPool::MemoryPool(std::uint32_t capacity, std::uint16_t room) : capacity_(capacity), room_(room) {}
MemoryPool::~MemoryPool() = default;

Buffer* MemoryPool::allocate() {
  if (in_use_ >= capacity_) return nullptr;
  if (free_.empty()) {
    all_.push_back(std::make_unique<Block>());
    all_.back()->memory = std::make_unique<std::uint8_t[]>(kHeadroom + room_);
    free_.push_back(all_.back().get());
  }
  Block* block = free_.back();
  free_.pop_back();
  ++in_use_;
  block->buffer = {.pool = this,
                   .data = block->memory.get() + kHeadroom,
                   .refs = 1,
                   .truesize = kHeadroom + room_ + kOverhead,
                   .headroom = kHeadroom,
                   .tailroom = room_};
  return &block->buffer;
}

void MemoryPool::free(Buffer* buffer) {
  HEADGATE_CHECK(buffer->refs == 0 && in_use_ > 0);
  std::memset(buffer->data, kPoison, buffer->length);
  --in_use_;
  free_.push_back(reinterpret_cast<Block*>(buffer));
}

Buffer* MemoryPool::with(std::span<const std::uint8_t> bytes) {
  Buffer* buffer = allocate();
  if (buffer == nullptr) return nullptr;
  HEADGATE_CHECK(bytes.size() <= room_);
  if (!bytes.empty()) std::memcpy(buffer->data, bytes.data(), bytes.size());
  buffer->length = static_cast<std::uint16_t>(bytes.size());
  buffer->tailroom = static_cast<std::uint16_t>(room_ - bytes.size());
  return buffer;
}

void serialize(const OutSegment& segment, std::vector<std::uint8_t>& bytes) {
  const std::size_t start = bytes.size();
  bytes.insert(bytes.end(), segment.header.begin(), segment.header.begin() + segment.header_length);
  for (const Slice& slice : segment.payload()) {
    const auto part = slice.bytes();
    bytes.insert(bytes.end(), part.begin(), part.end());
  }
  HEADGATE_CHECK(bytes.size() - start == std::size_t{segment.header_length} + segment.payload_length);
  finish_checksum(segment.tuple, std::span(bytes).subspan(start));
}

std::vector<std::uint8_t> serialize(const Tuple& tuple, const Header& header, std::span<const std::uint8_t> payload) {
  std::vector<std::uint8_t> bytes(kHeaderMax);
  Header h = header;
  h.src_port = tuple.src_port;
  h.dst_port = tuple.dst_port;
  bytes.resize(write_header(bytes.data(), h));
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  finish_checksum(tuple, bytes);
  return bytes;
}

bool checksum_ok(const Tuple& tuple, std::span<const std::uint8_t> bytes) {
  const std::uint16_t pseudo =
      packet::pseudo_header_sum(tuple.src, tuple.dst, kProtocolTcp, static_cast<std::uint32_t>(bytes.size()));
  return packet::sum(bytes, pseudo) == 0xffff;
}

}  // namespace headgate::tcp::testing
