// Shallow virtual reassembly: later fragments carry no ports, so they follow their datagram's first fragment. Nothing
// is reassembled and no data is remembered: only the first fragment's tuple, for kFragmentLife. Later fragments that
// overtake their first one are held, with strict caps, and released when it comes or returned for dropping.
//
// A second first fragment with another tuple (an overlap attack on the ports, RFC 1858, or a reused id) is refused.
// When entries run out the oldest one goes: fragments of an honest datagram arrive close together.
//
// One table per worker that owns (source, destination, id, protocol); single threaded. Packets are opaque; the table
// never frees one: every held packet comes back through a release function exactly once.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "dataplane/base/keyed_hash.h"
#include "dataplane/base/time.h"
#include "dataplane/base/tuple.h"

namespace headgate::flow {

inline constexpr Nanos kFragmentLife = 2 * kSecond;
inline constexpr std::uint32_t kFragmentEntriesMax = 1024;
inline constexpr std::uint32_t kFragmentsHeldMax = 256;
inline constexpr std::uint8_t kFragmentsHeldPerDatagram = 8;

struct FragmentKey {
  IpAddress src, dst;
  std::uint32_t id = 0;
  std::uint8_t protocol = 0;
  friend bool operator==(const FragmentKey&, const FragmentKey&) = default;
};

struct HeldFragment {
  void* packet = nullptr;
  std::uint64_t word = 0;  // the caller's
};

class FragmentTable {
 public:
  enum class Later : std::uint8_t {
    matched,  // tuple() is the datagram's
    held,     // the table has the packet now
    refused,  // a cap is reached: drop it
  };
  struct Counters {
    std::uint64_t conflicts = 0, refused = 0, evicted = 0,
                  expired = 0;  // expired, evicted: entries without their first fragment
  };

  explicit FragmentTable(std::uint64_t hash_key);

  // A first fragment came. False: drop it, another first fragment of this datagram had another tuple.
  // release(const HeldFragment&, const Tuple*): with a tuple the fragment may go on, null says drop (its entry was
  // evicted).
  template <class F>
  bool first(const FragmentKey& key, const Tuple& tuple, Nanos now, F&& release) {
    expire(now, release);
    std::uint32_t i = find(key);
    if (i != kNone && entries_[i].has_first) {
      if (entries_[i].tuple == tuple) return true;
      ++counters_.conflicts;
      return false;
    }
    if (i == kNone) i = create(key, release);
    Entry& entry = entries_[i];
    entry.has_first = true;
    entry.tuple = tuple;
    entry.expires = now + kFragmentLife;
    move_to_back(i);
    release_held(i, &entry.tuple, release);
    return true;
  }

  // A later fragment came. `tuple` is filled when matched.
  template <class F>
  Later later(const FragmentKey& key, const HeldFragment& fragment, Nanos now, Tuple& tuple, F&& release) {
    expire(now, release);
    std::uint32_t i = find(key);
    if (i != kNone && entries_[i].has_first) {
      tuple = entries_[i].tuple;
      return Later::matched;
    }
    if (held_ == kFragmentsHeldMax || (i != kNone && entries_[i].held == kFragmentsHeldPerDatagram)) {
      ++counters_.refused;
      return Later::refused;
    }
    if (i == kNone) {
      i = create(key, release);
      entries_[i].expires = now + kFragmentLife;
    }
    hold(i, fragment);
    return Later::held;
  }

  // Ends every entry whose life is over; at most kFragmentEntriesMax.
  template <class F>
  void advance(Nanos now, F&& release) {
    expire(now, release);
  }
  Nanos next_deadline() const { return oldest_ == kNone ? kNever : entries_[oldest_].expires; }

  std::uint32_t entries() const { return used_; }
  std::uint32_t held() const { return held_; }
  const Counters& counters() const { return counters_; }

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  struct Entry {
    FragmentKey key;
    Tuple tuple;
    Nanos expires = 0;
    std::uint32_t chain = kNone;                   // of the hash bucket, or of the free list
    std::uint32_t older = kNone, younger = kNone;  // by expiry: every life is equally long
    std::uint32_t held_first = kNone, held_last = kNone;
    std::uint8_t held = 0;
    bool has_first = false;
  };
  struct Held {
    HeldFragment fragment;
    std::uint32_t next = kNone;
  };

  template <class F>
  void expire(Nanos now, F&& release) {
    while (oldest_ != kNone && entries_[oldest_].expires <= now) {
      counters_.expired += !entries_[oldest_].has_first;
      remove_oldest(release);
    }
  }
  template <class F>
  void remove_oldest(F&& release) {
    const std::uint32_t i = oldest_;
    release_held(i, nullptr, release);
    erase(i);
  }
  template <class F>
  std::uint32_t create(const FragmentKey& key, F&& release) {
    if (free_ == kNone) {
      counters_.evicted += !entries_[oldest_].has_first;
      remove_oldest(release);
    }
    return insert(key);
  }
  // The release function must not call back into the table.
  template <class F>
  void release_held(std::uint32_t i, const Tuple* tuple, F&& release) {
    while (const std::optional<HeldFragment> fragment = unhold(i)) release(*fragment, tuple);
  }

  std::size_t bucket(const FragmentKey& key) const;
  std::uint32_t find(const FragmentKey& key) const;
  std::uint32_t insert(const FragmentKey& key);
  void erase(std::uint32_t i);
  void move_to_back(std::uint32_t i);
  void link_back(std::uint32_t i);
  void unlink(std::uint32_t i);
  void hold(std::uint32_t i, const HeldFragment& fragment);
  std::optional<HeldFragment> unhold(std::uint32_t i);

  KeyedHash hash_;
  std::vector<std::uint32_t> buckets_;
  std::vector<Entry> entries_;
  std::vector<Held> held_pool_;
  std::uint32_t free_ = kNone, held_free_ = kNone;
  std::uint32_t oldest_ = kNone, youngest_ = kNone;
  std::uint32_t used_ = 0, held_ = 0;
  Counters counters_;
};

}  // namespace headgate::flow
