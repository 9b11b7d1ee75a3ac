// Whether the peer's dataplane lives, by what its supervisor and its control plane say. Pure.
//
// Dead ends when the peer's control plane has met a dataplane since: by a number in its heartbeats, since one that was
// on its way when the dataplane died still says that it runs.
#pragma once

#include <cstdint>

namespace headgate::failover {

class PeerLife {
 public:
  // A connection: which control plane speaks (ha.proto, Hello.instance).
  void meet(std::uint64_t instance) {
    if (instance != instance_) incarnation_ = 0;
    instance_ = instance;
  }
  // A death notice that is true.
  void died() {
    dead_ = true;
    dead_instance_ = instance_;
    dead_incarnation_ = incarnation_;
  }
  // A heartbeat. True: by it the dataplane runs again.
  bool heard(bool runs, std::uint64_t incarnation) {
    incarnation_ = incarnation;
    const bool before = instance_ == dead_instance_ && incarnation_ <= dead_incarnation_;
    if (!dead_ || !runs || before) return false;
    dead_ = false;
    return true;
  }
  void forget() { dead_ = false; }  // whoever comes next is another box
  bool dead() const { return dead_; }

 private:
  std::uint64_t instance_ = 0, incarnation_ = 0;  // what speaks, and how often it has met a dataplane
  bool dead_ = false;
  std::uint64_t dead_instance_ = 0, dead_incarnation_ = 0;  // both when the notice came
};

}  // namespace headgate::failover
