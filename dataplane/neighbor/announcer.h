// Tells the link about our own addresses: gratuitous ARP (RFC 5227 2.3) and unsolicited advertisements (RFC
// 4861 7.2.6), a burst of three for an address that is new, and MLDv2 reports (RFC 3810) for the solicited-node groups,
// so that snooping switches let solicitations through. A part of Resolver.
#pragma once

#include <cstdint>

#include "dataplane/base/rng.h"
#include "dataplane/neighbor/deadline_heap.h"
#include "dataplane/neighbor/keyed_store.h"
#include "dataplane/neighbor/site.h"

namespace headgate::neighbor {

class Announcer {
 public:
  struct Counters {
    std::uint64_t announcements = 0, mld_reports = 0, overflow = 0, defended = 0;
  };

  // refresh: announce every address again so often; 0 = never.
  Announcer(const Site& site, Nanos refresh, std::uint64_t seed);

  // A new snapshot. scan() then looks at it in steps, at most `work` items each; what is left of `work` comes back.
  void begin_scan();
  unsigned scan(unsigned work, Nanos now);
  bool scanning() const { return phase_ != Phase::done; }

  // Those of these groups (bit n: slot n), which are active here now.
  void announce_groups(std::uint64_t groups, Nanos now);
  // Somebody claims an address of ours: announces it once. False when that was done less than kDefendInterval ago.
  bool defend(InterfaceId interface, const IpAddress& address, Nanos now);
  void mld_query(Nanos max_response, Nanos now);

  // Send at most `budget` frames that are due; the number sent comes back.
  unsigned announce(Nanos now, ResolverSink& sink, unsigned budget);
  unsigned report_groups(Nanos now, ResolverSink& sink, unsigned budget);
  Nanos next_deadline() const { return std::min(due_.next(), mld_due_); }

  std::uint32_t addresses() const { return own_.size(); }
  const Counters& counters() const { return counters_; }

 private:
  enum class Phase : std::uint8_t { interfaces, local_addresses, services, done };
  struct Own {
    IpAddress address;
    InterfaceId interface;
    std::uint32_t chain = 0;
    std::uint32_t generation = 0;
    std::uint8_t left = 0;  // of the burst
    std::uint8_t said = 0;  // of a group's burst, which is longer and has growing gaps
    bool defended = false;
    Nanos defended_at = 0;
  };

  void note(const IpAddress& address, Nanos now);
  std::size_t phase_items() const;
  unsigned scan_item(std::size_t item, Nanos now);
  void finish_scan(Nanos now);
  bool send_announcement(const Own& own, ResolverSink& sink);
  const snapshot::OwnAddress* known(const Own& own) const;
  Nanos next_announcement(Own& own, Nanos now) const;
  bool send_report(InterfaceId interface, std::span<const IpAddress> groups, ResolverSink& sink);

  const Site& site_;
  const Nanos refresh_;
  KeyedStore<Own> own_;
  DeadlineHeap due_;
  Rng rng_;
  std::uint32_t generation_ = 0;
  Phase phase_ = Phase::done;
  std::size_t position_ = 0;
  Nanos mld_due_ = kNever, mld_last_ = 0;
  std::uint32_t mld_cursor_ = 0;  // 0: no pass is under way
  Counters counters_;
};

}  // namespace headgate::neighbor
