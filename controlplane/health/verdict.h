// Up or down, from a row of results: `fall` failures in a row take a backend down, `rise` successes bring it back.
#pragma once

namespace headgate::health {

class Verdict {
 public:
  explicit Verdict(bool up) : up_(up) {}

  // True when the verdict changed. Requires: rise, fall >= 1.
  bool observe(bool success, unsigned rise, unsigned fall) {
    if (success == up_) {
      against_ = 0;
      return false;
    }
    if (++against_ < (up_ ? fall : rise)) return false;
    up_ = success;
    against_ = 0;
    return true;
  }
  void forget_row() { against_ = 0; }
  bool up() const { return up_; }

 private:
  bool up_;
  unsigned against_ = 0;  // results in a row that speak against the verdict
};

}  // namespace headgate::health
