// Two boxes of a failover group in virtual time. One seed gives one run.
//
// The product's own code: the state machines of dataplane/vrrp, the words of the dataplane's API
// (app/failover_words.h), and both control planes (pair_control.h). Played here, with chance in its times: the thread
// that elects and the API's threads beside it, the worker that hands adverts to the driver and drops those that waited
// for longer than half an interval, two data networks, the API's two streams, which may overtake each other, the HA
// link, the supervisors' death notice, and a witness (a gateway) on the networks.
//
// The HA link is a connection: what is sent during a cut arrives some time after it in order, as by TCP; an end that
// hears nothing for a second gives it up, and 0.8 s after that at most there is another (controlplane/README.md).
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "dataplane/api/dataplane.pb.h"
#include "dataplane/base/rng.h"
#include "dataplane/base/time.h"
#include "dataplane/vrrp/group.h"
#include "tests/sim/pair_control.h"

namespace headgate::sim {

inline constexpr unsigned kNetworks = 2;

struct PairPlan {
  Nanos interval = 100 * kMillisecond;
  std::array<std::uint8_t, 2> priority{150, 100};
  vrrp::Preemption preemption = vrrp::Preemption::stay;
  Nanos preempt_delay = 0;
  bool both_families = true;  // two routers on each network, or IPv4 on one and IPv6 on the other
  bool witness = true;        // one is configured
  bool link_fault = true;     // a link that is down is a fault, as by default; else it degrades
};
PairPlan random_plan(Rng& rng);

// What chance does to adverts on both networks.
struct Weather {
  double loss = 0, duplicate = 0;
  Nanos jitter = 0;  // up to so much later, and so out of order
};

class Pair {
 public:
  Pair(const PairPlan& plan, std::uint64_t seed);
  ~Pair();

  void run_until(Nanos time);
  Nanos now() const { return now_; }
  Rng& rng() { return rng_; }
  const PairPlan& plan() const { return plan_; }

  // Faults, each with its end. A box is 0 or 1.
  void kill_dataplane(unsigned box, Nanos down_for);  // kill -9; the supervisor says so, and starts it again
  void withdraw(unsigned box, Nanos away_for);        // switched off in order, and on again
  void pause_dataplane(unsigned box, bool paused);    // SIGSTOP and SIGCONT
  void stall_thread(unsigned box, bool stalled);      // only the VRRP thread
  void stick_worker(unsigned box, bool stuck);        // a worker makes no progress
  void kill_control(unsigned box);
  void start_control(unsigned box);
  void pause_control(unsigned box, bool paused);
  // A virtual machine that is paused: every thread of the box stops, monotonic clocks go on.
  void pause_box(unsigned box, bool paused);
  void cut_send(unsigned box, unsigned network, bool cut);  // silently, one direction
  void cut_receive(unsigned box, unsigned network, bool cut);
  void carrier(unsigned box, unsigned network, bool up);
  void cut_ha(bool cut);
  void weather(const Weather& weather);
  void switch_over(unsigned to);  // the operator's order, through both control planes
  void heal();                    // everything

  // The longest that a silent cut of all networks lasts until a witness told the box that it is cut off.
  Nanos witness_time() const;

  // What is true now.
  bool alive(unsigned box) const { return boxes_[box].group != nullptr; }
  vrrp::Role role(unsigned box) const;
  bool degraded(unsigned box) const { return in_force(box).health == vrrp::Health::degraded; }
  bool forwards(unsigned box) const;
  bool serves(unsigned box) const;  // forwards, works, and is reachable on both networks
  int active() const;               // the one box that forwards; -1: none or both
  Nanos down_interval(unsigned box) const;
  Nanos settle_time() const { return 60 * plan_.interval + vrrp::kWordAge + 600 * kMillisecond; }

  // Findings. trouble(): the first broken invariant, a sentence; empty: none.
  const std::string& trouble() const { return trouble_; }
  void complain(const std::string& what);
  std::string log() const;  // the last changes of roles, and faults
  unsigned transitions() const { return transitions_; }
  // Both boxes, dataplanes and control planes, know one epoch.
  bool one_epoch() const;
  std::uint64_t adverts() const { return adverts_; }
  Nanos take_longest_gap();  // longest time in which no box served, since the last call
  void forwarding_alone_counts(bool yes) { forwarding_counts_ = yes; }  // for gaps: connected or not

 private:
  static constexpr std::size_t kRing = 256;  // what waits for a thread that does not run; more is lost
  using Event = std::function<void()>;
  struct Scheduled {
    Nanos at;
    std::uint64_t number;
    Event event;
    bool operator>(const Scheduled& other) const { return at != other.at ? at > other.at : number > other.number; }
  };
  struct Waiting {
    std::size_t router;
    std::uint8_t priority;
    Nanos interval, since;
  };
  struct Port {
    bool send = true, receive = true, carrier = true;
  };
  struct Box {
    std::unique_ptr<vrrp::Group> group;
    unsigned life = 0;  // events of an earlier one are void
    bool paused = false, stalled = false, stuck = false;
    std::deque<Event> waiting;    // for the VRRP thread
    std::deque<Waiting> mailbox;  // for the worker
    std::array<Port, kNetworks> ports;
    Nanos wake_at = kNever;
    Nanos served_until = 0;

    // What the dataplane holds of its control plane, and its API
    vrrp::Input input;
    bool control_lease = true;
    Nanos heard_control = 0;
    std::uint64_t epoch = 0;
    std::deque<Event> calls;  // while it is stopped
    std::uint64_t call = 0;   // SetFailover: its number
    bool calling = false;     // not answered yet
    bool untold = false;      // a change that the thread, which stalls, has not told yet
    bool leased = false;
    Nanos watch = 0, answers = 0;  // when the last one arrives, of each stream
    Nanos requests = 0;

    std::unique_ptr<PairControl::World> world;
    std::unique_ptr<PairControl> control;
    unsigned control_life = 0;
    std::uint64_t saved_epoch = 0;         // on disk
    std::uint64_t session = 0;             // of the HA link, as this end knows it; 0: none
    bool notice_armed = false;             // the peer's control plane knows our supervisor's key
    std::deque<ha::v1::Heartbeat> unsent;  // sent during a cut
    Nanos words = 0;                       // when the last one to this box arrives
  };
  class World;

  void at(Nanos time, Event event);
  void after(Nanos span, Event event) { at(now_ + span, std::move(event)); }
  void in_order(Nanos& last, Nanos delay, Event event) {
    last = std::max(last, now_ + delay);
    at(last, std::move(event));
  }
  Nanos between(Nanos low, Nanos high) { return low + rng_.below(static_cast<std::uint32_t>(high - low + 1)); }
  void note(const char* format, ...) __attribute__((format(printf, 2, 3)));

  // The dataplane of a box
  vrrp::GroupConfig config_of(unsigned box) const;
  void start_dataplane(unsigned box);
  void end_dataplane(unsigned box, Nanos down_for);
  void to_thread(unsigned box, Event event);  // now, or when the thread runs again
  void step(unsigned box, const Event& event);
  void turn(unsigned box);
  void drain(unsigned box);
  void act(unsigned box);
  void wake(unsigned box);
  void to_worker(unsigned box, const Waiting& advert);
  void flush_mailbox(unsigned box);
  void transmit(unsigned box, const Waiting& advert);
  void arrive(unsigned box, std::size_t router, std::uint8_t priority, Nanos interval);
  unsigned network_of(std::size_t router) const {
    return static_cast<unsigned>(plan_.both_families ? router / 2 : router);
  }
  void tell_links(unsigned box);

  // The dataplane's API
  vrrp::Input in_force(unsigned box) const;
  dataplane::v1::FailoverState state_of(unsigned box) const;
  void beat(unsigned box, unsigned life);  // once a second
  void tell_state(unsigned box);           // WatchFailover
  void watch_later(unsigned box);
  void set_failover(unsigned box, const dataplane::v1::FailoverInput& input);
  void apply(unsigned box, const dataplane::v1::FailoverInput& input);
  void answer(unsigned box, std::uint64_t call);
  void call_failed(unsigned box, std::uint64_t call);
  void to_control(unsigned box, Nanos delay, std::function<void(PairControl&)> event);

  // The control planes and the HA link
  failover::Rules rules_of(unsigned box) const;
  void connect();
  void connect_later() {
    after(between(20, 800) * kMillisecond, [this] { connect(); });
  }
  void end_session(unsigned box);  // that box did
  void say(unsigned box, const ha::v1::Heartbeat& heartbeat);
  bool ha_works() const;
  bool witness_answers(unsigned box) const;

  // Invariants
  void check();
  void check_paths();
  bool network_works(unsigned network) const;
  bool connected() const;  // by some path, for long enough

  PairPlan plan_;
  Rng rng_;
  Nanos now_ = 1000 * kSecond;
  std::uint64_t numbers_ = 0;
  std::priority_queue<Scheduled, std::vector<Scheduled>, std::greater<>> events_;
  std::array<Box, 2> boxes_;
  bool ha_cut_ = false;
  std::uint64_t sessions_ = 0;
  std::uint64_t seed_;
  const bool verbose_;  // the log has every word, too: HEADGATE_VERBOSE
  Weather weather_;
  std::array<Nanos, kNetworks + 1> good_since_{};  // each network, and the HA link; kNever: not good
  std::string trouble_;
  std::deque<std::string> log_;
  unsigned transitions_ = 0;
  std::uint64_t adverts_ = 0;
  Nanos last_served_ = 0, longest_gap_ = 0;
  bool forwarding_counts_ = false;
};

}  // namespace headgate::sim
