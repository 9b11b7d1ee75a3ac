// A rate limiter: `rate` events a second on average, `burst` at once. Virtual time.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/base/time.h"

namespace headgate {

class TokenBucket {
 public:
  TokenBucket(std::uint32_t rate_per_second, std::uint32_t burst)
      : cost_(kSecond / rate_per_second), depth_(cost_ * burst), level_(depth_) {}

  bool take(Nanos now) {
    level_ = std::min(depth_, level_ + (now - last_));
    last_ = now;
    if (level_ < cost_) return false;
    level_ -= cost_;
    return true;
  }
  bool would_take(Nanos now) const { return std::min(depth_, level_ + (now - last_)) >= cost_; }

 private:
  Nanos cost_, depth_, level_, last_ = 0;
};

}  // namespace headgate
