// Keeps the dataplane on the snapshot we want: whole snapshots when the configuration changed, StateUpdates when states
// of backends did; the newest wins, again after a restart of either side.
//
// Every contact begins by asking what runs. Equal digests: at most states differ, and one update carries those that do,
// so a restarted control plane disturbs nothing. Otherwise the wanted snapshot goes out whole. Generations rise above
// the running one. What meets another base than it was made for is answered RESYNC: then we ask, and push whole.
//
// One call is under way at a time. The first change leaves at once, later ones gather for kGather after the last
// update. Without an answer it tries again every kRetry. A dataplane that went away is noticed within kRetry, since its
// socket closes.
//
// Thread: that of the io_context; gRPC's threads only post to it. Must be destroyed before the io_context and after it
// stopped running handlers.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "controlplane/push/channel.h"
#include "controlplane/push/push_stats.h"
#include "controlplane/push/state.h"
#include "dataplane/api/dataplane.grpc.pb.h"

namespace headgate::push {

inline constexpr std::chrono::milliseconds kGather{10};
inline constexpr std::chrono::seconds kRunningTimeout{1};
inline constexpr std::chrono::seconds kApplyTimeout{30};  // thousands of maglev tables take seconds

struct Events {
  std::function<void(const States& running)> connected;  // with the states the dataplane runs with
  std::function<void()> in_sync;                         // what is wanted runs
  // The dataplane took neither this nor anything of it; the handler may want something else.
  std::function<void(const dataplane::v1::Snapshot& sent, const dataplane::v1::ApplyReply& reply)> refused;
  std::function<void()> lost;
};

class Pusher {
 public:
  // target: gRPC's name of the dataplane, e.g. unix:/run/headgate/dataplane.sock
  Pusher(asio::io_context& io, const std::string& target, Events events);
  ~Pusher();
  Pusher(const Pusher&) = delete;
  Pusher& operator=(const Pusher&) = delete;

  void start();
  // A whole snapshot, with its digest and the states in force now.
  void set_wanted(dataplane::v1::Snapshot snapshot);
  // These states and no others changed since. Costs what changed, however many there are. Ids that the wanted snapshot
  // does not have are passed over. `since`: when the first of them was found out, for stats().
  void set_states(const std::vector<dataplane::v1::BackendState>& changed,
                  std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now());

  bool connected() const { return running_.has_value(); }
  const PushStats& stats() const { return stats_; }

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Running {
    std::uint64_t generation = 0;
    std::string digest;
    States states;
  };
  struct RunningCall;
  struct ApplyCall;
  struct UpdateCall;

  void tick();
  void step();  // begins the one call that is due, if any
  void ask();
  void apply();
  void update();
  void on_running(const RunningCall& call);
  void on_applied(const ApplyCall& call);
  void on_refused(const ApplyCall& call);
  void on_updated(const UpdateCall& call);
  void lose(const std::string& why);
  bool needs_whole() const;
  bool gathering();
  void doubt_all();
  void sort_out_equal();
  void wait_since(std::optional<Time> changed);
  void acknowledged(std::optional<Time> changed);
  template <class Call>
  std::shared_ptr<Call> begin(std::chrono::milliseconds timeout);
  template <class Call>
  std::function<void(grpc::Status)> finish(const std::shared_ptr<Call>& call, void (Pusher::*handler)(const Call&));

  asio::io_context& io_;
  std::string target_;
  Events events_;
  asio::steady_timer timer_, gather_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<dataplane::v1::Dataplane::Stub> stub_;
  std::optional<Running> running_;                   // while connected
  std::unique_ptr<dataplane::v1::Snapshot> wanted_;  // on the heap: wanted_by_id_ points into it
  std::unordered_map<std::uint32_t, dataplane::v1::Backend*> wanted_by_id_;
  std::unordered_set<std::uint32_t> doubtful_;  // backends whose wanted and running states may differ
  std::optional<Time> waiting_since_;           // the oldest change that no call carried yet
  Time gather_until_{};
  bool gathering_ = false;  // gather_ runs
  bool whole_ = false;      // after RESYNC: no update until a whole snapshot was taken
  bool refused_ = false;    // the dataplane refused wanted_: saying it again would not help
  bool said_in_sync_ = false;
  bool said_waiting_ = false;  // the log says once that there is no dataplane
  std::uint64_t last_generation_ = 0;
  PushStats stats_;
  // The one call under way: how to cancel it, and a flag that its gRPC thread is done with us.
  std::function<void()> cancel_;
  std::shared_ptr<void> alive_ = std::make_shared<int>();
};

}  // namespace headgate::push
