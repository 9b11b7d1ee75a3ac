// Failover, put together on the event loop:
//
//   dataplane's states, pools, links, pings, the peer's word, an operator's wishes --> Director --> SetFailover
//                                                                                         |-------> the peer
//
// The director decides at each of these and at its own deadlines, which are also those of the signs of life that the
// dataplane's control lease wants. Without groups in the configuration nothing here asks, sends or pings.
//
// STATE_DIR/epoch: the highest epoch, written beside the event loop with each promotion. STATE_DIR/failover.paused:
// groups that an operator paused, durable before it is in force.
#pragma once

#include <asio/steady_timer.hpp>
#include <asio/thread_pool.hpp>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "controlplane/api/management.pb.h"
#include "controlplane/app/events.h"
#include "controlplane/compile/id_table.h"
#include "controlplane/failover/channel.h"
#include "controlplane/failover/director.h"
#include "controlplane/failover/news.h"
#include "controlplane/failover/reach.h"
#include "controlplane/failover/what_if.h"
#include "controlplane/health/checker.h"
#include "controlplane/health/standings.h"

namespace headgate::app {

// Thread: that of the io_context.
class FailoverWatch {
 public:
  static constexpr std::chrono::milliseconds kReadEvery{240};  // between looks at pools and pings

  // What is known of pools now; asked at each decision.
  using Pools = std::function<const std::vector<health::Standings::Pool>&()>;

  FailoverWatch(asio::io_context& io, const std::string& dataplane, std::string state_dir, Events& events, Pools pools);
  ~FailoverWatch();
  FailoverWatch(const FailoverWatch&) = delete;
  FailoverWatch& operator=(const FailoverWatch&) = delete;

  void load();  // epoch and pauses
  // The HA link; until then, and with a null one, there is none. It must outlive this.
  void set_link(failover::PeerLink* link);
  // Of the configuration in force, also after each commit.
  void set_config(const config::v1::Config& config, const compile::IdTable& ids, std::uint64_t revision);

  bool watches_links() const { return !director_.rules().links.empty(); }
  void observe_links(const dataplane::v1::StatsReply& stats);  // while watches_links()
  void observe_pools();                                        // something of them has changed

  config::Result<void> can_switch(const std::string& group) const;
  config::Result<void> switch_group(const std::string& group, const std::string& user);
  failover::Outcome outcome(const std::string& group) const { return director_.outcome(group); }
  // After an error nothing has changed.
  config::Result<void> pause(const std::string& group, bool paused, const std::string& user);
  config::Result<std::vector<std::string>> what_if(const management::v1::WhatIfRequest& request) const;

  void describe(management::v1::FailoverReply& reply) const;
  void describe(management::v1::SystemReply& reply) const;  // problems
  const failover::Director& director() const { return director_; }

 private:
  std::string epoch_path() const { return state_dir_ + "/epoch"; }
  std::string paused_path() const { return state_dir_ + "/failover.paused"; }
  config::Result<void> save_paused(const std::set<std::string>& groups) const;
  void set_reach_targets();
  void read_reach();
  void read_pools();
  void note_untracked(const std::map<std::string, failover::Reach>& ports);
  void decide();
  void tick();
  void arm(failover::Time deadline);
  void on_state(const dataplane::v1::FailoverState& state);
  void save_epoch();
  config::Result<failover::Failure> failure_of(const management::v1::WhatIfRequest& request) const;
  config::Result<failover::Failure> failed_backend(const std::string& name) const;
  bool serves(std::uint32_t backend_id) const;

  const std::string state_dir_;
  Events& events_;
  failover::NoPeerLink no_link_;
  failover::PeerLink* link_ = &no_link_;
  failover::Director director_;
  failover::News news_;
  failover::Observed observed_;
  std::map<std::string, std::string> ports_;          // of interfaces
  std::map<std::string, failover::Reach> untracked_;  // links of interfaces that move no group
  std::map<std::pair<std::string, std::string>, std::vector<std::uint32_t>> backends_;  // ids, by pool and name
  Pools pools_;
  failover::ReachTargets reach_targets_;
  health::Checker reach_;
  asio::steady_timer tick_timer_, deadline_timer_;
  bool running_ = false;   // there are groups
  bool deciding_ = false;  // what tells us something may be told by us
  std::uint64_t saved_epoch_ = 0;
  asio::thread_pool writer_{1};
  failover::Channel channel_;
};

}  // namespace headgate::app
