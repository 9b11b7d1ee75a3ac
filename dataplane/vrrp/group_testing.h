// A group in virtual time, for tests that read as traces: the driver accepts what it sends, a peer may speak at times.
//
//   Bench box({.priority = 100});
//   box.hear(150);                         // an advert of a peer on all routers, now
//   box.run(kSecond);                      // a second passes; timers act at their time
//   EXPECT_EQ(box.role(), Role::active);
//   EXPECT_EQ(box.trace(), "...")          // what happened, one line each: "303.515 active: no advert from ..."
#pragma once

#include <string>
#include <vector>

#include "dataplane/vrrp/testing.h"

namespace headgate::vrrp::testing {

inline constexpr Nanos kStart = 1000 * kSecond;  // not zero, which means "never" in many places

// v4 and v6 on one interface, 100 ms, priority 100, a pair. Only what differs is written.
struct BoxSpec {
  std::uint8_t priority = 100;
  Nanos interval = 100 * kMillisecond;
  Preemption preemption = Preemption::stay;
  Nanos preempt_delay = 0;
  bool has_peer = true;
  std::size_t routers = 2;
  std::uint8_t version = 3;
  ChecksumRule checksum = ChecksumRule::automatic;
  Nanos startup_wait = 3 * kSecond;
  const char *source_v4 = "192.0.2.11", *source_v6 = "fe80::11";
  std::vector<IpAddress> peers{};
};
GroupConfig config_of(const BoxSpec& spec);

class Bench {
 public:
  explicit Bench(const BoxSpec& spec = {}, Nanos start = kStart);

  void run(Nanos span);  // timers, sends, acceptances
  // The same with a peer that sends adverts of this priority every period (0: every interval).
  void run_hearing(Nanos span, std::uint8_t priority, Nanos period = 0, Nanos interval = 0);
  void run_stopped(Nanos span) { now_ += span; }  // SIGSTOP: nothing happens
  // One advert on all routers, or on one; interval 0: the group's own.
  void hear(std::uint8_t priority, Nanos interval = 0);
  Oddity hear_on(std::size_t router, std::uint8_t priority, Nanos interval = 0, const char* source = nullptr);
  void input(const Input& input);
  void link(std::size_t router, bool up);
  void configure(const GroupConfig& config);
  void resign(const char* why);
  void advance();        // at this moment
  void become_backup();  // past the start, with a peer of priority 150 heard
  void become_active();  // past the start, alone

  Group& group() { return group_; }
  Role role() const { return group_.status().role; }
  std::string cause() const { return std::string(group_.status().cause.view()); }
  Nanos now() const { return now_; }
  Nanos since_start() const { return now_ - kStart; }
  Nanos lease() const { return group_.active_until() > now_ ? group_.active_until() - now_ : 0; }
  bool forwards() const { return group_.active_until() > now_; }
  std::vector<std::string> take_trace();  // since the last call
  unsigned sent(std::uint8_t priority);   // adverts on router 0 with this priority, since the last call for it
  unsigned announced();                   // since the last call
  const std::vector<Action>& last() const { return last_; }  // what was to be done when there was something last

  bool driver_accepts = true;
  bool progress = true;
  std::vector<bool> accepts_on = std::vector<bool>(kRoutersMax, true);

 private:
  void act();

  GroupConfig config_;
  Group group_;
  Nanos now_;
  std::vector<std::string> trace_;
  std::array<unsigned, 256> sent_{};
  unsigned announced_ = 0;
  std::vector<Action> last_;
};

}  // namespace headgate::vrrp::testing
