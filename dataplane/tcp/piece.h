// Descriptors of payload: {buffer, part of it, sequence number, when it was sent, what became of it}. Lists of them are
// the send queue, the receive queue and what came out of order; a piece moves between queues without touching the
// bytes. On the send side pieces are cut at segment boundaries when they are sent, so each belongs to one segment and
// carries its marks: the scoreboard of RFC 6675 needs no other memory, and no peer can make it longer than the queue.
#pragma once

#include <cstdint>
#include <iterator>

#include "dataplane/base/time.h"
#include "dataplane/tcp/buffer.h"
#include "dataplane/tcp/seqnum.h"
#include "dataplane/tcp/slab.h"

namespace headgate::tcp {

struct Piece {
  enum Mark : std::uint8_t {
    kCharged = 1,         // its buffer's truesize counts here: one piece of those that share a buffer, the last one
    kSent = 2,            // at least once
    kSacked = 4,          // reported by a SACK block
    kLost = 8,            // presumed lost, to be sent again
    kRetransmitted = 16,  // sent again and as far as we know still under way
    kEverRepeated = 32,   // its acknowledgment says nothing about time (Karn)
  };
  Buffer* buffer = nullptr;
  Nanos sent = 0;  // the last time
  std::uint32_t next = kNone;
  Seq seq;
  std::uint16_t offset = 0, length = 0;
  std::uint8_t marks = 0;

  bool is(std::uint8_t mark) const { return (marks & mark) != 0; }
  void set(std::uint8_t mark) { marks = static_cast<std::uint8_t>(marks | mark); }
  void clear(std::uint8_t mark) { marks = static_cast<std::uint8_t>(marks & ~mark); }
  Seq end() const { return seq + length; }
  Slice slice() const { return {buffer, offset, length}; }
  std::uint32_t charge() const { return is(kCharged) ? buffer->truesize : 0; }
};
static_assert(sizeof(Piece) <= 32);

struct PieceList {
  std::uint32_t head = kNone, tail = kNone;
  bool empty() const { return head == kNone; }
};

// All pieces of an engine, and the true size of all buffers they hold.
class PiecePool {
 public:
  explicit PiecePool(std::uint32_t capacity) : slab_(capacity) {}

  Piece& operator[](std::uint32_t index) { return slab_[index]; }
  const Piece& operator[](std::uint32_t index) const { return slab_[index]; }

  // A piece that holds a reference and the charge; kNone when there is no piece left.
  std::uint32_t make(const Slice& slice);
  // Gives up the piece, its reference and its charge. Requires: in no list.
  void release(std::uint32_t index);
  // Cuts a piece after `length` bytes; the second part follows it in its list and keeps the charge. False when there is
  // no piece left. Requires: 0 < length < the piece's. `list`: its list, whose tail may change.
  bool split(PieceList& list, std::uint32_t index, std::uint16_t length);

  void push_back(PieceList& list, std::uint32_t index);
  // Unlinks and returns the head. Requires: not empty.
  std::uint32_t pop_front(PieceList& list);
  void release_all(PieceList& list);

  // Bytes taken off the front of a piece. Requires: bytes < its length.
  static void trim_front(Piece& piece, std::uint32_t bytes) {
    piece.offset = static_cast<std::uint16_t>(piece.offset + bytes);
    piece.length = static_cast<std::uint16_t>(piece.length - bytes);
    piece.seq += bytes;
  }

  std::uint64_t truesize() const { return truesize_; }
  std::uint32_t used() const { return slab_.used(); }
  std::uint32_t capacity() const { return slab_.capacity(); }

 private:
  Slab<Piece> slab_;
  std::uint64_t truesize_ = 0;
};

// An owned list of pieces: what applications send and receive. Moves only. Belongs to one engine's pool.
class Chain {
 public:
  explicit Chain(PiecePool& pool) : pool_(&pool) {}
  Chain(Chain&& other) noexcept : pool_(other.pool_), list_(other.list_), bytes_(other.bytes_) { other.forget(); }
  Chain& operator=(Chain&& other) noexcept {
    if (this != &other) {
      clear();
      pool_ = other.pool_;
      list_ = other.list_;
      bytes_ = other.bytes_;
      other.forget();
    }
    return *this;
  }
  ~Chain() { clear(); }

  std::uint32_t bytes() const { return bytes_; }
  bool empty() const { return bytes_ == 0; }
  // Takes a reference of its own. False when there is no piece left.
  bool append(const Slice& slice);
  void clear();
  // Calls visit(std::span<const std::uint8_t>) for each part in order.
  template <class Visit>
  void each(Visit&& visit) const {
    for (std::uint32_t i = list_.head; i != kNone; i = (*pool_)[i].next) visit((*pool_)[i].slice().bytes());
  }

  // For the engine: gives the list away, or takes one over.
  PieceList release() {
    const PieceList list = list_;
    forget();
    return list;
  }
  void adopt(std::uint32_t piece) {
    bytes_ += (*pool_)[piece].length;
    pool_->push_back(list_, piece);
  }

 private:
  void forget() {
    list_ = {};
    bytes_ = 0;
  }
  PiecePool* pool_;
  PieceList list_;
  std::uint32_t bytes_ = 0;
};

}  // namespace headgate::tcp
