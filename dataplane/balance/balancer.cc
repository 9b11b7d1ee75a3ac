#include "dataplane/balance/balancer.h"

#include <algorithm>

#include "dataplane/balance/hashing.h"
#include "dataplane/base/check.h"

namespace headgate::balance {

using snapshot::Algorithm;
using snapshot::Backend;
using snapshot::kNone;

Balancer::Balancer(unsigned worker, std::uint64_t seed)
    : worker_(worker),
      draws_(seed + worker * 0x9e3779b97f4a7c15ull),
      turns_(snapshot::kPoolSlots),
      credits_(snapshot::kBackendSlots) {}

Choice Balancer::peek(const Snapshot& snapshot, const Pool& pool, const ClientKey& client, LoadView load,
                      const Exclusions& excluded) const {
  if (pool.usable.empty()) return {kNone, Reason::no_backend};
  std::uint16_t backend = kNone;
  switch (pool.algorithm) {
    case Algorithm::round_robin:
      backend = pool.equal_weights ? rotate(snapshot, pool, excluded) : most_urgent(snapshot, pool, excluded);
      break;
    case Algorithm::least_connections:
      backend = least_loaded(snapshot, pool, load, excluded);
      break;
    case Algorithm::source_hash:
      backend = by_source(snapshot, pool, client, excluded);
      break;
    case Algorithm::maglev:
      backend = by_maglev(snapshot, pool, client, excluded);
      break;
  }
  return {backend, backend == kNone ? Reason::all_excluded : Reason::chosen};
}

void Balancer::take(const Snapshot& snapshot, const Pool& pool, const Choice& choice, const Exclusions& excluded) {
  ++draw_;
  if (!choice || pool.algorithm != Algorithm::round_robin) return;
  HEADGATE_CHECK(choice.backend < snapshot.backends.size() && pool.slot < turns_.size());
  if (!pool.equal_weights) settle(snapshot, pool, choice.backend, excluded);
  const auto position = std::ranges::lower_bound(pool.usable, choice.backend) - pool.usable.begin();
  turns_[pool.slot] = {snapshot.backends[choice.backend].slot, static_cast<std::uint16_t>(position)};
}

// Equal weights: the next after the last, which is found again by slot when positions have changed. Workers start at
// neighbouring backends, so that the first flows of N workers go to N backends.
std::uint16_t Balancer::rotate(const Snapshot& snapshot, const Pool& pool, const Exclusions& excluded) const {
  const Turn& last = turns_[pool.slot];
  const std::size_t n = pool.usable.size();
  std::size_t position = worker_ % n;
  if (last.backend != kNoSlot) {
    const Backend* backend = snapshot.backend_of_slot(last.backend);
    if (backend == nullptr || &snapshot.pools[backend->pool] != &pool) {
      position = last.position % n;  // gone: what followed it stands in its place
    } else {
      const auto index = static_cast<std::uint16_t>(backend - snapshot.backends.data());
      const bool unmoved = last.position < n && pool.usable[last.position] == index;
      position = unmoved ? last.position + 1u
                         : static_cast<std::size_t>(std::ranges::upper_bound(pool.usable, index) - pool.usable.begin());
      if (position == n) position = 0;
    }
  }
  return next_usable(pool, position, excluded);
}

// Smooth weighted round robin. Each turn every backend earns its weight in credit and the chosen one pays the sum of
// weights, as in nginx. nginx chooses the highest credit; that can run 1.3 turns off the exact share with 60 backends.
// We choose as Tijdeman does (The chairman assignment problem, 1980): of those with credit, the one whose next turn is
// due first. That is never a whole turn off, so N workers together are less than N off; for 3:2:1 the order is nginx's.
struct Balancer::Credits {
  std::int32_t total = 0;  // weight of those that take part
  std::int32_t bound = 0;  // a regular credit is within +-bound: what was saved under other weights is cut to it
  std::int32_t shift = 0;  // credits of those that take part sum to zero: what others took along is spread
};

Balancer::Credits Balancer::credits(const Snapshot& snapshot, const Pool& pool, const Exclusions& excluded) const {
  Credits round{.bound = static_cast<std::int32_t>(pool.cumulative_weight.back())};
  std::int64_t sum = 0, n = 0;
  for (const std::uint16_t index : pool.usable) {
    if (excluded.contains(index)) continue;
    const Backend& backend = snapshot.backends[index];
    round.total += backend.weight;
    sum += std::clamp(credits_[backend.slot], -round.bound, round.bound);
    ++n;
  }
  if (n != 0) round.shift = static_cast<std::int32_t>(sum / n);
  return round;
}

std::int32_t Balancer::credit(const Credits& round, const Backend& backend) const {
  return std::clamp(credits_[backend.slot], -round.bound, round.bound) - round.shift + backend.weight;
}

std::uint16_t Balancer::most_urgent(const Snapshot& snapshot, const Pool& pool, const Exclusions& excluded) const {
  const Credits round = credits(snapshot, pool, excluded);
  const std::size_t n = pool.usable.size();
  const std::size_t start = worker_ % n;  // of equals, each worker prefers another
  std::uint16_t best = kNone;
  std::int64_t best_credit = 0, best_missing = 0, best_weight = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint16_t index = pool.usable[start + i < n ? start + i : start + i - n];
    if (excluded.contains(index)) continue;
    const Backend& backend = snapshot.backends[index];
    const std::int64_t has = credit(round, backend);
    if (has <= 0) continue;  // someone has: credits sum to more than total - n >= 0
    // Due in missing / weight turns; compared without dividing.
    const std::int64_t missing = round.total - has;
    const std::int64_t order = missing * best_weight - best_missing * backend.weight;
    if (best != kNone && (order > 0 || (order == 0 && has <= best_credit))) continue;
    best = index;
    best_credit = has;
    best_missing = missing;
    best_weight = backend.weight;
  }
  return best;
}

void Balancer::settle(const Snapshot& snapshot, const Pool& pool, std::uint16_t chosen, const Exclusions& excluded) {
  const Credits round = credits(snapshot, pool, excluded);
  for (const std::uint16_t index : pool.usable) {
    if (excluded.contains(index)) continue;
    const Backend& backend = snapshot.backends[index];
    credits_[backend.slot] = credit(round, backend) - (index == chosen ? round.total : 0);
  }
}

namespace {

std::uint64_t load_of(LoadView load, const Backend& backend) {
  return backend.slot < load.size() ? std::uint64_t{load[backend.slot]} + 1 : 1;
}

// Strictly less loaded for its weight, with the new flow counted.
bool less_loaded(LoadView load, const Backend& a, const Backend& b) {
  return load_of(load, a) * b.weight < load_of(load, b) * a.weight;
}

}  // namespace

// Power of two choices (Mitzenmacher, 2001): two different backends drawn by weight, the less loaded wins. As good as
// looking at all, and workers that see counters of a millisecond ago do not all rush to the same one.
std::uint16_t Balancer::least_loaded(const Snapshot& snapshot, const Pool& pool, LoadView load,
                                     const Exclusions& excluded) const {
  const auto& ends = pool.cumulative_weight;
  const std::size_t n = ends.size();
  const auto weight_at = [&](std::size_t i) { return ends[i] - (i == 0 ? 0 : ends[i - 1]); };
  const auto at = [&](std::uint32_t point) {
    return static_cast<std::size_t>(std::ranges::upper_bound(ends, point) - ends.begin());
  };
  const std::uint64_t draw = draws_(draw_, pool.slot);
  const auto below = [](std::uint64_t word, std::uint32_t bound) {
    return static_cast<std::uint32_t>((word & 0xffffffffu) * bound >> 32);
  };
  const std::size_t first = at(below(draw >> 32, ends.back()));
  if (n > 1 && excluded.empty()) {
    std::uint32_t point = below(draw, ends.back() - weight_at(first));
    if (point >= ends[first] - weight_at(first)) point += weight_at(first);  // step over the first's own stretch
    const std::uint16_t a = pool.usable[first], b = pool.usable[at(point)];
    return less_loaded(load, snapshot.backends[b], snapshot.backends[a]) ? b : a;
  }
  // Some are full: rare, so look at all, from a random one on.
  std::uint16_t best = kNone;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint16_t index = pool.usable[first + i < n ? first + i : first + i - n];
    if (excluded.contains(index)) continue;
    if (best == kNone || less_loaded(load, snapshot.backends[index], snapshot.backends[best])) best = index;
  }
  return best;
}

}  // namespace headgate::balance
