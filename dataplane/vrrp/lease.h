// The active lease of one group (design section 7): how long we may forward since drivers accepted our adverts, and the
// interval that adverts announce meanwhile. Used by Group only.
//
//   until = the oldest, over all routers with a link, of the time the driver accepted their last advert
//           + 2 x the advertised interval
//
// The peer waits at least 3 advertised intervals since the advert it heard last, wherever it heard it. So the lease is
// over by then whichever network still works: hence the oldest. A router whose link came up counts from that moment.
//
// The interval may change while the lease runs. Shorter: first the lease, then the adverts, since the peer waits by
// what it heard. Longer: 3 adverts announce it on each router before the lease uses it.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/base/time.h"
#include "dataplane/vrrp/limits.h"

namespace headgate::vrrp {

class Lease {
 public:
  // We became active; nothing is accepted yet, so nothing is leased yet.
  void begin(std::size_t routers, Nanos interval, Nanos now);
  void end() { running_ = false; }
  bool running() const { return running_; }

  // The routers are others, or in another order: nothing of them was accepted yet. What is leased does not grow by it.
  void reset_routers(std::size_t routers, Nanos now);
  void link(std::size_t router, bool up, Nanos now);
  void interval(Nanos interval, Nanos now);
  // A box without a peer: this long instead of two intervals, if longer. 0: no.
  void solo(Nanos lease, Nanos now);
  // The driver accepted an advert that said `said` at `at`. After a lapse it renews only what resume() allowed.
  void accepted(std::size_t router, Nanos said, Nanos at);
  // After a lapse, when nobody claimed the group meanwhile: may go on if the peer's shortest wait is not over, which
  // began when drivers accepted our last advert. From then on accepted() renews, until that wait is over.
  bool resume(Nanos now);

  Nanos until() const { return running_ ? until_ : 0; }  // 0: nothing is leased
  bool lapsed(Nanos now) const;
  bool granted() const { return until_ != 0; }  // since begin()
  Nanos lapses_at() const;
  Nanos advertised() const { return advertised_; }
  // From advert to advert: half the interval when it is short, so that one late advert costs nothing.
  Nanos period() const;

 private:
  struct Track {
    bool link = true, accepted = false;
    Nanos base = 0;  // counts as accepted then: we became active, or the link came up
    Nanos accepted_at = 0;
    Nanos until = 0;
    std::uint8_t announced = 0;  // adverts with the longer interval
  };
  Nanos span(Nanos interval) const;
  Nanos basis(const Track& track) const { return track.accepted ? track.accepted_at : track.base; }
  void shorten(Nanos interval, Nanos now);
  void lengthen_if_announced();
  void update();

  bool running_ = false;
  std::size_t routers_ = 0;
  std::array<Track, kRoutersMax> tracks_{};
  Nanos begun_ = 0;
  Nanos until_ = 0;
  Nanos newest_ = 0;      // no lease is longer than the newest acceptance gives
  Nanos interval_ = 0;    // in force for the lease
  Nanos advertised_ = 0;  // >= interval_
  Nanos solo_ = 0;
  Nanos renew_before_ = 0;  // after a lapse
};

}  // namespace headgate::vrrp
