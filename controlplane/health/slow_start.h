// A backend that comes up gets its share of new flows in steps: one step's worth at once, all of it at the end. Pure.
#pragma once

#include <algorithm>

#include "controlplane/health/target.h"

namespace headgate::health {

inline constexpr unsigned kWhole = 1000;  // a share of its weight, in thousandths

class SlowStart {
 public:
  static constexpr Time::rep kStepsMax = 20;
  static constexpr Time kStepMin = std::chrono::milliseconds(100);

  SlowStart(Time since, Time length) : since_(since), length_(length) {}

  bool over(Time now) const { return now < since_ || now - since_ >= length_; }
  unsigned share(Time now) const { return over(now) ? kWhole : static_cast<unsigned>(kWhole * taken(now) / steps()); }
  // When share() next changes. Requires: not over.
  Time next_step(Time now) const { return since_ + (length_ * taken(now) + Time(steps() - 1)) / steps(); }

 private:
  Time::rep steps() const { return std::clamp<Time::rep>(length_ / kStepMin, 1, kStepsMax); }
  Time::rep taken(Time now) const { return (now - since_) * steps() / length_ + 1; }

  Time since_, length_;
};

}  // namespace headgate::health
