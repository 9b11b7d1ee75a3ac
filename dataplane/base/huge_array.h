// A zeroed array that asks the kernel for huge pages: tables of flows and connections are read at random, and with 4 KB
// pages the page walk costs as much as the line. Reserved address space becomes memory only when touched; small arrays
// keep small pages, or the first entry would cost 2 MB.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "dataplane/base/check.h"

namespace headgate {

template <class T>
class HugeArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit HugeArray(std::size_t size) : size_(size), bytes_((size * sizeof(T) + kHuge - 1) / kHuge * kHuge) {
    void* memory =
        mmap(nullptr, bytes_ + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    HEADGATE_CHECK(memory != MAP_FAILED);
    base_ = memory;
    const auto address = reinterpret_cast<std::uintptr_t>(memory);
    const std::size_t skip = (kHuge - address % kHuge) % kHuge;
    items_ = reinterpret_cast<T*>(static_cast<char*>(memory) + skip);
    if (bytes_ >= kWorthIt) madvise(items_, bytes_, MADV_HUGEPAGE);  // best effort
  }
  ~HugeArray() { munmap(base_, bytes_ + kHuge); }
  HugeArray(const HugeArray&) = delete;
  HugeArray& operator=(const HugeArray&) = delete;

  T& operator[](std::size_t i) { return items_[i]; }
  const T& operator[](std::size_t i) const { return items_[i]; }
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kHuge = 2u << 20, kWorthIt = 4 * kHuge;
  std::size_t size_, bytes_;
  void* base_ = nullptr;
  T* items_ = nullptr;
};

}  // namespace headgate
