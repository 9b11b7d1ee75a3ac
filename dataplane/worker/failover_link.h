// Between the workers and the thread that elects (app/election.h): who is active until when, adverts out, adverts in,
// and when the driver took ours. The third kind of sharing of the design: leases are one-writer values like counters,
// the rings have one producer and one consumer each.
//
// Only worker 0 sends and hears adverts: it has queue 0 of every port. What other workers receive they hand to it.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

#include "dataplane/base/spsc_ring.h"
#include "dataplane/snapshot/model.h"
#include "dataplane/vrrp/group.h"
#include "dataplane/vrrp/wire.h"

namespace headgate::worker {

inline constexpr std::size_t kAdvertRing = 256;
inline constexpr std::size_t kAdvertMessageMax = 1500;  // bytes of VRRP in one packet

// When the lease of each group ends, by its slot (snapshot::GroupSlot). Writer: the election's thread. Readers:
// workers, once a step, and once more before each burst is sent.
class LeaseBoard {
 public:
  void set(snapshot::GroupSlot slot, Nanos active_until) {
    until_[slot].store(active_until, std::memory_order_relaxed);
    std::uint64_t used = used_.load(std::memory_order_relaxed);
    used = active_until == 0 ? used & ~(1ull << slot) : used | (1ull << slot);
    used_.store(used, std::memory_order_release);
  }
  Nanos until(snapshot::GroupSlot slot) const { return until_[slot].load(std::memory_order_relaxed); }
  // Bit n: the group with slot n is active at `now`. Bit 0, no group, always is.
  std::uint64_t active(Nanos now) const {
    std::uint64_t mask = 1;
    for (std::uint64_t rest = used_.load(std::memory_order_acquire); rest != 0; rest &= rest - 1) {
      const int slot = std::countr_zero(rest);
      if (now < until_[static_cast<std::size_t>(slot)].load(std::memory_order_relaxed)) mask |= 1ull << slot;
    }
    return mask;
  }

 private:
  std::array<std::atomic<Nanos>, vrrp::kGroupsMax + 1> until_{};
  std::atomic<std::uint64_t> used_{0};
};

// Which router of which group. By id: a group may leave while this is on its way.
struct RouterRef {
  std::uint32_t group_id = 0;
  std::uint8_t router = 0;
};

struct AdvertOut {
  enum class Kind : std::uint8_t { advert, announce } kind = Kind::advert;
  RouterRef router;
  snapshot::GroupSlot group = snapshot::kNoGroup;  // announce: whose addresses
  std::uint16_t port = 0;
  std::uint16_t length = 0;
  Nanos interval = 0;     // as it says
  Nanos valid_until = 0;  // not to be sent from then on: it would speak of another time
  // Unicast: the destination MAC is still to be written. Unspecified: multicast.
  IpAddress peer;
  InterfaceId interface;
  std::array<std::uint8_t, vrrp::kFrameMax> frame{};
};

struct AdvertIn {
  enum class Kind : std::uint8_t { received, accepted } kind = Kind::received;
  RouterRef router;
  Nanos at = 0;        // accepted: when the driver took it
  Nanos interval = 0;  // accepted: as it said
  vrrp::Carrier carrier;
  std::uint16_t length = 0;
  std::array<std::uint8_t, kAdvertMessageMax> message{};
};

struct FailoverLink {
  LeaseBoard leases;
  SpscRing<AdvertOut> out{kAdvertRing};
  SpscRing<AdvertIn> in{kAdvertRing};        // from the worker's step
  SpscRing<AdvertIn> accepted{kAdvertRing};  // from its runner
};

}  // namespace headgate::worker
