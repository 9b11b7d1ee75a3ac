// An immutable open-addressing hash map, built once off the workers and read by many. Linear probing at half load.
#pragma once

#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

namespace headgate {

template <class Key, class Value, class Hash>
class FlatMap {
 public:
  FlatMap() = default;
  FlatMap(const std::vector<std::pair<Key, Value>>& entries, Hash hash) : hash_(hash) {
    slots_.resize(std::bit_ceil(entries.size() * 2 + 1));
    for (const auto& [key, value] : entries) insert(key, value);
  }

  // Null when absent.
  const Value* find(const Key& key) const {
    if (slots_.empty()) return nullptr;
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t i = hash_(key) & mask; slots_[i].used; i = (i + 1) & mask) {
      if (slots_[i].key == key) return &slots_[i].value;
    }
    return nullptr;
  }

 private:
  struct Entry {
    Key key{};
    Value value{};
    bool used = false;
  };
  void insert(const Key& key, const Value& value) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t i = hash_(key) & mask;
    while (slots_[i].used && !(slots_[i].key == key)) i = (i + 1) & mask;
    slots_[i] = Entry{key, value, true};
  }

  std::vector<Entry> slots_;
  Hash hash_{0};
};

}  // namespace headgate
