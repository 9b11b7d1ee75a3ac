// Asks the dataplane what it counted and how its ports do, every kEvery while it is wanted.
//
// Thread: that of the io_context; gRPC's threads only post to it. Must be destroyed before the io_context and after it
// stopped running handlers.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>

#include "dataplane/api/dataplane.grpc.pb.h"

namespace headgate::push {

class TrafficWatch {
 public:
  using OnSample = std::function<void(const dataplane::v1::StatsReply&)>;
  static constexpr std::chrono::milliseconds kEvery{250};

  TrafficWatch(asio::io_context& io, const std::string& target, OnSample on_sample);
  ~TrafficWatch();
  TrafficWatch(const TrafficWatch&) = delete;
  TrafficWatch& operator=(const TrafficWatch&) = delete;

  void want(bool wanted);

 private:
  struct Call;
  void tick();
  void ask();

  asio::io_context& io_;
  OnSample on_sample_;
  asio::steady_timer timer_;
  std::unique_ptr<dataplane::v1::Dataplane::Stub> stub_;
  bool wanted_ = false;
  std::shared_ptr<Call> call_;  // the one under way
  std::shared_ptr<void> alive_ = std::make_shared<int>();
};

}  // namespace headgate::push
