// Keeps the dataplane on the snapshot we want: whole snapshots, the newest one wins, again after a restart of either
// side.
//
// Every contact begins by asking what runs. When digest and health match there is nothing to push, so a restarted
// control plane disturbs nothing; otherwise the wanted snapshot goes out with a generation above the running one.
// Without an answer it tries again every kRetry. A dataplane that went away is noticed within kRetry, since its socket
// closes.
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
#include <vector>

#include "controlplane/health/target.h"
#include "dataplane/api/dataplane.grpc.pb.h"

namespace headgate::push {

inline constexpr std::chrono::milliseconds kRetry{100};
inline constexpr std::chrono::seconds kRunningTimeout{1};
inline constexpr std::chrono::seconds kApplyTimeout{30};  // thousands of maglev tables take seconds

struct Events {
  std::function<void(const health::HealthView& running)> connected;  // with the verdicts the dataplane runs with
  std::function<void()> in_sync;                                     // what is wanted runs
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
  void set_wanted(dataplane::v1::Snapshot snapshot);
  bool connected() const { return running_.has_value(); }

 private:
  struct Running {
    std::uint64_t generation = 0;
    std::string digest;
    health::HealthView health;
  };
  struct RunningCall;
  struct ApplyCall;

  void tick();
  void step();  // begins the one call that is due, if any
  void ask();
  void apply();
  void on_running(const RunningCall& call);
  void on_applied(const ApplyCall& call);
  void on_refused(const ApplyCall& call);
  void lose(const std::string& why);
  bool wanted_runs() const;
  template <class Call>
  std::shared_ptr<Call> begin(std::chrono::milliseconds timeout);
  template <class Call>
  std::function<void(grpc::Status)> finish(const std::shared_ptr<Call>& call, void (Pusher::*handler)(const Call&));

  asio::io_context& io_;
  std::string target_;
  Events events_;
  asio::steady_timer timer_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<dataplane::v1::Dataplane::Stub> stub_;
  std::optional<Running> running_;  // while connected
  std::optional<dataplane::v1::Snapshot> wanted_;
  bool refused_ = false;  // the dataplane refused wanted_: saying it again would not help
  bool said_in_sync_ = false;
  bool said_waiting_ = false;  // the log says once that there is no dataplane
  std::uint64_t last_generation_ = 0;
  // The one call under way: how to cancel it, and a flag that its gRPC thread is done with us.
  std::function<void()> cancel_;
  std::shared_ptr<void> alive_ = std::make_shared<int>();
};

}  // namespace headgate::push
