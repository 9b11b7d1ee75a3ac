// One life of a control plane of the pair, in virtual time. What it says and decides is the product's own code: the
// director, the rules of the configuration, the scheduler of pings and its verdicts, heartbeats as bytes and back, when
// the peer counts as silent, and whether its dataplane is dead. What is played here is the event loop around them:
// timers as in app/failover_watch.cc and failover/link_session.cc, one SetFailover under way and the newest that waits
// as in failover/channel.cc. Sockets are World's.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "controlplane/api/ha.pb.h"
#include "controlplane/failover/director.h"
#include "controlplane/failover/link_timing.h"
#include "controlplane/failover/peer_life.h"
#include "controlplane/failover/reach.h"
#include "controlplane/health/scheduler.h"
#include "dataplane/base/time.h"

namespace headgate::sim {

class PairControl final : private health::Prober {
 public:
  using Event = std::function<void()>;
  static constexpr std::size_t kWaitingMax = 4096;  // events of a stopped process: what its sockets' buffers hold
  static constexpr std::chrono::milliseconds kHeartbeat{100};

  // The box around it. Nothing is called back from inside these.
  class World {
   public:
    virtual ~World() = default;
    virtual Nanos now() const = 0;
    virtual void after(Nanos span, Event event) = 0;
    virtual Nanos between(Nanos low, Nanos high) = 0;
    virtual void set_failover(const dataplane::v1::FailoverInput& input) = 0;  // answered() or lost() follows
    virtual void say(const ha::v1::Heartbeat& heartbeat) = 0;                  // over the session
    virtual void hang_up() = 0;                                                // the session
    virtual bool witness_answers() const = 0;
    virtual void save_epoch(std::uint64_t epoch) = 0;
    virtual void tell(const std::string& event) = 0;  // people
  };

  PairControl(World& world, failover::Rules rules, std::uint64_t seed, std::uint64_t saved_epoch);

  void pause(bool paused);
  bool paused() const { return paused_; }

  // What happens to it; when it is stopped, what it finds when it goes on.
  void state(const dataplane::v1::FailoverState& state);  // of WatchFailover
  void answered(const dataplane::v1::FailoverState& state);
  void failed();       // SetFailover: no answer in time, or the connection ended
  void watch_ended();  // the dataplane is gone
  void links(bool up, unsigned network);
  void session_began(std::uint64_t instance);
  void session_ended();
  void heartbeat(const ha::v1::Heartbeat& heartbeat);
  void notice();  // that the peer's dataplane ended, by its supervisor

  bool can_switch() const;
  void switch_group();

  std::uint64_t instance() const { return instance_; }
  std::uint64_t epoch() const { return director_.epoch(); }
  bool hears_peer() const { return view_.link_up; }

 private:
  void start(std::uint64_t probe, const health::Target& target) override;
  void run(Event event);  // now, or when the process goes on
  void later(Nanos span, Event event);
  failover::Time now() const;
  void decide();
  void tick();
  void arm();
  void speak();
  void speak_regularly();
  bool stood_still();
  void watch_silence();
  void judge_silence();
  void ping();
  void read_reach();
  void on_state(const dataplane::v1::FailoverState& state);
  void lose();
  void send_next();

  World& world_;
  const std::uint64_t instance_;
  failover::Director director_;
  failover::Observed observed_;
  health::Scheduler pings_;
  Nanos pings_at_ = kNever;
  failover::ReachTargets targets_;
  failover::PeerView view_;
  failover::Hearing hearing_;
  failover::Pace pace_, notice_pace_;
  failover::PeerLife peer_life_;
  failover::Word said_;
  bool session_ = false;
  std::uint64_t sessions_ = 0;
  std::uint64_t silence_round_ = 0, deadline_round_ = 0;
  // The dataplane, as channel.cc and the pusher know it
  bool known_ = false, runs_ = false, calling_ = false;
  std::uint64_t call_version_ = 0, incarnation_ = 0;
  std::optional<std::pair<dataplane::v1::FailoverInput, std::uint64_t>> next_;
  std::uint64_t saved_epoch_ = 0;

  bool paused_ = false, deciding_ = false;
  std::deque<Event> waiting_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace headgate::sim
