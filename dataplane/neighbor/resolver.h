// ARP (RFC 826, 5227) and IPv6 neighbor discovery (RFC 4861): asks for what workers want, keeps backends and gateways
// known before traffic needs them, and answers for our own addresses. One per box, on the worker that owns resolution;
// every ARP and ND frame is handed to it. One thread. Everything it starts by itself is paced: kFramesPerTick each
// kPaceTick.
//
// Strangers never create an entry, except by asking for one of our addresses from a network that is on-link.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/base/rng.h"
#include "dataplane/neighbor/announcer.h"
#include "dataplane/neighbor/deadline_heap.h"
#include "dataplane/neighbor/keyed_store.h"
#include "dataplane/neighbor/messages.h"
#include "dataplane/neighbor/site.h"

namespace headgate::neighbor {

enum class Verdict : std::uint8_t {
  consumed,
  not_for_us,  // may be the kernel's; it was learned from all the same
  malformed,
  duplicate_address,  // it claims an address of ours
};

class Resolver {
 public:
  struct Options {
    Nanos announce_refresh = 0;  // repeat announcements so often; 0 = never
  };
  struct Counters {
    std::uint64_t requests = 0;              // sent
    std::uint64_t replies = 0;               // sent
    std::uint64_t resolved = 0, failed = 0;  // transitions
    std::uint64_t unresolvable = 0;          // no address of ours to ask from, or the port is unknown
    std::uint64_t malformed = 0;
    std::uint64_t duplicates = 0;
    std::uint64_t full = 0, evicted = 0, want_refused = 0;
  };

  explicit Resolver(std::uint64_t seed) : Resolver(seed, Options{}) {}
  Resolver(std::uint64_t seed, Options options);
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Source of all frames on the interfaces of this port. Requires: port < kPortsMax.
  void set_port_mac(std::uint16_t port, const MacAddress& mac);

  // `snapshot` is used until the next call. It is looked at in steps, by advance().
  void snapshot_changed(const snapshot::Snapshot& snapshot, Nanos now);
  // The same for one that differs in backends' states only: there is nothing new to look at. Requires: equal layouts.
  void states_changed(const snapshot::Snapshot& snapshot) { site_.snapshot = &snapshot; }
  // Which groups are active here. Those that have become so are announced: a burst of gratuitous ARP and unsolicited
  // advertisements, which moves hosts and switches to us (vrrp/group.h). Nothing is said or answered for the others.
  void set_active(std::uint64_t active, Nanos now);
  // Says so again: others may have believed in the other box meanwhile.
  void announce_group(snapshot::GroupSlot group, Nanos now) { announcer_.announce_groups(1ull << group, now); }

  // A worker's replica wants this one. What is known is answered at once.
  void want(InterfaceId interface, const IpAddress& address, Nanos now, ResolverSink& sink);

  // A parsed frame that came in on `interface`, an element of the running snapshot's interfaces.
  // on_nd: ICMPv6 130 and 133 to 137, whole and unfragmented.
  Verdict on_arp(std::span<const std::uint8_t> frame, const packet::PacketInfo& info,
                 const snapshot::Interface& interface, Nanos now, ResolverSink& sink);
  Verdict on_nd(std::span<const std::uint8_t> frame, const packet::PacketInfo& info,
                const snapshot::Interface& interface, Nanos now, ResolverSink& sink);

  void advance(Nanos now, ResolverSink& sink);
  Nanos next_deadline() const;

  // free when unknown. For operators and tests.
  NeighborState state(InterfaceId interface, const IpAddress& address) const;
  std::uint32_t size() const { return entries_.size(); }
  const Counters& counters() const { return counters_; }
  const Announcer::Counters& announcer_counters() const { return announcer_.counters(); }

 private:
  struct Entry {
    IpAddress address;
    InterfaceId interface;
    std::uint32_t chain = 0;
    MacAddress mac;
    NeighborState state = NeighborState::free;
    std::uint8_t tries = 0;  // requests since probing began
    bool probing = false;    // reachable or stale, and being asked
    bool ever_wanted = false;
    bool by_traffic = false;       // counts towards kWantedUnresolvedMax
    std::uint8_t retry_s = 0;      // back-off of a failed one
    std::uint32_t generation = 0;  // of the snapshot that gave it standing interest
    Nanos confirmed = 0, wanted_at = 0, published = 0;
  };
  enum class Phase : std::uint8_t { own, routes, backends, done };

  // resolver.cc: life of an entry
  std::uint32_t create(InterfaceId interface, const IpAddress& address);
  bool evict_one(Nanos now);
  void erase(std::uint32_t i);
  bool standing(const Entry& entry) const;
  bool interesting(const Entry& entry, Nanos now) const;
  void leave_unresolved(Entry& entry);
  void publish(Entry& entry, Nanos now, ResolverSink& sink);
  void confirm(std::uint32_t i, const MacAddress& mac, Nanos now, ResolverSink& sink);
  void learn_unconfirmed(std::uint32_t i, const MacAddress& mac, Nanos now, ResolverSink& sink);
  void fail(std::uint32_t i, Nanos now, ResolverSink& sink);
  bool work_on(std::uint32_t i, Nanos now, ResolverSink& sink);
  bool ask(std::uint32_t i, Nanos now, ResolverSink& sink);
  bool age(std::uint32_t i, Nanos now, ResolverSink& sink);
  bool retry(std::uint32_t i, Nanos now, ResolverSink& sink);
  bool send_request(const Entry& entry, bool unicast, ResolverSink& sink);
  Nanos reachable_time() { return kReachableTime / 2 + rng_.below(1000) * (kReachableTime / 1000); }

  // resolver_scan.cc: standing interest of a new snapshot
  void scan(Nanos now);
  void stand_by(std::uint16_t interface, const IpAddress& address, Nanos now);
  void scan_backend(const snapshot::Backend& backend, Nanos now);

  // resolver_receive.cc: what comes in
  void learn_from_arp(const ArpMessage& message, bool for_us, const snapshot::Interface& interface, Nanos now,
                      ResolverSink& sink);
  void learn_from_advertisement(const NdMessage& message, const snapshot::Interface& interface, Nanos now,
                                ResolverSink& sink);
  void learn_from_request(const IpAddress& sender, const MacAddress& mac, bool for_us,
                          const snapshot::Interface& interface, Nanos now, ResolverSink& sink);
  Verdict on_solicitation(const NdMessage& message, const snapshot::Interface& interface, Nanos now,
                          ResolverSink& sink);
  Verdict on_advertisement(const NdMessage& message, const snapshot::Interface& interface, Nanos now,
                           ResolverSink& sink);
  bool speaks_as_group(const snapshot::Interface& interface, const IpAddress& address, const MacAddress& mac) const;
  Verdict duplicate(const snapshot::Interface& interface, const IpAddress& address, const MacAddress& claimant,
                    Nanos now, ResolverSink& sink);

  Site site_;
  Announcer announcer_;
  KeyedStore<Entry> entries_;
  DeadlineHeap due_;
  Rng rng_;
  std::uint32_t generation_ = 0;
  Phase phase_ = Phase::done;
  std::size_t position_ = 0, next_hop_ = 0;
  std::uint32_t new_interest_ = 0;  // entries made by this scan, for their pacing
  std::uint32_t unresolved_by_traffic_ = 0;
  std::uint32_t sweep_ = 0;
  Nanos tick_ = 0;
  unsigned budget_ = kFramesPerTick;
  Counters counters_;
};

}  // namespace headgate::neighbor
