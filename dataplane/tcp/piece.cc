#include "dataplane/tcp/piece.h"

namespace headgate::tcp {

std::uint32_t PiecePool::make(const Slice& slice) {
  const std::uint32_t index = slab_.allocate();
  if (index == kNone) return kNone;
  Piece& piece = slab_[index];
  piece.buffer = slice.buffer;
  piece.offset = slice.offset;
  piece.length = slice.length;
  piece.marks = Piece::kCharged;
  add_reference(slice.buffer);
  truesize_ += slice.buffer->truesize;
  return index;
}

void PiecePool::release(std::uint32_t index) {
  Piece& piece = slab_[index];
  truesize_ -= piece.charge();
  drop_reference(piece.buffer);
  slab_.free(index);
}

bool PiecePool::split(PieceList& list, std::uint32_t index, std::uint16_t length) {
  const std::uint32_t second_index = slab_.allocate();
  if (second_index == kNone) return false;
  Piece& first = slab_[index];
  Piece& second = slab_[second_index];
  HEADGATE_CHECK(length > 0 && length < first.length);
  second = first;
  trim_front(second, length);
  first.length = length;
  first.clear(Piece::kCharged);  // acknowledgments free the first part first; the buffer stays until the last is gone
  first.next = second_index;
  if (list.tail == index) list.tail = second_index;
  add_reference(second.buffer);
  return true;
}

void PiecePool::push_back(PieceList& list, std::uint32_t index) {
  slab_[index].next = kNone;
  if (list.empty()) {
    list.head = index;
  } else {
    slab_[list.tail].next = index;
  }
  list.tail = index;
}

std::uint32_t PiecePool::pop_front(PieceList& list) {
  const std::uint32_t index = list.head;
  list.head = slab_[index].next;
  if (list.head == kNone) list.tail = kNone;
  slab_[index].next = kNone;
  return index;
}

void PiecePool::release_all(PieceList& list) {
  while (!list.empty()) release(pop_front(list));
}

bool Chain::append(const Slice& slice) {
  if (slice.length == 0) return true;
  const std::uint32_t index = pool_->make(slice);
  if (index == kNone) return false;
  adopt(index);
  return true;
}

void Chain::clear() {
  pool_->release_all(list_);
  bytes_ = 0;
}

}  // namespace headgate::tcp
