// The management API: what the console and any other client asks of this daemon (api/management.proto).
//
// Thread: gRPC's threads call in; whatever touches the daemon runs on its event loop, and the caller waits for it. A
// caller is who the kernel says (door.h) or its certificate (remote_door.h); every method asks for the role that its
// option in the schema names.
#pragma once

#include <grpcpp/grpcpp.h>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <memory>

#include "controlplane/api/management.grpc.pb.h"
#include "controlplane/app/door.h"
#include "controlplane/app/remote_door.h"
#include "controlplane/monitor/exporter.h"
#include "dataplane/api/dataplane.grpc.pb.h"

namespace headgate::app {

class Daemon;

class Management {
 public:
  struct Options {
    std::string socket = "/run/headgate/management.sock";
    std::string dataplane;  // gRPC's name of it, for what is passed on
    Groups groups;
    std::string metrics;                        // ADDRESS:PORT of /metrics; empty: none
    std::string supervisor;                     // its socket; empty: there is none
    std::function<std::string()> recent_log{};  // for support bundles; any thread
  };

  // Requires: daemon and io outlive this; destroyed on the io_context's thread after it stopped running.
  static config::Result<std::unique_ptr<Management>> start(asio::io_context& io, Daemon& daemon,
                                                           const Options& options);
  ~Management();
  // Another configuration is in force. Thread: the io_context's.
  void adopt(const config::v1::Config& config);
  Management(const Management&) = delete;
  Management& operator=(const Management&) = delete;

 private:
  class Service;
  explicit Management(asio::io_context& io);
  void tick();
  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Door> door_;
  std::unique_ptr<RemoteDoor> remote_;
  asio::steady_timer timer_;
  std::unique_ptr<monitor::Exporter> exporter_;  // asks the service: goes first
};

// The least role that may call this method of the service; unspecified for a name that is none.
management::v1::Role role_of(const std::string& method);

}  // namespace headgate::app
