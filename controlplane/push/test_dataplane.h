// For tests only.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <mutex>
#include <string>

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
    const std::lock_guard lock(mutex);
    ++applies;
    const bool no_port =
        request->snapshot().interface_size() > 0 && !port.empty() && request->snapshot().interface(0).port() != port;
    reply->set_accepted(!refuse && !no_port);
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
        auto& health = *reply->add_backend();
        health.set_backend_id(backend.id());
        health.set_health(backend.health());
      }
    }
    return grpc::Status::OK;
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
  bool refuse = false;
  std::string port;  // the only one there is; empty: any
  int applies = 0;
  std::unique_ptr<grpc::Server> server;
};

}  // namespace headgate::push
