// The connection of one command to the dataplane, and what all commands do with answers.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "dataplane/api/dataplane.grpc.pb.h"

namespace headgate::console {

namespace pb = dataplane::v1;

struct Options {
  std::string socket = "/run/headgate/dataplane.sock";
  bool json = false;
};

class Client {
 public:
  explicit Client(const Options& options);
  pb::Dataplane::Stub& stub() { return *stub_; }
  bool json() const { return options_.json; }

  // 0, or 1 after saying what went wrong.
  int check(const grpc::Status& status) const;
  int stats(pb::StatsReply& reply);
  static void soon(grpc::ClientContext& context, int seconds = 5);

 private:
  const Options options_;
  std::unique_ptr<pb::Dataplane::Stub> stub_;
};

int print_json(const google::protobuf::Message& message);

}  // namespace headgate::console
