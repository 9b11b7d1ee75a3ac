// An immutable array whose copies share its elements: one snapshot hands it to the next. Reading costs what reading a
// std::vector does, one pointer away.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace headgate {

template <class T>
class SharedArray {
 public:
  using value_type = T;
  using const_iterator = const T*;
  using iterator = const_iterator;

  SharedArray() = default;
  explicit SharedArray(std::vector<T> elements) {
    if (elements.empty()) return;
    auto owner = std::make_shared<const std::vector<T>>(std::move(elements));
    data_ = owner->data();
    size_ = owner->size();
    owner_ = std::move(owner);
  }

  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  // Requires: i < size(), and for the others that there is an element.
  const T& operator[](std::size_t i) const { return data_[i]; }
  const T& front() const { return data_[0]; }
  const T& back() const { return data_[size_ - 1]; }

 private:
  const T* data_ = nullptr;
  std::size_t size_ = 0;
  std::shared_ptr<const std::vector<T>> owner_;
};

}  // namespace headgate
