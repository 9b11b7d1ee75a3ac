// One deadline per small integer, the earliest on top: a binary heap that knows where each item is. Equal deadlines
// come in a fixed but unspecified order. No allocation after construction.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "dataplane/base/time.h"

namespace headgate::neighbor {

class DeadlineHeap {
 public:
  explicit DeadlineHeap(std::uint32_t capacity) : place_(capacity, kAbsent) { heap_.reserve(capacity); }

  void set(std::uint32_t item, Nanos deadline) {
    if (place_[item] == kAbsent) {
      place_[item] = static_cast<std::uint32_t>(heap_.size());
      heap_.push_back({deadline, item});
    } else {
      heap_[place_[item]].deadline = deadline;
    }
    down(up(place_[item]));
  }
  void remove(std::uint32_t item) {
    const std::uint32_t at = place_[item];
    if (at == kAbsent) return;
    swap(at, static_cast<std::uint32_t>(heap_.size() - 1));
    heap_.pop_back();
    place_[item] = kAbsent;
    if (at < heap_.size()) down(up(at));
  }

  bool empty() const { return heap_.empty(); }
  Nanos next() const { return heap_.empty() ? kNever : heap_.front().deadline; }
  std::uint32_t top() const { return heap_.front().item; }  // Requires: !empty()

 private:
  static constexpr std::uint32_t kAbsent = 0xffffffff;
  struct Node {
    Nanos deadline;
    std::uint32_t item;
  };

  void swap(std::uint32_t a, std::uint32_t b) {
    std::swap(heap_[a], heap_[b]);
    place_[heap_[a].item] = a;
    place_[heap_[b].item] = b;
  }
  std::uint32_t up(std::uint32_t at) {
    while (at != 0 && heap_[at].deadline < heap_[(at - 1) / 2].deadline) {
      swap(at, (at - 1) / 2);
      at = (at - 1) / 2;
    }
    return at;
  }
  void down(std::uint32_t at) {
    while (true) {
      std::uint32_t least = at;
      for (std::uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < heap_.size(); ++child) {
        if (heap_[child].deadline < heap_[least].deadline) least = child;
      }
      if (least == at) return;
      swap(at, least);
      at = least;
    }
  }

  std::vector<Node> heap_;
  std::vector<std::uint32_t> place_;
};

}  // namespace headgate::neighbor
