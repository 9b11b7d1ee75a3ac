// Who claims an address, seen at the switch: frames that only the active box may send, by the port they come in by, and
// for how long two claimed it at once. Pure. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/base/time.h"

namespace headgate::bench {

// An IPv4 packet from `address` that is not VRRP, or ARP in which it is the sender. Adverts claim nothing: a box may
// lose the election that they are for. address: host byte order.
bool is_claim(std::span<const std::uint8_t> frame, std::uint32_t address);

class Claims {
 public:
  explicit Claims(std::size_t ports) : owner_(ports) {}

  // A new window; who claimed last before it is the old owner.
  void mark(Nanos now);
  void claim(std::size_t port, Nanos at);
  // Claims by this port are not heard at the switch (its port was detached), or are again.
  void ignore(std::size_t port, bool ignored) { owner_[port].ignored = ignored; }

  // From the first claim of a new owner to the last of the old one; 0 when they do not overlap. A group that moves
  // twice in one window counts all of the time between, so that nothing is missed.
  Nanos overlap() const;
  std::uint64_t count(std::size_t port) const { return owner_[port].count; }
  // After the mark; kNever without one.
  Nanos first(std::size_t port) const { return since_mark(owner_[port].first); }
  Nanos last(std::size_t port) const { return owner_[port].count == 0 ? kNever : since_mark(owner_[port].last); }

 private:
  struct Owner {
    bool ignored = false;
    std::uint64_t count = 0;
    Nanos first = kNever, last = 0;  // since the mark
  };
  Nanos since_mark(Nanos at) const { return at == kNever ? kNever : at - marked_; }

  std::vector<Owner> owner_;
  std::size_t latest_ = 0;  // who claimed last
  std::size_t old_ = 0;
  Nanos marked_ = 0;
};

}  // namespace headgate::bench
