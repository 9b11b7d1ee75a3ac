// The dataplane's failover, over its API: WatchFailover as long as it is wanted, and SetFailover, which is our sign of
// life as well (control lease). The newest input wins; one call is under way at a time.
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

#include "dataplane/api/dataplane.grpc.pb.h"

namespace headgate::failover {

class Channel {
 public:
  static constexpr std::chrono::milliseconds kRetry{100};    // until a dataplane that came back is found again
  static constexpr std::chrono::milliseconds kAnswer{1000};  // that SetFailover may take

  struct Events {
    std::function<void(const dataplane::v1::FailoverState&)> state;  // at each change, and with each answer
    std::function<void(std::uint64_t version)> delivered;            // after state(): this input is in force
    std::function<void()> lost;                                      // nothing is known any more
  };
  // target: gRPC's name, e.g. unix:/run/headgate/dataplane.sock
  Channel(asio::io_context& io, const std::string& target, Events events);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  void want(bool wanted);
  // Leaves at once, or when the call under way is answered. Nothing while it is not wanted.
  void set(const dataplane::v1::FailoverInput& input, std::uint64_t version);

 private:
  class Watch;
  struct Call;
  void tick();
  void send();
  void on_state(const dataplane::v1::FailoverState& state);
  void lose();

  asio::io_context& io_;
  Events events_;
  asio::steady_timer timer_;
  std::unique_ptr<dataplane::v1::Dataplane::Stub> stub_;
  bool wanted_ = false;
  bool known_ = false;  // a state came, and nothing was lost since
  std::optional<std::pair<dataplane::v1::FailoverInput, std::uint64_t>> next_;
  std::shared_ptr<Watch> watch_;  // under way
  std::shared_ptr<Call> call_;    // under way
  std::shared_ptr<void> alive_ = std::make_shared<int>();
};

}  // namespace headgate::failover
