// Connections that ended with us closing first, for 2 x MSL (RFC 9293 3.6.1): 40 bytes each, no timer each. A
// connection is named by 64 bits of SipHash of its tuple; two that are equal exist once in 2^64 / entries, and nobody
// without the key can aim. Entries expire in the order in which they came, the oldest makes room for a new one.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/base/time.h"
#include "dataplane/tcp/seqnum.h"
#include "dataplane/tcp/slab.h"
#include "dataplane/tcp/timers.h"

namespace headgate::tcp {

struct TimeWait {
  std::uint64_t name = 0;
  Seq snd_nxt, rcv_nxt;
  std::uint32_t ts_recent = 0;
  Tick expires = 0;
  std::uint32_t older = kNone, newer = kNone, chain = kNone;
  std::uint8_t timestamps : 1 = 0;
  std::uint8_t challenges : 7 = 0;  // answers given so far: a retransmitted FIN gets one, a flood does not
};
static_assert(sizeof(TimeWait) <= 48);

class TimeWaitTable {
 public:
  explicit TimeWaitTable(std::uint32_t capacity);

  TimeWait* find(std::uint64_t name);
  // Takes the oldest one's place when full (counted). Null when capacity is 0. Requires: not in the table.
  TimeWait* insert(std::uint64_t name, Nanos now, Nanos lasts);
  void erase(TimeWait* entry);
  // Starts the 2 x MSL anew (RFC 9293 3.10.7.4, a retransmitted FIN).
  void restart(TimeWait* entry, Nanos now, Nanos lasts);
  void advance(Nanos now);
  Nanos next_deadline(Nanos now) const;

  std::uint32_t used() const { return slab_.used(); }
  std::uint64_t evicted() const { return evicted_; }

 private:
  void link(std::uint32_t index);
  void unlink(std::uint32_t index);
  std::uint32_t& bucket(std::uint64_t name) { return buckets_[name & (buckets_.size() - 1)]; }
  std::uint32_t index_of(const TimeWait* entry);

  Slab<TimeWait> slab_;
  std::vector<std::uint32_t> buckets_;
  std::uint32_t oldest_ = kNone, newest_ = kNone;
  std::uint64_t evicted_ = 0;
};

}  // namespace headgate::tcp
