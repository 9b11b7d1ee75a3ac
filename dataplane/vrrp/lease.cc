#include "dataplane/vrrp/lease.h"

#include <algorithm>

namespace headgate::vrrp {

void Lease::begin(std::size_t routers, Nanos interval, Nanos now) {
  const auto before = tracks_;
  running_ = true;
  routers_ = routers;
  begun_ = now;
  until_ = newest_ = renew_before_ = 0;
  interval_ = advertised_ = interval;
  for (std::size_t i = 0; i < routers; ++i) tracks_[i] = {.link = before[i].link, .base = now};
}

void Lease::reset_routers(std::size_t routers, Nanos now) {
  routers_ = routers;
  for (Track& track : tracks_) track = {.base = now};
  newest_ = std::min(newest_, until_);
}

Nanos Lease::period() const {
  return interval_ <= kDoubledUpTo ? interval_ / 2 : interval_;
}

Nanos Lease::span(Nanos interval) const {
  return std::max(kLeaseIntervals * interval, solo_);
}

void Lease::link(std::size_t router, bool up, Nanos now) {
  Track& track = tracks_[router];
  if (up && !track.link) track = {.base = now};
  track.link = up;
  if (running_) update();
}

void Lease::interval(Nanos interval, Nanos now) {
  for (Track& track : tracks_) track.announced = 0;
  advertised_ = interval;
  if (interval < interval_) shorten(interval, now);
}

// The peer goes on waiting by the longer interval until it hears of the shorter one, so two of the new intervals from
// now on are as safe as two since the last advert, and leave the time for the next one to be accepted.
void Lease::shorten(Nanos interval, Nanos now) {
  interval_ = interval;
  for (Track& track : tracks_) {
    track.until = std::min(track.until, now + span(interval));
    track.base = std::max(track.base, now);
  }
  newest_ = std::min(newest_, now + span(interval));
  if (running_) update();
}

void Lease::solo(Nanos lease, Nanos now) {
  const bool shorter = lease < solo_;
  solo_ = lease;
  if (shorter) shorten(interval_, now);
}

void Lease::accepted(std::size_t router, Nanos said, Nanos at) {
  if (!running_ || router >= routers_ || at < begun_) return;
  if (until_ != 0 && at >= until_ && at >= renew_before_) return;
  Track& track = tracks_[router];
  if (track.accepted && at < track.accepted_at) return;
  track.accepted = true;
  track.accepted_at = at;
  track.until = std::max(track.until, at + span(std::min(said, interval_)));
  newest_ = std::max(newest_, track.until);
  if (said == advertised_ && advertised_ > interval_ && track.announced < kAnnouncements) {
    ++track.announced;
    lengthen_if_announced();
  }
  update();
}

void Lease::lengthen_if_announced() {
  for (std::size_t i = 0; i < routers_; ++i) {
    if (tracks_[i].link && tracks_[i].announced < kAnnouncements) return;
  }
  interval_ = advertised_;
  for (std::size_t i = 0; i < routers_; ++i) {
    Track& track = tracks_[i];
    if (!track.accepted) continue;
    track.until = track.accepted_at + span(interval_);
    newest_ = std::max(newest_, track.until);
  }
}

void Lease::update() {
  Nanos oldest = kNever;
  for (std::size_t i = 0; i < routers_; ++i) {
    const Track& track = tracks_[i];
    if (track.link) oldest = std::min(oldest, track.accepted ? track.until : track.base + span(interval_));
  }
  // Without a link nothing renews it; what was leased was safe and stays.
  until_ = oldest == kNever ? std::min(until_, newest_) : std::min(oldest, newest_);
}

bool Lease::lapsed(Nanos now) const {
  return running_ && now >= lapses_at();
}

Nanos Lease::lapses_at() const {
  return until_ != 0 ? until_ : begun_ + span(interval_);
}

bool Lease::resume(Nanos now) {
  if (!running_ || until_ == 0) return false;
  if (now < renew_before_) return true;
  Nanos oldest = kNever;
  for (std::size_t i = 0; i < routers_; ++i) {
    if (tracks_[i].link) oldest = std::min(oldest, basis(tracks_[i]));
  }
  if (oldest == kNever) return false;
  // A quarter of an interval less, for what we would have to say is still on its way then; by the HA link, where that
  // is all that the peer hears of us, it is for kClaimDelay.
  const Nanos shortest = kDownIntervals * interval_ - std::max(interval_ / 4, kClaimDelay);
  if (now >= oldest + shortest) return false;
  renew_before_ = oldest + shortest;
  return true;
}

}  // namespace headgate::vrrp
