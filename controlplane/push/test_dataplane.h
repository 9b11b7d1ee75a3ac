// For tests only.
#pragma once

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/api/dataplane.grpc.pb.h"

namespace headgate::push {

// The other end of our own contract, on a real socket: keeps what it is given, as the dataplane does.
class TestDataplane : public dataplane::v1::Dataplane::Service {
 public:
  ~TestDataplane() override {
    if (server) die();  // no call runs while the rest goes
  }
  grpc::Status Apply(grpc::ServerContext*, const dataplane::v1::ApplyRequest* request,
                     dataplane::v1::ApplyReply* reply) override {
    std::this_thread::sleep_for(answer_takes.load());
    const std::lock_guard lock(mutex);
    ++applies;
    const bool no_port =
        request->snapshot().interface_size() > 0 && !port.empty() && request->snapshot().interface(0).port() != port;
    reply->set_accepted(!refuse && !no_port && valid(request->snapshot()));
    if (!reply->accepted()) {
      auto& error = *reply->add_error();
      error.set_path(no_port ? "interface[0].port" : "service[0].port");
      error.set_message("no");
    } else {
      running = request->snapshot();
    }
    reply->set_running_generation(running.generation());
    reply->set_running_digest(running.digest());
    return grpc::Status::OK;
  }
  grpc::Status Running(grpc::ServerContext*, const dataplane::v1::RunningRequest*,
                       dataplane::v1::RunningReply* reply) override {
    const std::lock_guard lock(mutex);
    reply->set_generation(running.generation());
    reply->set_digest(running.digest());
    for (const auto& pool : running.pool()) {
      for (const auto& backend : pool.backend()) {
        auto& state = *reply->add_backend();
        state.set_backend_id(backend.id());
        state.set_health(backend.health());
        state.set_weight(backend.weight());
        state.set_drain(backend.drain());
      }
    }
    return grpc::Status::OK;
  }
  grpc::Status UpdateState(grpc::ServerContext*, const dataplane::v1::StateUpdate* request,
                           dataplane::v1::StateReply* reply) override {
    std::this_thread::sleep_for(answer_takes.load());
    const std::lock_guard lock(mutex);
    updates.push_back(*request);
    reply->set_outcome(outcome(*request));
    if (reply->outcome() == dataplane::v1::APPLIED) {
      for (const auto& state : request->backend()) {
        dataplane::v1::Backend& backend = *find(state.backend_id());
        backend.set_health(state.health());
        backend.set_weight(state.weight());
        backend.set_drain(state.drain());
      }
      running.set_generation(request->generation());
    } else {
      reply->add_error()->set_message("no");
    }
    reply->set_running_generation(running.generation());
    reply->set_running_digest(running.digest());
    return grpc::Status::OK;
  }
  grpc::Status SetFailover(grpc::ServerContext*, const dataplane::v1::FailoverInput* request,
                           dataplane::v1::FailoverState* reply) override {
    const std::lock_guard lock(mutex);
    ++failover_inputs;
    for (const auto& group : request->group())
      better_inputs += keep_health && group.health() != dataplane::v1::CLASS_FAULT;
    failover_input = *request;
    failover.set_epoch(std::max(failover.epoch(), request->epoch()));
    *reply = failover;
    return grpc::Status::OK;
  }
  // At once, and after each set_failover().
  grpc::Status WatchFailover(grpc::ServerContext* context, const dataplane::v1::WatchRequest*,
                             grpc::ServerWriter<dataplane::v1::FailoverState>* writer) override {
    unsigned seen = 0;
    for (bool first = true; !context->IsCancelled(); first = false) {
      dataplane::v1::FailoverState state;
      bool news = false;
      {
        const std::lock_guard lock(mutex);
        news = first || seen != failover_changes;
        seen = failover_changes;
        state = failover;
      }
      if (news && !writer->Write(state)) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return grpc::Status::OK;
  }
  grpc::Status Stats(grpc::ServerContext*, const dataplane::v1::StatsRequest*,
                     dataplane::v1::StatsReply* reply) override {
    const std::lock_guard lock(mutex);
    *reply = stats;
    return grpc::Status::OK;
  }
  void set_failover(const dataplane::v1::FailoverState& state) {
    const std::lock_guard lock(mutex);
    failover = state;
    ++failover_changes;
  }
  void listen(const std::string& address) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server = builder.BuildAndStart();
  }
  void die() {
    server->Shutdown(std::chrono::system_clock::now());
    server->Wait();
    server.reset();
  }

  std::mutex mutex;
  dataplane::v1::Snapshot running;
  dataplane::v1::StatsReply stats;
  bool refuse = false;
  std::string port;  // the only one there is; empty: any
  int applies = 0;
  std::vector<dataplane::v1::StateUpdate> updates;                                    // all that came
  std::atomic<std::chrono::milliseconds> answer_takes{std::chrono::milliseconds(0)};  // of Apply and UpdateState
  std::unique_ptr<grpc::Server> server;
  dataplane::v1::FailoverState failover;
  unsigned failover_changes = 0;
  dataplane::v1::FailoverInput failover_input;  // the last
  int failover_inputs = 0;
  bool keep_health = false;  // from now on a class better than fault counts in better_inputs
  int better_inputs = 0;

 private:
  static bool valid(const dataplane::v1::Snapshot& snapshot) {
    for (const auto& pool : snapshot.pool()) {
      for (const auto& backend : pool.backend()) {
        if (backend.weight() > 1000) return false;
      }
    }
    return true;
  }
  dataplane::v1::Backend* find(std::uint32_t id) {
    for (auto& pool : *running.mutable_pool()) {
      for (auto& backend : *pool.mutable_backend()) {
        if (backend.id() == id) return &backend;
      }
    }
    return nullptr;
  }
  dataplane::v1::StateOutcome outcome(const dataplane::v1::StateUpdate& update) {
    if (update.base_generation() != running.generation() || running.generation() == 0) return dataplane::v1::RESYNC;
    bool valid = update.generation() > update.base_generation();
    for (const auto& state : update.backend()) {
      if (find(state.backend_id()) == nullptr) return dataplane::v1::RESYNC;
      valid &= state.weight() <= 1000;
    }
    return valid ? dataplane::v1::APPLIED : dataplane::v1::INVALID;
  }
};

}  // namespace headgate::push
