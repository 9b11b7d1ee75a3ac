#include "dataplane/http/link_table.h"

#include <bit>

#include "dataplane/base/check.h"

namespace headgate::http {

using tcp::kNone;

LinkTable::LinkTable(std::uint32_t capacity, std::uint32_t idle)
    : links_(capacity), buckets_(std::bit_ceil(idle + 1u), kNone) {}

Link* LinkTable::find(std::uint32_t index, tcp::ConnectionId id) {
  if (index >= links_.touched()) return nullptr;
  Link& link = links_[index];
  return link.id == id ? &link : nullptr;
}

// Ids are ours, not a client's: a plain mix spreads them.
std::size_t LinkTable::bucket_of(ServiceId service, BackendId backend) const {
  const std::uint64_t mixed = (std::uint64_t{service.value} << 32 | backend.value) * 0x9e3779b97f4a7c15ull;
  return (mixed >> 32) & (buckets_.size() - 1);
}

void LinkTable::append(List& list, std::uint32_t index) {
  Link& link = links_[index];
  link.previous = list.tail;
  link.next = kNone;
  (list.tail == kNone ? list.head : links_[list.tail].next) = index;
  list.tail = index;
  ++list.size;
}

void LinkTable::remove(List& list, std::uint32_t index) {
  const Link& link = links_[index];
  (link.previous == kNone ? list.head : links_[link.previous].next) = link.next;
  (link.next == kNone ? list.tail : links_[link.next].previous) = link.previous;
  --list.size;
}

void LinkTable::leave(std::uint32_t index) {
  Link& link = links_[index];
  if (link.state == Link::State::closing) remove(closing_, index);
  if (link.state != Link::State::idle) return;
  remove(idle_, index);
  std::uint32_t* at = &buckets_[bucket_of(link.service, link.backend)];
  while (*at != index) at = &links_[*at].same_bucket;
  *at = link.same_bucket;
  link.same_bucket = kNone;
}

void LinkTable::free(std::uint32_t index) {
  leave(index);
  links_[index].id = {};
  links_.free(index);
}

void LinkTable::make_idle(std::uint32_t index, Nanos now) {
  leave(index);
  Link& link = links_[index];
  link.state = Link::State::idle;
  link.session = kNone;
  link.since = now;
  append(idle_, index);
  std::uint32_t& bucket = buckets_[bucket_of(link.service, link.backend)];
  link.same_bucket = bucket;
  bucket = index;
}

void LinkTable::make_closing(std::uint32_t index, Nanos now) {
  leave(index);
  links_[index].state = Link::State::closing;
  links_[index].session = kNone;
  links_[index].since = now;
  append(closing_, index);
}

std::uint32_t LinkTable::take_idle(ServiceId service, BackendId backend) {
  std::uint32_t index = buckets_[bucket_of(service, backend)];
  while (index != kNone && (links_[index].service != service || links_[index].backend != backend)) {
    index = links_[index].same_bucket;
  }
  if (index == kNone) return kNone;
  leave(index);
  links_[index].state = Link::State::busy;
  return index;
}

std::uint32_t LinkTable::count_idle(ServiceId service, BackendId backend) const {
  std::uint32_t count = 0;
  std::uint32_t index = buckets_[bucket_of(service, backend)];
  for (; index != kNone; index = links_[index].same_bucket) {
    count += links_[index].service == service && links_[index].backend == backend ? 1 : 0;
  }
  return count;
}

}  // namespace headgate::http
