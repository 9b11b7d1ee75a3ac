// The dataplane's gRPC API (dataplane/api/dataplane.proto) on a Unix socket of mode 0660.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "dataplane/app/box.h"
#include "dataplane/base/result.h"

namespace grpc {
class Server;
}

namespace headgate::app {

class ApiServer {
 public:
  // `group` may use the socket beside our user; -1: our own group.
  static Result<std::unique_ptr<ApiServer>> start(Box& box, const std::string& socket, gid_t group);
  ~ApiServer();

 private:
  class Service;
  ApiServer();
  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  std::string socket_;
};

}  // namespace headgate::app
