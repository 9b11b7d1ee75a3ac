// Which state every backend is in force with: probes, commands and slow starts put together, kept over restarts.
//
//   Checker --verdicts----v
//   agents --words--> Standings --states in force--> on_states, which pushes them
//   commands -------------^
//
// A new revision comes in two steps. set_pools() before its snapshot is pushed: new backends get a standing.
// set_targets() once the dataplane runs it: only then the way to a new backend exists, and the removed ones are let go.
//
// STATE_DIR/backends.state has what was commanded, durable before it is in force. STATE_DIR/health.state has what was
// found out, at most kSaveEvery old; losing it costs one probe per backend.
#pragma once

#include <asio/steady_timer.hpp>
#include <asio/thread_pool.hpp>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "controlplane/api/management.pb.h"
#include "controlplane/app/events.h"
#include "controlplane/compile/compile.h"
#include "controlplane/config/result.h"
#include "controlplane/health/agent_reply.h"
#include "controlplane/health/checker.h"
#include "controlplane/health/passive.h"
#include "controlplane/health/standings.h"

namespace headgate::app {

// `To` has them as fields: a Backend of the snapshot, or a BackendState.
template <class To>
void put_in_force(const health::InForce& state, To& to) {
  to.set_health(state.up ? dataplane::v1::UP : dataplane::v1::DOWN);
  to.set_weight(state.weight);
  to.set_drain(state.drain);
}

// Thread: that of the io_context; probes have one of their own.
class BackendWatch {
 public:
  using Changes = std::vector<health::Standings::Change>;
  // `since`: when the first of them was found out.
  using OnStates = std::function<void(const Changes&, std::chrono::steady_clock::time_point since)>;
  static constexpr std::chrono::milliseconds kRefreshEvery{5};  // the first change at once, then together
  static constexpr std::chrono::seconds kSaveEvery{1};

  BackendWatch(asio::io_context& io, std::string state_dir, std::string boot, Events& events, OnStates on_states);
  ~BackendWatch();
  BackendWatch(const BackendWatch&) = delete;
  BackendWatch& operator=(const BackendWatch&) = delete;

  void load();
  // Tells nobody: the caller pushes everything.
  void set_pools(const config::v1::Config& config, const compile::IdTable& ids);
  void set_targets(const config::v1::Config& config, const compile::IdTable& ids);
  // What the dataplane runs with, for backends of which nothing is known otherwise. Requires: set_pools() was called
  // once, nothing is probed yet.
  void adopt(const std::unordered_map<std::uint32_t, health::InForce>& running);
  void pause_path(bool paused);

  // What the traffic says, while watches_traffic().
  void observe(const std::vector<health::BackendTraffic>& traffic);
  bool watches_traffic() const { return passive_.any_rules(); }

  // After an error nothing has changed.
  config::Result<void> command(const std::vector<std::uint32_t>& backend_ids, health::Admin admin);

  const health::InForce& in_force(std::uint32_t backend_id) const { return standings_.in_force(backend_id); }
  void put_in_force(dataplane::v1::Snapshot& snapshot) const;
  std::map<std::uint32_t, health::Detail> details() const { return checker_.details(); }
  template <class See>
  void each_detail(See see) const {  // as Scheduler's
    checker_.each_detail(see);
  }
  health::Admin admin(std::uint32_t backend_id) const { return standings_.admin(backend_id); }
  const health::PoolRules::Backend* rule(std::uint32_t backend_id) const { return standings_.rule(backend_id); }
  std::string why(std::uint32_t backend_id) const { return standings_.why(backend_id); }
  std::vector<std::string> problems() const { return standings_.problems(); }
  const std::vector<health::Standings::Pool>& pools() const { return standings_.pools(); }
  void describe(management::v1::SystemReply& reply) const;
  asio::io_context& probing() { return probing_; }

 private:
  std::string admin_path() const { return state_dir_ + "/backends.state"; }
  std::string memory_path() const { return state_dir_ + "/health.state"; }
  void load_admin();
  void begin_anew();  // standings from memory_
  config::Result<void> save_admin() const;
  void remember();  // brings memory_ up to date
  void save();
  void save_soon();
  void on_verdict(const health::Change& change);
  void on_agent(const health::Target& target, const std::string& answer);
  void refresh_soon(health::Time since);
  void refresh_at(health::Time moment);
  Changes refresh();
  void refresh_and_tell();

  const std::string state_dir_, boot_;
  Events& events_;
  OnStates on_states_;
  std::map<std::uint32_t, health::Admin> admin_;  // by backend id; enabled ones are not in it
  health::Memory memory_;                         // until a revision is settled, also of the one before
  std::vector<health::PoolRules> pools_;
  health::Standings standings_;
  asio::io_context probing_{1};
  health::Checker checker_, agents_;
  health::Passive passive_;
  std::map<std::uint32_t, health::AgentReply> agent_replies_;  // the last of each
  std::vector<health::Change> verdicts_;                       // since the last refresh
  health::Time changed_ = health::kNever;                      // the first verdict or word since then
  asio::thread_pool writer_{1};                                // of health.state
  bool save_failed_ = false;                                   // its thread's
  asio::steady_timer refresh_timer_, save_timer_;
  bool save_armed_ = false;
  health::Time refreshed_ = health::Time::min();
  health::Time refresh_due_ = health::kNever;
  health::LoopThread probing_thread_{probing_};
};

}  // namespace headgate::app
