#include "dataplane/tcp/time_wait.h"

#include <bit>

namespace headgate::tcp {

TimeWaitTable::TimeWaitTable(std::uint32_t capacity) : slab_(capacity), buckets_(std::bit_ceil(capacity + 1), kNone) {}

std::uint32_t TimeWaitTable::index_of(const TimeWait* entry) {
  return static_cast<std::uint32_t>(entry - &slab_[0]);
}

TimeWait* TimeWaitTable::find(std::uint64_t name) {
  for (std::uint32_t i = bucket(name); i != kNone; i = slab_[i].chain) {
    if (slab_[i].name == name) return &slab_[i];
  }
  return nullptr;
}

TimeWait* TimeWaitTable::insert(std::uint64_t name, Nanos now, Nanos lasts) {
  std::uint32_t index = slab_.allocate();
  if (index == kNone) {
    if (oldest_ == kNone) return nullptr;
    ++evicted_;
    erase(&slab_[oldest_]);
    index = slab_.allocate();
  }
  TimeWait& entry = slab_[index];
  entry.name = name;
  entry.expires = tick_after(now, lasts);
  entry.chain = bucket(name);
  bucket(name) = index;
  link(index);
  return &entry;
}

void TimeWaitTable::erase(TimeWait* entry) {
  const std::uint32_t index = index_of(entry);
  std::uint32_t* link_to = &bucket(entry->name);
  while (*link_to != index) link_to = &slab_[*link_to].chain;
  *link_to = entry->chain;
  unlink(index);
  slab_.free(index);
}

void TimeWaitTable::restart(TimeWait* entry, Nanos now, Nanos lasts) {
  const std::uint32_t index = index_of(entry);
  unlink(index);
  entry->expires = tick_after(now, lasts);
  link(index);
}

void TimeWaitTable::link(std::uint32_t index) {
  slab_[index].older = newest_;
  slab_[index].newer = kNone;
  (newest_ == kNone ? oldest_ : slab_[newest_].newer) = index;
  newest_ = index;
}

void TimeWaitTable::unlink(std::uint32_t index) {
  const TimeWait& entry = slab_[index];
  (entry.older == kNone ? oldest_ : slab_[entry.older].newer) = entry.newer;
  (entry.newer == kNone ? newest_ : slab_[entry.newer].older) = entry.older;
}

void TimeWaitTable::advance(Nanos now) {
  while (oldest_ != kNone && !serial_before(tick_of(now), slab_[oldest_].expires)) erase(&slab_[oldest_]);
}

Nanos TimeWaitTable::next_deadline(Nanos now) const {
  if (oldest_ == kNone) return kNever;
  const Tick ahead = slab_[oldest_].expires - tick_of(now);
  return serial_before(slab_[oldest_].expires, tick_of(now)) ? now : (now / kTick + ahead) * kTick;
}

}  // namespace headgate::tcp
