// Counters with one writer, the worker, and any number of readers: relaxed atomics, plain add instructions, no locks.
// Readers see each counter exactly, not all of them at one instant.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "dataplane/base/time.h"

namespace headgate::telemetry {

class Counter {
 public:
  void add(std::uint64_t n) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  void set(std::uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  std::uint64_t read() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// What operators see of a counter: its name, stable, and a sentence.
struct CounterText {
  const char* name;
  const char* meaning;
};

// Bounds of classes of times, in microseconds: 1, 2.5, 5 in each decade of what a LAN and a slow server need.
inline constexpr std::array<std::uint32_t, 19> kTimeBoundsUs{
    100,     250,     500,       1'000,     2'500,     5'000,      10'000,     25'000,     50'000,      100'000,
    250'000, 500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000, 30'000'000, 60'000'000, 300'000'000,
};

// How long things took. A class has what is at most its bound and above the one before; the last what is beyond all.
struct Histogram {
  std::array<Counter, kTimeBoundsUs.size() + 1> classes;
  Counter sum_us;

  void add(Nanos time) {
    const std::uint64_t us = time / kMicrosecond;
    std::size_t i = 0;
    while (i < kTimeBoundsUs.size() && us > kTimeBoundsUs[i]) ++i;
    classes[i].add(1);
    sum_us.add(us);
  }
  // Classes in their order, then the sum.
  template <class Visit>
  void each(Visit&& visit) const {
    for (const Counter& one : classes) visit(one.read());
    visit(sum_us.read());
  }
};

// A fixed array.
template <class T>
class CounterArray {
 public:
  explicit CounterArray(std::size_t size) : size_(size), items_(std::make_unique<T[]>(size)) {}
  T& operator[](std::size_t i) { return items_[i]; }
  const T& operator[](std::size_t i) const { return items_[i]; }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_;
  std::unique_ptr<T[]> items_;
};

// For large items of which few are ever used: one is made when its writer first asks for it, and stays.
template <class T>
class SparseCounters {
 public:
  explicit SparseCounters(std::size_t size) : size_(size), items_(std::make_unique<std::atomic<T*>[]>(size)) {}
  ~SparseCounters() {
    for (std::size_t i = 0; i < size_; ++i) delete items_[i].load(std::memory_order_relaxed);
  }
  SparseCounters(const SparseCounters&) = delete;
  SparseCounters& operator=(const SparseCounters&) = delete;

  // The writer's.
  T& operator[](std::size_t i) {
    T* item = items_[i].load(std::memory_order_relaxed);
    return item != nullptr ? *item : make(i);
  }
  // Anybody's. Null: nothing was counted.
  const T* find(std::size_t i) const { return items_[i].load(std::memory_order_acquire); }
  std::size_t size() const { return size_; }

 private:
  T& make(std::size_t i) {
    auto item = std::make_unique<T>();
    items_[i].store(item.get(), std::memory_order_release);
    return *item.release();
  }

  std::size_t size_;
  std::unique_ptr<std::atomic<T*>[]> items_;
};

}  // namespace headgate::telemetry
