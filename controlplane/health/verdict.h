// Up or down, from a row of results: `fall` failures in a row take a backend down, `rise` successes bring it back. Of a
// backend nobody has asked yet one success is enough.
#pragma once

#include <cstdint>

namespace headgate::health {

enum class Health : std::uint8_t { unknown, up, down };

class Verdict {
 public:
  explicit Verdict(Health health) : health_(health) {}

  // True when the verdict changed. Requires: rise, fall >= 1.
  bool observe(bool success, unsigned rise, unsigned fall) {
    const Health said = success ? Health::up : Health::down;
    if (said == health_) {
      against_ = 0;
      return false;
    }
    const unsigned needed = !success ? fall : health_ == Health::unknown ? 1 : rise;
    if (++against_ < needed) return false;
    set(said);
    return true;
  }
  void set(Health health) {
    health_ = health;
    against_ = 0;
  }
  void forget_row() { against_ = 0; }
  Health health() const { return health_; }
  bool in_question() const { return against_ != 0 || health_ == Health::unknown; }

 private:
  Health health_;
  unsigned against_ = 0;  // results in a row that speak against the verdict
};

}  // namespace headgate::health
