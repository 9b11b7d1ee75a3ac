// An immutable open-addressing hash map, built once off the workers and read by many. Linear probing at half load.
// Copies share the entries.
#pragma once

#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

#include "dataplane/base/shared_array.h"

namespace headgate {

template <class Key, class Value, class Hash>
class FlatMap {
 public:
  FlatMap() = default;
  FlatMap(const std::vector<std::pair<Key, Value>>& entries, Hash hash) : hash_(hash) {
    std::vector<Entry> slots(std::bit_ceil(entries.size() * 2 + 1));
    for (const auto& [key, value] : entries) insert(slots, key, value);
    slots_ = SharedArray<Entry>(std::move(slots));
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

  // A map of its own with the same keys: edit(key, value) is called for each and may write the value.
  template <class Edit>
  FlatMap edited(Edit&& edit) const {
    std::vector<Entry> slots(slots_.begin(), slots_.end());
    for (Entry& entry : slots) {
      if (entry.used) edit(std::as_const(entry.key), entry.value);
    }
    FlatMap copy;
    copy.slots_ = SharedArray<Entry>(std::move(slots));
    copy.hash_ = hash_;
    return copy;
  }

 private:
  struct Entry {
    Key key{};
    Value value{};
    bool used = false;
  };
  void insert(std::vector<Entry>& slots, const Key& key, const Value& value) const {
    const std::size_t mask = slots.size() - 1;
    std::size_t i = hash_(key) & mask;
    while (slots[i].used && !(slots[i].key == key)) i = (i + 1) & mask;
    slots[i] = Entry{key, value, true};
  }

  SharedArray<Entry> slots_;
  Hash hash_{0};
};

}  // namespace headgate
