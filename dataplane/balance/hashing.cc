#include "dataplane/balance/hashing.h"

#include <algorithm>

#include "dataplane/base/check.h"

namespace headgate::balance {
namespace {

using snapshot::kNone;
using snapshot::Pool;
using snapshot::Snapshot;

// Not a secret and not random: both boxes must agree. Someone who picks addresses to hit one backend gains nothing a
// connection to that backend would not give.
const KeyedHash kHash(0x68656164676174e5ull);

// Of the tries that meet a backend that is down or full, before going through the usable ones in order. With half of
// the backends down, one client in 65,536 comes to that.
constexpr unsigned kProbesMax = 16;

std::uint32_t scale(std::uint64_t hash, std::uint32_t bound) {
  return static_cast<std::uint32_t>((hash >> 32) * bound >> 32);
}

template <class Pick>
std::uint16_t probe(const Snapshot& snapshot, const Pool& pool, std::uint64_t hash, const Exclusions& excluded,
                    Pick pick) {
  std::uint64_t h = hash;
  for (unsigned i = 1; i <= kProbesMax; ++i) {
    const auto backend = static_cast<std::uint16_t>(pool.first_backend + pick(h));
    if (snapshot.backends[backend].usable() && !excluded.contains(backend)) return backend;
    h = kHash(hash, i);
  }
  return next_usable(pool, scale(hash, static_cast<std::uint32_t>(pool.usable.size())), excluded);
}

}  // namespace

std::uint16_t next_usable(const Pool& pool, std::size_t position, const Exclusions& excluded) {
  const std::size_t n = pool.usable.size();
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint16_t backend = pool.usable[position + i < n ? position + i : position + i - n];
    if (!excluded.contains(backend)) return backend;
  }
  return kNone;
}

std::uint16_t by_source(const Snapshot& snapshot, const Pool& pool, const ClientKey& client,
                        const Exclusions& excluded) {
  const auto& ends = pool.all_cumulative_weight;
  HEADGATE_CHECK(!ends.empty() && ends.back() > 0);
  const std::uint64_t hash = kHash(kHash(client.address), 0);
  return probe(snapshot, pool, hash, excluded,
               [&](std::uint64_t h) { return std::ranges::upper_bound(ends, scale(h, ends.back())) - ends.begin(); });
}

std::uint16_t by_maglev(const Snapshot& snapshot, const Pool& pool, const ClientKey& client,
                        const Exclusions& excluded) {
  HEADGATE_CHECK(pool.maglev != nullptr);
  const std::uint64_t hash = kHash(kHash(client.address), std::uint64_t{client.port} << 8 | client.protocol);
  return probe(snapshot, pool, hash, excluded,
               [&](std::uint64_t h) { return (*pool.maglev)[scale(h, snapshot::kMaglevSlots)]; });
}

}  // namespace headgate::balance
