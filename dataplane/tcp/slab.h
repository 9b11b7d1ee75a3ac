// A fixed number of equal objects, named by a 32-bit index. Memory is reserved at construction and touched as it is
// first used; allocation is a pop, freeing a push. Addresses are stable. Single threaded.
#pragma once

#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>

#include "dataplane/base/check.h"
#include "dataplane/base/huge_array.h"

namespace headgate::tcp {

inline constexpr std::uint32_t kNone = 0xffffffff;

template <class T>
class Slab {
  static_assert(std::is_trivially_destructible_v<T> && sizeof(T) >= 4);

 public:
  explicit Slab(std::uint32_t capacity) : capacity_(capacity), memory_(std::size_t{capacity} * sizeof(T)) {}

  // kNone when all are in use.
  std::uint32_t allocate() {
    std::uint32_t index = free_;
    if (index != kNone) {
      std::memcpy(&free_, raw(index), 4);
    } else if (touched_ < capacity_) {
      index = touched_++;
    } else {
      return kNone;
    }
    new (raw(index)) T{};
    ++used_;
    return index;
  }
  void free(std::uint32_t index) {
    HEADGATE_CHECK(index < touched_ && used_ > 0);
    std::memcpy(raw(index), &free_, 4);
    free_ = index;
    --used_;
  }
  // Requires: index is allocated.
  T& operator[](std::uint32_t index) { return *std::launder(reinterpret_cast<T*>(raw(index))); }
  const T& operator[](std::uint32_t index) const { return *std::launder(reinterpret_cast<const T*>(raw(index))); }

  std::uint32_t used() const { return used_; }
  std::uint32_t capacity() const { return capacity_; }
  std::uint32_t touched() const { return touched_; }
  std::byte* storage() { return &memory_[0]; }

 private:
  std::byte* raw(std::uint32_t index) { return &memory_[std::size_t{index} * sizeof(T)]; }
  const std::byte* raw(std::uint32_t index) const { return &memory_[std::size_t{index} * sizeof(T)]; }

  std::uint32_t capacity_, used_ = 0, touched_ = 0, free_ = kNone;
  HugeArray<std::byte> memory_;
};

}  // namespace headgate::tcp
