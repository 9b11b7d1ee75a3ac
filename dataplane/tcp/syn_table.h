// Half-open connections of listeners (RFC 4987 3.5): 56 bytes each until the handshake completes, no buffers. A list
// per number of SYN-ACKs sent keeps them in the order of their deadlines, since all of one list wait equally long.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/base/ip.h"
#include "dataplane/base/time.h"
#include "dataplane/tcp/limits.h"
#include "dataplane/tcp/seqnum.h"
#include "dataplane/tcp/slab.h"
#include "dataplane/tcp/timers.h"

namespace headgate::tcp {

struct SynEntry {
  IpAddress remote;
  std::uint16_t remote_port = 0;
  std::uint16_t listener = 0;  // names our address and port
  Seq iss, irs;
  std::uint32_t ts_recent = 0;
  Tick deadline = 0;
  std::uint32_t older = kNone, newer = kNone, chain = kNone;
  std::uint16_t mss = 0;  // the peer's
  std::uint8_t scale = 0;
  std::uint8_t retries : 3 = 0;
  std::uint8_t scaling : 1 = 0, timestamps : 1 = 0, sack : 1 = 0, ecn : 1 = 0;
};
static_assert(sizeof(SynEntry) <= 64);

class SynTable {
 public:
  explicit SynTable(std::uint32_t capacity);

  // `hash`: keyed, of remote address and port and listener.
  SynEntry* find(std::uint64_t hash, const IpAddress& remote, std::uint16_t port, std::uint16_t listener);
  // Null when full. The caller fills in the rest and starts the timer. Requires: not in the table.
  SynEntry* insert(std::uint64_t hash, const IpAddress& remote, std::uint16_t port, std::uint16_t listener, Nanos now);
  void erase(std::uint64_t hash, SynEntry* entry);
  // The entry that has waited longest of those answered most often; null when empty.
  SynEntry* oldest();
  // The next one whose SYN-ACK was not answered in time, or null. Its number of retries is not yet raised.
  SynEntry* due(Nanos now);
  // Another SYN-ACK was sent: raises retries and starts the doubled time.
  void again(SynEntry* entry, Nanos now);
  Nanos next_deadline(Nanos now) const;

  std::uint32_t used() const { return slab_.used(); }
  std::uint32_t capacity() const { return slab_.capacity(); }

 private:
  void link(std::uint32_t index, Nanos now);
  void unlink(std::uint32_t index);
  std::uint32_t& bucket(std::uint64_t hash) { return buckets_[hash & (buckets_.size() - 1)]; }
  std::uint32_t index_of(const SynEntry* entry) { return static_cast<std::uint32_t>(entry - &slab_[0]); }

  struct List {
    std::uint32_t oldest = kNone, newest = kNone;
  };
  Slab<SynEntry> slab_;
  std::vector<std::uint32_t> buckets_;
  std::array<List, kSynAckRetriesMax + 1> lists_;
};

}  // namespace headgate::tcp
