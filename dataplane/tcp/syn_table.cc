#include "dataplane/tcp/syn_table.h"

#include <algorithm>
#include <bit>

namespace headgate::tcp {

SynTable::SynTable(std::uint32_t capacity) : slab_(capacity), buckets_(std::bit_ceil(capacity + 1), kNone) {}

SynEntry* SynTable::find(std::uint64_t hash, const IpAddress& remote, std::uint16_t port, std::uint16_t listener) {
  for (std::uint32_t i = bucket(hash); i != kNone; i = slab_[i].chain) {
    SynEntry& e = slab_[i];
    if (e.remote_port == port && e.listener == listener && e.remote == remote) return &e;
  }
  return nullptr;
}

SynEntry* SynTable::insert(std::uint64_t hash, const IpAddress& remote, std::uint16_t port, std::uint16_t listener,
                           Nanos now) {
  const std::uint32_t index = slab_.allocate();
  if (index == kNone) return nullptr;
  SynEntry& entry = slab_[index];
  entry.remote = remote;
  entry.remote_port = port;
  entry.listener = listener;
  entry.chain = bucket(hash);
  bucket(hash) = index;
  link(index, now);
  return &entry;
}

void SynTable::erase(std::uint64_t hash, SynEntry* entry) {
  const std::uint32_t index = index_of(entry);
  std::uint32_t* link_to = &bucket(hash);
  while (*link_to != index) link_to = &slab_[*link_to].chain;
  *link_to = entry->chain;
  unlink(index);
  slab_.free(index);
}

SynEntry* SynTable::oldest() {
  for (auto list = lists_.rbegin(); list != lists_.rend(); ++list) {
    if (list->oldest != kNone) return &slab_[list->oldest];
  }
  return nullptr;
}

SynEntry* SynTable::due(Nanos now) {
  for (const List& list : lists_) {
    if (list.oldest != kNone && !serial_before(tick_of(now), slab_[list.oldest].deadline)) return &slab_[list.oldest];
  }
  return nullptr;
}

void SynTable::again(SynEntry* entry, Nanos now) {
  const std::uint32_t index = index_of(entry);
  unlink(index);
  entry->retries = static_cast<std::uint8_t>(std::min<unsigned>(entry->retries + 1u, kSynAckRetriesMax)) & 7;
  link(index, now);
}

void SynTable::link(std::uint32_t index, Nanos now) {
  SynEntry& e = slab_[index];
  e.deadline = tick_after(now, kRtoInitial << e.retries);
  List& list = lists_[e.retries];
  e.older = list.newest;
  e.newer = kNone;
  (list.newest == kNone ? list.oldest : slab_[list.newest].newer) = index;
  list.newest = index;
}

void SynTable::unlink(std::uint32_t index) {
  const SynEntry& e = slab_[index];
  List& list = lists_[e.retries];
  (e.older == kNone ? list.oldest : slab_[e.older].newer) = e.newer;
  (e.newer == kNone ? list.newest : slab_[e.newer].older) = e.older;
}

Nanos SynTable::next_deadline(Nanos now) const {
  Nanos nearest = kNever;
  for (const List& list : lists_) {
    if (list.oldest == kNone) continue;
    const Tick deadline = slab_[list.oldest].deadline;
    if (serial_before(deadline, tick_of(now))) return now;
    nearest = std::min(nearest, (now / kTick + (deadline - tick_of(now))) * kTick);
  }
  return nearest;
}

}  // namespace headgate::tcp
