// Connections to backends: which there are, which are idle and may carry the next request, which are on their way out.
// An idle one is found by (service, backend), the one used last first: those at the other end grow old and are closed.
#pragma once

#include <vector>

#include "dataplane/base/ids.h"
#include "dataplane/base/time.h"
#include "dataplane/tcp/events.h"
#include "dataplane/tcp/slab.h"

namespace headgate::http {

struct Link {
  enum class State : std::uint8_t { dialing, busy, idle, closing };
  tcp::ConnectionId id;
  ServiceId service;
  BackendId backend;
  std::uint32_t session = tcp::kNone;  // whose request it carries; none when idle or closing
  State state = State::dialing;
  bool fin = false;                                        // the backend will send no more
  Slot slot = kNoSlot;                                     // the service's, for counters
  Nanos since = 0;                                         // idle or closing
  std::uint32_t previous = tcp::kNone, next = tcp::kNone;  // of the same state, oldest first
  std::uint32_t same_bucket = tcp::kNone;
};

class LinkTable {
 public:
  struct List {
    std::uint32_t head = tcp::kNone, tail = tcp::kNone, size = 0;
  };

  // idle: at most so many are expected to be idle at once.
  LinkTable(std::uint32_t capacity, std::uint32_t idle);

  std::uint32_t allocate() { return links_.allocate(); }  // kNone when all are in use
  void free(std::uint32_t index);                         // leaves its list, too
  Link& operator[](std::uint32_t index) { return links_[index]; }
  const Link& operator[](std::uint32_t index) const { return links_[index]; }
  // Null: not a link, or not this connection's.
  Link* find(std::uint32_t index, tcp::ConnectionId id);

  void make_idle(std::uint32_t index, Nanos now);
  void make_closing(std::uint32_t index, Nanos now);
  // The one used last, made busy. kNone when there is none.
  std::uint32_t take_idle(ServiceId service, BackendId backend);
  std::uint32_t count_idle(ServiceId service, BackendId backend) const;
  const List& idle() const { return idle_; }
  const List& closing() const { return closing_; }

  std::uint32_t used() const { return links_.used(); }
  std::uint32_t touched() const { return links_.touched(); }  // a position below it without a link has no id
  std::uint32_t capacity() const { return links_.capacity(); }

 private:
  std::size_t bucket_of(ServiceId service, BackendId backend) const;
  void append(List& list, std::uint32_t index);
  void remove(List& list, std::uint32_t index);
  void leave(std::uint32_t index);

  tcp::Slab<Link> links_;
  std::vector<std::uint32_t> buckets_;  // heads of chains of idle ones
  List idle_, closing_;
};

}  // namespace headgate::http
